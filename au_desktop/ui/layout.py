"""The window's place and the widths of its parts, as text that the settings keep; and the key that lets it fill the
screen."""

from __future__ import annotations

import base64
import sys

from PySide6.QtCore import QByteArray
from PySide6.QtWidgets import QMainWindow, QSplitter


def full_screen_key() -> str:
    """macOS itself takes F11, to show the desk; there programs have Control-Command-F, which is Meta-Ctrl-F in Qt."""
    return "Ctrl+Meta+F" if sys.platform == "darwin" else "F11"


def layout_of(window: QMainWindow, *splitters: QSplitter) -> dict[str, str]:
    """The entries of ``Settings`` that ``restore_layout`` reads."""
    state = ".".join(_pack(splitter.saveState()) for splitter in splitters)
    return {"window_geometry": _pack(window.saveGeometry()), "window_state": state}


def restore_layout(geometry: str | None, state: str | None, window: QMainWindow, *splitters: QSplitter) -> None:
    if geometry is not None:
        window.restoreGeometry(_unpack(geometry))
    if state is not None:
        for splitter, text in zip(splitters, state.split("."), strict=False):
            splitter.restoreState(_unpack(text))


def _pack(state: QByteArray) -> str:
    return base64.b64encode(state.data()).decode("ascii")


def _unpack(text: str) -> QByteArray:
    """What ``_pack`` made; empty, which Qt ignores, if somebody edited it."""
    try:
        return QByteArray(base64.b64decode(text, validate=True))
    except ValueError:
        return QByteArray()
