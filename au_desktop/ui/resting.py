"""What the "Set rest" button and the key N do: a person's face at rest becomes the zero of their readings.

Enters: the face that is shown, frame by frame; leaves: calls of the pipeline, and sentences for the status line.
"""

from __future__ import annotations

from collections.abc import Callable

from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import State, Status
from au_desktop.ui.controls import Chip
from au_desktop.ui.theme import Look
from rtatl_core.handoffs import AnalysedFace
from rtatl_core.sessions.rest import far_from_rest

TIP = (
    "This face is at rest now: its intensities count from what it reads in the next two seconds (N).\n"
    "Once more, and it is read like others again."
)
_PHOTO = "A photo has no time in which its person could rest"


class RestControl:
    def __init__(self, look: Look, pipeline: Pipeline, say: Callable[..., object]) -> None:
        """``say``: ``StatusLine.say``."""
        self.chip = Chip(look, "Set rest", icon_name="rest", tip=TIP)
        self.chip.clicked.connect(self.toggle)
        self._pipeline = pipeline
        self._say = say
        self._face: AnalysedFace | None = None
        self._taking: int | None = None
        """The face whose rest is awaited."""

    def toggle(self) -> None:
        face, state = self._face, self._pipeline.status().state
        if not self.chip.isEnabled():
            self._say(f"{_PHOTO}.")
        elif state in (State.PAUSED, State.FINISHED):
            self._say("Rest is taken or given up while the picture moves; go on first.", passing=True)
        elif state is not State.LIVE:
            self._say("No face is seen whose rest could be taken or given up.")
        elif self._taking is not None:
            self._give_up(self._taking)
        elif face is None:
            self._say("There is no face whose rest could be taken.")
        elif face.rest is not None:
            self._give_up(face.observation.face_id)
        else:
            self._taking = face.observation.face_id
            self._pipeline.take_rest(self._taking)
            self._say(f"Face {self._taking} rests: hold still for two seconds")
        self._show()

    def _give_up(self, face_id: int) -> None:
        self._taking = None
        self._pipeline.give_up_rest(face_id)
        self._say(f"Face {face_id} is read like others again")

    def see(self, face: AnalysedFace | None, aus: tuple[int, ...]) -> None:
        """The face that is shown from now on, None while it is not seen."""
        self._face = face
        if face is not None and face.observation.face_id != self._taking:
            self._taking = None  # another one is followed
        elif face is not None and face.rest is not None:
            self._taking = None
            doubt = far_from_rest(aus, face.rest)
            text = f"Intensities of face {face.observation.face_id} count from its rest"
            self._say(f"{text}, which read {doubt}: was it rest?" if doubt else text)
        self._show()

    def doubt(self) -> None:
        """Faces are compared with their own from now on, or no longer: a rest that was taken before no longer fits."""
        if self._face is not None and self._face.rest is not None:
            self._say(f"Set the rest of face {self._face.observation.face_id} anew: it was measured the other way")

    def forget(self) -> None:
        """Another source."""
        self._face = self._taking = None
        self._show()

    def show_status(self, status: Status) -> None:
        still = status.source is not None and status.source.still
        self.chip.refuse(_PHOTO if still else None)
        if self._taking is not None and status.state in (State.FINISHED, State.FAILED):  # no frame comes any more
            self._say(f"Face {self._taking} was not seen for two seconds, so its rest is not taken")
            self._taking = None
            self._show()

    def _show(self) -> None:
        face = self._face
        from_rest = face is not None and face.rest is not None
        waits = self._taking is not None
        label = "Hold still" if waits else "From rest" if from_rest else "Set rest"
        if self.chip.label != label:
            self.chip.set_label(label)
            self.chip.setAccessibleName(label)
        self.chip.setChecked(from_rest or waits)
