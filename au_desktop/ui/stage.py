"""The place of the picture: video, empty state or waiting, the banner over them, and the layer chips
below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from au_desktop.runtime.status import State, Status
from au_desktop.settings import LAYERS
from au_desktop.sources import ListCameras
from au_desktop.ui.banner import Banner
from au_desktop.ui.controls import Chip
from au_desktop.ui.empty_state import EmptyState, Waiting
from au_desktop.ui.theme import Look
from au_desktop.ui.video_view import VideoView
from rtatl_core.handoffs import AnalysedFrame

_CHIPS = {
    "box": ("Box", "Face box with id and confidence"),
    "landmarks": ("Landmarks", "Face mesh and contours"),
    "regions": ("AU regions", "Where the network looks for each AU, tinted by intensity"),
    "flow": ("Predicted flow", "Motion that the network predicts from this single picture, drawn larger"),
    "pose": ("Head pose", "Three axes of the head: right, up and forward"),
    "recovered": ("Recovered", "Some AU regions, erased from the face and painted back by the network from the rest"),
}
_DECODERS = {
    "flow": ("flow", "This model carries no flow decoder; train with tasks.flow > 0"),
    "recovered": ("inpainting", "This model carries no inpainting decoder; train with tasks.inpainting > 0"),
}
"""Layers that not every model can show: the key of its card that says so, and what a person is told."""

LEAST_HEIGHT = 320
"""Of the picture, even in the lowest window, where the curves scroll instead."""
_NO_FACE = "No face in the picture"
_EDGE, _GAP = 14, 4
"""Pixels around and between the chips."""


class _Hint(QLabel):
    """A label that shows the longest of several wordings that fits; its tip is the first one."""

    def __init__(self) -> None:
        super().__init__()
        self._wordings: tuple[str, ...] = ("",)
        self.setObjectName("Faint")
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def say(self, *wordings: str) -> None:
        """The longest first."""
        if wordings != self._wordings:
            self._wordings = wordings
            self.setToolTip(wordings[0])
            self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        advance = self.fontMetrics().horizontalAdvance
        self.setText(next((text for text in self._wordings if advance(text) <= self.width()), self._wordings[-1]))


class Stage(QWidget):
    layers_chosen = Signal(object)
    """The new set of layer names."""
    layer_refused = Signal(str)
    """Why the layer of a key cannot be shown."""

    def __init__(self, look: Look, painted: Callable[[AnalysedFrame, float], None], cameras: ListCameras) -> None:
        super().__init__()
        self.video = VideoView(look, painted)
        self.empty = EmptyState(look, cameras)
        self.waiting = Waiting(look)
        self._pages = QStackedWidget()
        self._pages.setObjectName("Stage")
        self._pages.setMinimumHeight(LEAST_HEIGHT)
        for page in (self.waiting, self.empty, self.video):
            self._pages.addWidget(page)
        self.banner = Banner(look, self, self._pages)

        self.chips = {name: self._chip(look, name, key) for key, name in enumerate(LAYERS, start=1)}
        self._names_shown, self._names_need = True, 0
        row = QHBoxLayout()
        row.setContentsMargins(_EDGE, 5, _EDGE, 5)
        row.setSpacing(_GAP)
        for chip in self.chips.values():
            row.addWidget(chip)
        self._faces = _Hint()
        row.addWidget(self._faces, 1)
        bar = QWidget()
        bar.setObjectName("Card")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        bar.setLayout(row)

        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._pages, 1)
        column.addWidget(bar)

    def _chip(self, look: Look, name: str, key: int) -> Chip:
        text, tip = _CHIPS[name]
        chip = Chip(look, text, icon_name=name, tip=f"{tip} ({key})")
        chip.clicked.connect(lambda: self._announce())
        return chip

    def lower_by(self, pixels: int) -> None:
        """The picture may be so much lower than LEAST_HEIGHT, on a screen that is."""
        self._pages.setMinimumHeight(LEAST_HEIGHT - pixels)

    @property
    def layers(self) -> frozenset[str]:
        return frozenset(name for name, chip in self.chips.items() if chip.isChecked())

    def set_layers(self, layers: frozenset[str]) -> None:
        for name, chip in self.chips.items():
            chip.setChecked(name in layers)
        self.video.set_layers(layers)

    def switch_layer(self, name: str) -> None:
        chip = self.chips[name]
        if chip.isEnabled():
            chip.click()
        else:
            self.layer_refused.emit(chip.toolTip())

    def show_model(self, card: Mapping[str, Any]) -> None:
        """Layers for which the model has no decoder cannot be switched; a choice made for another model is kept."""
        for name, (key, reason) in _DECODERS.items():
            self.chips[name].refuse(None if card.get(key, False) else reason)

    def _announce(self) -> None:
        self.video.set_layers(self.layers)
        self.layers_chosen.emit(self.layers)

    def show_status(self, status: Status, has_picture: bool) -> None:
        """Chooses what stands here: the picture as soon as there is one, else why there is none."""
        name = status.source.name if status.source else ""
        self.empty.show_failure(status.state is State.FAILED)
        if status.state in (State.EMPTY, State.FAILED):
            page: QWidget = self.empty
            self.show_faces(1)  # none is missing where no picture is
        elif has_picture:
            page = self.video
        else:
            page = self.waiting
            self.waiting.say(
                {
                    State.LOADING: "Loading the model…",
                    State.ASKING: f"{name} starts as soon as you allow it…",
                    State.RECONNECTING: f"{name} went away; it continues as soon as it is back…",
                    State.FINISHED: f"{name} has ended.",
                    State.PAUSED: "Paused",
                }.get(status.state, f"Opening {name}…"),
                busy=status.state not in (State.FINISHED, State.PAUSED),
            )
        self.video.set_dimmed(status.state is State.RECONNECTING)
        if self._pages.currentWidget() is not page:
            self._pages.setCurrentWidget(page)

    def show_faces(self, count: int) -> None:
        if count < 2:
            self._faces.say("" if count else _NO_FACE)
        else:
            many = f"{count} faces, click one"
            self._faces.say(f"{many} (or press F) to follow it", f"{many} or press F", f"{count} faces")

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.banner.fit()
        self._fit_chips()

    def _fit_chips(self) -> None:
        """In a narrow window the chips give up their names, before they are cut off."""
        if self._names_shown:
            for chip in self.chips.values():
                chip.ensurePolished()  # before the style sheet applies, sizes differ
            chips = sum(chip.sizeHint().width() + _GAP for chip in self.chips.values())
            self._names_need = chips + self._faces.fontMetrics().horizontalAdvance(_NO_FACE) + 2 * _EDGE
        fits = self._names_need <= self.width()
        if fits != self._names_shown:
            self._names_shown = fits
            for chip in self.chips.values():
                chip.show_name(fits)
