"""Markers that other programs send through the Lab Streaming Layer, such as a stimulus program, for the events of a
recording: on one clock with the frames, wherever in the network they come from.

Enters: every stream of the type "Markers" but those of this program here; leaves: `on_marker(stream, text, at)` in a
thread of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from au_desktop.sinks.lsl import IDENTITY, MARKERS

log = logging.getLogger(__name__)

EVERY_S = 0.05
ANSWER_S = 1.0
"""So long the other computer may take to tell its clock."""


class LslMarkers:
    """Listens until it is closed."""

    def __init__(self, on_marker: Callable[[str, str, float], object]) -> None:
        """`on_marker`: name of the stream, what it says, and when it said so, on the clock of ``time.perf_counter``."""
        self._on_marker = on_marker
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="lsl markers", daemon=True).start()

    def close(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        try:
            import pylsl

            resolver = pylsl.ContinuousResolver("type", MARKERS)
            inlets: dict[str, Any] = {}
            while not self._ended.wait(EVERY_S):
                for info in resolver.results():
                    if info.uid() not in inlets and not info.source_id().startswith(IDENTITY):
                        inlets[info.uid()] = pylsl.StreamInlet(info)
                for inlet in inlets.values():
                    self._take(inlet, pylsl.local_clock)
        except Exception:  # the top of the loop; that pylsl is missing the outlet says (lsl.py)
            log.exception("markers of the Lab Streaming Layer")

    def _take(self, inlet: Any, local_clock: Callable[[], float]) -> None:
        """Hands on what has come since the last look."""
        while True:
            sample, stamp = inlet.pull_sample(timeout=0.0)
            if sample is None:
                return
            arrived = local_clock()
            try:
                on_our_clock = stamp + inlet.time_correction(ANSWER_S)
            except TimeoutError:  # its clock is not known
                on_our_clock = arrived
            ago = local_clock() - on_our_clock
            self._on_marker(inlet.info().name(), " ".join(map(str, sample)), time.perf_counter() - ago)
