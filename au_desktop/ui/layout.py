"""Where the window's parts lie, and how its place and their sizes become text that the settings keep; and the key that
lets it fill the screen."""

from __future__ import annotations

import base64
import sys

from PySide6.QtCore import QByteArray, QSize, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMainWindow, QSplitter, QVBoxLayout, QWidget

from au_desktop.settings import Settings
from au_desktop.ui.stage import Stage

_LEAST = QSize(900, 600)
"""What all parts need; on a smaller screen the picture gives way."""
_TITLE_BAR = 32
"""Pixels, about, that a window needs above itself."""


def full_screen_key() -> str:
    """macOS itself takes F11, to show the desk; there programs have Control-Command-F, which is Meta-Ctrl-F in Qt."""
    return "Ctrl+Meta+F" if sys.platform == "darwin" else "F11"


class Desk(QWidget):
    """A line above and one below; between them the picture over the curves, and the panel beside both."""

    def __init__(self, top: QWidget, stage: Stage, traces: QWidget, panel: QWidget, line: QWidget) -> None:
        super().__init__()
        self.setObjectName("Desk")
        # Takes the focus at the start and after a click beside the controls, so that Space pauses.
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._stage = stage
        self.left = _split(Qt.Orientation.Vertical, stage, traces, sizes=(468, 248))
        self.body = _split(Qt.Orientation.Horizontal, self.left, panel, sizes=(872, 408))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(top)
        column.addWidget(self.body, 1)
        column.addWidget(line)

    def restore(self, settings: Settings, window: QMainWindow) -> None:
        """The window and its parts as they were at ``layout_of``, or as they are the first time."""
        room = _room(window)
        window.setMinimumSize(_LEAST.boundedTo(room))
        self._stage.lower_by(_LEAST.height() - window.minimumHeight())
        window.resize(QSize(1280, 800).boundedTo(room))
        if settings.window_geometry is not None:
            window.restoreGeometry(_unpack(settings.window_geometry))
        if settings.window_state is not None:
            for splitter, text in zip((self.left, self.body), settings.window_state.split("."), strict=False):
                splitter.restoreState(_unpack(text))

    def layout_of(self, window: QMainWindow) -> dict[str, str]:
        """The entries of ``Settings`` that ``restore`` reads."""
        state = ".".join(_pack(splitter.saveState()) for splitter in (self.left, self.body))
        return {"window_geometry": _pack(window.saveGeometry()), "window_state": state}


def _room(window: QMainWindow) -> QSize:
    """For a window with its title bar."""
    if QGuiApplication.platformName() == "offscreen":  # the screen is imagined, and no limit
        return QSize(1 << 14, 1 << 14)
    return window.screen().availableSize() - QSize(0, _TITLE_BAR)


def _split(orientation: Qt.Orientation, first: QWidget, second: QWidget, *, sizes: tuple[int, int]) -> QSplitter:
    """The first grows with the window."""
    splitter = QSplitter(orientation)
    splitter.addWidget(first)
    splitter.addWidget(second)
    splitter.setStretchFactor(0, 1)
    splitter.setSizes(sizes)
    splitter.setHandleWidth(1)
    splitter.setChildrenCollapsible(False)
    return splitter


def _pack(state: QByteArray) -> str:
    return base64.b64encode(state.data()).decode("ascii")


def _unpack(text: str) -> QByteArray:
    """What ``_pack`` made; empty, which Qt ignores, if somebody edited it."""
    try:
        return QByteArray(base64.b64decode(text, validate=True))
    except ValueError:
        return QByteArray()
