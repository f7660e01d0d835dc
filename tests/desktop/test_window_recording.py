"""Pause, record and stop in the window, and what its banner and status line say."""

from __future__ import annotations

import html
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent, QAccessibleEvent, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel

from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from au_desktop.sources import FrameSource, SourceSpec, open_source
from rtatl_core.errors import SourceError
from rtatl_core.sessions.session import read_session
from tests.desktop.conftest import MakeDesk, wait_until
from tests.desktop.fakes import CAMERA, FakeEngine, camera_opener
from tests.desktop.hands import LEFT, live, looked_at, press
from tests.tables import csv_rows


def test_space_pauses_and_goes_on(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    assert desk.window.top.run.label == "Pause"
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.window.top.run.label == "Resume")
    assert "Paused" in desk.window.line.text
    assert "frames/s" not in desk.window.line.text, "rates would tell of a moment ago"
    QTest.mouseClick(desk.window.top.run, LEFT)
    wait_until(lambda: desk.window.top.run.label == "Pause")


def test_a_pause_of_a_source_that_is_lost_can_be_taken_back(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = live(make_desk())
    lost = replace(desk.pipeline.status(), state=State.RECONNECTING, paused=True)
    desk.window.top.show_status(lost)
    assert desk.window.top.run.label == "Resume"
    asked: list[str] = []
    monkeypatch.setattr(desk.pipeline, "status", lambda: lost)
    monkeypatch.setattr(desk.pipeline, "resume", lambda: asked.append("resume"))
    desk.window.toggle_run()
    assert asked == ["resume"]


def test_space_on_a_focused_button_presses_the_button(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    chip = desk.window.stage.chips["pose"]
    chip.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(chip, Qt.Key.Key_Space)
    assert chip.isChecked()
    QTest.qWait(150)
    assert desk.bridge.status.state is State.LIVE


def test_record_and_stop_leaves_a_readable_session(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    button = desk.window.top.record
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.bridge.status.recording is not None and desk.bridge.status.recording.rows > 5)
    assert button.accessibleName() == "Stop recording", "which a screen reader says whenever it changes"
    assert button._running.startswith("Stop   0:0"), "who sees it knows what a click does"
    folder = desk.bridge.status.recording.folder
    QTest.mouseClick(button, LEFT)
    banner = desk.window.stage.banner
    assert folder.name in banner.text
    wait_until(lambda: button.accessibleName() == "Record")
    facts, columns = read_session(folder)
    assert facts["status"] == "complete"
    assert len(columns["AU12_r"]) > 5
    QTest.mouseClick(banner._button, LEFT)
    assert looked_at(desk) == folder
    assert not banner.isVisible()


def test_a_recording_made_in_a_pause_says_that_no_frame_came(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    QTest.qWait(100)  # what was on its way has come
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: desk.window.top.record.accessibleName() == "Stop recording, paused")
    assert desk.window.top.record._running.startswith("Stop   0:00")
    assert not desk.window.top.record._timer.isActive()
    folder = desk.bridge.status.recording.folder
    press(desk, Qt.Key.Key_R)
    banner = desk.window.stage.banner
    assert (banner.severity, banner.text) == (
        "warning",
        f"No frame came while it recorded; {folder.name} holds no rows.",
    )


def test_a_video_is_recorded_from_its_middle_or_from_its_beginning(make_desk: MakeDesk) -> None:
    desk = make_desk(open_source=camera_opener(frames=60, fps=30.0))
    banner = desk.window.stage.banner
    desk.window.open_file("clip.mp4")
    wait_until(lambda: (desk.bridge.status.position_s or 0) > 0.2)
    press(desk, Qt.Key.Key_R)
    assert banner.text.startswith("Recording from 0:00.")
    assert banner._button.label == "Start from the beginning"
    wait_until(lambda: desk.bridge.status.recording and desk.bridge.status.recording.rows > 2)
    first = desk.bridge.status.recording.folder
    QTest.mouseClick(banner._button, LEFT)
    assert banner.text == f"Recording from the beginning; what came before is kept in {first.name}"
    wait_until(lambda: desk.window.top.run.label == "Play again")
    wait_until(lambda: "is saved in" in banner.text)
    second = desk.bridge.status.notice.folder
    assert read_session(second)[1]["frame"].tolist() == list(range(1, 61))
    QTest.mouseClick(banner._button, LEFT)
    assert looked_at(desk) == second
    assert desk.window.top.record.isEnabled()
    QTest.mouseClick(desk.window.top.record, LEFT)
    wait_until(lambda: desk.window.top.run.label == "Pause")
    assert not banner.isVisible(), "it begins at the beginning, as one expects"
    wait_until(lambda: desk.bridge.status.state is State.FINISHED)
    third = desk.bridge.status.notice.folder
    assert read_session(third)[1]["frame"].tolist() == list(range(1, 61))


@pytest.mark.parametrize("clicked", [True, False])
def test_an_information_is_told_once(make_desk: MakeDesk, clicked: bool) -> None:
    desk = live(make_desk())
    banner = desk.window.stage.banner
    desk.pipeline.announce("A recording that was cut off is complete.")
    wait_until(banner.isVisible)
    if clicked:
        QTest.mouseClick(banner._close, LEFT)
    desk.pipeline.warn("The memory of cuda:0 is full.")
    wait_until(lambda: banner.isVisible() and banner.severity == "warning")
    desk.pipeline.set_engine(FakeEngine)
    wait_until(lambda: (notice := desk.bridge.status.notice) is None or notice.severity == "info")
    assert not banner.isVisible()


def test_an_information_that_was_hidden_is_told_after_a_later_one(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    banner, notices = desk.window.stage.banner, desk.pipeline._notices
    notices.post("engine", "error", "The analysis cannot start.")
    notices.post("recording", "info", "The recording is saved.")
    wait_until(lambda: banner.severity == "error")
    notices.withdraw("engine")
    notices.post("news", "info", "A recording that was cut off is complete.")
    wait_until(lambda: banner.text == "A recording that was cut off is complete.")
    QTest.mouseClick(banner._close, LEFT)
    wait_until(lambda: banner.isVisible() and banner.text == "The recording is saved.")


def test_the_answer_to_the_same_act_is_told_again(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    banner = desk.window.stage.banner
    for _ in range(2):
        desk.pipeline.announce("Of the 3 that you dropped, clip.mp4 is open.")
        wait_until(banner.isVisible)
        QTest.mouseClick(banner._close, LEFT)


def test_the_banner_leaves_the_top_of_the_picture_free(make_desk: MakeDesk) -> None:
    desk = make_desk()
    stage = desk.window.stage
    for size in ((1280, 800), (900, 600)):
        desk.window.resize(*size)
        stage.banner.show_message("warning", "Something long enough to need two lines in a narrow window. " * 2)
        QApplication.processEvents()
        assert stage._pages.geometry().contains(stage.banner.geometry())
        assert stage.banner.y() > stage._pages.height() / 2


def test_a_message_in_a_low_window_covers_no_way_in(make_desk: MakeDesk) -> None:
    desk = make_desk()
    stage = desk.window.stage
    desk.window.resize(900, 600)
    wait_until(stage.empty.isVisible)
    stage.banner.show_message("error", "Something long enough to need three lines in a narrow window. " * 3)
    QApplication.processEvents()
    assert stage._pages.height() >= 320, "the picture keeps its place"
    for button in (stage.empty.demo, stage.empty.file):
        assert button.mapTo(stage, button.rect().bottomLeft()).y() < stage.banner.y()


def test_a_message_why_a_source_failed_covers_no_words(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk(open_source=open_source)
    stage = desk.window.stage
    desk.window.resize(900, 600)
    (tmp_path / "broken.mp4").write_text("no video")
    desk.window.open_file(str(tmp_path / "broken.mp4"))
    wait_until(lambda: stage.empty.isVisible() and stage.banner.isVisible())
    QApplication.processEvents()
    shown = [label for label in stage.empty.findChildren(QLabel) if label.isVisible()]
    assert stage.empty._lead in shown
    for label in shown:
        assert label.mapTo(stage, label.rect().bottomLeft()).y() < stage.banner.y()


def test_a_folder_that_cannot_be_written_shows_a_banner(make_desk: MakeDesk, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    desk = live(make_desk(Settings(record_root=str(blocked))))
    QTest.mouseClick(desk.window.top.record, LEFT)
    wait_until(desk.window.stage.banner.isVisible)
    assert desk.window.stage.banner.severity == "error"
    assert str(blocked) in desk.window.stage.banner.text
    wait_until(lambda: desk.bridge.status.recording is None)


def test_a_folder_that_no_program_shows_is_named(
    make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(Settings(record_root=str(tmp_path)))
    monkeypatch.setattr(desk.window.recording, "_open_folder", lambda folder: False)
    QTest.mouseClick(desk.window.top.folder, LEFT)
    assert desk.window.stage.banner.isVisible()
    assert desk.window.stage.banner.text.endswith(f"open {tmp_path} yourself.")


def test_the_button_of_a_source_that_does_not_play_says_what_the_key_says(make_desk: MakeDesk) -> None:
    works: list[bool] = []

    def picky(spec: SourceSpec) -> FrameSource:
        if not works:
            raise SourceError(f"{spec.name} is in use by another program; close that program.")
        return camera_opener(fps=60.0)(spec)

    desk = make_desk(open_source=picky)
    desk.window.open_source(CAMERA)
    wait_until(lambda: desk.bridge.status.state is State.FAILED and desk.window.stage.banner.isVisible())
    wait_until(desk.window.top.record.isEnabled)
    for ask in (lambda: press(desk, Qt.Key.Key_R), lambda: QTest.mouseClick(desk.window.top.record, LEFT)):
        desk.window.line.say("")
        ask()
        assert desk.window.line.text.endswith("Fake camera is not playing; start it again, then record.")
        assert desk.window.stage.banner.text.startswith("Fake camera is in use"), "why it does not play"
    works.append(True)
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.LIVE)
    wait_until(lambda: not desk.window.stage.banner.isVisible())


def test_an_answer_goes_when_another_source_or_model_is_chosen(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk()
    window, banner = desk.window, desk.window.stage.banner
    wait_until(lambda: desk.bridge.status.state is State.EMPTY)
    press(desk, Qt.Key.Key_R)
    assert banner.isVisible()
    live(desk)
    assert not banner.isVisible()
    for accepted in (lambda: window.options.model.chosen.emit(None), lambda: window.open_source(CAMERA)):
        window.options.model.chosen.emit(str(tmp_path / "none.safetensors"))
        assert "none.json is missing" in banner.text
        assert banner.isVisible()
        accepted()
        assert not banner.isVisible()
    banner.show_message("warning", "The settings cannot be saved.")
    window.open_source(CAMERA)
    assert banner.isVisible(), "is still true"


def test_long_names_in_messages_are_shown_whole(make_desk: MakeDesk) -> None:
    desk = make_desk()
    stage = desk.window.stage
    desk.window.resize(900, 600)
    for name in (f"{'P0137_smile_' * 14}<2>.mp4", f"{'x' * 170}.mp4", f"C:\\{'recordings' * 12}\\a.mp4"):
        stage.banner.show_message("error", f"{name} cannot be read.")
        stage.waiting.say(name)
        stage._pages.setCurrentWidget(stage.waiting)
        QApplication.processEvents()
        for label in (stage.banner._text, stage.waiting._text):
            assert label.minimumSizeHint().width() <= label.width(), "no word is longer than the line"
            assert label.heightForWidth(label.width()) <= label.height()
        assert (stage.banner.text, stage.waiting.text) == (f"{name} cannot be read.", name)
        assert html.unescape(stage.banner._text.toolTip()) == f"<qt>{name} cannot be read.</qt>"


def test_nothing_to_record_is_said(make_desk: MakeDesk) -> None:
    desk = make_desk()
    wait_until(lambda: desk.bridge.status.state is State.EMPTY)
    assert not desk.window.top.record.isEnabled()
    press(desk, Qt.Key.Key_R)
    assert "choose a camera or a video" in desk.window.stage.banner.text


def test_a_file_that_ended_plays_again(make_desk: MakeDesk) -> None:
    desk = make_desk(open_source=camera_opener(frames=8, fps=60.0))
    desk.window.open_file("clip.mp4")
    wait_until(lambda: desk.window.top.run.label == "Play again")
    assert "Ended" in desk.window.line.text
    opened = threading.Event()
    desk.bridge.add_view(lambda frame: opened.set())
    press(desk, Qt.Key.Key_Space)
    wait_until(opened.is_set)


def test_the_status_line_has_the_numbers(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    wait_until(lambda: "ms to screen" in desk.window.line.text and "CPU" in desk.window.line.text)
    for expected in ("Live", "frames/s", "0 dropped", "320 \N{MULTIPLICATION SIGN} 240"):
        assert expected in desk.window.line.text


@pytest.mark.parametrize("state", [State.PAUSED, State.RECONNECTING, State.FINISHED, State.FAILED])
def test_the_status_line_has_no_speed_where_no_frame_comes(make_desk: MakeDesk, state: State) -> None:
    desk = live(make_desk())
    wait_until(lambda: "frames/s" in desk.window.line.text)
    desk.window.line.show_status(replace(desk.bridge.status, state=state), 20.0)
    assert "frames/s" not in desk.window.line.text
    assert "dropped" in desk.window.line.text


def test_the_status_line_tells_that_a_video_was_seen_to_its_end(make_desk: MakeDesk) -> None:
    """Its last frame is at 0.96 of 1 s."""
    desk = make_desk(open_source=camera_opener(frames=25, fps=25.0))
    desk.window.open_file("clip.mp4")
    wait_until(lambda: desk.window.line.text.startswith("Ended"))
    assert "0:01 of 0:01" in desk.window.line.text


def test_a_sentence_in_the_status_line_is_cut_where_it_can_be_seen_and_goes_with_its_source(
    make_desk: MakeDesk,
) -> None:
    desk = make_desk()
    line = desk.window.line

    def shown(text: str) -> QImage:
        line.say(text)
        return line.grab().toImage()

    told = f"{'film_' * 40}.mp4 is not playing; start it again, then record."
    cut = shown(told)
    assert any(shown(f"\N{HORIZONTAL ELLIPSIS}{told[start:]}") == cut for start in range(len(told)))
    line.say(told)
    live(desk)
    assert told not in line.text


def test_streams_are_seen_in_a_narrow_window_too(make_desk: MakeDesk) -> None:
    """What is cut of a long address is its end, not that numbers are sent."""
    desk = live(make_desk())
    line, status = desk.window.line, desk.bridge.status

    def shown(stream: str) -> QImage:
        line.show_status(replace(status, streams=(stream,)), None)
        return line.grab().toImage()

    assert shown(f"OSC to {'host.' * 40}example:9000") == shown(f"OSC to {'host.' * 40}example:9001")
    assert shown(f"LSL   OSC to {'host.' * 40}") != shown(f"OSC to {'host.' * 40}")


def test_a_key_marks_moments_of_a_recording(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: (now := desk.pipeline.status().recording) is not None and now.rows > 3)
    press(desk, Qt.Key.Key_M)
    assert desk.window.line.text.endswith("Marker 1 is set")
    recording = desk.pipeline.status().recording
    assert recording is not None
    wait_until(lambda: (now := desk.pipeline.status().recording) is not None and now.rows > recording.rows + 3)
    press(desk, Qt.Key.Key_M)
    press(desk, Qt.Key.Key_R)
    markers = [event for event in csv_rows(recording.folder / "events.csv") if event["kind"] == "marker"]
    assert [marker["label"] for marker in markers] == ["1", "2"]
    first, second = (float(marker["timestamp"]) for marker in markers)
    _, columns = read_session(recording.folder)
    assert 0 < first < second < columns["timestamp"].max() + 0.5
    marked = columns["timestamp"][columns["frame"] == float(markers[0]["frame"])]
    assert marked == pytest.approx(first, abs=1.0)  # the moment of the key; on a busy machine pictures are late


def test_messages_reach_a_screen_reader(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, bool]] = []

    def hear(event: QAccessibleEvent) -> None:
        if isinstance(event, QAccessibleAnnouncementEvent):
            heard.append((event.message(), event.politeness() is QAccessible.AnnouncementPoliteness.Assertive))

    monkeypatch.setattr(QAccessible, "updateAccessibility", hear)
    desk = live(make_desk(open_source=camera_opener(fps=60.0, lost_after=40)))
    press(desk, Qt.Key.Key_M)
    assert heard == [("Nothing is being recorded; press R first.", False)]
    wait_until(desk.window.stage.banner.isVisible)
    assert heard[1:] == [(desk.window.stage.banner.text, True)], "at once: the camera is gone"


def test_the_answer_to_the_key_of_markers_hides_no_message(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    line, banner = desk.window.line, desk.window.stage.banner
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: (now := desk.pipeline.status().recording) is not None and now.rows > 3)
    press(desk, Qt.Key.Key_R)
    recorded = banner.text
    press(desk, Qt.Key.Key_M)
    assert line.text.endswith("Nothing is being recorded; press R first.")
    assert banner.text == recorded
    assert banner._button.isVisible()

    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.status.state is State.PAUSED)
    QTest.qWait(100)  # what was on its way has come
    press(desk, Qt.Key.Key_R)
    banner.show_message("error", "Something is wrong; mend it.")
    press(desk, Qt.Key.Key_M)
    assert line.text.endswith("No frame has come yet; set it once the picture runs.")
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: (now := desk.pipeline.status().recording) is not None and now.rows > 3)
    line._moment.setInterval(200)
    press(desk, Qt.Key.Key_M)
    assert line.text.endswith("Marker 1 is set")
    assert banner.text == "Something is wrong; mend it."
    wait_until(lambda: line.text.endswith("CPU"))
