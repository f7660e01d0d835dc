"""The whole path with a fake engine: files, cameras, streams, recordings, faults - as the window sees it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au_desktop.runtime import pipeline as module
from au_desktop.runtime.pipeline import State, Status
from au_desktop.sources import open_source, parse_source
from rtatl_core.errors import SessionError, SourceError, WeightsError
from rtatl_core.sessions.session import SessionWriter, read_session
from tests.clips import begin_later, write_clip
from tests.desktop.conftest import until
from tests.desktop.fakes import AUS, CAMERA, FakeEngine, FakeSource, camera_opener, file_spec, intensities
from tests.desktop.mjpeg import MjpegCamera

FILE = file_spec()


@pytest.fixture
def make(make_pipeline: Any) -> Any:
    return make_pipeline


def is_state(state: State) -> Callable[[Status], bool]:
    return lambda status: status.state is state


def test_a_fresh_window_is_empty_and_then_live_then_finished(make: Any) -> None:
    pipeline = make(open_source=camera_opener(frames=20, fps=100))
    assert pipeline.status().state is State.EMPTY
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, is_state(State.LIVE))
    assert status.source == FILE
    assert (status.model_name, status.trained_on, status.device) == ("fake-1", "nothing: arithmetic", "cpu")
    assert status.aus == AUS
    assert status.source_size == (320, 240)
    assert status.duration_s == pytest.approx(0.2)
    status = until(pipeline, is_state(State.FINISHED))
    assert (status.captured, status.analysed, status.dropped) == (20, 20, 0)
    assert status.position_s == pytest.approx(0.19)
    assert status.notice is None
    frame = pipeline.view.take_nowait()
    assert frame.packet.number == 20
    assert pipeline.view.take_nowait() is None
    times, values = pipeline.history.curves(0, 10)
    assert times == pytest.approx(np.arange(20) / 100 - 0.19)
    np.testing.assert_allclose(values[-1], intensities(0.19), rtol=1e-4)
    assert set(pipeline.stage_stats()) == {"capture", "observe", "align", "predict", "smooth"}


def test_a_finished_file_plays_again_and_a_paused_one_goes_on(make: Any) -> None:
    pipeline = make(open_source=camera_opener(frames=15, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    until(pipeline, is_state(State.LIVE))
    pipeline.pause()
    assert pipeline.status().state is State.PAUSED
    pipeline.resume()
    until(pipeline, is_state(State.FINISHED))
    pipeline.resume()
    assert pipeline.status().state is not State.FINISHED
    assert until(pipeline, is_state(State.FINISHED)).analysed == 15
    assert len(pipeline.history.curves(0, 10)[0]) == 15


def test_every_frame_of_a_file_is_recorded_even_when_analysis_is_slow(make: Any, tmp_path: Path) -> None:
    """A real file, recorded from before the engine is there, as `--record` does; the recording ends with the file."""
    clip = write_clip(tmp_path / "clip.mp4", frames=30, fps=100)
    begin_later(clip, 0.5)
    pipeline = make(lambda: FakeEngine(work_s=0.015), open_source=open_source)
    pipeline.set_source(parse_source(str(clip)))
    folder = pipeline.start_recording(tmp_path / "sessions")
    pipeline.start()
    status = until(pipeline, is_state(State.FINISHED))
    assert status.recording is None
    assert status.notice.text == f"The recording is saved in {folder}."
    pipeline.close()
    meta, columns = read_session(folder)
    assert folder.name.startswith("clip_20")
    assert columns["frame"].tolist() == list(range(1, 31))
    assert columns["timestamp"].tolist() == pytest.approx([n / 100 for n in range(30)], abs=1e-3)
    assert columns["AU12_r"].tolist() == pytest.approx(
        [intensities(t)[AUS.index(12)] for t in columns["timestamp"]], abs=1e-3
    )
    assert meta["counts"] == {"captured": 30, "analysed": 30, "dropped": 0, "rows": 30, "faces": 1}
    assert meta["source"] == {
        "kind": "file",
        "name": "clip.mp4",
        "target": str(clip),
        "size": [96, 64],
        "fps": pytest.approx(100),
        "duration_s": pytest.approx(0.3),
        "start_s": pytest.approx(0.5),
    }
    assert meta["model"]["name"] == "fake-1"
    assert meta["settings"] == {
        "device": "cpu",
        "runtime": "fake",
        "max_faces": 1,
        "smoothing_s": 0.06,
        "personal": True,
    }
    assert meta["status"] == "complete"


def test_every_captured_camera_frame_has_a_row_also_the_dropped_ones(make: Any, tmp_path: Path) -> None:
    pipeline = make(lambda: FakeEngine(work_s=0.03), open_source=camera_opener(fps=200))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, lambda status: status.analysed >= 3)
    folder = pipeline.start_recording(tmp_path)
    status = until(pipeline, lambda status: status.recording and status.recording.rows > 60)
    assert status.dropped > 20
    assert status.recording.folder == folder
    assert status.recording.bytes > 60 * 40
    assert pipeline.start_recording(tmp_path) == folder
    assert pipeline.stop_recording() == folder
    assert pipeline.stop_recording() is None
    meta, columns = read_session(folder)
    assert columns["frame"].tolist() == list(range(1, len(columns["frame"]) + 1))
    assert columns["timestamp"][0] == 0
    assert (np.diff(columns["timestamp"]) > 0).all()
    assert 0 < columns["analysed"].sum() < len(columns["frame"])
    assert meta["counts"]["captured"] == len(columns["frame"])
    assert meta["counts"]["dropped"] == (columns["analysed"] == 0).sum()


@pytest.mark.parametrize("source", [CAMERA, FILE], ids=["camera", "file"])
def test_a_recording_ends_after_the_frames_that_were_captured_already(make: Any, tmp_path: Path, source: Any) -> None:
    pipeline = make(lambda: FakeEngine(work_s=0.05), open_source=camera_opener(frames=1000, fps=100))
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
    make: Any, tmp_path: Path, source: Any, by: str
) -> None:
    loading, loaded = threading.Event(), threading.Event()

    def load() -> FakeEngine:
        loading.set()
        loaded.wait(20)
        return FakeEngine(aus=(4, 12))

    pipeline = make(open_source=camera_opener(frames=1000, fps=100))
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
    make: Any, tmp_path: Path, by: str
) -> None:
    pipeline = make(lambda: FakeEngine(work_s=0.2), open_source=camera_opener(frames=3, fps=100))
    pipeline.set_source(FILE)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.captured == 3)
    assert (pipeline.stop_recording() if by == "stop" else pipeline.close()) == folder
    facts, columns = read_session(folder)
    assert columns["frame"].tolist() == [1, 2, 3]
    assert facts["status"] == "complete"


def test_an_engine_that_breaks_does_not_hold_up_the_end_of_a_recording(make: Any, tmp_path: Path) -> None:
    slow = WeightsError("The weights are of another shape; install them again.")

    class Engine(FakeEngine):
        def process(self, packet: Any, dropped: Any = ()) -> Any:
            if packet.number >= 10:  # on a busy machine that very one may be dropped
                time.sleep(0.3)
                raise slow
            return super().process(packet, dropped)

    pipeline = make(Engine)
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.captured >= 12)
    began = time.monotonic()
    assert pipeline.stop_recording() == folder
    assert time.monotonic() - began < 2
    assert read_session(folder)[0]["status"].startswith("stopped: The weights are")


def test_closing_while_recording_leaves_a_complete_session(make: Any, tmp_path: Path) -> None:
    pipeline = make()
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
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = threading.Event()

    def slow(folder: Path, *arguments: Any) -> SessionWriter:
        if folder == first:
            answers.wait(10)
        return SessionWriter(folder, *arguments)

    monkeypatch.setattr("au_desktop.runtime.recordings.SessionWriter", slow)
    pipeline = make()
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


def test_another_source_ends_the_recording_of_the_first(make: Any, tmp_path: Path) -> None:
    pipeline = make(lambda: FakeEngine(work_s=0.05))
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


def test_nothing_can_be_recorded_without_a_source(make: Any, tmp_path: Path) -> None:
    pipeline = make()
    with pytest.raises(SessionError, match="choose a camera or a video first"):
        pipeline.start_recording(tmp_path)


def test_a_root_that_cannot_be_written_is_refused_at_once(make: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pipeline = make()
    pipeline.set_source(CAMERA)
    with pytest.raises(SessionError, match="record to another folder"):
        pipeline.start_recording(tmp_path / "file")
    assert pipeline.status().recording is None


def test_a_finished_file_is_recorded_from_its_beginning(make: Any, tmp_path: Path) -> None:
    pipeline = make(open_source=camera_opener(frames=15, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    until(pipeline, is_state(State.FINISHED))
    folder = pipeline.start_recording(tmp_path)
    status = until(pipeline, is_state(State.FINISHED))
    assert status.notice.text == f"The recording is saved in {folder}."
    assert status.notice.folder == folder
    pipeline.close()
    assert read_session(folder)[1]["frame"].tolist() == list(range(1, 16))


def test_a_file_is_recorded_anew_from_its_middle(make: Any, tmp_path: Path) -> None:
    pipeline = make(open_source=camera_opener(frames=30, fps=50))
    pipeline.start()
    pipeline.set_source(FILE)
    until(pipeline, lambda status: status.analysed > 5)
    first = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 2)
    second = pipeline.start_recording(tmp_path, anew=True)
    assert second != first
    until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    facts, columns = read_session(first)
    assert columns["frame"][0] > 5
    begun, stopped = columns["timestamp"][[0, -1]]
    assert facts["status"] == f"begun at {begun:.1f} s, stopped at {stopped:.1f} s of 0.6 s"
    assert facts["source"]["duration_s"] == pytest.approx(0.6)
    assert f'recording_stop,"{facts["status"]}"' in (first / "events.csv").read_text()
    facts, columns = read_session(second)
    assert columns["frame"].tolist() == list(range(1, 31))
    assert facts["status"] == "complete"


def test_a_recording_of_a_part_of_a_file_says_which(make: Any, tmp_path: Path) -> None:
    pipeline = make(open_source=camera_opener(frames=300, fps=100))
    pipeline.set_source(FILE)
    first = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.recording.rows > 12)
    pipeline.stop_recording()
    second = pipeline.start_recording(tmp_path)
    until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    facts, columns = read_session(first)
    assert facts["status"] == f"stopped at {columns['timestamp'][-1]:.1f} s of 3.0 s"
    facts, columns = read_session(second)
    assert facts["status"] == f"begun at {columns['timestamp'][0]:.1f} s of 3.0 s"


def test_what_was_said_of_a_recording_goes_with_its_source(make: Any, tmp_path: Path) -> None:
    pipeline = make(open_source=camera_opener(frames=8, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    pipeline.start_recording(tmp_path)
    assert "is saved in" in until(pipeline, is_state(State.FINISHED)).notice.text
    pipeline.set_source(CAMERA)
    assert pipeline.status().notice is None


def test_the_clock_of_a_recording_stands_in_a_pause(make: Any, tmp_path: Path) -> None:
    pipeline = make()
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.LIVE))
    pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording.rows > 2)
    pipeline.pause()
    standing = pipeline.status().recording
    time.sleep(0.3)
    assert standing.paused
    assert pipeline.status().recording.elapsed_s == standing.elapsed_s
    pipeline.resume()
    going = pipeline.status().recording
    assert not going.paused
    assert standing.elapsed_s <= going.elapsed_s < standing.elapsed_s + 0.2
    time.sleep(0.1)
    assert pipeline.status().recording.elapsed_s >= going.elapsed_s + 0.1


def test_a_recording_to_which_no_frame_came_says_so(make: Any, tmp_path: Path) -> None:
    pipeline = make()
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
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = make()
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording.rows > 5)

    def refuse(*_: object) -> None:
        raise SessionError(f"The disk with {folder} is full; make room, or record to another folder.")

    monkeypatch.setattr("rtatl_core.sessions.session.SessionWriter.write", refuse)
    status = until(pipeline, lambda status: status.notice)
    assert status.notice.severity == "error"
    assert status.notice.text.startswith(f"Recording stopped: The disk with {folder} is full")
    assert status.recording is None
    analysed = status.analysed
    until(pipeline, lambda status: status.analysed > analysed + 5)
    assert len(read_session(folder)[1]["frame"]) > 5


def test_a_source_that_cannot_be_opened_is_told_and_can_be_tried_again(make: Any) -> None:
    busy = [True]

    def open_one(spec: Any) -> FakeSource:
        if busy[0]:
            raise SourceError("Fake camera is in use by another program; close that program.")
        return FakeSource(spec, fps=100)

    pipeline = make(open_source=open_one)
    pipeline.start()
    pipeline.set_source(CAMERA)
    status = until(pipeline, is_state(State.FAILED))
    assert (status.notice.severity, status.notice.text[:21]) == ("error", "Fake camera is in use")
    serial = status.notice.serial
    pipeline.resume()
    status = until(pipeline, lambda status: status.notice and status.notice.serial > serial)
    busy[0] = False
    pipeline.resume()
    assert until(pipeline, is_state(State.LIVE)).notice is None


def test_an_engine_without_weights_fails_once_and_the_program_lives_on(make: Any, tmp_path: Path) -> None:
    def refuse() -> FakeEngine:
        raise WeightsError("There are no weights at x.safetensors; install the program again.")

    closed = threading.Event()

    class Watched(FakeSource):
        def close(self) -> None:
            closed.set()

    pipeline = make(refuse, open_source=lambda spec: Watched(spec, fps=100))
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    status = until(pipeline, is_state(State.FAILED))
    assert status.notice.severity == "error"
    assert status.notice.text.startswith("There are no weights at x.safetensors")
    assert closed.wait(2)
    pipeline.set_source(FILE)
    assert pipeline.status().state is State.FAILED
    with pytest.raises(SessionError):
        pipeline.start_recording(tmp_path)
    pipeline.close()
    assert read_session(folder)[0]["status"].startswith("stopped: There are no weights")


def test_an_engine_that_could_not_be_had_is_tried_again(make: Any) -> None:
    lacking = [True]

    def load() -> FakeEngine:
        if lacking[0]:
            raise WeightsError("There are no weights at x.safetensors; install the program again.")
        return FakeEngine()

    pipeline = make(load)
    pipeline.set_source(CAMERA)
    pipeline.start()
    serial = until(pipeline, is_state(State.FAILED)).notice.serial
    pipeline.resume()
    until(pipeline, lambda status: status.state is State.FAILED and status.notice and status.notice.serial > serial)
    lacking[0] = False
    pipeline.resume()
    assert until(pipeline, is_state(State.LIVE)).notice is None


def test_an_engine_that_is_tried_again_while_the_program_closes_is_closed_too(make: Any) -> None:
    """What the thread raises would fail this test: warnings are errors."""
    tries, loading, loaded, engine = [0], threading.Event(), threading.Event(), FakeEngine()

    def load() -> FakeEngine:
        tries[0] += 1
        if tries[0] == 1:
            raise WeightsError("There are no weights at x.safetensors; install the program again.")
        loading.set()
        loaded.wait(20)
        return engine

    pipeline = make(load)
    pipeline.set_source(CAMERA)
    pipeline.start()
    until(pipeline, is_state(State.FAILED))
    pipeline.resume()
    assert loading.wait(5)
    try:
        pipeline.close()
    finally:
        loaded.set()
    pipeline._analysis._thread.join(5)
    assert not pipeline._analysis._thread.is_alive()
    assert engine.closed
    assert "capture Fake camera" not in [thread.name for thread in threading.enumerate()]


def test_what_was_said_of_a_refused_engine_goes_with_the_next_one(make: Any) -> None:
    def refuse() -> FakeEngine:
        raise WeightsError("The weights x.safetensors are damaged; install them again.")

    pipeline = make()
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.LIVE))
    pipeline.set_engine(refuse)
    status = until(pipeline, lambda status: status.notice)
    assert (
        status.notice.text
        == "The weights x.safetensors are damaged; install them again; the analysis goes on as before."
    )
    pipeline.set_engine(FakeEngine)
    until(pipeline, lambda status: status.notice is None)


def test_a_frame_that_fails_has_its_row_and_a_warning(make: Any, tmp_path: Path) -> None:
    pipeline = make(
        lambda: FakeEngine(fails={3: RuntimeError("surprise")}), open_source=camera_opener(frames=6, fps=100)
    )
    pipeline.set_source(FILE)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    status = until(pipeline, is_state(State.FINISHED))
    assert (status.analysed, status.dropped) == (5, 1)
    assert status.notice.severity == "warning"
    assert "RuntimeError: surprise" in status.notice.text
    pipeline.close()
    columns = read_session(folder)[1]
    assert columns["frame"].tolist() == [1, 2, 3, 4, 5, 6]
    assert columns["analysed"].tolist() == [1, 1, 0, 1, 1, 1]
    assert "surprise" in (folder / "events.csv").read_text()


def test_without_a_face_there_is_a_hint_that_goes_when_one_comes(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NO_FACE_S", 0.1)
    shown = threading.Event()
    pipeline = make(lambda: FakeEngine(blind=lambda _: not shown.is_set()))
    pipeline.start()
    pipeline.set_source(CAMERA)
    status = until(pipeline, lambda status: status.notice)
    assert status.notice.severity == "info"
    assert status.notice.text.startswith("No face found in Fake camera")
    assert status.captured > 5
    shown.set()
    until(pipeline, lambda status: status.notice is None)


def test_nobody_in_a_file_is_told_to_turn_round(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NO_FACE_S", 0.1)
    pipeline = make(lambda: FakeEngine(faces=0), open_source=camera_opener(frames=100, fps=25))
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, lambda status: status.notice)
    assert status.notice.text.startswith("No face found in fake.mp4 so far; faces narrower than a twentieth")


def test_a_file_without_any_face_ends_with_a_warning(make: Any) -> None:
    pipeline = make(lambda: FakeEngine(faces=0), open_source=camera_opener(frames=4, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, lambda status: status.state is State.FINISHED and status.notice)
    assert status.notice.severity == "warning"
    assert status.notice.text.startswith("No face was found in fake.mp4; faces narrower than a twentieth")


def test_a_file_of_which_nothing_was_analysed_is_not_called_faceless(make: Any) -> None:
    fails = dict.fromkeys((1, 2), RuntimeError("surprise"))
    pipeline = make(lambda: FakeEngine(fails=fails), open_source=camera_opener(frames=2, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, lambda status: status.state is State.FINISHED and status.notice)
    assert "surprise" in status.notice.text


def test_layers_and_smoothing_reach_the_engine_and_the_recording(make: Any, tmp_path: Path) -> None:
    engine = FakeEngine()
    pipeline = make(lambda: engine)
    pipeline.set_layers(("box", "flow", "recovered"))
    pipeline.set_smoothing(0.2)
    pipeline.set_personal(False)
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording.rows > 2)
    frame = pipeline.view.take_nowait()
    assert frame.faces[0].prediction.flow.shape == (28, 28, 2)
    assert frame.faces[0].prediction.patches is not None
    pipeline.set_smoothing(0.0)
    pipeline.set_personal(True)
    pipeline.stop_recording()
    assert engine.smoothing_s == 0.0
    assert engine.personal is True
    settings = read_session(folder)[0]["settings"]
    assert settings["smoothing_s"] == 0.2
    assert settings["personal"] is False
    events = (folder / "events.csv").read_text()
    assert "smoothing_s = 0" in events
    assert "personal = True" in events


def test_a_network_camera_is_pulled_out_and_put_back_while_recording(make: Any, tmp_path: Path) -> None:
    """The true path: OpenCV, sockets, a feed that ends and begins again; one recording throughout."""
    with MjpegCamera() as camera:
        pipeline = make(open_source=open_source)
        pipeline.start()
        pipeline.set_source(parse_source(camera.url))
        folder = pipeline.start_recording(tmp_path)
        until(pipeline, lambda status: status.recording.rows > 10)
        camera.switch_off()
        status = until(pipeline, is_state(State.RECONNECTING))
        assert status.notice.severity == "warning"
        assert "stopped delivering pictures" in status.notice.text
        rows = status.recording.rows
        assert not status.paused
        pipeline.pause()
        assert pipeline.status().paused, "a person may pause what is lost"
        pipeline.resume()
        assert not pipeline.status().paused, "and think better of it"
        time.sleep(0.2)
        camera.switch_on()
        status = until(pipeline, lambda status: status.state is State.LIVE and status.recording.rows > rows + 10)
        assert status.notice is None
        assert pipeline.stop_recording() == folder
        pipeline.close()
    meta, columns = read_session(folder)
    assert meta["status"] == "complete"
    assert columns["frame"].tolist() == list(range(1, len(columns["frame"]) + 1))
    steps = np.diff(columns["timestamp"])
    assert (steps > 0).all()
    assert steps.max() > 0.2  # the time without a camera is in the times, not hidden
    kinds = [line.split(",")[2] for line in (folder / "events.csv").read_text().splitlines()[1:]]
    assert kinds == ["recording_start", "source_lost", "pause", "resume", "source_back", "recording_stop"]


def test_a_camera_that_hangs_does_not_hold_up_the_window(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("au_desktop.runtime.capture.STOP_S", 0.1)
    hang = threading.Event()
    opener: dict[str, Any] = {"camera": {"hang": hang}, "file": {"frames": 1000, "fps": 100}}
    pipeline = make(open_source=lambda spec: FakeSource(spec, **opener[spec.kind]))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.STARTING))
    began = time.monotonic()
    pipeline.set_source(FILE)
    assert time.monotonic() - began < 0.1
    status = until(pipeline, lambda status: status.state is State.LIVE and status.notice)
    assert status.notice.text.startswith("Fake camera does not answer and was left behind")
    hang.set()


def test_the_pipeline_can_be_imported_without_torch() -> None:
    code = "import au_desktop.runtime.pipeline, sys; sys.exit('torch' in sys.modules or 'mediapipe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
