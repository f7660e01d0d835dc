"""What a person does to a window under test."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from au_desktop.runtime.status import State
from au_desktop.ui.session_window import SessionWindow
from tests.desktop.conftest import Desk, wait_until
from tests.desktop.fakes import CAMERA

LEFT = Qt.MouseButton.LeftButton


def live(desk: Desk) -> Desk:
    """Starts the fake camera and waits for its first picture."""
    desk.window.open_source(CAMERA)
    wait_until(lambda: desk.bridge.latest is not None and desk.bridge.status.state is State.LIVE)
    return desk


def press(desk: Desk, key: Qt.Key) -> None:
    QTest.keyClick(desk.window, key)


def click_row(desk: Desk, au: int) -> None:
    rows = desk.window.panel.rows
    QTest.mouseClick(rows, LEFT, pos=rows.row_rect(rows.aus.index(au)).center())


def session_window(desk: Desk) -> SessionWindow:
    """The one that was opened."""
    wait_until(lambda: any(window.isVisible() for window in desk.window.findChildren(SessionWindow)))
    (window,) = [one for one in desk.window.findChildren(SessionWindow) if one.isVisible()]
    return window


def looked_at(desk: Desk) -> Path:
    """The session whose window was opened, which is closed again."""
    window = session_window(desk)
    folder = window.folder
    window.close()
    return folder
