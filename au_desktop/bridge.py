"""Where threads meet Qt, and the only place.

Enters: the pipeline's view slot, which wakes the window's thread when it is filled, and the status, polled by a timer.
Leaves: direct calls of the registered views with the newest frame, signals for what changes rarely (status, notices),
and the measured delay from capture to screen.

No frame ever travels on a signal: queued signals pile up behind a slow window (measured at 720p30 with a 50
ms repaint: a picture 3 s old after 6 s). The wake-up signal carries no data, and at most one is pending at a time.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QObject, Qt, QTimer, Signal

from au_desktop import BEGAN
from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import Notice, Status
from rtatl_core.handoffs import AnalysedFrame
from rtatl_core.machine.meter import STAGE_SAMPLES, Recent, stage_figures

TICK_MS = 50
STATUS_EVERY_S = 0.1
SPARING_S = 0.03
SPARES_FOR_S = 10.0
"""While frames are dropped, and so long afterwards, the window leaves that much time between two pictures: painting and
analysis share one interpreter, and a frame analysed is worth more than one painted."""
DELAY_WINDOW_S = 2.0
"""The delay shown is the median over that time."""

FrameView = Callable[[AnalysedFrame], None]


class Bridge(QObject):
    """Carries frames and news from the pipeline's threads into the window's."""

    status_changed = Signal(object)
    """A new ``Status`` whenever it differs from the last one, at most ten times a second."""
    notice_changed = Signal(object)
    """The ``Notice`` a person should see now, or None when the last one has become untrue."""
    fault = Signal(str)
    """A sentence about a fault outside the pipeline; may be emitted from any thread."""
    engine_refused = Signal(object, object)
    """The settings that asked for an engine that cannot be used, and those of the one in force; from any thread."""
    _filled = Signal()

    def __init__(self, pipeline: Pipeline) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.latest: AnalysedFrame | None = None
        """The frame on the screen."""
        self.status = pipeline.status()
        self._views: list[FrameView] = []
        self._notice: Notice | None = None
        self._status_at = 0.0
        self._delays = Recent(STAGE_SAMPLES)
        self._last_delays: deque[tuple[float, float]] = deque(maxlen=256)
        self.first_painted_s: float | None = None
        """From the start of the program to the first frame on the screen, with its results."""
        self._paint_ms: defaultdict[str, Recent] = defaultdict(lambda: Recent(STAGE_SAMPLES))
        self._timer = QTimer(self)
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self.tick)
        self._later = QTimer(self, singleShot=True)
        self._later.setTimerType(Qt.TimerType.PreciseTimer)
        self._later.timeout.connect(self.tick)
        self._shown_at = self._spares_until = 0.0

    def add_view(self, show: FrameView) -> None:
        """``show`` is called with every new frame, in the window's thread."""
        self._views.append(show)

    def start(self) -> None:
        self._filled.connect(self.tick, Qt.ConnectionType.QueuedConnection)
        self.pipeline.view.on_filled = self._filled.emit
        self._timer.start()

    def stop(self) -> None:
        """For good: a wake-up that is on its way shows nothing, for the window may be gone by then."""
        self._views.clear()
        self._timer.stop()
        self._later.stop()
        self.pipeline.view.on_filled = lambda: None
        self._filled.disconnect(self.tick)

    def forget(self) -> None:
        """Another source: the frame on the screen and its delays are no longer true."""
        self.latest = None
        self._delays.clear()
        self._last_delays.clear()

    def tick(self) -> None:
        """One look at the slot; one at the status if the last is old enough."""
        now = time.perf_counter()
        rest_s = self._shown_at + SPARING_S - now
        if now < self._spares_until and rest_s > 0:
            if not self._later.isActive():
                self._later.start(max(1, round(1000 * rest_s)))
        elif (frame := self.pipeline.view.take_nowait()) is not None:
            self._shown_at = now
            self.latest = frame
            for show in self._views:
                show(frame)
        if now - self._status_at >= STATUS_EVERY_S:
            self._status_at = now
            self._look_at(self.pipeline.status())

    def _look_at(self, status: Status) -> None:
        if status != self.status:
            if status.source == self.status.source and status.dropped > self.status.dropped:
                self._spares_until = time.perf_counter() + SPARES_FOR_S
            self.status = status
            self.status_changed.emit(status)
        if status.notice != self._notice:
            self._notice = status.notice
            self.notice_changed.emit(status.notice)

    # -- measuring ---------------------------------------------------------------------------------------

    def painted(self, frame: AnalysedFrame, milliseconds: float) -> None:
        """The video view has put this frame on the screen for the first time, in so many milliseconds."""
        now = time.perf_counter()
        if self.first_painted_s is None:
            self.first_painted_s = now - BEGAN
        delay = 1000 * (now - frame.packet.captured_at)
        self._delays.append(delay)
        self._last_delays.append((now, delay))
        self._paint_ms["paint_video"].append(milliseconds)

    def note_paint(self, stage: str) -> Callable[[float], None]:
        """A function that takes the paint times of that stage, for a widget to call."""
        return self._paint_ms[stage].append

    def delay_ms(self) -> float | None:
        """Median delay from capture to screen over the last two seconds; None when nothing was painted."""
        since = time.perf_counter() - DELAY_WINDOW_S
        recent: list[float] = []
        for painted_at, delay in reversed(self._last_delays):
            if painted_at < since:
                break
            recent.append(delay)
        return float(np.median(recent)) if recent else None

    def delay_stats(self) -> dict[str, float] | None:
        """Median, 95th percentile and maximum of all delays kept; None when nothing was painted."""
        delays = self._delays.values()
        if not len(delays):
            return None
        return {
            "median": round(float(np.median(delays)), 2),
            "p95": round(float(np.percentile(delays, 95)), 2),
            "max": round(float(delays.max()), 2),
        }

    def paint_stats(self) -> dict[str, dict[str, float]]:
        """Milliseconds per paint stage, in the shape of ``Pipeline.stage_stats``."""
        return stage_figures({stage: times.values() for stage, times in self._paint_ms.items()})
