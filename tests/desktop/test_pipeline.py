"""The whole path with a fake engine, as the window sees it: its states, its settings and what it says."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au_desktop.runtime import pipeline as module
from au_desktop.runtime.status import State
from au_desktop.sources import SourceSpec
from rtatl_core.errors import SessionError, SourceError, WeightsError
from rtatl_core.sessions.session import read_session
from tests.desktop.conftest import is_state, until
from tests.desktop.fakes import AUS, CAMERA, FILE, FakeEngine, FakeSource, camera_opener, intensities


def test_a_fresh_window_is_empty_and_then_live_then_finished(make_pipeline: Any) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=20, fps=100))
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


def test_a_finished_file_plays_again_and_a_paused_one_goes_on(make_pipeline: Any) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=15, fps=100))
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


def test_layers_and_smoothing_reach_the_engine_and_the_recording(make_pipeline: Any, tmp_path: Path) -> None:
    engine = FakeEngine()
    pipeline = make_pipeline(lambda: engine)
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


def test_without_a_face_there_is_a_hint_that_goes_when_one_comes(
    make_pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "NO_FACE_S", 0.1)
    shown = threading.Event()
    pipeline = make_pipeline(lambda: FakeEngine(blind=lambda _: not shown.is_set()))
    pipeline.start()
    pipeline.set_source(CAMERA)
    status = until(pipeline, lambda status: status.notice)
    assert status.notice.severity == "info"
    assert status.notice.text.startswith("No face found in Fake camera")
    shown.set()
    until(pipeline, lambda status: status.notice is None)


def test_nobody_in_a_file_is_told_to_turn_round(make_pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NO_FACE_S", 0.1)
    pipeline = make_pipeline(lambda: FakeEngine(faces=0), open_source=camera_opener(frames=100, fps=25))
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, lambda status: status.notice)
    assert status.notice.text.startswith("No face found in fake.mp4 so far; faces narrower than a twentieth")


def test_a_file_without_any_face_ends_with_a_warning(make_pipeline: Any) -> None:
    pipeline = make_pipeline(lambda: FakeEngine(faces=0), open_source=camera_opener(frames=4, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, lambda status: status.state is State.FINISHED and status.notice)
    assert status.notice.severity == "warning"
    assert status.notice.text.startswith("No face was found in fake.mp4; faces narrower than a twentieth")


def test_a_file_of_which_nothing_was_analysed_is_not_called_faceless(make_pipeline: Any) -> None:
    fails = dict.fromkeys((1, 2), RuntimeError("surprise"))
    pipeline = make_pipeline(lambda: FakeEngine(fails=fails), open_source=camera_opener(frames=2, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    status = until(pipeline, lambda status: status.state is State.FINISHED and status.notice)
    assert "surprise" in status.notice.text


def test_a_source_that_cannot_be_opened_is_told_and_can_be_tried_again(make_pipeline: Any) -> None:
    busy = [True]

    def open_one(spec: Any) -> FakeSource:
        if busy[0]:
            raise SourceError("Fake camera is in use by another program; close that program.")
        return FakeSource(spec, fps=100)

    pipeline = make_pipeline(open_source=open_one)
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


def test_a_camera_that_hangs_does_not_hold_up_the_window(make_pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is played at once; another camera waits a while, also where a file was played meanwhile."""
    monkeypatch.setattr("au_desktop.runtime.capture.CLOSING_S", 0.3)
    hang = threading.Event()
    other = SourceSpec("camera", "1", "Other camera")
    opener: dict[SourceSpec, Any] = {CAMERA: {"hang": hang}, FILE: {"frames": 1000, "fps": 100}, other: {"fps": 100}}
    pipeline = make_pipeline(open_source=lambda spec: FakeSource(spec, **opener[spec]))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.STARTING))
    began = time.monotonic()
    pipeline.set_source(FILE)
    assert time.monotonic() - began < 0.1
    assert until(pipeline, is_state(State.LIVE)).notice is None
    pipeline.set_source(other)
    try:
        status = until(pipeline, lambda status: status.state is State.LIVE and status.notice)
        assert status.notice.text.startswith("Fake camera does not answer and was left behind")
    finally:
        hang.set()


def test_an_engine_without_weights_fails_once_and_the_program_lives_on(make_pipeline: Any, tmp_path: Path) -> None:
    def refuse() -> FakeEngine:
        raise WeightsError("There are no weights at x.safetensors; install the program again.")

    closed = threading.Event()

    class Watched(FakeSource):
        def close(self) -> None:
            closed.set()

    pipeline = make_pipeline(refuse, open_source=lambda spec: Watched(spec, fps=100))
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


def test_an_engine_that_could_not_be_had_is_tried_again(make_pipeline: Any) -> None:
    lacking = [True]

    def load() -> FakeEngine:
        if lacking[0]:
            raise WeightsError("There are no weights at x.safetensors; install the program again.")
        return FakeEngine()

    pipeline = make_pipeline(load)
    pipeline.set_source(CAMERA)
    pipeline.start()
    serial = until(pipeline, is_state(State.FAILED)).notice.serial
    pipeline.resume()
    until(pipeline, lambda status: status.state is State.FAILED and status.notice and status.notice.serial > serial)
    lacking[0] = False
    pipeline.resume()
    assert until(pipeline, is_state(State.LIVE)).notice is None


def test_what_is_tried_again_is_the_engine_that_was_in_use(make_pipeline: Any) -> None:
    """Not one that was refused since."""
    made: list[str] = []
    broken = threading.Event()

    class Breaking(FakeEngine):
        def analyse(self, *given: Any) -> Any:
            if broken.is_set():
                broken.clear()
                raise WeightsError("fake-1 does not fit.")
            return super().analyse(*given)

    def load() -> FakeEngine:
        made.append("in use")
        return Breaking()

    def refuse() -> FakeEngine:
        made.append("refused")
        raise WeightsError("bad.safetensors is damaged.")

    pipeline = make_pipeline(load, open_source=camera_opener(fps=100))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.LIVE))
    pipeline.set_engine(refuse)
    until(pipeline, lambda status: status.notice is not None and "damaged" in status.notice.text)
    broken.set()
    until(pipeline, is_state(State.FAILED))
    pipeline.resume()
    until(pipeline, is_state(State.LIVE))
    assert made == ["in use", "refused", "in use"]


def test_a_notice_that_was_dismissed_makes_room_and_does_not_come_back(make_pipeline: Any) -> None:
    pipeline = make_pipeline()
    pipeline.warn("The GPU is full.")
    pipeline.announce("Of the two files the first is shown.")
    notice = pipeline.status().notice
    assert notice.severity == "warning"
    assert notice.text == "The GPU is full. Of the two files the first is shown.", "what would be hidden is told along"
    pipeline.dismiss(notice)
    assert pipeline.status().notice is None, "the warning was told with it"
    pipeline.announce("The recording goes on.")
    assert pipeline.status().notice.text == "The recording goes on."
    pipeline.dismiss(pipeline.status().notice)
    pipeline.warn("The GPU is full.")
    assert pipeline.status().notice is None, "it still holds, and was seen"


def test_an_engine_that_is_tried_again_while_the_program_closes_is_closed_too(make_pipeline: Any) -> None:
    """What the thread raises would fail this test: warnings are errors."""
    tries, loading, loaded, engine = [0], threading.Event(), threading.Event(), FakeEngine()

    def load() -> FakeEngine:
        tries[0] += 1
        if tries[0] == 1:
            raise WeightsError("There are no weights at x.safetensors; install the program again.")
        loading.set()
        loaded.wait(20)
        return engine

    pipeline = make_pipeline(load)
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


def test_what_was_said_of_a_refused_engine_goes_with_the_next_one(make_pipeline: Any) -> None:
    def refuse() -> FakeEngine:
        raise WeightsError("The weights x.safetensors are damaged; install them again.")

    pipeline = make_pipeline()
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
