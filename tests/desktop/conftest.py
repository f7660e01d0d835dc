"""Qt for the tests that need it, offscreen; and a whole window around a fake engine and fake sources."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from au_desktop import app as program
from au_desktop.app import qt_application
from au_desktop.bridge import Bridge
from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import State, Status
from au_desktop.settings import Settings
from au_desktop.sources import FrameSource, SourceSpec
from au_desktop.ui.main_window import MainWindow
from au_desktop.ui.theme import Look, load_fonts
from tests.desktop.fakes import FakeEngine, camera_opener


@pytest.fixture(scope="session")
def qapp() -> QApplication:
    app = qt_application(["tests"])
    app.setStyle("Fusion")
    load_fonts(app)
    return app


@pytest.fixture
def look(qapp: QApplication) -> Iterator[Look]:
    made = Look(qapp, "dark")
    yield made
    made.detach()


@pytest.fixture
def no_camera(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "list_cameras", lambda: ())


def wait_until(condition: Callable[[], object]) -> None:
    """Runs Qt's events until the condition holds, for ten seconds at most."""
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        QCoreApplication.processEvents()
        time.sleep(0.002)


@dataclass(slots=True)
class Desk:
    """A window with everything behind it."""

    window: MainWindow
    bridge: Bridge
    pipeline: Pipeline
    opened: list[Path]
    """Folders that a click wanted to see."""


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(look: Look, tmp_path: Path) -> Iterator[MakeDesk]:
    """``make_desk(settings=..., engine=..., cameras=..., open_source=...)``; all of it is closed after the test."""
    desks: list[Desk] = []

    def make(
        settings: Settings | None = None,
        engine: dict[str, Any] | None = None,
        cameras: Sequence[SourceSpec] = (),
        open_source: Callable[[SourceSpec], FrameSource] | None = None,
    ) -> Desk:
        pipeline = Pipeline(
            lambda: FakeEngine(**(engine or {})),  # type: ignore[arg-type,return-value]
            open_source=open_source or camera_opener(fps=60.0),
        )
        bridge = Bridge(pipeline)
        opened: list[Path] = []
        window = MainWindow(
            bridge,
            look,
            settings or Settings(record_root=str(tmp_path / "recordings")),
            cameras=lambda: cameras,
            open_folder=opened.append,
        )
        desk = Desk(window, bridge, pipeline, opened)
        desks.append(desk)
        window.show()
        window.activateWindow()  # keys reach an active window only
        assert QTest.qWaitForWindowActive(window)
        pipeline.start()
        bridge.start()
        return desk

    yield make
    for desk in desks:
        desk.window.close()
        desk.bridge.stop()
        desk.pipeline.close()
        desk.window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def make_pipeline() -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def build(make_engine: Callable[[], Any] = FakeEngine, **options: Any) -> Pipeline:
        options = {"open_source": camera_opener(fps=100), "retry_s": 0.05} | options
        made.append(Pipeline(make_engine, **options))
        return made[-1]

    yield build
    for pipeline in made:
        pipeline.close()


def is_state(state: State) -> Callable[[Status], bool]:
    return lambda status: status.state is state


def until(pipeline: Pipeline, condition: Callable[[Status], Any]) -> Status:
    """The first status for which the condition holds, within five seconds."""
    limit = time.monotonic() + 5
    while not condition(status := pipeline.status()):
        assert time.monotonic() < limit, f"still {status}"
        time.sleep(0.005)
    return status


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(5)
        yield made


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking the network for a name that nobody has may take long."""
    look_up = socket.getaddrinfo

    def known(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith(".invalid"):
            raise socket.gaierror(-2, "Name or service not known")
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", known)
