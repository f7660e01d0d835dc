"""A whole run of the program with a fake engine, and hands that act on its window while it runs."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from au_desktop import app as program
from au_desktop.launch import Launch
from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from tests.desktop.fakes import FakeEngine


def fake(settings: Settings) -> FakeEngine:
    return FakeEngine(max_faces=settings.max_faces, device=settings.device)


def run(launch: Launch, make: Callable[[Settings], FakeEngine] = fake) -> int:
    return program.run(launch, make)  # type: ignore[arg-type]


def windows() -> list[program.MainWindow]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, program.MainWindow) and w.isVisible()]


def once(holds: Callable[[program.MainWindow], object], act: Callable[[program.MainWindow], object]) -> None:
    """Does something to the window as soon as that holds."""
    timer = QTimer(interval=20)

    def look() -> None:
        if windows() and holds(windows()[0]):
            timer.stop()
            act(windows()[0])

    timer.timeout.connect(look)
    timer.start()


def is_live(window: program.MainWindow) -> bool:
    return window._bridge.status.state is State.LIVE


def tells(window: program.MainWindow) -> bool:
    """Whether a message stands in the banner."""
    return window.stage.banner.isVisible()
