"""What stands in the place of the picture when there is none: an invitation, or a quiet word that something
is on its way."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from operator import itemgetter

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QPainter, QPaintEvent, QPen, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from au_desktop.sources import ListCameras, SourceSpec
from au_desktop.ui.controls import Button
from au_desktop.ui.icons import pixmap
from au_desktop.ui.theme import Look
from au_desktop.words import breakable

CAMERAS_EVERY_MS = 2000
"""How often it looks for a camera that was plugged in, while it is seen."""
MOST_CAMERAS = 3
"""That get a button; all of them are in the menu of sources."""
LOW = 380
"""Height in pixels below which the picture gives way to the buttons, and the hint to a message at the foot."""
_ROOMY = 470
"""The same, where a row of cameras stands below them and a message at the foot."""
_LOWEST = 250
"""Below, there is room for the buttons and what is said above them only."""
_EDGE, _GAP = 32, 12
"""Pixels at the left and right edge, and between two buttons."""
_AROUND_NAME = 80
"""What the sign and the borders of a camera's button take."""


class EmptyState(QWidget):
    """Two big ways in, and a button for each camera that is plugged in (``cameras`` lists them)."""

    demo_wanted = Signal()
    file_wanted = Signal()
    camera_wanted = Signal(object)

    def __init__(self, look: Look, cameras: ListCameras) -> None:
        super().__init__()
        self._look = look
        self._list_cameras = cameras
        self._picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        headline = QLabel("See faces move, muscle by muscle", alignment=Qt.AlignmentFlag.AlignCenter)
        headline.setObjectName("Headline")
        self._lead = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._lead.setObjectName("Lead")
        self._lead.setWordWrap(True)

        self.demo = Button(look, "Watch the demo", icon_name="demo", kind="big-primary", tip="Play the built-in clip")
        self.file = Button(
            look, "Open a video or photo…", icon_name="film", kind="big", tip="Analyse a video or photo (O)"
        )
        self.demo.clicked.connect(self.demo_wanted)
        self.file.clicked.connect(self.file_wanted)
        ways = QHBoxLayout()
        ways.setSpacing(_GAP)
        ways.addStretch()
        ways.addWidget(self.demo)
        ways.addWidget(self.file)
        ways.addStretch()
        self._cameras = QHBoxLayout()
        self._cameras.setSpacing(_GAP)
        self._shown: tuple[SourceSpec, ...] | None = None
        self._named: list[tuple[Button, str]] = []
        """The cameras' buttons, and the names of which they show what fits."""
        self._hint = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._hint.setObjectName("Faint")
        self._fails = False
        self._hint.setWordWrap(True)  # or it would take width from the panel beside it

        column = QVBoxLayout(self)
        column.setContentsMargins(_EDGE, 24, _EDGE, 24)
        column.addStretch(4)
        column.addWidget(self._picture)
        column.addSpacing(14)
        column.addWidget(headline)
        column.addSpacing(4)
        column.addWidget(self._lead)
        column.addSpacing(22)
        column.addLayout(ways)
        column.addSpacing(12)
        column.addLayout(self._cameras)
        column.addSpacing(6)
        column.addWidget(self._hint)
        column.addStretch(5)
        look.changed.connect(self._restyle)
        self._restyle()
        self.show_cameras(())
        self._watch = QTimer(self)
        self._watch.setInterval(CAMERAS_EVERY_MS)
        self._watch.timeout.connect(self.look_for_cameras)

    def look_for_cameras(self) -> None:
        self.show_cameras(self._list_cameras())

    def showEvent(self, event: QShowEvent) -> None:
        self.look_for_cameras()
        self._watch.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._watch.stop()

    def show_cameras(self, cameras: Sequence[SourceSpec]) -> None:
        """One button per camera by name; without any, a word on how to get one. Called again and again: buttons stay as
        long as their cameras do, with the focus and a click that is half done."""
        if tuple(cameras) == self._shown:
            return
        self._shown = tuple(cameras)
        while (item := self._cameras.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        self._lead.setText(
            "Choose a camera, the demo, a video or a photo."
            if cameras
            else "No camera is connected. Start with the demo clip, a video or a photo."
        )
        if not cameras:
            hint = "Plug a camera in: it appears here by name. Or drop a video or photo on this window."
        elif len(cameras) > MOST_CAMERAS:
            hint = "More cameras are in the menu at the top. Or drop a video or photo on this window."
        else:
            hint = "Drop a video or photo anywhere on this window to open it."
        self._hint.setText(hint)
        self._cameras.addStretch()
        self._named.clear()
        before = self.file
        for camera in cameras[:MOST_CAMERAS]:
            tip = f"Start the camera {camera.name}"
            button = Button(self._look, camera.name, icon_name="camera", kind="big", tip=tip)
            button.setMinimumWidth(1)  # or a long name would widen the window
            button.clicked.connect(lambda _on=False, spec=camera: self.camera_wanted.emit(spec))
            self._cameras.addWidget(button)
            self.setTabOrder(before, button)
            before = button
            self._named.append((button, camera.name))
        self._cameras.addStretch()
        self._make_room()
        self._fit_names()

    def show_failure(self, fails: bool) -> None:
        """Whether it is seen because a source failed; why stands in a message at its foot."""
        self._fails = fails
        self._make_room()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._make_room()
        self._fit_names()

    def _make_room(self) -> None:
        """In a low window the picture makes room, so that a message at the foot covers nothing; the hint too where
        there is such a message, or in the lowest, on a small screen."""
        self._picture.setVisible(self.height() >= (_ROOMY if self._fails and self._named else LOW))
        self._hint.setVisible(self.height() >= (LOW if self._fails else _LOWEST))

    def _fit_names(self) -> None:
        """Cuts long names in the middle so that all buttons fit; what short names leave free goes to longer ones."""
        free = self.width() - 2 * _EDGE + _GAP - len(self._named) * (_AROUND_NAME + _GAP)
        for button, _name in self._named:
            button.ensurePolished()  # the size before the style sheet is another one
        needs = [(button.fontMetrics().horizontalAdvance(name) + 1, button, name) for button, name in self._named]
        needs.sort(key=itemgetter(0))
        for i, (need, button, name) in enumerate(needs):
            room = min(need, free // (len(needs) - i))
            button.set_label(name, room)
            free -= room

    def _restyle(self) -> None:
        self._picture.setPixmap(pixmap("app", self._look.colour("accent"), 84))


class Waiting(QWidget):
    """A line of text, and a turning arc while something is on its way. The arc moves only while the widget is seen."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._text = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._text.setObjectName("Quiet")
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setWordWrap(True)
        self._said = ""
        self._busy = True
        column = QVBoxLayout(self)
        column.setContentsMargins(32, 0, 32, 0)
        column.addStretch()
        column.addSpacing(64)
        column.addWidget(self._text)
        column.addStretch()
        self._timer = QTimer(self)
        self._timer.setInterval(33)
        self._timer.timeout.connect(self.update)

    def say(self, text: str, *, busy: bool = True) -> None:
        self._busy = busy
        self.update()
        if text != self._said:
            self._said = text
            self._text.setText(breakable(text))
            self._text.setAccessibleName(text)

    @property
    def text(self) -> str:
        return self._said

    def showEvent(self, event: QShowEvent) -> None:
        self._timer.start()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._busy:
            return
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            ring = QRectF(self.width() / 2 - 14, self._text.y() - 44, 28, 28)
            painter.setPen(QPen(self._look.colour("line"), 2.5))
            painter.drawEllipse(ring)
            pen = QPen(self._look.colour("accent"), 2.5)
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
            painter.setPen(pen)
            start = int(-(time.monotonic() % 1.1) / 1.1 * 360 * 16)
            painter.drawArc(ring, start, int(16 * (80 + 30 * math.sin(2 * time.monotonic()))))
