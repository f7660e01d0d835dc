"""Files dropped on the window."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from au_desktop.sources import SourceSpec
from au_desktop.ui.drops import file_to_open
from tests.desktop.conftest import Desk, MakeDesk, wait_until
from tests.desktop.hands import live, looked_at, press


def drop(desk: Desk, *urls: QUrl, key: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> bool:
    """As the system does it, while a key is held; whether the window takes it."""
    mime = QMimeData()
    mime.setUrls(urls)
    how = Qt.DropAction.CopyAction | Qt.DropAction.MoveAction, mime, Qt.MouseButton.LeftButton, key
    entered, dropped = QDragEnterEvent(QPoint(300, 300), *how), QDropEvent(QPointF(300, 300), *how)
    QApplication.sendEvent(desk.window, entered)
    if entered.isAccepted():
        QApplication.sendEvent(desk.window, dropped)
        assert dropped.dropAction() == Qt.DropAction.CopyAction, "a file that was moved is deleted where it came from"
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
    assert drop(desk, *urls(tmp_path, "again.mp4"), key=Qt.KeyboardModifier.ShiftModifier)
    assert opened == ["clip.mp4", "again.mp4"]
    assert not desk.window.stage.banner.isVisible()


def test_of_several_files_the_first_is_opened_and_said(desk: Desk, opened: list[str], tmp_path: Path) -> None:
    assert drop(desk, *urls(tmp_path, "10.jpg", "2.jpg", "1.txt"))
    assert opened == ["2.jpg"]
    banner = desk.window.stage.banner
    wait_until(banner.isVisible)
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
    assert banner.text.endswith(f"rtatl analyze {shlex.quote(str(folder))} --out sessions")
    desk.window.open_demo()
    assert not banner.isVisible()


def test_a_recording_is_looked_at(desk: Desk, opened: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "talk_2026-01-02T03-04-05"
    folder.mkdir()
    (folder / "frames.csv").write_text("frame,face_id,timestamp,success,AU12_r\n1,0,0.0,1,2.5\n")
    (folder / "session.json").touch()
    for dropped in (
        [folder.name],
        [f"{folder.name}/frames.csv"],
        [f"{folder.name}/{n}.csv" for n in ("events", "frames")],
    ):
        assert drop(desk, *urls(tmp_path, *dropped))
        assert looked_at(desk) == folder
    assert opened == []
    assert drop(desk, *urls(tmp_path, folder.name, "talk.mp4"))
    assert opened == ["talk.mp4"]


def test_the_command_names_the_folders_and_their_signs_do_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("rtatl", "rtatl.exe"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    paths = [Path("/home/a/my $tudy/1.mp4"), Path("/mnt/b/2.mp4"), Path("/mnt/b/3.mp4")]
    monkeypatch.setattr(sys, "platform", "linux")
    rtatl = tmp_path / "rtatl"
    assert file_to_open(paths).message.endswith(f" with: {rtatl} analyze '/home/a/my $tudy' /mnt/b --out sessions")
    told = file_to_open([*paths, Path("/srv/4.mp4")]).message
    assert told.endswith(f"; use {rtatl} analyze, which takes files and folders.")
    monkeypatch.setattr(sys, "platform", "win32")
    told = file_to_open(paths).message
    assert told.endswith(f' with: {rtatl}.exe analyze "{paths[0].parent}" {paths[1].parent} --out sessions')


def test_a_program_without_the_command_names_who_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    for paths in ([tmp_path], [tmp_path / "1.mp4", tmp_path / "2.mp4"], [Path(f"/{i}/1.mp4") for i in range(5)]):
        told = file_to_open(paths).message
        assert told.endswith(
            "; folders are for rtatl analyze, which comes with an installation from source (README, Start)."
        )
        assert " with: " not in told


def test_a_drop_that_ends_a_recording_says_both(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: (now := desk.pipeline.status().recording) is not None and now.rows > 3)
    folder = desk.pipeline.status().recording.folder
    assert drop(desk, *urls(tmp_path, "1.mp4", "2.mp4"))
    banner = desk.window.stage.banner
    wait_until(lambda: "that you dropped" in banner.text)
    assert banner.text.startswith(f"The recording is saved in {folder}. Of the 2 that you dropped, 1.mp4 is open")
    QTest.qWait(300)
    assert "that you dropped" in banner.text
    QTest.mouseClick(banner._button, Qt.MouseButton.LeftButton)
    assert looked_at(desk) == folder
    assert drop(desk, *urls(tmp_path, "3.mp4", "4.mp4"))
    wait_until(lambda: banner.text.startswith("Of the 2 that you dropped, 3.mp4 is open"))


def test_what_lies_on_the_web_is_not_taken(desk: Desk, opened: list[str]) -> None:
    assert not drop(desk, QUrl("https://example.org/clip.mp4"))
    assert opened == []
