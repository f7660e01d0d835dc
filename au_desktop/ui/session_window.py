"""A window that shows a recorded session: its curves and events, and every AU at the moment that the pointer is at.

Enters: what the files of a session folder hold (``load``); leaves: nothing but pixels, the files stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from au_desktop.ui.au_panel import AUPanel
from au_desktop.ui.controls import Button, OneLine, Segmented
from au_desktop.ui.session_picture import SessionPicture, Wanted
from au_desktop.ui.session_plot import SessionPlot
from au_desktop.ui.theme import Look
from au_desktop.words import clock
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32, Float64
from rtatl_core.sessions.pictures import SessionPictures
from rtatl_core.sessions.recorded import BOX, Event, Recorded
from rtatl_core.sessions.rows import SIDES

MOST_PEOPLE = 8
"""More have no room beside each other; those seen longest are offered."""
_OWN = ("recording_start", "recording_stop", "video")
"""Kinds of events that say no more than the curves."""


@dataclass(frozen=True, slots=True)
class Person:
    """What a session holds of one face, a row for each of its frames, NaN where it was not found."""

    ids: str
    intensity: Float32
    """(n, n_aus) on 0-5."""
    occurrence: Float32
    """(n, n_aus) 0 or 1."""
    sides: Float32 | None
    """(n, n_aus, 2) of the subject's left and right, if the model tells them."""
    box: Float32
    """(n, 4) left, top, right and bottom of the face, in pixels of the picture."""


@dataclass(frozen=True, slots=True)
class Contents:
    """All that the window shows of a session."""

    folder: Path
    model: Mapping[str, Any]
    aus: tuple[int, ...]
    facts: str
    """What is to be known of the whole, in a line."""
    of_photos: bool
    frames: Float64
    """(n,) their numbers."""
    moments: Float64
    """(n,) in seconds; of photos, their numbers."""
    people: tuple[Person, ...]
    """Those seen longest, ``MOST_PEOPLE`` at most, in that order; at least one, who may be nobody."""
    events: tuple[Event, ...]
    pictures: SessionPictures | None
    """None where there are none, or no longer."""


def load(folder: Path) -> Contents:
    """Takes some seconds for an hour of video. Raises SessionError."""
    session = Recorded.read(folder)
    columns, of_photos = session.columns, session.is_of_photos
    frames, first_row, frame_of_row = np.unique(columns["frame"], return_index=True, return_inverse=True)
    labels = [au_label(au) for au in session.aus]
    tells_sides = any(f"{label}_{SIDES[0]}" in columns for label in labels)

    def of(rows: NDArray[np.int64], names: Sequence[str]) -> Float32:
        values = np.full((len(frames), len(names)), np.nan, np.float32)
        for j, name in enumerate(names):
            if name in columns:
                values[frame_of_row[rows], j] = columns[name][rows]
        return values

    def person(ids: str, rows: NDArray[np.int64]) -> Person:
        intensity, occurrence, *both = (
            of(rows, [f"{label}_{part}" for label in labels]) for part in ("r", "c", *(SIDES if tells_sides else ()))
        )
        return Person(ids, intensity, occurrence, np.stack(both, axis=-1) if both else None, of(rows, BOX))

    largest = columns["face_id"] == 0  # in photos, where ids are counted anew in each
    everyone = [(ids, np.flatnonzero(mask & largest if of_photos else mask)) for ids, mask in session.people()]
    everyone.sort(key=lambda one: -len(one[1]))
    return Contents(
        folder,
        session.about.get("model", {}),
        session.aus,
        _facts(session, len(frames), len(everyone)),
        of_photos,
        frames,
        frames if of_photos else columns["timestamp"][first_row],
        tuple(person(*one) for one in everyone[:MOST_PEOPLE]),
        tuple(event for event in session.events() if event.kind not in _OWN),
        SessionPictures.of(session),
    )


def _facts(session: Recorded, frames: int, people: int) -> str:
    about, columns = session.about, session.columns
    what = "photos" if session.is_of_photos else "frames"
    found = len(np.unique(columns["frame"][columns["success"] == 1]))
    dropped = int(about.get("counts", {}).get("dropped", 0))
    parts = [
        "" if session.is_of_photos or not frames else clock(float(np.ptp(columns["timestamp"]))),
        str(about["status"]),
        f"a face in {found / frames:.0%} of {frames:,} {what}" if frames else f"no {what}",
        f"{dropped:,} dropped" if dropped else "",
        f"{people} faces, of which {MOST_PEOPLE} can be chosen" if people > MOST_PEOPLE else "",
        str(about.get("model", {}).get("name", "unknown model")),
        "counts from a rest" if session.counts_from_rest else "",
    ]
    return "  \N{MIDDLE DOT}  ".join(part for part in parts if part)


class SessionWindow(QWidget):
    """Closes with Esc, and with the window that opened it."""

    def __init__(
        self,
        look: Look,
        contents: Contents,
        chosen: frozenset[int],
        open_folder: Callable[[Path], object],
        parent: QWidget,
    ) -> None:
        """chosen: AUs whose curves are shown at first."""
        super().__init__(parent, Qt.WindowType.Window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setObjectName("Desk")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setWindowTitle(f"{contents.folder.name} \N{EM DASH} AU Desktop")
        self.folder = contents.folder
        self._contents = contents
        self._person = contents.people[0]
        self.plot = SessionPlot(look)
        self.picture = SessionPicture(look, contents.pictures) if contents.pictures is not None else None
        self._moment = QLabel()
        self._moment.setObjectName("Quiet")
        self.panel = AUPanel(look, lambda _ms: None, self._moment)
        self.panel.set_aus(contents.aus, contents.model.get("trust"))
        self.people = Segmented(look, [one.ids for one in contents.people], name="Face")
        self.people.chosen.connect(lambda index: self._choose(contents.people[index]))
        folder = Button(look, "Open folder", tip="Show the files of this session")
        folder.clicked.connect(lambda: open_folder(contents.folder))
        self._build(folder)

        self.plot.set_aus(contents.aus)
        self.panel.curves_chosen.connect(self.plot.set_chosen)
        self._show_curves(chosen & frozenset(contents.aus) or frozenset(contents.aus[:6]))
        self.plot.at.connect(lambda _moment: self._read())
        self.people.choose(0)
        values, of_photos = self._person.intensity, contents.of_photos
        self.plot.show_session(contents.moments, values, contents.events, of_photos=of_photos)
        QShortcut(QKeySequence("Esc"), self).activated.connect(self._close_topmost)
        self.resize(1180, 760)
        self.plot.setFocus()

    def _build(self, folder: Button) -> None:
        name = OneLine("Title", self.folder.name)
        facts = OneLine("Faint", self._contents.facts)
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(name)
        words.addWidget(facts)
        top = QWidget()
        top.setObjectName("TopBar")
        top.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        top.setFixedHeight(54)
        bar = QHBoxLayout(top)
        bar.setContentsMargins(20, 6, 14, 7)
        bar.setSpacing(14)
        bar.addLayout(words, 1)
        faces = QLabel("Face")
        faces.setObjectName("Faint")
        for part in (faces, self.people):
            bar.addWidget(part)
            part.setHidden(len(self._contents.people) < 2)
        bar.addWidget(folder)
        body = QHBoxLayout()
        body.setSpacing(1)
        body.addWidget(self._left(), 1)
        body.addWidget(self.panel)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(top)
        column.addLayout(body, 1)

    def _left(self) -> QWidget:
        """The picture above the curves, or these alone."""
        if self.picture is None:
            return self.plot
        both = QSplitter(Qt.Orientation.Vertical)
        both.setHandleWidth(1)
        both.setChildrenCollapsible(False)
        for widget, share in ((self.picture, 5), (self.plot, 4)):
            both.addWidget(widget)
            both.setStretchFactor(both.count() - 1, share)
        return both

    def _show_curves(self, aus: frozenset[int]) -> None:
        self.panel.set_chosen(aus)
        self.plot.set_chosen(aus)

    def _choose(self, person: Person) -> None:
        self._person = person
        self.plot.show_values(person.intensity)

    def _close_topmost(self) -> None:
        """The card of an AU, else the window."""
        if self.panel.rows.help.isVisible():
            self.panel.rows.help.hide()
        else:
            self.close()

    def _read(self) -> None:
        """The panel shows the frame that the plot is at."""
        row, person = self.plot.row(), self._person
        moment, number = self.plot.now, int(self._contents.frames[row])
        at = f"photo {number}" if self._contents.of_photos else f"{_told(moment)}  frame {number:,}"
        self._moment.setText(at)
        self.plot.tell(at)
        rows = self.panel.rows
        if np.isnan(person.intensity[row]).all():
            rows.show_values(None, None)
        else:
            sides = None if person.sides is None else person.sides[row]
            rows.show_values(person.intensity[row], person.occurrence[row], sides)
        rows.settle()
        if self.picture is not None:
            left, top, right, bottom = person.box[row].tolist()
            self.picture.show_moment(Wanted(number, moment, (left, top, right, bottom)))


def _told(seconds: float) -> str:
    """75.25 -> "1:15.25"."""
    hundredths = round(100 * seconds)
    return f"{clock(hundredths // 100)}.{hundredths % 100:02d}"
