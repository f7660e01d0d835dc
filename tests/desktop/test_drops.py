"""Files dropped on the window."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication

from au_desktop.sources import SourceSpec
from tests.desktop.conftest import Desk, MakeDesk


def drop(desk: Desk, *urls: QUrl) -> bool:
    """As the system does it; whether the window takes it."""
    mime = QMimeData()
    mime.setUrls(urls)
    how = Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPoint(300, 300), *how)
    QApplication.sendEvent(desk.window, entered)
    if entered.isAccepted():
        QApplication.sendEvent(desk.window, QDropEvent(QPointF(300, 300), *how))
    return entered.isAccepted()


@pytest.fixture
def desk(make_desk: MakeDesk) -> Desk:
    return make_desk()


@pytest.fixture
def opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what the window wanted to play."""
    names: list[str] = []

    def note(spec: SourceSpec) -> None:
        names.append(Path(spec.target).name)

    monkeypatch.setattr(desk.pipeline, "set_source", note)
    return names


def urls(folder: Path, *names: str) -> list[QUrl]:
    return [QUrl.fromLocalFile(str(folder / name)) for name in names]


def test_a_dropped_file_is_opened(desk: Desk, opened: list[str], tmp_path: Path) -> None:
    assert drop(desk, *urls(tmp_path, "clip.mp4"))
    assert opened == ["clip.mp4"]
    assert not desk.window.stage.banner.isVisible()


def test_of_several_files_the_first_is_opened_and_said(desk: Desk, opened: list[str], tmp_path: Path) -> None:
    assert drop(desk, *urls(tmp_path, "10.jpg", "2.jpg", "1.txt"))
    assert opened == ["2.jpg"]
    banner = desk.window.stage.banner
    assert banner.severity == "info"
    assert banner.text.startswith("Of the 3 that you dropped, 2.jpg is open")
    assert banner.text.endswith(f"rtatl analyze {tmp_path} --out sessions")


def test_a_folder_is_not_opened_and_the_command_for_it_is_named(desk: Desk, opened: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "my study"
    folder.mkdir()
    assert drop(desk, *urls(tmp_path, "my study"))
    assert opened == []
    banner = desk.window.stage.banner
    assert banner.severity == "warning"
    assert banner.text.startswith("my study is a folder")
    assert banner.text.endswith(f'rtatl analyze "{folder}" --out sessions')


def test_what_lies_on_the_web_is_not_taken(desk: Desk, opened: list[str]) -> None:
    assert not drop(desk, QUrl("https://example.org/clip.mp4"))
    assert opened == []
