"""The only place where threads meet Qt."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from PySide6.QtWidgets import QApplication

from au_desktop.bridge import Bridge
from au_desktop.runtime.slots import Slot
from au_desktop.runtime.status import Notice, State, Status
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from tests.desktop.conftest import wait_until
from tests.desktop.fakes import AUS, picture

EMPTY = Status(State.EMPTY, False, None, None, None, None, (), 0, 0, 0, 0.0, None, None, None, None)


class StillPipeline(SimpleNamespace):
    """A pipeline whose slot and status the test sets by hand."""

    def __init__(self) -> None:
        super().__init__(view=Slot(), now=EMPTY)

    def status(self) -> Status:
        return self.now


@pytest.fixture
def pipeline() -> StillPipeline:
    return StillPipeline()


@pytest.fixture
def bridge(qapp: QApplication, pipeline: StillPipeline) -> Bridge:
    return Bridge(pipeline)  # type: ignore[arg-type]


def a_frame(number: int, captured_at: float = 0.0) -> AnalysedFrame:
    return AnalysedFrame(FramePacket(picture(number=number), number, number / 30, captured_at), (), AUS)


def test_views_get_the_newest_frame_once(bridge: Bridge, pipeline: StillPipeline) -> None:
    shown: list[int] = []
    bridge.add_view(lambda frame: shown.append(frame.packet.number))
    for number in (1, 2, 3):
        pipeline.view.put(a_frame(number))
    bridge.tick()
    bridge.tick()
    assert shown == [3]
    assert bridge.latest is not None
    assert bridge.latest.packet.number == 3


def test_a_wake_up_that_comes_after_the_end_shows_nothing(
    qapp: QApplication, bridge: Bridge, pipeline: StillPipeline
) -> None:
    shown: list[AnalysedFrame] = []
    bridge.add_view(shown.append)
    bridge.start()
    pipeline.view.put(a_frame(1))
    bridge.stop()
    bridge.tick()
    qapp.processEvents()
    assert not shown


def test_a_filled_slot_wakes_the_window(
    qapp: QApplication, pipeline: StillPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[int] = []
    monkeypatch.setattr("au_desktop.bridge.TICK_MS", 100_000)
    bridge = Bridge(pipeline)  # type: ignore[arg-type]
    bridge.add_view(lambda frame: shown.append(frame.packet.number))
    bridge.start()
    for first in (1, 11):
        ours = threading.Thread(target=lambda first=first: [pipeline.view.put(a_frame(first + i)) for i in range(5)])
        ours.start()
        ours.join()
        wait_until(lambda last=first + 4: shown and shown[-1] == last)
    assert shown == [5, 15], "one waking for all that came before it"
    bridge.stop()
    pipeline.view.put(a_frame(21))
    wait_until(lambda: True)
    assert shown[-1] == 15


def test_status_is_announced_when_it_changes(
    bridge: Bridge, pipeline: StillPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("au_desktop.bridge.STATUS_EVERY_S", 0.0)
    told: list[Status] = []
    bridge.status_changed.connect(told.append)
    bridge.tick()
    assert told == [], "nothing has changed since the bridge was made"
    pipeline.now = replace(EMPTY, state=State.LIVE)
    bridge.tick()
    bridge.tick()
    assert [status.state for status in told] == [State.LIVE]


def test_a_notice_comes_and_goes_once(bridge: Bridge, pipeline: StillPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("au_desktop.bridge.STATUS_EVERY_S", 0.0)
    told: list[Notice | None] = []
    bridge.notice_changed.connect(told.append)
    notice = Notice("warning", "The camera went away.", 1)
    for now in (replace(EMPTY, notice=notice), replace(EMPTY, notice=notice, fps=3.0), EMPTY, EMPTY):
        pipeline.now = now
        bridge.tick()
    assert told == [notice, None]


def test_a_fault_from_another_thread_arrives_in_the_windows_thread(bridge: Bridge) -> None:
    heard: list[tuple[str, threading.Thread]] = []
    bridge.fault.connect(lambda text: heard.append((text, threading.current_thread())))
    thread = threading.Thread(target=bridge.fault.emit, args=("Something broke.",))
    thread.start()
    thread.join()
    wait_until(lambda: heard)
    assert heard == [("Something broke.", threading.main_thread())]


def test_delay_is_measured_from_capture_to_painted(bridge: Bridge) -> None:
    assert bridge.delay_ms() is None
    assert bridge.delay_stats() is None
    for ago in (0.010, 0.030, 0.200):
        bridge.painted(a_frame(1, captured_at=time.perf_counter() - ago), 1.5)
    delay, stats = bridge.delay_ms(), bridge.delay_stats()
    assert delay == pytest.approx(30, abs=5)
    assert stats is not None
    assert stats["median"] == pytest.approx(30, abs=5)
    assert stats["max"] == pytest.approx(200, abs=5)
    assert bridge.paint_stats()["paint_video"] == {"median_ms": 1.5, "p95_ms": 1.5}


def test_old_delays_leave_the_shown_median_but_not_the_statistics(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.painted(a_frame(1, captured_at=time.perf_counter()), 1.0)
    monkeypatch.setattr("au_desktop.bridge.DELAY_WINDOW_S", 0.0)
    assert bridge.delay_ms() is None
    assert bridge.delay_stats() is not None


def test_paint_times_of_other_stages(bridge: Bridge) -> None:
    note = bridge.note_paint("paint_panel")
    for milliseconds in (1.0, 2.0, 3.0):
        note(milliseconds)
    assert bridge.paint_stats() == {"paint_panel": {"median_ms": 2.0, "p95_ms": 2.9}}


def test_while_frames_are_dropped_the_window_paints_less(
    bridge: Bridge, pipeline: StillPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("au_desktop.bridge.STATUS_EVERY_S", 0.0)
    monkeypatch.setattr("au_desktop.bridge.SPARING_S", 0.2)
    monkeypatch.setattr("au_desktop.bridge.SPARES_FOR_S", 1.0)
    shown: list[int] = []
    bridge.add_view(lambda frame: shown.append(frame.packet.number))

    def show(number: int) -> None:
        pipeline.view.put(a_frame(number))
        bridge.tick()

    show(1)
    show(2)
    assert shown == [1, 2]
    pipeline.now = replace(EMPTY, dropped=3)
    bridge.tick()
    show(3)
    show(4)
    assert shown == [1, 2], "the last picture was just now"
    wait_until(lambda: len(shown) > 2)  # comes by itself
    assert shown == [1, 2, 4]
    time.sleep(1.1)
    show(5)
    show(6)
    assert shown == [1, 2, 4, 5, 6], "nothing was dropped any more"
