"""The capture thread: opens a source, stamps its frames, keeps files to their pace, waits out a lost camera.

In: a SourceSpec. Out: FramePackets in a FrameBox, and reports for the person. One Capture plays one source once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Literal

from au_desktop.runtime.slots import FrameBox
from au_desktop.sources import FrameSource, SourceSpec
from rtatl_core.errors import SourceAsked, SourceError, SourceLost
from rtatl_core.handoffs import FramePacket
from rtatl_core.machine.meter import STAGE_SAMPLES, Recent
from rtatl_core.video import describe_lost

LATE_S = 0.1
"""A file that falls further behind than this plays on from where it is, instead of rushing to catch up."""
LEAST_STEP_S = 1e-6
MOST_RETRY_S = 5.0
"""Longest wait between two tries to open a lost source again."""
STOP_S = 2.0
CLOSING_S = 6.0
"""Longest wait until the device before is closed: one that is being opened, or a stream, may take that long."""

Report = Literal["lost", "back", "allowed", "failed", "warning"]


class CaptureState(Enum):
    OPENING = "opening"
    RUNNING = "running"
    ASKING = "asking"
    RECONNECTING = "reconnecting"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CaptureStats:
    """A snapshot; `captured` counts frames handed on, the dropped ones among them."""

    state: CaptureState
    captured: int
    size: tuple[int, int] | None
    fps: float | None
    duration_s: float | None
    fault: str | None = None
    """Why it FAILED, or ENDED too early."""
    start_s: float | None = None
    """Of a video file: when its first frame is shown."""

    @property
    def at_end(self) -> bool:
        """All of the source was captured."""
        return self.state is CaptureState.ENDED and not self.fault


class Capture:
    """One thread around one source.

    `report(capture, kind, text)` is called in that thread. `ready` holds the frames back while the engine
    loads: a file waits, a live source is drained, so that the first frame counted is a fresh one. `after` is
    the live capture that came before; its device is closed first, in case it is the same one. `pace`: how many times as
    fast a file is played; its timestamps stay those of the file.
    """

    def __init__(
        self,
        spec: SourceSpec,
        open_source: Callable[[SourceSpec], FrameSource],
        report: Callable[[Capture, Report, str], None],
        ready: threading.Event,
        after: Capture | None = None,
        retry_s: float = 1.0,
        pace: float = 1.0,
    ) -> None:
        self.spec = spec
        self.box = FrameBox(live=spec.live)
        self.took_ms = Recent(STAGE_SAMPLES)
        """Of each frame, from its arrival (of a file: from asking for it) until it is decoded."""
        self._open = open_source
        self._report = report
        self._ready = ready
        self._after = after
        self._retry_s = retry_s
        self._pace = pace
        self._stop = threading.Event()
        self._resumed = threading.Event()
        self._resumed.set()
        self._first_at: float | None = None  # a live source: moment of timestamp 0
        self._last_timestamp = -1.0
        self._alive_at = time.perf_counter()  # a live source: its last frame, or when it was opened
        self._plays_since: float | None = None  # a file: the same, moved by pauses
        self._stats = CaptureStats(CaptureState.OPENING, 0, None, None, None)
        self._thread = threading.Thread(target=self._run, name=f"capture {spec.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stats(self) -> CaptureStats:
        return self._stats

    def silent_s(self) -> float | None:
        """Seconds since a live source gave its last frame, or since it is being opened; None for others, and while it
        is paused or known to be lost."""
        awaited = self._stats.state in (CaptureState.OPENING, CaptureState.RUNNING)
        if not self.spec.live or self.paused or not awaited:
            return None
        return time.perf_counter() - self._alive_at

    @property
    def paused(self) -> bool:
        return not self._resumed.is_set()

    def pause(self) -> None:
        self._resumed.clear()

    def resume(self) -> None:
        self._resumed.set()

    def stop(self, *, discard: bool = False) -> None:
        """Asks the thread to end; returns at once. With `discard` the frames in the box are forgotten."""
        self._stop.set()
        self._resumed.set()
        self.box.end(discard=discard)

    def join(self, timeout: float = STOP_S) -> bool:
        """Waits for the thread; False when it still hangs in the device. It is a daemon and may be left behind."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        source: FrameSource | None = None
        try:
            self._wait_for_the_one_before()
            source = self._first()
            while source is not None and not self._stop.is_set():
                try:
                    if not self._step(source):
                        break
                except SourceLost as lost:
                    source.close()
                    source = self._reconnected(lost)
        except SourceError as error:
            self._fail(str(error))
        except Exception as error:  # the top of the loop
            self._fail(f"{self.spec.name} stopped ({type(error).__name__}: {error}); choose it again to go on.")
        finally:
            if source is not None:
                source.close()
            self.box.end()

    def _wait_for_the_one_before(self) -> None:
        before, self._after = self._after, None  # else every source ever played would stay in memory
        if before is None or not self.spec.live:
            return
        until = time.monotonic() + CLOSING_S
        while not before.join(0.1) and not self._stop.is_set():
            if time.monotonic() >= until:
                remedy = "unplug it, or restart" if before.spec.kind == "camera" else "if it should matter, restart"
                text = f"{before.spec.name} does not answer and was left behind; {remedy} the program."
                self._report(self, "warning", text)
                return

    def _first(self) -> FrameSource | None:
        """The source; None when stopped before. Tried again and again while the system asks the person about it."""
        asked = False
        while not self._stop.wait(self._retry_s if asked else 0):
            try:
                source = self._opened()
            except SourceAsked as question:
                if not asked:
                    self._report(self, "warning", str(question))
                    self._change(state=CaptureState.ASKING)  # not one that is silent for no known reason
                asked = True
                continue
            if asked:
                self._report(self, "allowed", f"{self.spec.name} may be used.")
            return source
        return None

    def _opened(self) -> FrameSource:
        source = self._open(self.spec)
        self._alive_at = time.perf_counter()
        duration_s = source.frame_count / source.fps if source.frame_count and source.fps else None
        self._change(
            state=CaptureState.RUNNING,
            size=source.size,
            fps=source.fps,
            duration_s=duration_s,
            start_s=source.start_s,
        )
        return source

    def _reconnected(self, lost: SourceLost) -> FrameSource | None:
        """Tries again and again until the source is back; None when stopped before."""
        self._report(self, "lost", str(lost))
        self._change(state=CaptureState.RECONNECTING)
        wait_s = self._retry_s
        while not self._stop.wait(wait_s):
            try:
                source = self._opened()
            except SourceError:
                wait_s = min(1.5 * wait_s, MOST_RETRY_S)
                continue
            self._report(self, "back", f"{self.spec.name} is back.")
            return source
        return None

    def _step(self, source: FrameSource) -> bool:
        """One frame from the source to the box; False at the end."""
        if not source.live and not self._ready.is_set():
            self._ready.wait(0.05)
            return True
        asked_at = time.perf_counter()
        packet = source.read()
        if packet is not None:  # a live frame is stamped on arrival, before it is decoded
            self.took_ms.append(1000 * (time.perf_counter() - (packet.captured_at if source.live else asked_at)))
        if packet is None:
            if source.warning:
                self._report(self, "warning", source.warning)
            self._change(state=CaptureState.ENDED, fault=source.warning if source.truncated else None)
            return False
        if source.live:
            self._alive_at = time.perf_counter()
            if self.paused or not self._ready.is_set():
                return True
            packet = self._continued(packet)
        else:
            if not self._due(packet.timestamp / self._pace):
                return False
            packet = replace(packet, captured_at=time.perf_counter())
        if not self.box.put(packet):
            return False
        if packet.lost:
            self._report(self, "warning", describe_lost(self.spec.name, packet.lost))
        captured = self._stats.captured + len(packet.lost) + 1
        self._change(captured=captured, size=(packet.image.shape[1], packet.image.shape[0]))
        return True

    def _due(self, timestamp: float) -> bool:
        """Waits until a file's frame of that time is due; False when stopped before. A pause moves all that follows."""
        while not self._stop.is_set():
            if self.paused:
                self._resumed.wait()
                self._plays_since = None
                continue
            now = time.perf_counter()
            if self._plays_since is None or now - self._plays_since - timestamp > LATE_S:
                self._plays_since = now - timestamp
            wait_s = self._plays_since + timestamp - now
            if wait_s <= 0:
                return True
            if wait_s < 0.05:
                time.sleep(wait_s)  # not a wait on the event: on Windows those end on a grid of 16 ms
            else:
                self._stop.wait(min(wait_s - 0.03, 0.1))
        return False

    def _continued(self, packet: FramePacket) -> FramePacket:
        """Numbers and times of a live source run on over pauses and reconnections."""
        if self._first_at is None:
            self._first_at = packet.captured_at
        timestamp = packet.captured_at - self._first_at
        if timestamp <= self._last_timestamp:  # some drivers stamp two frames alike
            timestamp = self._last_timestamp + LEAST_STEP_S
        self._last_timestamp = timestamp
        return replace(packet, number=self._stats.captured + 1, timestamp=timestamp)

    def _fail(self, text: str) -> None:
        self._report(self, "failed", text)  # first, so that whoever sees the state finds the reason
        self._change(state=CaptureState.FAILED, fault=text)

    def _change(self, **changes: Any) -> None:
        self._stats = replace(self._stats, **changes)
