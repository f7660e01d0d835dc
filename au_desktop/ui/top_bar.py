"""The bar on top: source, start and pause, record, and the model that the numbers come from."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFont, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QWidget

from au_desktop.runtime.status import State, Status
from au_desktop.sources import DEMO, ListCameras, SourceSpec
from au_desktop.ui.controls import Button, MenuButton, RecordButton, literal
from au_desktop.ui.icons import icon
from au_desktop.ui.theme import Look, font

_ICONS = {"camera": "camera", "file": "film", "stream": "camera", "demo": "demo"}
_THEME_ICONS = {"dark": "moon", "light": "sun", "system": "system"}


class SourceButton(MenuButton):
    """Shows the source and opens a menu of cameras, file and demo. Cameras are looked up when the menu
    opens."""

    camera_wanted = Signal(object)
    file_wanted = Signal()
    demo_wanted = Signal()

    def __init__(self, look: Look, list_cameras: ListCameras) -> None:
        tip = "Choose a camera, a video, a photo or the demo"
        super().__init__(look, "Choose a source", icon_name="camera", tip=tip)
        self._list_cameras = list_cameras
        self._spec: SourceSpec | None = None
        self.choices.aboutToShow.connect(self.fill_menu)
        self.setMaximumWidth(260)

    def show_source(self, spec: SourceSpec | None) -> None:
        if spec == self._spec and self.text():
            return
        self._spec = spec
        name = spec.name if spec else "Choose a source"
        self.set_label(name, 180)
        self.setAccessibleName(f"Source: {name}")
        self.set_icon(_ICONS[spec.kind] if spec else "camera")

    def fill_menu(self) -> None:
        menu = self.choices
        menu.clear()
        cameras = self._list_cameras()
        for camera in cameras:
            self._add(literal(camera.name), "camera", partial(self.camera_wanted.emit, camera), camera)
        if not cameras:
            self._add("No camera found", "camera", None)
        menu.addSeparator()
        self._add("Open video or photo…\tO", "film", self.file_wanted.emit)
        self._add("Demo", "demo", self.demo_wanted.emit, DEMO)

    def _add(
        self, text: str, icon_name: str, wanted: Callable[[], object] | None, spec: SourceSpec | None = None
    ) -> None:
        """``spec``: what this entry plays. Cameras are compared by name, since their numbers may change."""
        playing = self._spec
        is_current = spec and playing and (spec.kind, spec.name) == (playing.kind, playing.name)
        picture = icon(icon_name, self._look.colour("accent" if is_current else "dim"))
        action = self.choices.addAction(picture, text)
        action.setEnabled(wanted is not None)
        if wanted is not None:
            action.triggered.connect(lambda _on=False: wanted())


class ModelLabel(QWidget):
    """Name of the model and what it was trained on: a number without its origin is worth nothing."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._name, self._origin = "", ""
        self._name_font, self._origin_font = font(12, QFont.Weight.DemiBold), font(11)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setMinimumWidth(60)
        look.changed.connect(self.update)

    def show_model(self, name: str | None, trained_on: str | None) -> None:
        if (name or "", trained_on or "") == (self._name, self._origin):
            return
        self._name, self._origin = name or "", trained_on or ""
        description = f"Model {self._name}, trained on {self._origin}" if self._origin else f"Model {self._name}"
        self.setToolTip(description if self._name else "")
        self.setAccessibleName(description if self._name else "No model yet")
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, 34)

    def paintEvent(self, event: QPaintEvent) -> None:
        if not self._name:
            return
        with QPainter(self) as painter:
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            elide = Qt.TextElideMode.ElideRight
            # Two lines of text, close together, centred as one block.
            top = (self.height() - 32) / 2 if self._origin else 0
            painter.setFont(self._name_font)
            painter.setPen(self._look.colour("text"))
            name = painter.fontMetrics().elidedText(self._name, elide, self.width())
            place = QRectF(0, top, self.width(), 17 if self._origin else self.height())
            painter.drawText(place, right, name)
            painter.setFont(self._origin_font)
            painter.setPen(self._look.colour("faint"))
            if self._origin:
                origin = painter.fontMetrics().elidedText(f"trained on {self._origin}", elide, self.width())
                painter.drawText(QRectF(0, top + 17, self.width(), 15), right, origin)


class TopBar(QWidget):
    """The whole bar. What a person asks for leaves as signals; the state comes in through ``show_status``."""

    run_toggled = Signal()
    record_toggled = Signal()
    folder_wanted = Signal()
    theme_toggled = Signal()

    def __init__(self, look: Look, list_cameras: ListCameras) -> None:
        super().__init__()
        self.setObjectName("TopBar")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setFixedHeight(54)
        self._look = look
        self.source = SourceButton(look, list_cameras)
        self.run = Button(look, "Start", icon_name="play", tip="Start or pause (Space)")
        self.run.setFixedWidth(112)
        self.run.clicked.connect(self.run_toggled)
        self.record = RecordButton(look)
        self.record.clicked.connect(self.record_toggled)
        self.folder = Button(look, icon_name="folder", kind="icon", tip="Open the folder of recorded sessions")
        self.folder.clicked.connect(self.folder_wanted)
        self.model = ModelLabel(look)
        self.theme = Button(look, icon_name="moon", kind="icon", tip="Switch theme (T)")
        self.theme.clicked.connect(self.theme_toggled)
        self.options = Button(look, icon_name="sliders", kind="icon", tip="Settings")
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 0, 12, 1)
        row.setSpacing(8)
        for widget in (self.source, self.run, self.record, self.folder):
            row.addWidget(widget)
        row.addSpacing(12)
        row.addWidget(self.model, 1)
        row.addSpacing(12)
        row.addWidget(self.theme)
        row.addWidget(self.options)
        look.changed.connect(self._show_theme)
        self._show_theme()

    def show_status(self, status: Status) -> None:
        self.source.show_source(status.source)
        self.model.show_model(status.model_name, status.trained_on)
        text, icon_name = {
            State.LIVE: ("Pause", "pause"),
            State.RECONNECTING: ("Resume", "play") if status.paused else ("Pause", "pause"),
            State.STARTING: ("Pause", "pause"),
            State.ASKING: ("Pause", "pause"),
            State.PAUSED: ("Resume", "play"),
            State.FINISHED: ("Play again", "replay"),
            State.FAILED: ("Try again", "replay"),
        }.get(status.state, ("Start", "play"))
        if status.state is State.FINISHED and status.source is not None and status.source.still:
            text = "Look again"
        self.run.set_label(text)
        self.run.setAccessibleName(text)
        self.run.set_icon(icon_name)
        # A model that cannot be used can be tried again without a source, too.
        runs = status.source is not None or status.state is State.FAILED
        self.run.setEnabled(runs and status.state is not State.LOADING)
        recording = status.recording
        if recording is not None:
            self.record.show_recording(
                recording.elapsed_s, recording.bytes, paused=recording.paused, film=recording.film
            )
        else:
            self.record.show_idle()
        self.record.setEnabled(status.source is not None)  # where it cannot act, it says why, as the key does

    def _show_theme(self) -> None:
        choice = self._look.choice
        self.theme.set_icon(_THEME_ICONS[choice])
        self.theme.setToolTip(f"Theme: {choice}. Click for the next one (T)")
        self.theme.setAccessibleName(f"Theme: {choice}")
