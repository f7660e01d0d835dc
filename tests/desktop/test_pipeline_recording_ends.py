"""However a recording ends, it has all its rows and says how it ended, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from au_desktop.runtime.status import State
from rtatl_core.errors import SessionError, WeightsError
from rtatl_core.sessions.session import SessionWriter, read_session
from tests.desktop.conftest import is_state, until
from tests.desktop.fakes import CAMERA, FILE, FakeEngine, camera_opener


@pytest.mark.parametrize("source", [CAMERA, FILE], ids=["camera", "file"])
def test_a_recording_ends_after_the_frames_that_were_captured_already(
    make_pipeline: Any, tmp_path: Path, source: Any
) -> None:
    pipeline = make_pipeline(lambda: FakeEngine(work_s=0.05), open_source=camera_opener(frames=1000, fps=100))
    pipeline.set_source(source)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.analysed > 3)
    captured = pipeline.status().captured
    assert pipeline.stop_recording() == folder
    numbers = read_session(folder)[1]["frame"].tolist()
    assert numbers == list(range(1, len(numbers) + 1))
    assert captured <= len(numbers) <= captured + 20
    assert pipeline.status().recording is None


@pytest.mark.parametrize("source", [CAMERA, FILE], ids=["camera", "file"])
@pytest.mark.parametrize("by", ["stop", "another source", "closing"])
def test_a_recording_that_ends_while_a_model_is_loaded_waits_for_nothing_and_has_all_rows(
    make_pipeline: Any, tmp_path: Path, source: Any, by: str
) -> None:
    loading, loaded = threading.Event(), threading.Event()

    def load() -> FakeEngine:
        loading.set()
        loaded.wait(20)
        return FakeEngine(aus=(4, 12))

    pipeline = make_pipeline(open_source=camera_opener(frames=1000, fps=100))
    pipeline.set_source(source)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    try:
        until(pipeline, lambda status: status.analysed > 3)
        pipeline.set_engine(load)
        assert loading.wait(5)
        until(pipeline, lambda status: status.captured > status.analysed + status.dropped)  # one waits for the model
        captured = pipeline.status().captured
        if by == "stop":
            assert pipeline.stop_recording() == folder
        elif by == "closing":
            began = time.monotonic()
            assert pipeline.close() == folder
            assert time.monotonic() - began < 4
        else:
            pipeline.set_source(FILE)
        assert not loaded.is_set()
        until(pipeline, lambda status: status.recording is None)
    finally:
        loaded.set()
    pipeline.close()
    assert list(tmp_path.iterdir()) == [folder]
    facts, columns = read_session(folder)
    stopped = f"stopped at {columns['timestamp'][-1]:.1f} s of 10.0 s"
    assert facts["status"] == ("complete" if source is CAMERA else stopped)
    assert columns["frame"].tolist() == list(range(1, len(columns["frame"]) + 1))
    assert len(columns["frame"]) >= captured
    assert columns["analysed"][-1] == 0


@pytest.mark.parametrize("by", ["stop", "closing"])
def test_a_recording_that_is_ended_after_the_last_frame_of_a_file_is_complete(
    make_pipeline: Any, tmp_path: Path, by: str
) -> None:
    pipeline = make_pipeline(lambda: FakeEngine(work_s=0.2), open_source=camera_opener(frames=3, fps=100))
    pipeline.set_source(FILE)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.captured == 3)
    assert (pipeline.stop_recording() if by == "stop" else pipeline.close()) == folder
    facts, columns = read_session(folder)
    assert columns["frame"].tolist() == [1, 2, 3]
    assert facts["status"] == "complete"


def test_an_engine_that_breaks_does_not_hold_up_the_end_of_a_recording(make_pipeline: Any, tmp_path: Path) -> None:
    slow = WeightsError("The weights are of another shape; install them again.")

    class Engine(FakeEngine):
        def process(self, packet: Any, dropped: Any = ()) -> Any:
            if packet.number >= 10:  # on a busy machine that very one may be dropped
                time.sleep(0.3)
                raise slow
            return super().process(packet, dropped)

    pipeline = make_pipeline(Engine)
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.captured >= 12)
    began = time.monotonic()
    assert pipeline.stop_recording() == folder
    assert time.monotonic() - began < 2
    assert read_session(folder)[0]["status"].startswith("stopped: The weights are")


def test_closing_while_recording_leaves_a_complete_session(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline()
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording.rows > 5)
    captured_before = pipeline.status().captured
    pipeline.close()
    meta, columns = read_session(folder)
    assert meta["status"] == "complete"
    assert len(columns["frame"]) >= captured_before


def test_closing_waits_for_the_rows_of_earlier_recordings_on_a_slow_disk(
    make_pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def slow(folder: Path, *arguments: Any) -> SessionWriter:
        if folder == first:
            answers.wait(10)
        return SessionWriter(folder, *arguments)

    monkeypatch.setattr("au_desktop.runtime.recordings.SessionWriter", slow)
    pipeline = make_pipeline()
    pipeline.set_source(CAMERA)
    first = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.analysed > 5)
    pipeline.set_source(FILE)
    second = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 5)
    opener = threading.Timer(0.3, answers.set)
    opener.start()
    assert pipeline.close() == second
    for folder, status in ((first, "complete"), (second, "stopped at ")):
        meta, columns = read_session(folder)
        assert meta["status"].startswith(status)
        assert len(columns["frame"]) > 5
    opener.join()


def test_another_source_ends_the_recording_of_the_first(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(lambda: FakeEngine(work_s=0.05))
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.recording.rows > 5)
    captured = pipeline.status().captured
    pipeline.set_source(FILE)
    status = until(pipeline, is_state(State.LIVE))
    assert status.recording is None
    assert status.source == FILE
    pipeline.close()
    meta, columns = read_session(folder)
    assert meta["status"] == "complete"
    assert len(columns["frame"]) >= captured


def test_what_was_said_of_a_recording_goes_with_its_source(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=8, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    pipeline.start_recording(tmp_path)
    assert "is saved in" in until(pipeline, is_state(State.FINISHED)).notice.text
    pipeline.set_source(CAMERA)
    assert pipeline.status().notice is None


def test_a_recording_to_which_no_frame_came_says_so(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline()
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.LIVE))
    pipeline.pause()
    time.sleep(0.1)
    folder = pipeline.start_recording(tmp_path)
    assert pipeline.status().recording.paused
    pipeline.set_source(FILE)
    assert not pipeline.recorded
    assert pipeline.status().notice.text == f"No frame came while it recorded; {folder} holds no rows."
    pipeline.close()
    assert read_session(folder)[0]["status"] == "empty: no frame came"


def test_a_recording_that_fails_is_told_and_the_picture_goes_on(
    make_pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make_pipeline()
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording.rows > 5)

    def refuse(*_: object) -> None:
        raise SessionError(f"The disk with {folder} is full; make room, or choose another folder.")

    monkeypatch.setattr("rtatl_core.sessions.session.SessionWriter.write", refuse)
    status = until(pipeline, lambda status: status.notice)
    assert status.notice.severity == "error"
    assert status.notice.text.startswith(f"Recording stopped: The disk with {folder} is full")
    assert status.recording is None
    analysed = status.analysed
    until(pipeline, lambda status: status.analysed > analysed + 5)
    assert len(read_session(folder)[1]["frame"]) > 5
