"""Messages in the banner and sentences in the status line: none outlives what it tells of, and none is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from tests.desktop.conftest import Desk, MakeDesk, wait_until
from tests.desktop.fakes import FILE
from tests.desktop.hands import LEFT, live, looked_at, press

WARNING = "The memory of cuda:0 is full."


def recorded_over_a_warning(make_desk: MakeDesk) -> Desk:
    """Where a recording was saved is told over a warning that holds."""
    desk = live(make_desk())
    desk.pipeline.warn(WARNING)
    wait_until(desk.window.stage.banner.isVisible)
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.pipeline.recorded)
    press(desk, Qt.Key.Key_R)
    return desk


def test_a_message_that_another_hid_comes_back_as_long_as_it_holds(make_desk: MakeDesk) -> None:
    desk = recorded_over_a_warning(make_desk)
    banner = desk.window.stage.banner
    assert banner.text.startswith("Recorded to")
    banner._timer.timeout.emit()  # it was there long enough
    assert (banner.severity, banner.text) == ("warning", WARNING)
    assert banner.isVisible()
    QTest.mouseClick(banner._close, LEFT)
    banner.show_message("info", "Recorded to somewhere")
    QTest.mouseClick(banner._close, LEFT)
    assert not banner.isVisible(), "it has been clicked away"


def test_a_message_comes_back_from_under_an_answer_unless_it_was_of_the_source_before(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    banner = desk.window.stage.banner
    desk.pipeline.warn(WARNING)
    wait_until(banner.isVisible)
    banner.show_message("error", "There is no room.", passing=True)
    banner.pass_away()
    assert not banner.isVisible()
    wait_until(lambda: banner.isVisible() and banner.text == WARNING)
    desk.pipeline._notices.withdraw("warning")
    desk.pipeline._notices.post("source", "warning", "Fake camera stopped delivering pictures.")
    wait_until(lambda: banner.text == "Fake camera stopped delivering pictures.")
    banner.show_message("error", "There is no room.", passing=True)
    desk.window.open_source(FILE)
    QTest.qWait(600)
    assert not banner.isVisible()


def test_a_button_does_what_it_says_though_another_message_comes_back_with_the_click(make_desk: MakeDesk) -> None:
    desk = recorded_over_a_warning(make_desk)
    banner = desk.window.stage.banner
    (folder,) = Path(desk.window.settings.record_root).iterdir()
    QTest.mouseClick(banner._button, LEFT)
    assert looked_at(desk) == folder
    assert banner.text == WARNING


def test_what_a_recording_was_refused_for_goes_when_one_begins(make_desk: MakeDesk, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    desk = live(make_desk(Settings(record_root=str(blocked))))
    banner, line = desk.window.stage.banner, desk.window.line
    press(desk, Qt.Key.Key_M)
    press(desk, Qt.Key.Key_R)
    assert banner.isVisible()
    assert "press R first" in line.text
    blocked.unlink()
    press(desk, Qt.Key.Key_R)
    assert desk.pipeline.status().recording is not None
    assert not banner.isVisible()
    assert "press R first" not in line.text


def test_what_was_said_of_a_folder_goes_when_another_is_chosen(
    make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = live(make_desk(Settings(record_root=str(tmp_path / "none"))))
    QTest.mouseClick(desk.window.top.folder, LEFT)
    assert desk.window.stage.banner.text.startswith("Nothing is recorded yet")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    desk.window._choose_record_root()
    assert not desk.window.stage.banner.isVisible()


def test_a_recording_that_was_removed_is_not_looked_for(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.pipeline.recorded)
    press(desk, Qt.Key.Key_R)
    (folder,) = Path(desk.window.settings.record_root).iterdir()
    shutil.rmtree(folder)
    QTest.mouseClick(desk.window.stage.banner._button, LEFT)
    assert desk.window.stage.banner.text == f"{folder} is not there any more."
    assert not desk.opened


def test_that_no_frame_has_come_is_not_said_beside_a_picture_that_runs(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    QTest.qWait(100)  # what was on its way has come
    press(desk, Qt.Key.Key_R)
    press(desk, Qt.Key.Key_M)
    assert "No frame has come yet" in desk.window.line.text
    press(desk, Qt.Key.Key_Space)
    assert "No frame has come yet" not in desk.window.line.text
