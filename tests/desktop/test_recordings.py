"""Which frames belong to a recording: those captured from its beginning on, each in one recording only, whatever the
analysis does meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import State
from rtatl_core.errors import WeightsError
from rtatl_core.sessions.session import read_session
from tests.desktop.conftest import is_state, until
from tests.desktop.fakes import CAMERA, FILE, FakeEngine, camera_opener


class Loading:
    """An engine that takes as long to load as the test wants; frames wait meanwhile, or are given up."""

    def __init__(self, **options: Any) -> None:
        self.engine = FakeEngine(**options)
        self.done = threading.Event()
        self._begun = threading.Event()

    def __call__(self) -> FakeEngine:
        self._begun.set()
        self.done.wait(20)
        return self.engine

    def begin(self, pipeline: Pipeline) -> None:
        pipeline.set_engine(self)  # type: ignore[arg-type]
        assert self._begun.wait(5)


@pytest.fixture
def loading() -> Iterator[Loading]:
    made = Loading()
    yield made
    made.done.set()


@pytest.fixture
def play(make_pipeline: Any) -> Callable[..., Pipeline]:
    """Plays that source; some frames of it have been analysed."""

    def begin(
        source: Any, make_engine: Callable[[], Any] = FakeEngine, frames: int = 1000, fps: float = 50
    ) -> Pipeline:
        pipeline: Pipeline = make_pipeline(make_engine, open_source=camera_opener(frames=frames, fps=fps))
        pipeline.start()
        pipeline.set_source(source)
        until(pipeline, lambda status: status.analysed >= 3)
        return pipeline

    return begin


def more_come(pipeline: Pipeline, count: int = 15) -> int:
    """Waits for that many more; how many were captured then."""
    captured = pipeline.status().captured
    return until(pipeline, lambda status: status.captured >= captured + count).captured


def moments(folder: Path) -> tuple[float, float]:
    """When the first and the last frame of a live recording were captured."""
    facts, columns = read_session(folder)
    numbers = columns["frame"].tolist()
    assert numbers == list(range(1, len(numbers) + 1))
    zero: float = facts["clock"]["perf_counter"]
    return zero, zero + columns["timestamp"][-1]


def test_a_live_recording_holds_no_frame_from_before_it_began(play: Any, loading: Loading, tmp_path: Path) -> None:
    pipeline = play(CAMERA)
    loading.begin(pipeline)
    before, pressed_at = more_come(pipeline, 25), time.perf_counter()
    folder = pipeline.start_recording(tmp_path)
    more_come(pipeline)
    loading.done.set()
    until(pipeline, lambda status: status.recording and status.recording.rows > 20)
    pipeline.stop_recording()
    began_at, _ = moments(folder)
    assert pressed_at - 0.1 < began_at < pressed_at + 0.3
    columns = read_session(folder)[1]
    assert columns["analysed"][0] == 0, "what came while the model was loaded"
    assert len(columns["frame"]) <= pipeline.status().captured - before


def test_no_live_frame_is_in_two_recordings(play: Any, loading: Loading, tmp_path: Path) -> None:
    pipeline = play(CAMERA)
    folders = [pipeline.start_recording(tmp_path)]
    loading.begin(pipeline)
    for _ in range(2):
        more_come(pipeline)
        assert pipeline.stop_recording() == folders[-1]
        more_come(pipeline)
        folders.append(pipeline.start_recording(tmp_path))
    more_come(pipeline)
    loading.done.set()
    analysed = pipeline.status().analysed
    until(pipeline, lambda status: status.analysed > analysed + 5)
    pipeline.stop_recording()
    times = [moments(folder) for folder in folders]
    for (_, ended), (begun, _) in pairwise(times):
        assert begun > ended + 0.1
    assert [read_session(folder)[1]["analysed"][-1] for folder in folders] == [0, 0, 1]


def test_what_waits_of_a_file_is_still_to_be_played_and_so_recorded(
    play: Any, loading: Loading, tmp_path: Path
) -> None:
    pipeline = play(FILE)
    loading.begin(pipeline)
    until(pipeline, lambda status: status.captured > status.analysed)
    pipeline.pause()
    shown = pipeline.status().analysed
    folder = pipeline.start_recording(tmp_path)
    pipeline.resume()
    loading.done.set()
    until(pipeline, lambda status: status.recording and status.recording.rows > 5)
    pipeline.stop_recording()
    numbers = read_session(folder)[1]["frame"].tolist()
    assert numbers == list(range(shown + 1, shown + 1 + len(numbers)))


def test_two_recordings_while_a_model_loads_share_no_frame_and_miss_none(
    play: Any, loading: Loading, tmp_path: Path
) -> None:
    pipeline = play(FILE)
    first = pipeline.start_recording(tmp_path)
    loading.begin(pipeline)
    until(pipeline, lambda status: status.captured > status.analysed)
    pipeline.stop_recording()
    second = pipeline.start_recording(tmp_path)
    loading.done.set()
    until(pipeline, lambda status: status.recording and status.recording.rows > 5)
    pipeline.stop_recording()
    ended, begun = (read_session(folder)[1]["frame"] for folder in (first, second))
    assert begun[0] == ended[-1] + 1
    assert (np.diff(begun) == 1).all()


def test_a_file_of_which_no_frame_is_to_come_is_recorded_from_its_beginning(
    make_pipeline: Any, loading: Loading, tmp_path: Path
) -> None:
    pipeline: Pipeline = make_pipeline(open_source=camera_opener(frames=2, fps=50))
    pipeline.start()
    pipeline.set_source(FILE)
    until(pipeline, is_state(State.FINISHED))
    loading.begin(pipeline)
    folders = []
    for _ in range(2):
        folders.append(pipeline.start_recording(tmp_path))  # plays it: both frames wait for the model
        until(pipeline, lambda _: pipeline._capture is not None and pipeline._capture.stats().at_end)
        if not folders[1:]:
            pipeline.stop_recording()
    loading.done.set()
    until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    for folder, analysed in zip(folders, ([0, 0], [1, 1]), strict=True):
        columns = read_session(folder)[1]
        assert columns["frame"].tolist() == [1, 2]
        assert columns["analysed"].tolist() == analysed


def test_frames_that_wait_for_a_model_with_other_aus_are_its_own(play: Any, tmp_path: Path) -> None:
    loading, pipeline = Loading(aus=(4, 12)), play(CAMERA)
    first = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 5)
    loading.begin(pipeline)
    more_come(pipeline)
    loading.done.set()
    until(pipeline, lambda status: status.recording and status.recording.folder != first)
    until(pipeline, lambda status: status.recording and status.recording.rows > 20)
    second = pipeline.stop_recording()
    assert second is not None
    (_, ended), (begun, _) = moments(first), moments(second)
    assert ended < begun < ended + 0.2
    assert read_session(second)[1]["analysed"][0] == 0


def test_a_recording_without_rows_yet_goes_on_in_its_folder_whatever_model_comes(play: Any, tmp_path: Path) -> None:
    loading, pipeline = Loading(aus=(4, 12)), play(CAMERA)
    loading.begin(pipeline)
    folder = pipeline.start_recording(tmp_path)
    more_come(pipeline)
    loading.done.set()
    until(pipeline, lambda status: status.recording and status.recording.rows > 20)
    assert pipeline.stop_recording() == folder
    assert list(tmp_path.iterdir()) == [folder]
    facts, columns = read_session(folder)
    assert "AU12_r" in columns
    assert "AU25_r" not in columns
    assert "engines" not in facts


@pytest.mark.parametrize("source", [CAMERA, FILE], ids=["camera", "file"])
def test_every_frame_has_its_row_when_the_weights_turn_out_unusable(
    make_pipeline: Any, tmp_path: Path, source: Any
) -> None:
    class Engine(FakeEngine):
        def process(self, packet: Any, dropped: Any = ()) -> Any:
            if packet.number >= 10:
                time.sleep(0.1)
                raise WeightsError("The weights are of another shape; install them again.")
            return super().process(packet, dropped)

    pipeline: Pipeline = make_pipeline(Engine, open_source=camera_opener(frames=1000, fps=100))
    pipeline.set_source(source)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    status = until(pipeline, is_state(State.FAILED))
    assert status.notice is not None
    assert status.notice.text.startswith("The weights are of another shape")
    pipeline.close()
    status = pipeline.status()
    assert status.captured == status.analysed + status.dropped
    facts, columns = read_session(folder)
    assert facts["status"].startswith("stopped: The weights are")
    assert columns["frame"].tolist() == list(range(1, status.captured + 1))
    assert columns["analysed"].sum() == status.analysed
