"""The settings pop-up: smoothing, own face, number of faces, model, device, mirror, video, streams to other programs,
name and folder of recordings. Choices act at once, also during a recording; only the number of faces and whether it
keeps the picture are fixed then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from PySide6.QtCore import QPoint, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetrics, QHideEvent, QKeyEvent, QKeySequence, QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSlider,
    QToolTip,
    QVBoxLayout,
    QWidget,
)

from au_desktop.settings import MOST_FACES, Settings, host_and_port
from au_desktop.ui.controls import Button, MenuButton, Segmented, refuse
from au_desktop.ui.theme import Look
from rtatl_core.card import DEFAULT_MODEL, bundled_models

_DEVICES = {"auto": "Auto", "cpu": "CPU", "cuda": "CUDA", "mps": "GPU"}
MOST_SMOOTHING_MS = 500
_STEP_MS = 10
SETTLES_MS = 400
"""Time after the last key press until the smoothing counts as chosen."""
_FILM_FIXED = "Whether the video is kept cannot change during a recording; stop it first"
_TABLE = "One table of all recordings there, for SPSS, R or Excel: a row for each, and for each marker"
_TABLE_LATER = "The table is made of whole recordings; stop this one first"
_FACES_FIXED = "The number of faces cannot change during a recording; stop it first"


class Switch(QAbstractButton):
    """On or off."""

    def __init__(self, look: Look, name: str) -> None:
        super().__init__()
        self._look = look
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(name)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(36, 22)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.click()
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setOpacity(1.0 if self.isEnabled() else 0.45)
            body = QRectF(1, 1, 34, 20)
            on = self.isChecked()
            if self.hasFocus() or not on:
                painter.setPen(self._look.colour("text" if self.hasFocus() else "edge"))
                body.adjust(0.5, 0.5, -0.5, -0.5)  # onto whole pixels
            else:
                painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._look.colour("accent" if on else "track"))
            painter.drawRoundedRect(body, 10, 10)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._look.colour("surface" if on else "dim"))
            painter.drawEllipse(QRectF(18 if on else 4, 4, 14, 14))


class ModelButton(MenuButton):
    """Shows the model, and opens a menu of the bundled ones and "Other weights"."""

    chosen = Signal(object)
    """Name of a model or path of its weights; None for the default one."""

    def __init__(self, look: Look, names: Sequence[str]) -> None:
        super().__init__(look, tip="Choose the weights; the analysis goes on with them at once")
        for name in names:
            self.choices.addAction(name, lambda name=name: self.chosen.emit(None if name == DEFAULT_MODEL else name))
        self.choices.addSeparator()
        self.choices.addAction("Other weights…", self._choose_file)

    def show_model(self, model: str | None) -> None:
        name = Path(model).stem if model else DEFAULT_MODEL
        self.set_label(name, 150)
        self.setAccessibleName(f"Model: {name}")

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.window(), "Weights", "", "Weights (*.safetensors)")
        if path:
            self.chosen.emit(path)


class Options(QFrame):
    """Opens below its button; closes when a click falls outside."""

    smoothing_chosen = Signal(float)
    faces_chosen = Signal(int)
    model_chosen = Signal(object)
    device_chosen = Signal(str)
    personal_chosen = Signal(bool)
    mirror_chosen = Signal(bool)
    film_chosen = Signal(bool)
    streams_chosen = Signal(object)
    """The changed ones of lsl, osc and osc_address: their new values by name."""
    name_chosen = Signal(str)
    """What the next recordings are called; forgotten when the program ends, since it is the wrong one tomorrow."""
    folder_wanted = Signal()
    session_wanted = Signal()
    table_wanted = Signal()

    def __init__(self, look: Look, parent: QWidget, *, devices: Sequence[str] = ("auto",)) -> None:
        """devices: those that can be chosen; with a single one the row is left out."""
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("Popover")
        self.keys: Mapping[str, Callable[[], object]] = {}
        """The window's shortcuts, which this pop-up would keep from it; controls here get their keys first."""
        self.smoothing = QSlider(Qt.Orientation.Horizontal)
        self.smoothing.setRange(0, MOST_SMOOTHING_MS // _STEP_MS)
        self.smoothing.setFixedWidth(150)
        self.smoothing.setAccessibleName("Smoothing in hundredths of a second")
        self.smoothing.valueChanged.connect(self._smoothing_moved)
        self.smoothing.sliderReleased.connect(self._choose_smoothing)
        self._settling = QTimer(self, singleShot=True, interval=SETTLES_MS)
        self._settling.timeout.connect(self._choose_smoothing)
        self._smoothing_ms = 0
        self._address = ""
        self._smoothing_text = QLabel()
        self._smoothing_text.setObjectName("Quiet")
        self._smoothing_text.setFixedWidth(54)
        self._smoothing_text.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.faces = Segmented(look, [str(n) for n in range(1, MOST_FACES + 1)], name="Faces followed")
        self.faces.chosen.connect(lambda index: self.faces_chosen.emit(index + 1))
        self.model = ModelButton(look, bundled_models())
        self.model.chosen.connect(self.model_chosen)
        self._devices = tuple(devices)
        self.device = Segmented(look, [_DEVICES.get(name, name) for name in devices], name="Device")
        self.device.chosen.connect(lambda index: self.device_chosen.emit(self._devices[index]))
        self.personal = Switch(look, "Own face: compare each face with itself")
        self.personal.toggled.connect(self.personal_chosen)
        self.mirror = Switch(look, "Mirror live cameras")
        self.mirror.toggled.connect(self.mirror_chosen)
        self.film = Switch(look, "Keep the camera's picture in recordings")
        self.film.toggled.connect(self.film_chosen)
        self.lsl = Switch(look, "Send to the Lab Streaming Layer")
        self.lsl.toggled.connect(lambda on: self.streams_chosen.emit({"lsl": on}))
        self.osc = Switch(look, "Send OSC messages")
        self.osc.toggled.connect(self._switch_osc)
        self.osc_address = QLineEdit()
        self.osc_address.setAccessibleName("Address that OSC messages go to")
        self.osc_address.setToolTip("HOST:PORT, for example 127.0.0.1:9000")
        self.osc_address.setFixedWidth(170)
        self.osc_address.editingFinished.connect(self._choose_address)
        self.osc_address.returnPressed.connect(self.osc_address.clearFocus)  # keys are the window's again
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of recordings")
        self.name.setPlaceholderText("as the source")
        self.name.setFixedWidth(170)
        self.name.editingFinished.connect(lambda: self.name_chosen.emit(self.name.text().strip()))
        self.name.returnPressed.connect(self.name.clearFocus)
        self._folder = QLabel()
        self._folder.setObjectName("Quiet")
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 20, 18)
        column.setSpacing(18)
        column.addLayout(self._rows())
        column.addLayout(self._folder_row(look))

    def _rows(self) -> QGridLayout:
        """What each setting is called, and its control."""
        smoothing = QHBoxLayout()
        smoothing.addWidget(self.smoothing)
        smoothing.addWidget(self._smoothing_text)
        osc = QHBoxLayout()
        osc.setSpacing(14)
        osc.addStretch()
        osc.addWidget(self.osc_address)
        osc.addWidget(self.osc)
        rows: tuple[tuple[str, str, QWidget | QHBoxLayout], ...] = (
            ("Smoothing", "Steadier values, a little later; raw ones are recorded too", smoothing),
            ("Own face", "Compare a face with the same person's earlier frames", self.personal),
            ("Faces", "How many faces are followed at once", self.faces),
            ("Model", "Which network the numbers come from", self.model),
            *([("Device", "What the network runs on", self.device)] if len(self._devices) > 1 else []),
            ("Mirror", "Show live cameras like a mirror", self.mirror),
            ("Video", "Keep the camera's picture in recordings, beside the numbers", self.film),
            ("Lab Streaming Layer", "Send every frame's numbers to programs on this network", self.lsl),
            ("OSC", "Send the numbers to a program at this address", osc),
            ("Name", "What sessions are called, for instance a participant's code", self.name),
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(28)
        grid.setVerticalSpacing(16)
        end = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for i, (title, hint, control) in enumerate(rows):
            grid.addWidget(_caption(title, hint), i, 0)
            if isinstance(control, QWidget):
                grid.addWidget(control, i, 1, end)
            else:
                grid.addLayout(control, i, 1, end)
        return grid

    def _folder_row(self, look: Look) -> QHBoxLayout:
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(QLabel("Recordings"))
        words.addWidget(self._folder)
        change = Button(look, "Change…", tip="Choose where session folders are made")
        change.clicked.connect(self.folder_wanted)
        session = Button(look, "Look at one…", tip="Curves, events and picture of a recorded session")
        self.table = Button(look, "Make table", tip=_TABLE)
        for button, wanted in ((session, self.session_wanted), (self.table, self.table_wanted)):
            button.clicked.connect(self.close)  # it would hide the answer
            button.clicked.connect(wanted)
        row = QHBoxLayout()
        row.addLayout(words, 1)
        for button in (session, self.table, change):
            row.addWidget(button)
        return row

    def show_settings(self, settings: Settings) -> None:
        """Shows what is chosen."""
        controls = (self.smoothing, self.personal, self.mirror, self.film, self.lsl, self.osc)
        for control in controls:
            control.blockSignals(True)
        if not (self.smoothing.isSliderDown() or self._settling.isActive()):
            self.smoothing.setValue(round(settings.smoothing_s * 1000 / _STEP_MS))
            self._smoothing_ms = self.smoothing.value() * _STEP_MS
        self._show_smoothing()
        self.personal.setChecked(settings.personal)
        self.mirror.setChecked(settings.mirror)
        self.film.setChecked(settings.film)
        self.lsl.setChecked(settings.lsl)
        self.osc.setChecked(settings.osc)
        for control in controls:
            control.blockSignals(False)
        if not self.osc_address.hasFocus():
            self.osc_address.setText(settings.osc_address)
        self._address = settings.osc_address
        self.faces.choose(settings.max_faces - 1)
        self.model.show_model(settings.model)
        if settings.device in self._devices:
            self.device.choose(self._devices.index(settings.device))
        shown = QFontMetrics(self._folder.font()).elidedText(settings.record_root, Qt.TextElideMode.ElideMiddle, 240)
        self._folder.setText(shown)
        self._folder.setToolTip(settings.record_root)

    def show_recording(self, on: bool) -> None:
        """A recording has a row for each face, so their number is fixed while it runs; with a picture or without is
        settled at its beginning."""
        refuse(self.faces, _FACES_FIXED if on else None)
        refuse(self.film, _FILM_FIXED if on else None)
        refuse(self.table, _TABLE_LATER if on else None, _TABLE)

    def open_below(self, button: QWidget) -> None:
        self.adjustSize()
        corner = button.mapToGlobal(QPoint(button.width() - self.width(), button.height() + 6))
        screen = button.screen().availableGeometry()  # the window may reach beyond it
        left = max(screen.left(), min(corner.x(), screen.right() + 1 - self.width()))
        top = max(screen.top(), min(corner.y(), screen.bottom() + 1 - self.height()))
        self.move(left, top)
        self.show()

    def hideEvent(self, event: QHideEvent) -> None:
        self._choose_smoothing()
        self.osc_address.clearFocus()
        self.name.clearFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        act = self.keys.get(QKeySequence(event.keyCombination()).toString(QKeySequence.SequenceFormat.PortableText))
        if act is None:
            super().keyPressEvent(event)
        elif not event.isAutoRepeat():
            act()

    def _switch_osc(self, on: bool) -> None:
        self.osc_address.clearFocus()  # takes over an address that is still being written
        self.streams_chosen.emit({"osc": on})

    def _choose_address(self) -> None:
        """Text that is not an address is replaced by the one before, and a tip says what an address is."""
        address = self.osc_address.text().strip()
        try:
            host_and_port(address)
        except ValueError as error:
            self.osc_address.setText(self._address)
            if self.isVisible():
                below = self.osc_address.mapToGlobal(QPoint(0, self.osc_address.height()))
                QToolTip.showText(below, str(error), self.osc_address)
            return
        if address != self._address:
            self.streams_chosen.emit({"osc_address": address})

    def _smoothing_moved(self) -> None:
        """Values that the slider only passes are not chosen: a recording notes every choice."""
        self._show_smoothing()
        if not self.smoothing.isSliderDown():  # keys and wheel come in steps
            self._settling.start()

    def _choose_smoothing(self) -> None:
        self._settling.stop()
        value = self.smoothing.value() * _STEP_MS
        if value != self._smoothing_ms:
            self._smoothing_ms = value
            self.smoothing_chosen.emit(value / 1000)

    def _show_smoothing(self) -> None:
        value = self.smoothing.value() * _STEP_MS
        self._smoothing_text.setText(f"{value} ms" if value else "off")


def _caption(title: str, hint: str) -> QWidget:
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(2)
    column.addWidget(QLabel(title))
    below = QLabel(hint)
    below.setObjectName("Faint")
    column.addWidget(below)
    return box
