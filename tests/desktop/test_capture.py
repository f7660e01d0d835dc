"""The capture thread: pace, pause, numbering, loss and return, and a device that hangs."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from au_desktop.runtime.capture import LATE_S, Capture, CaptureState
from au_desktop.sources import FrameSource, SourceSpec
from rtatl_core.errors import SourceAsked, SourceError
from rtatl_core.handoffs import FramePacket
from tests.desktop.fakes import CAMERA, FILE, FakeSource


class Running:
    """A capture with its reports, drained into a list of packets."""

    def __init__(self, spec: SourceSpec, opener: Callable[[SourceSpec], FrameSource], **options: Any) -> None:
        self.reports: list[tuple[str, str]] = []
        self.ready = threading.Event()
        self.ready.set()
        self.capture = Capture(spec, opener, self._report, self.ready, retry_s=0.02, **options)

    def _report(self, capture: Capture, kind: str, text: str) -> None:
        self.reports.append((kind, text))

    def __enter__(self) -> Running:
        self.capture.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.stop(discard=True)
        assert self.capture.join(2)

    def take(self, count: int, timeout: float = 5.0) -> list[FramePacket]:
        packets: list[FramePacket] = []
        until = time.monotonic() + timeout
        while len(packets) < count and not self.capture.box.exhausted and time.monotonic() < until:
            if taken := self.capture.box.take(0.1):
                packets.append(taken.packet)
        return packets

    def wait_for(self, state: CaptureState) -> None:
        until = time.monotonic() + 3
        while self.capture.stats().state is not state:
            assert time.monotonic() < until, f"{self.capture.stats().state} instead of {state}"
            time.sleep(0.005)


def test_a_file_plays_at_its_own_pace_and_is_stamped_when_due() -> None:
    with Running(FILE, lambda spec: FakeSource(spec, frames=20, fps=50)) as running:
        packets = running.take(100)
        running.wait_for(CaptureState.ENDED)
    assert [packet.number for packet in packets] == list(range(1, 21))
    since = packets[0].captured_at
    late = [packet.captured_at - since - packet.timestamp for packet in packets]
    assert min(late) > -0.02
    assert median(late) < 0.05
    assert running.capture.stats().captured == 20
    assert running.capture.stats().duration_s == pytest.approx(0.4)


def test_a_slow_reader_slows_a_file_down_but_loses_no_frame() -> None:
    with Running(FILE, lambda spec: FakeSource(spec, frames=12, fps=200)) as running:
        packets = []
        while not running.capture.box.exhausted:
            packets += running.take(1, timeout=0.5)
            time.sleep(0.02)
    assert [packet.number for packet in packets] == list(range(1, 13))
    assert running.capture.box.dropped == 0


def test_a_file_that_was_held_up_does_not_rush_to_catch_up() -> None:
    with Running(FILE, lambda spec: FakeSource(spec, frames=30, fps=50)) as running:
        running.take(2)
        time.sleep(0.5)  # two more lie in the box, and the third is stamped
        after = running.take(28)[3:]
    assert after[-1].number == 30
    pace = after[-1].captured_at - after[0].captured_at
    assert pace > after[-1].timestamp - after[0].timestamp - LATE_S


def test_a_paused_file_stands_still_and_goes_on_where_it_was() -> None:
    with Running(FILE, lambda spec: FakeSource(spec, frames=30, fps=50)) as running:
        before = running.take(5)
        running.capture.pause()
        before += running.take(3, timeout=0.15)  # what was on its way
        assert running.take(1, timeout=0.2) == []
        running.capture.resume()
        resumed_at = time.perf_counter()
        after = running.take(10)
    assert [packet.number for packet in before + after] == list(range(1, len(before) + 11))
    assert after[0].captured_at >= resumed_at
    pace = after[-1].captured_at - after[0].captured_at
    assert pace > after[-1].timestamp - after[0].timestamp - 0.02  # it does not rush to catch up


def test_frames_that_a_driver_stamps_alike_are_told_apart() -> None:
    class Alike(FakeSource):
        def read(self) -> FramePacket | None:
            packet = super().read()
            return replace(packet, captured_at=100 + packet.number // 2) if packet is not None else None

    with Running(CAMERA, lambda spec: Alike(spec, fps=200)) as running:
        times = [packet.timestamp for packet in running.take(6)]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert times == pytest.approx([0, 1, 1, 2, 2, 3], abs=1e-3)


def test_a_file_waits_until_the_engine_is_ready() -> None:
    running = Running(FILE, lambda spec: FakeSource(spec, frames=3))
    running.ready.clear()
    with running:
        assert running.take(1, timeout=0.15) == []
        running.ready.set()
        assert [packet.number for packet in running.take(3)] == [1, 2, 3]


def test_a_camera_is_drained_until_the_engine_is_ready_and_then_counted_from_one() -> None:
    sources: list[FakeSource] = []

    def open_one(spec: SourceSpec) -> FakeSource:
        sources.append(FakeSource(spec, fps=200))
        return sources[-1]

    running = Running(CAMERA, open_one)
    running.ready.clear()
    with running:
        time.sleep(0.1)
        assert running.capture.stats().captured == 0
        running.ready.set()
        (first,) = running.take(1)
    assert (first.number, first.timestamp) == (1, 0.0)
    assert sources[0].closed


def test_a_paused_camera_counts_no_frame_and_its_clock_runs_on() -> None:
    with Running(CAMERA, lambda spec: FakeSource(spec, fps=200)) as running:
        (before,) = running.take(1)
        running.capture.pause()
        time.sleep(0.15)
        running.take(1, timeout=0.02)
        captured = running.capture.stats().captured
        time.sleep(0.1)
        assert running.capture.stats().captured == captured
        running.capture.resume()
        (after,) = running.take(1)
    assert after.number > before.number
    assert after.timestamp - before.timestamp == pytest.approx(after.captured_at - before.captured_at)
    assert after.timestamp - before.timestamp > 0.2


def test_a_lost_camera_comes_back_with_the_same_clock_and_growing_numbers() -> None:
    attempts: list[float] = []

    def open_one(spec: SourceSpec) -> FakeSource:
        attempts.append(time.perf_counter())
        if 2 <= len(attempts) <= 4:
            raise SourceError("not yet")
        return FakeSource(spec, fps=200, lost_after=10 if len(attempts) == 1 else None)

    with Running(CAMERA, open_one) as running:
        packets = running.take(9, timeout=0.3)
        until = time.monotonic() + 3
        while len(running.reports) < 2 and time.monotonic() < until:
            time.sleep(0.005)
        packets += running.take(10)
    numbers = [packet.number for packet in packets]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] > 10
    start = packets[0].captured_at - packets[0].timestamp
    assert [packet.captured_at - packet.timestamp for packet in packets] == pytest.approx([start] * len(packets))
    assert [kind for kind, _ in running.reports] == ["lost", "back"]
    waits = [later - earlier for earlier, later in pairwise(attempts[1:])]
    assert waits == sorted(waits)  # each try waits longer than the last


def test_stopping_ends_the_wait_for_a_lost_camera() -> None:
    with Running(CAMERA, lambda spec: FakeSource(spec, fps=500, lost_after=1)) as running:
        running.wait_for(CaptureState.RECONNECTING)
    assert running.capture.box.exhausted


@pytest.mark.parametrize("answer", ["allowed", "denied", "none"])
def test_a_camera_that_the_person_is_asked_about_starts_when_it_is_allowed(answer: str) -> None:
    """As on macOS, where the first try to open one asks, and fails."""
    tries: list[SourceSpec] = []

    def open_one(spec: SourceSpec) -> FakeSource:
        tries.append(spec)
        if len(tries) < 4 or answer == "none":
            raise SourceAsked("macOS asks whether Fake camera may be used.")
        if answer == "denied":
            raise SourceError("Fake camera cannot be opened.")
        return FakeSource(spec, fps=200)

    with Running(CAMERA, open_one) as running:
        running.wait_for(CaptureState.ASKING)
        assert running.capture.silent_s() is None
        if answer == "allowed":
            assert [packet.number for packet in running.take(3)] == [1, 2, 3]
        elif answer == "denied":
            running.wait_for(CaptureState.FAILED)
    told = {"allowed": ["warning", "allowed"], "denied": ["warning", "failed"], "none": ["warning"]}
    assert [kind for kind, _ in running.reports] == told[answer]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (SourceError("It is in use by another program; close that program."), "^It is in use by another program"),
        (RuntimeError("surprise"), r"^fake.mp4 stopped \(RuntimeError: surprise\); choose it again"),
    ],
)
def test_what_cannot_be_opened_is_reported_and_ends(error: Exception, says: str) -> None:
    def refuse(spec: SourceSpec) -> FrameSource:
        raise error

    with Running(FILE, refuse) as running:
        running.wait_for(CaptureState.FAILED)
        assert running.take(1) == []
    ((kind, text),) = running.reports
    assert kind == "failed"
    assert running.capture.stats().fault == text
    assert re.search(says, text)


def test_the_warning_of_a_file_is_reported_at_its_end() -> None:
    class CutOff(FakeSource):
        warning = "fake.mp4 ends after 1 s of 2 s."
        truncated = True

    with Running(FILE, lambda spec: CutOff(spec, frames=2)) as running:
        running.take(2)
        running.wait_for(CaptureState.ENDED)
    assert running.reports == [("warning", CutOff.warning)]
    assert running.capture.stats().fault == CutOff.warning, "so that its recording is not called complete"


def test_damaged_frames_of_a_file_are_counted_and_reported() -> None:
    class Damaged(FakeSource):
        def read(self) -> FramePacket | None:
            packet = super().read()
            lost = packet is not None and packet.number == 2
            return replace(packet, number=3, lost=((2, 0.04),)) if packet and lost else packet

    with Running(FILE, lambda spec: Damaged(spec, frames=2)) as running:
        running.take(2)
        running.wait_for(CaptureState.ENDED)
    ((kind, text),) = running.reports
    assert (kind, text[:21]) == ("warning", "Frame 2 of fake.mp4 (")
    assert running.capture.stats().captured == 3


@pytest.mark.parametrize("spec", [CAMERA, FILE])
def test_a_device_that_hangs_is_left_behind_and_named(spec: SourceSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only another device waits for it; a file needs none."""
    monkeypatch.setattr("au_desktop.runtime.capture.CLOSING_S", 0.3)
    hang = threading.Event()
    stuck = Running(CAMERA, lambda spec: FakeSource(spec, hang=hang)).capture
    stuck.start()
    began = time.monotonic()
    stuck.stop()
    assert not stuck.join(0.1)
    assert time.monotonic() - began < 0.5
    try:
        with Running(spec, lambda spec: FakeSource(spec, frames=2), after=stuck) as running:
            assert len(running.take(2)) == 2
        told = [("warning", "Fake camera does not answer and was left behind; unplug it, or restart the program.")]
        assert running.reports == (told if spec.live else [])
    finally:
        hang.set()
        assert stuck.join(2)


def test_the_device_before_is_closed_before_the_next_is_opened() -> None:
    order: list[str] = []

    class Noted(FakeSource):
        def close(self) -> None:
            time.sleep(0.05)
            order.append("closed")

    first = Running(CAMERA, lambda spec: Noted(spec, fps=100))
    with first:
        first.take(1)
        first.capture.stop()

        def open_next(spec: SourceSpec) -> FakeSource:
            order.append("opened")
            return FakeSource(spec)

        with Running(CAMERA, open_next, after=first.capture) as second:
            second.take(1)
    assert order == ["closed", "opened"]


def test_a_capture_stopped_before_its_turn_opens_nothing() -> None:
    opened: list[SourceSpec] = []

    def open_one(spec: SourceSpec) -> FrameSource:
        opened.append(spec)
        return FakeSource(spec)

    running = Running(CAMERA, open_one)
    running.capture.stop()
    with running:
        pass
    assert opened == []
