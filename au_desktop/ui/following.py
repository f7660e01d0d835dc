"""Which face the panel, the curves and the region labels follow. No Qt.

Enters: the frames that are shown, and the face that a person chose; leaves: the face to show, and what it is called.
"""

from __future__ import annotations

from au_desktop.overlay import pick_face
from rtatl_core.face.track import LONGEST_STEP_S, PATIENCE_S
from rtatl_core.handoffs import AnalysedFace, AnalysedFrame


class Following:
    """The chosen face. Without a choice the face followed so far, else the largest: two faces of like size must not
    take turns in the panel.

    A chosen face that is not seen is waited for as long as the tracker may bring it back, and nobody takes its place
    meanwhile. Afterwards it is as if none were chosen, but the face that is shown keeps its name beside it.
    """

    def __init__(self) -> None:
        self.chosen: int | None = None
        self.face_id: int | None = None
        """Followed now, whether it is seen or not; None before any was."""
        self._unseen_s = self._last_s = 0.0

    def choose(self, face_id: int | None) -> None:
        """None: the largest."""
        self.chosen = self.face_id = face_id
        self._unseen_s = 0.0

    def see(self, frame: AnalysedFrame) -> tuple[AnalysedFace | None, str]:
        """The face of that frame to show, and a caption: its name where there is a choice, or that it is not seen.
        Frames come in order; the same one may come again."""
        waits = self.chosen is not None and self._waits(frame, self.chosen)
        face = pick_face(frame, self.chosen if waits else self._so_far(frame))
        if waits:
            self.face_id = self.chosen
        elif face is not None:
            self.face_id = face.observation.face_id
        if face is None:
            return None, f"Face {self.chosen} is not seen" if waits else ""
        return face, f"Face {self.face_id}" if self.chosen is not None or len(frame.faces) > 1 else ""

    def after(self, frame: AnalysedFrame) -> int | None:
        """The face with the next higher number, to be chosen; None (the largest) after the last."""
        ids = sorted(face.observation.face_id for face in frame.faces)
        return next((face_id for face_id in ids if self.chosen is None or face_id > self.chosen), None)

    def _waits(self, frame: AnalysedFrame, chosen: int) -> bool:
        """Whether the chosen face is there, or was gone so briefly that the tracker may bring it back. The count starts
        anew when a file plays again."""
        now_s, passed_s = frame.packet.timestamp, frame.packet.timestamp - self._last_s
        self._last_s = now_s
        if passed_s < 0 or pick_face(frame, chosen) is not None:
            self._unseen_s = 0.0
        else:
            self._unseen_s += min(passed_s, LONGEST_STEP_S)
        return self._unseen_s <= PATIENCE_S

    def _so_far(self, frame: AnalysedFrame) -> int | None:
        return self.face_id if self.face_id is not None and pick_face(frame, self.face_id) is not None else None
