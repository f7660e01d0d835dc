"""The recorder thread: what is handed over is on disk, whatever the source and the disk do."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from au_desktop.sinks.recorder import CUT_OFF, Recorder
from rtatl_core.errors import SessionError
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from rtatl_core.sessions.rows import records
from rtatl_core.sessions.session import ClockPair, SessionWriter, read_session
from tests.core.sessions.test_session import refuse_to_sync
from tests.desktop.fakes import AUS, FakeEngine, picture

ENGINE = FakeEngine()


def frame(number: int, start: float = 0.0, dropped: tuple[tuple[int, float], ...] = ()) -> AnalysedFrame:
    packet = FramePacket(picture((32, 24), number), number, number / 25, start + number / 25)
    return ENGINE.process(packet, dropped)


class Recording:
    def __init__(self, folder: Path, *, live: bool, gate: threading.Event | None = None, room: int = 1000) -> None:
        self.faults: list[str] = []
        self.opening = threading.Event()
        self._folder = folder
        self._gate = gate
        self.recorder = Recorder(folder, self._open, self.faults.append, live=live, room=room)
        self.recorder.start()

    def _open(self, started: ClockPair) -> SessionWriter:
        self.opening.set()
        if self._gate is not None:
            self._gate.wait(5)
        return SessionWriter(self._folder, None, AUS, {}, {"name": "fake"}, {}, started)

    def put(self, frame: AnalysedFrame) -> None:
        self.recorder.put(records(frame), frame.packet.captured_at)

    def finish(self) -> tuple[dict, dict[str, np.ndarray]]:
        self.recorder.finish()
        assert self.recorder.join(3)
        return read_session(self._folder)

    def events(self) -> list[list[str]]:
        return [line.split(",") for line in (self._folder / "events.csv").read_text().splitlines()[1:]]


def test_a_file_keeps_its_own_numbers_and_times(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=False)
    for number in range(5, 15):
        recording.put(frame(number))
    meta, columns = recording.finish()
    assert columns["frame"].tolist() == list(range(5, 15))
    assert columns["timestamp"].tolist() == pytest.approx([number / 25 for number in range(5, 15)])
    assert meta["status"] == "complete"
    assert recording.events()[-1][2:] == ["recording_stop", "complete"]
    assert recording.recorder.status().rows == 10
    assert recording.faults == []


def test_a_live_recording_begins_at_frame_one_and_its_clock_pair_tells_the_wall_time(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=True)
    start = time.perf_counter() - 101 / 25
    recording.put(frame(101, start, dropped=((99, 99 / 25), (100, 100 / 25))))
    recording.put(frame(102, start))
    at_frame_101 = datetime.now().timestamp()
    meta, columns = recording.finish()
    assert columns["frame"].tolist() == [1, 2, 3, 4]
    assert columns["analysed"].tolist() == [0, 0, 1, 1]
    assert columns["timestamp"].tolist() == pytest.approx([0, 0.04, 0.08, 0.12])
    assert meta["clock"]["perf_counter"] == pytest.approx(start + 99 / 25)
    wall = datetime.fromisoformat(meta["clock"]["utc"]).timestamp()
    assert wall + 0.08 == pytest.approx(at_frame_101, abs=0.5)


def test_events_stand_beside_the_rows_with_their_time(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=True)
    now = time.perf_counter()
    recording.recorder.event("setting", "before the first frame", now - 3)
    recording.put(frame(10, now - 10 / 25))
    recording.recorder.event("source_lost", "pulled out")
    time.sleep(0.1)
    recording.recorder.event("source_back", "plugged in")
    recording.finish()
    events = recording.events()
    assert [event[2] for event in events] == [
        "recording_start",
        "setting",
        "source_lost",
        "source_back",
        "recording_stop",
    ]
    times = [float(event[0]) for event in events]
    assert times[:2] == [0, pytest.approx(-3, abs=1e-5)]
    assert times[2:] == sorted(times[2:])
    assert times[3] - times[2] == pytest.approx(0.1, abs=0.05)
    assert [event[1] for event in events[2:]] == ["1", "1", "1"]


def test_events_have_their_time_though_no_frame_ever_comes(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=True)
    said = time.perf_counter() + 2
    recording.recorder.event("lsl:stimuli", "face on", said)
    meta, _ = recording.finish()
    (event,) = [event for event in recording.events() if event[2] == "lsl:stimuli"]
    assert float(event[0]) + meta["clock"]["perf_counter"] == pytest.approx(said, abs=1e-5)


def test_a_marker_needs_a_frame_and_a_refused_one_takes_no_number(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=True)
    for _ in range(2):
        with pytest.raises(SessionError, match=r"^No frame has come yet; set it once the picture runs\.$"):
            recording.recorder.mark()
        recording.recorder.pause()
    recording.put(frame(1, time.perf_counter()))
    assert recording.recorder.mark() == 1
    recording.finish()
    assert [event[3] for event in recording.events() if event[2] == "marker"] == ["1"]


def test_a_marker_that_comes_too_late_is_not_promised(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=True)
    recording.put(frame(1, time.perf_counter()))
    recording.finish()
    assert recording.recorder.mark() is None
    assert [event[2] for event in recording.events()] == ["recording_start", "recording_stop"]


def test_a_frame_that_comes_too_late_makes_no_recording(tmp_path: Path) -> None:
    recording = Recording(tmp_path, live=True)
    meta, _ = recording.finish()
    recording.put(frame(1, time.perf_counter()))
    assert not recording.recorder.got_frames
    assert meta["status"] == "empty: no frame came"


def test_a_recording_without_any_frame_is_still_a_session(tmp_path: Path) -> None:
    meta, columns = Recording(tmp_path, live=True).finish()
    assert meta["status"] == "empty: no frame came"
    assert meta["counts"]["rows"] == len(columns["frame"]) == 0


def test_waiting_rows_keep_no_picture_alive(tmp_path: Path) -> None:
    gate = threading.Event()
    recording = Recording(tmp_path, live=True, gate=gate)
    shown = frame(1)
    picture_alive = weakref.ref(shown.packet.image)
    recording.put(shown)
    del shown
    gc.collect()
    assert picture_alive() is None
    gate.set()
    recording.finish()


def test_a_hanging_disk_never_makes_a_live_picture_wait(tmp_path: Path) -> None:
    gate = threading.Event()
    recording = Recording(tmp_path, live=True, gate=gate, room=5)
    began = time.monotonic()
    for number in range(1, 30):
        recording.put(frame(number))
    assert time.monotonic() - began < 2
    (fault,) = recording.faults
    assert str(tmp_path) in fault
    assert not recording.recorder.active
    gate.set()
    assert recording.recorder.join(3)
    meta, columns = read_session(tmp_path)
    assert columns["frame"].tolist() == list(range(1, len(columns["frame"]) + 1))
    assert len(columns["frame"]) >= 5
    assert meta["status"].startswith("stopped:")


def test_a_slow_disk_makes_a_file_wait_and_loses_nothing(tmp_path: Path) -> None:
    gate = threading.Event()
    recording = Recording(tmp_path, live=False, gate=gate, room=5)
    opener = threading.Timer(0.2, gate.set)
    opener.start()
    for number in range(1, 41):
        recording.put(frame(number))
    _, columns = recording.finish()
    opener.join()
    assert columns["frame"].tolist() == list(range(1, 41))
    assert recording.faults == []


@pytest.mark.parametrize("live", [True, False], ids=["live", "file"])
def test_what_happens_while_the_disk_is_slow_and_the_queue_full_is_not_lost(tmp_path: Path, live: bool) -> None:
    gate = threading.Event()
    recording = Recording(tmp_path, live=live, gate=gate, room=2)
    recorder = recording.recorder
    recording.put(frame(1))
    assert recording.opening.wait(3)  # the first lies with the disk
    recording.put(frame(2))
    recording.put(frame(3))
    began = time.monotonic()
    markers = [recorder.mark() for _ in range(5)]
    recorder.engine({"name": "other"}, {"device": "cpu"})
    recorder.put(records(frame(4)), frame(4).packet.captured_at, wait=False)
    recorder.finish()
    assert time.monotonic() - began < 0.3
    gate.set()
    assert recorder.join(3)
    facts, columns = read_session(tmp_path)
    assert columns["frame"].tolist() == [1, 2, 3, 4]
    assert markers == [1, 2, 3, 4, 5]
    assert [event[3] for event in recording.events() if event[2] == "marker"] == ["1", "2", "3", "4", "5"]
    assert [(engine["from_frame"], engine["model"]["name"]) for engine in facts["engines"]] == [
        (1, "fake"),
        (4, "other"),
    ]


@pytest.mark.parametrize("failing", ["write", "tick"])
def test_a_disk_that_refuses_stops_the_recording_and_keeps_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    allowed = refuse_after(monkeypatch, failing, 3)
    recording = Recording(tmp_path, live=True)
    for number in range(1, 10):
        recording.put(frame(number))
        time.sleep(0.02)
    assert recording.recorder.join(3)
    assert recording.faults == ["The disk is full; make room."]
    assert not recording.recorder.active
    recording.put(frame(99))  # ignored: the analysis goes on
    meta, columns = read_session(tmp_path)
    assert 1 <= len(columns["frame"]) <= allowed
    assert meta["status"] == "stopped: The disk is full; make room."


def refuse_after(monkeypatch: pytest.MonkeyPatch, name: str, calls: int) -> int:
    original: Callable[..., None] = getattr(SessionWriter, name)
    made = 0

    def refuse(self: SessionWriter, *arguments: object) -> None:
        nonlocal made
        made += 1
        if made > calls:
            raise SessionError("The disk is full; make room.")
        original(self, *arguments)

    monkeypatch.setattr(SessionWriter, name, refuse)
    return calls


def test_a_folder_that_cannot_be_opened_is_a_fault(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "removed meanwhile", live=True)
    recording.put(frame(1))
    assert recording.recorder.join(3)
    (fault,) = recording.faults
    assert "removed meanwhile" in fault


@pytest.mark.parametrize("fault", ["", CUT_OFF])
def test_rows_that_are_refused_after_the_end_was_asked_for_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    refuse_after(monkeypatch, "write", 3)
    gate = threading.Event()
    recording = Recording(tmp_path, live=True, gate=gate)
    for number in range(1, 10):
        recording.put(frame(number))
    recording.recorder.finish(fault, at_end=True)
    gate.set()
    assert recording.recorder.join(3)
    assert recording.faults == ["The disk is full; make room."]
    assert read_session(tmp_path)[0]["status"] == "stopped: The disk is full; make room."


def test_rows_that_are_refused_when_the_files_are_closed_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = Recording(tmp_path, live=True)
    recording.put(frame(1))
    refuse_to_sync(monkeypatch)
    meta, columns = recording.finish()
    (fault,) = recording.faults
    assert fault.startswith(f"The disk with {tmp_path} is full")
    assert (meta["status"], columns["frame"].tolist()) == (f"stopped: {fault}", [1])
