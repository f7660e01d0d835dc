"""A face whose rest is taken: what the button says meanwhile, what is read afterwards, and what the recording notes."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from au_desktop.runtime.status import State
from au_desktop.sources import open_source
from au_desktop.ui.resting import RestControl
from rtatl_core import reference
from rtatl_core.handoffs import AnalysedFace
from rtatl_core.sessions.rest import describe_rest
from tests.desktop.conftest import Desk, MakeDesk, wait_until
from tests.desktop.fakes import AUS, FILE, FakeEngine, camera_opener, picture
from tests.desktop.hands import LEFT, live, press
from tests.tables import csv_rows


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest takes less time here."""
    monkeypatch.setattr(reference, "REST_S", 0.5)


def shown(desk: Desk) -> AnalysedFace:
    assert desk.bridge.latest is not None
    return desk.bridge.latest.faces[0]


def test_a_face_counts_from_its_rest_until_it_is_given_up(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    rest: RestControl = desk.window.rest
    assert rest.chip.label == "Set rest"
    desk.window.recording.toggle()
    press(desk, Qt.Key.Key_N)
    assert rest.chip.label == "Hold still"
    assert rest.chip.isChecked()
    assert "Face 0 rests: hold still" in desk.window.line.text
    assert shown(desk).rest is None
    wait_until(lambda: rest.chip.label == "From rest")
    assert "count from its rest, which read AU" in desk.window.line.text, "this one never rests"
    taken, difference = shown(desk).rest, shown(desk).rest_difference
    assert taken is not None
    QTest.mouseClick(rest.chip, LEFT)
    wait_until(lambda: shown(desk).rest is None)
    assert rest.chip.label == "Set rest"
    assert not rest.chip.isChecked()
    QTest.qWait(100)
    desk.window.recording.toggle()
    (folder,) = Path(desk.window.settings.record_root).iterdir()
    wait_until(lambda: csv_rows(folder / "events.csv")[-1]["kind"] == "recording_stop")
    events = [row for row in csv_rows(folder / "events.csv") if row["kind"] == "rest"]
    told = f"face 0: {describe_rest(AUS, taken, difference)}"
    assert "; from left minus right AU" in told
    assert [row["label"] for row in events] == [told, "face 0: read like others again"]
    column = f"AU{AUS[0]:02}_r"
    values = {row["frame"]: float(row[column]) for row in csv_rows(folder / "frames.csv")}
    first, last = (int(row["frame"]) for row in events)
    steps = np.diff([values[str(number)] for number in range(1, len(values) + 1)])
    jumps = 1 + np.argsort(-np.abs(steps))[:2] + 1  # frames that differ most from the one before
    assert set(jumps.tolist()) == {first, last}, "the event stands at the first frame of which it is true"


def test_a_recording_says_from_its_first_frame_on_which_faces_count_from_their_rest(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_N)
    wait_until(lambda: shown(desk).rest is not None)
    desk.window.recording.toggle()
    wait_until(lambda: (recording := desk.pipeline.status().recording) is not None and recording.rows > 3)
    desk.window.recording.toggle()
    (folder,) = Path(desk.window.settings.record_root).iterdir()
    wait_until(lambda: csv_rows(folder / "events.csv")[-1]["kind"] == "recording_stop")
    (event,) = [row for row in csv_rows(folder / "events.csv") if row["kind"] == "rest"]
    assert event["frame"] == "1"


def test_a_rest_that_was_measured_by_another_comparison_is_to_be_set_anew(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    desk.window._set_personal(False)
    assert "anew" not in desk.window.line.text
    press(desk, Qt.Key.Key_N)
    wait_until(lambda: desk.window.rest.chip.label == "From rest")
    desk.window._set_personal(True)
    assert "Set the rest of face 0 anew" in desk.window.line.text


def test_it_can_be_called_off(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    press(desk, Qt.Key.Key_N)
    press(desk, Qt.Key.Key_N)
    assert desk.window.rest.chip.label == "Set rest"
    QTest.qWait(700)
    assert shown(desk).rest is None


def test_in_a_pause_it_is_neither_taken_nor_given_up(make_desk: MakeDesk) -> None:
    """The figures that stand there would stay as they are."""
    desk = live(make_desk())
    press(desk, Qt.Key.Key_N)
    wait_until(lambda: desk.window.rest.chip.label == "From rest")
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.window._state is State.PAUSED)
    QTest.qWait(100)
    press(desk, Qt.Key.Key_N)
    assert "go on first" in desk.window.line.text
    assert desk.window.rest.chip.label == "From rest"
    press(desk, Qt.Key.Key_Space)
    assert "go on first" not in desk.window.line.text, "it does go on"
    wait_until(lambda: desk.window._state is State.LIVE)
    press(desk, Qt.Key.Key_N)
    wait_until(lambda: shown(desk).rest is None)
    assert desk.window.rest.chip.label == "Set rest"


def test_it_can_be_called_off_while_the_face_is_out_of_sight(make_desk: MakeDesk) -> None:
    desk = live(make_desk(engine={"blind": lambda packet: packet.number > 20}))
    press(desk, Qt.Key.Key_N)
    assert desk.window.rest.chip.label == "Hold still"
    wait_until(lambda: desk.bridge.latest is not None and not desk.bridge.latest.faces)
    press(desk, Qt.Key.Key_N)
    assert desk.window.rest.chip.label == "Set rest"
    assert "read like others again" in desk.window.line.text


def test_it_needs_a_face_and_time(make_desk: MakeDesk) -> None:
    desk = live(make_desk(engine={"blind": lambda packet: packet.number > 20}))
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.window._state is State.PAUSED)
    if desk.bridge.latest is not None and desk.bridge.latest.faces:
        press(desk, Qt.Key.Key_N)
        assert "go on first" in desk.window.line.text
    press(desk, Qt.Key.Key_Space)
    wait_until(lambda: desk.bridge.latest is not None and not desk.bridge.latest.faces)
    press(desk, Qt.Key.Key_N)
    assert "no face whose rest could be taken" in desk.window.line.text
    assert not desk.window.rest.chip.isChecked()


def test_where_nothing_is_to_go_on_nobody_is_told_to(make_desk: MakeDesk) -> None:
    desk = make_desk()
    wait_until(lambda: desk.bridge.status.state is State.EMPTY)
    press(desk, Qt.Key.Key_N)
    assert desk.window.line.text.endswith("No face is seen whose rest could be taken or given up.")


def test_the_end_of_a_video_ends_the_wait_for_a_rest(make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "REST_S", 60.0)
    desk = make_desk(open_source=camera_opener(fps=60.0, frames=90))
    desk.window.open_source(FILE)
    wait_until(lambda: desk.bridge.latest is not None and desk.bridge.status.state is State.LIVE)
    press(desk, Qt.Key.Key_N)
    wait_until(lambda: desk.window._state is State.FINISHED)
    assert desk.window.rest.chip.label == "Set rest"
    assert not desk.window.rest.chip.isChecked()
    assert "its rest is not taken" in desk.window.line.text


def test_a_photo_has_no_time_to_rest(make_desk: MakeDesk, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), picture())
    desk = make_desk(open_source=open_source)
    desk.window.open_file(str(photo))
    wait_until(lambda: desk.window._state is State.FINISHED)
    assert not desk.window.rest.chip.isEnabled()
    assert "A photo has no time" in desk.window.rest.chip.toolTip()
    press(desk, Qt.Key.Key_N)
    assert "A photo has no time" in desk.window.line.text
    assert desk.window.rest.chip.label == "Set rest"


@pytest.mark.parametrize("plays_again", [False, True])
def test_another_source_or_beginning_is_another_person(make_desk: MakeDesk, plays_again: bool) -> None:
    desk = live(make_desk())
    wait_until(lambda: desk.window._last_number > 20)
    press(desk, Qt.Key.Key_N)
    source = desk.window._source
    assert source is not None
    if plays_again:
        desk.pipeline.set_source(source)
    else:
        desk.window.open_source(source)
    wait_until(lambda: desk.window.rest.chip.label == "Set rest")
    QTest.qWait(700)
    assert shown(desk).rest is None


def test_a_rest_outlives_another_engine_with_the_same_model(make_desk: MakeDesk) -> None:
    """For another device, say, or number of faces."""
    desk = live(make_desk())
    press(desk, Qt.Key.Key_N)
    wait_until(lambda: desk.window.rest.chip.label == "From rest")
    taken, other = shown(desk).rest, FakeEngine(max_faces=2)
    desk.pipeline.set_engine(lambda: other)  # type: ignore[arg-type,return-value]
    wait_until(lambda: other.thread is not None)
    begun = desk.window._last_number + 2  # one frame of the engine before may still be shown
    wait_until(lambda: desk.window._last_number > begun)
    np.testing.assert_array_equal(shown(desk).rest, taken)
    desk.pipeline.set_engine(lambda: FakeEngine(flow=False))  # type: ignore[arg-type,return-value]
    wait_until(lambda: desk.window.rest.chip.label == "Set rest")


@pytest.mark.parametrize("flow", [True, False])
def test_a_rest_that_is_awaited_is_taken_from_the_frames_of_another_engine(make_desk: MakeDesk, flow: bool) -> None:
    desk = live(make_desk())
    loading, goes_on = threading.Event(), threading.Event()

    def load() -> FakeEngine:
        loading.set()
        goes_on.wait(5)
        return FakeEngine(flow=flow)

    desk.pipeline.set_engine(load)  # type: ignore[arg-type]
    loading.wait(5)
    press(desk, Qt.Key.Key_N)
    goes_on.set()
    wait_until(lambda: desk.window.rest.chip.label == "From rest")
    assert shown(desk).rest is not None


def test_an_icon_is_drawn_anew_only_when_something_changes(make_desk: MakeDesk) -> None:
    desk = live(make_desk())
    chips = [desk.window.rest.chip, *desk.window.stage.chips.values()]
    QTest.qWait(300)
    drawn = [chip.icon().cacheKey() for chip in chips]
    QTest.qWait(500)
    assert [chip.icon().cacheKey() for chip in chips] == drawn, "each stays in Qt's cache of pictures for a while"
