"""What a process costs: memory, processor time, handles and threads."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import psutil

from rtatl_core.handoffs import Float32

RSS_MARKS_S = (20, 60)
"""Memory is also noted at these times: a leak shows between them."""


class ProcessMeter:
    """Memory and processor time of this process since the meter was made."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._began = time.perf_counter()
        self._cpu = self._cpu_seconds()
        self._start = self._most = self.rss_mb()
        self._marks: dict[str, float] = {}

    def sample(self) -> None:
        rss, elapsed = self.rss_mb(), self.elapsed_s()
        self._most = max(self._most, rss)
        for mark in RSS_MARKS_S:
            if elapsed >= mark:
                self._marks.setdefault(f"at_{mark}_s", rss)

    def figures(self) -> dict[str, Any]:
        self.sample()
        elapsed = self.elapsed_s()
        rss = {"start": self._start, "end": self.rss_mb(), "max": self._most, **self._marks}
        return {
            "rss_mb": {name: round(value, 1) for name, value in rss.items()},
            # 100 is one core.
            "cpu_percent": round(100 * (self._cpu_seconds() - self._cpu) / elapsed, 1),
            "duration_s": round(elapsed, 2),
        }

    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began

    def rss_mb(self) -> float:
        return float(self._process.memory_info().rss) / 1e6

    def threads(self) -> int:
        return int(self._process.num_threads())

    def handles(self) -> int:
        """Open files, sockets and the like."""
        count = getattr(self._process, "num_handles", None) or self._process.num_fds
        return int(count())

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


STAGE_SAMPLES = 36_000
"""Frames whose stage times are kept: 20 minutes at 30 per second."""


class Recent:
    """The last ``room`` numbers, in memory of fixed size: a deque would grow until it is full, and look like a leak."""

    def __init__(self, room: int) -> None:
        self._values = np.empty(room, np.float32)
        self._count = 0

    def append(self, value: float) -> None:
        self._values[self._count % len(self._values)] = value
        self._count += 1

    def values(self) -> Float32:
        """In no particular order."""
        return self._values[: self._count].copy()

    def clear(self) -> None:
        self._count = 0


def stage_figures(stages: Mapping[str, Sequence[float] | Float32]) -> dict[str, dict[str, float]]:
    """Milliseconds by stage -> {"observe": {"median_ms": .., "p95_ms": ..}, ...}; those without values are left out."""
    return {
        name: {
            "median_ms": round(float(np.median(times)), 3),
            "p95_ms": round(float(np.percentile(times, 95)), 3),
        }
        for name, times in stages.items()
        if len(times)
    }
