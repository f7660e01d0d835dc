"""The analysis thread: loading, delivering, failing frames, and the figures it keeps."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from au_desktop.runtime.analysis import Analysis, AnalysisState, EngineFacts, Listener
from au_desktop.runtime.capture import Capture
from au_desktop.runtime.slots import PATIENCE_S, Taken
from rtatl_core.errors import WeightsError
from rtatl_core.handoffs import AnalysedFrame, FramePacket, ObservedFrame
from tests.desktop.fakes import CAMERA, FILE, FakeEngine, FakeSource, picture


class Running:
    """An analysis whose calls are written down."""

    def __init__(self, make_engine: Callable[[], Any]) -> None:
        self.frames: list[AnalysedFrame] = []
        self.failed: list[tuple[Taken | None, str]] = []
        self.ended: list[Capture] = []
        self.broken: list[str] = []
        self.engines: list[EngineFacts] = []
        self.warnings: list[str] = []
        self.again: list[AnalysedFrame] = []
        listener = Listener(
            on_frame=lambda capture, frame: self.frames.append(frame),
            on_failed_frame=lambda capture, taken, text: self.failed.append((taken, text)),
            on_end=self.ended.append,
            on_broken=self.broken.append,
            on_engine=self.engines.append,
            on_warning=self.warnings.append,
            on_wait=lambda capture: None,
            on_again=lambda capture, frame: self.again.append(frame),
        )
        self.analysis = Analysis(make_engine, listener)

    def until(self, condition: Callable[[], Any]) -> None:
        limit = time.monotonic() + 3
        while not condition():
            assert time.monotonic() < limit
            time.sleep(0.005)


def still(numbers: list[int], live: bool = False, frame_s: float = 0.0) -> Capture:
    """A capture that was never started: its box already holds the frames, which came that far apart."""
    spec = CAMERA if live else FILE
    capture = Capture(spec, FakeSource, lambda *_: None, threading.Event())
    capture.box._room = len(numbers)
    for number in numbers:
        at = time.perf_counter() + number * frame_s
        capture.box.put(FramePacket(picture((32, 24)), number, number / 25, at))
    capture.box.end()
    return capture


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[], Any]], Running]]:
    started: list[Running] = []

    def make(make_engine: Callable[[], Any]) -> Running:
        started.append(Running(make_engine))
        started[-1].analysis.start()
        return started[-1]

    yield make
    for running in started:
        assert running.analysis.stop(3)


def test_frames_are_analysed_in_order_and_the_end_is_told_once(start: Any) -> None:
    engine = FakeEngine()
    running = start(lambda: engine)
    capture = still([1, 2, 3])
    running.analysis.follow(capture)
    running.until(lambda: running.ended)
    time.sleep(0.05)
    assert [frame.packet.number for frame in running.frames] == [1, 2, 3]
    assert running.ended == [capture]
    assert running.analysis.stats().analysed == 3
    assert running.analysis.stats().timestamp == pytest.approx(3 / 25)
    assert running.analysis.facts.aus == engine.aus
    assert engine.thread is not threading.current_thread()
    running.analysis.stop(3)
    assert engine.closed


def test_dropped_frames_travel_with_the_next(start: Any) -> None:
    running = start(FakeEngine)
    running.analysis.follow(still([1, 2, 3], live=True, frame_s=2 * PATIENCE_S))
    running.until(lambda: running.ended)
    (frame,) = running.frames
    assert (frame.packet.number, frame.dropped) == (3, ((1, 1 / 25), (2, 2 / 25)))


def test_every_source_begins_with_a_fresh_engine_and_fresh_counts(start: Any) -> None:
    engine = FakeEngine()
    running = start(lambda: engine)
    for _ in range(2):
        running.analysis.follow(still([1, 2]))
        running.until(lambda: running.analysis.stats().analysed == 2)
    assert (engine.resets, engine.new_ids) == (2, True)
    assert len(running.frames) == 4


def test_a_frame_that_fails_is_told_and_the_next_is_tried(start: Any) -> None:
    running = start(lambda: FakeEngine(fails={2: RuntimeError("out of memory")}))
    running.analysis.follow(still([1, 2, 3]))
    running.until(lambda: running.ended)
    assert [frame.packet.number for frame in running.frames] == [1, 3]
    ((taken, text),) = running.failed
    assert taken.packet.number == 2
    assert text == "A frame could not be analysed (RuntimeError: out of memory); the next ones are tried."
    assert running.analysis.stats().failed == 1
    assert running.analysis.stats().state is AnalysisState.READY


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (WeightsError("assets/x.safetensors has another hash than its card; install it again."), "another hash"),
        (ImportError("no module named torch"), r"The analysis cannot start \(ImportError.*install the program again"),
    ],
)
def test_an_engine_that_cannot_load_is_a_state_not_a_crash(start: Any, error: Exception, says: str) -> None:
    def refuse() -> FakeEngine:
        raise error

    running = start(refuse)
    running.until(lambda: running.broken)
    assert running.analysis.stats().state is AnalysisState.FAILED
    assert not running.analysis.ready.is_set()
    assert re.search(says, running.broken[0])


def test_weights_that_fail_at_the_first_frame_end_the_analysis(start: Any) -> None:
    engine = FakeEngine(fails={1: WeightsError("The weights are of another shape; install them again.")})
    running = start(lambda: engine)
    running.analysis.follow(still([1, 2]))
    running.until(lambda: running.broken)
    assert running.broken == ["The weights are of another shape; install them again."]
    assert running.frames == []
    lost = [taken.packet.number for taken, text in running.failed if taken is not None and not text]
    assert lost in ([1], [1, 2]), "nobody is told of each, but each has its row; the second may be left in the box"
    assert running.analysis.stats().failed == len(lost)
    running.until(lambda: engine.closed)


def test_a_frame_that_was_observed_as_the_weights_failed_has_its_row(start: Any) -> None:
    observed = threading.Event()

    class Unusable(FakeEngine):
        def observe(self, packet: FramePacket) -> ObservedFrame:
            if packet.number == 2:
                observed.set()
            return super().observe(packet)

        def process(self, packet: FramePacket, dropped: tuple[tuple[int, float], ...] = ()) -> AnalysedFrame:
            assert observed.wait(3)
            raise WeightsError("The weights are of another shape; install them again.")

    running = start(Unusable)
    running.analysis.follow(still([1, 2]))
    running.until(lambda: running.broken)
    assert [(taken.packet.number, text) for taken, text in running.failed if taken is not None] == [(1, ""), (2, "")]


def test_wishes_reach_the_engine_before_and_after_it_is_loaded(start: Any) -> None:
    engine, gate = FakeEngine(), threading.Event()

    def load() -> FakeEngine:
        gate.wait(3)
        return engine

    running = start(load)
    running.analysis.wish("want_flow", True)
    assert running.analysis.wished("want_flow") is True
    gate.set()
    assert running.analysis.ready.wait(3)
    running.until(lambda: engine.want_flow)
    running.analysis.wish("smoothing_s", 0.5)
    assert engine.smoothing_s == running.analysis.wished("smoothing_s") == 0.5


def test_a_wish_made_while_others_reach_the_engine_is_not_lost(start: Any) -> None:
    reached = threading.Event()

    class Slow(FakeEngine):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if value == "wished":
                reached.set()
                time.sleep(0.1)

    gate = threading.Event()
    engine = Slow()
    running = start(lambda: gate.wait(3) and engine)
    running.analysis.wish("want_flow", "wished")
    gate.set()
    assert reached.wait(3)
    running.analysis.wish("smoothing_s", 0.5)
    running.until(lambda: running.analysis.stats().state is AnalysisState.READY)
    assert engine.smoothing_s == 0.5


def test_figures_are_those_of_the_frames(start: Any) -> None:
    running = start(lambda: FakeEngine(work_s=0.01))
    running.analysis.follow(still(list(range(1, 31))))
    running.until(lambda: running.ended)
    assert running.analysis.stage_ms()["predict"].tolist() == [9.0] * 30
    assert 5 < running.analysis.stats().fps <= 100


def test_stopping_analyses_what_is_left_in_the_box() -> None:
    running = Running(FakeEngine)
    running.analysis.follow(still([1, 2]))
    running.analysis.start()
    assert running.analysis.stop(3)
    assert [frame.packet.number for frame in running.frames] == [1, 2]


def test_another_engine_takes_over_between_two_frames(start: Any) -> None:
    first, second = FakeEngine(), FakeEngine(device="cuda:0")
    running = start(lambda: first)
    capture = still([1, 2], live=True)
    capture.box._ended = False
    running.analysis.follow(capture)
    running.until(lambda: running.frames)
    running.analysis.wish("want_flow", True)
    running.analysis.replace_engine(lambda: second)
    running.until(lambda: len(running.engines) == 2)
    capture.box.put(FramePacket(picture((32, 24)), 3, 3 / 25, time.perf_counter()))
    running.until(lambda: running.frames[-1].packet.number == 3)
    assert first.closed
    assert second.followed_on is first, "faces keep their ids"
    assert second.resets == 0
    assert not second.closed
    assert second.want_flow
    assert running.analysis.facts.device == "cuda:0"
    assert running.frames[-1].faces[0].prediction.flow is not None
    capture.box.end()


def test_an_engine_that_cannot_take_over_is_told_and_the_one_before_goes_on(start: Any) -> None:
    def refuse() -> FakeEngine:
        raise WeightsError("model x is damaged; install it again")

    engine = FakeEngine()
    running = start(lambda: engine)
    running.until(lambda: running.analysis.stats().state is AnalysisState.READY)
    running.analysis.replace_engine(refuse)
    running.until(lambda: running.warnings)
    assert running.warnings == ["model x is damaged; install it again; the analysis goes on as before."]
    running.analysis.follow(still([1]))
    running.until(lambda: running.ended)
    assert len(running.frames) == 1
    assert not engine.closed


class Clumsy(FakeEngine):
    """Loads well, and then cannot take the place of another."""

    def __init__(self, at: str) -> None:
        super().__init__(device="cuda:0")
        self._at = at

    def follow_on(self, before: FakeEngine) -> None:
        if self._at == "follow_on":
            raise RuntimeError("surprise")
        super().follow_on(before)

    def __setattr__(self, name: str, value: object) -> None:
        if name == "want_flow" and getattr(self, "_at", None) == "wish":
            raise RuntimeError("surprise")
        super().__setattr__(name, value)

    @property
    def settings(self) -> dict[str, Any]:
        if self._at == "facts":
            raise RuntimeError("surprise")
        return super().settings


@pytest.mark.parametrize("at", ["follow_on", "wish", "facts"])
def test_an_engine_that_fails_after_it_was_loaded_is_closed_and_the_one_before_goes_on(start: Any, at: str) -> None:
    first, second = FakeEngine(), Clumsy(at)
    running = start(lambda: first)
    running.until(lambda: running.analysis.stats().state is AnalysisState.READY)
    running.analysis.wish("want_flow", True)
    running.analysis.replace_engine(lambda: second)
    running.until(lambda: running.warnings)
    assert running.warnings == ["RuntimeError: surprise; the analysis goes on as before."]
    assert second.closed
    assert not first.closed
    assert running.analysis.facts.device == "cpu"
    running.analysis.wish("want_patches", True)
    assert first.want_patches
    running.analysis.follow(still([1]))
    running.until(lambda: running.ended)
    assert len(running.frames) == 1


def test_an_engine_that_fails_at_its_end_does_no_harm(start: Any) -> None:
    class Bad(FakeEngine):
        def close(self) -> None:
            raise RuntimeError("surprise")

    second = FakeEngine()
    running = start(Bad)
    running.analysis.replace_engine(lambda: second)
    running.until(lambda: len(running.engines) == 2)
    running.analysis.follow(still([1]))
    running.until(lambda: running.ended)
    assert not running.warnings
    assert not second.closed


def test_the_listener_is_called_once_at_a_time() -> None:
    """Also where no frame comes while the one before is still being delivered."""
    running = Running(FakeEngine)
    calls: list[str] = []

    def deliver(capture: Capture, frame: AnalysedFrame) -> None:
        calls.append("frame begins")
        time.sleep(0.5)
        calls.append("frame ends")

    listener = replace(running.analysis._listener, on_frame=deliver, on_wait=lambda capture: calls.append("wait"))
    analysis = Analysis(FakeEngine, listener)  # type: ignore[arg-type,return-value]
    capture = still([1])
    capture.box._ended = False
    analysis.follow(capture)
    analysis.start()
    running.until(lambda: "wait" in calls)
    assert analysis.stop(3)
    assert calls[:3] == ["frame begins", "frame ends", "wait"]


def test_after_unusable_weights_others_can_be_given(start: Any) -> None:
    def refuse() -> FakeEngine:
        raise WeightsError("model x is missing; name another")

    running = start(refuse)
    running.until(lambda: running.broken)
    running.analysis.replace_engine(FakeEngine)
    running.until(lambda: running.analysis.stats().state is AnalysisState.READY)
    running.analysis.follow(still([1]))
    running.until(lambda: running.ended)
    assert len(running.frames) == 1


def test_what_an_engine_says_of_itself_is_passed_on(start: Any) -> None:
    engine = FakeEngine()
    engine.warning = "The memory of cuda:0 is full."
    running = start(lambda: engine)
    running.analysis.follow(still([1, 2]))
    running.until(lambda: running.ended)
    assert running.warnings == ["The memory of cuda:0 is full."]
    assert len(running.engines) == 2


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "paused"])
def test_a_layer_that_is_switched_on_while_no_frame_comes_shows_on_the_last_one(
    start: Callable[[Callable[[], Any]], Running], ended: bool
) -> None:
    running = start(FakeEngine)
    capture = still([1, 2, 3])
    capture.box._ended = ended
    running.analysis.follow(capture)
    running.until(lambda: len(running.frames) == 3 and (running.ended or not ended))
    assert running.frames[-1].faces[0].prediction.flow is None
    running.analysis.wish("want_flow", True)
    running.until(lambda: running.again)
    (frame,) = running.again
    assert frame.packet.number == 3
    assert frame.faces[0].prediction.flow is not None
    assert time.perf_counter() - frame.packet.captured_at < 3
    running.analysis.replace_engine(lambda: FakeEngine(aus=(4,)))
    running.until(lambda: len(running.again) == 2)
    assert running.again[1].aus == (4,)
    assert len(running.frames) == 3, "nothing is delivered twice"
    assert running.analysis.stats().analysed == 3


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "paused"])
def test_another_number_of_faces_acts_on_a_picture_at_rest(
    start: Callable[[Callable[[], Any]], Running], ended: bool
) -> None:
    running = start(FakeEngine)
    capture = still([1])
    capture.box._ended = ended
    running.analysis.follow(capture)
    running.until(lambda: running.frames and (running.ended or not ended))
    assert len(running.frames[0].faces) == 1
    running.analysis.replace_engine(lambda: FakeEngine(faces=3))
    running.until(lambda: running.again)
    assert len(running.again[0].faces) == 3
    running.analysis.wish("want_flow", True)
    running.until(lambda: len(running.again) == 2)
    assert [face.prediction.flow is None for face in running.again[1].faces] == [False] * 3
    assert len(running.frames) == 1, "nothing is delivered twice"


def test_a_picture_that_cannot_be_shown_again_is_told(start: Callable[[Callable[[], Any]], Running]) -> None:
    fails: dict[int, Exception] = {99: RuntimeError()}
    running = start(lambda: FakeEngine(fails=fails))
    running.analysis.follow(still([1]))
    running.until(lambda: running.ended)
    fails[1] = RuntimeError("no memory")
    running.analysis.wish("want_patches", True)
    running.until(lambda: running.warnings)
    assert running.warnings == ["The picture could not be analysed again (RuntimeError: no memory)."]
    assert not running.failed
