"""Markers that other programs send through the Lab Streaming Layer, such as a stimulus program, for the events of a
recording: on one clock with the frames, wherever in the network they come from.

Enters: every stream of the type "Markers" but those of this program here; leaves: `on_marker(stream, text, at)` in
threads of its own.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from au_desktop.sinks.lsl import IDENTITY, MARKERS, clocks_apart

log = logging.getLogger(__name__)

EVERY_S = 0.05
ANSWER_S = 2.0
"""How long another computer may take to tell its clock; one in reach takes 0.7 s."""


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
        """A thread for each stream, for one that does not answer must not keep the others waiting."""
        try:
            import pylsl
        except (ImportError, RuntimeError, OSError):  # of which the outlet tells (lsl.py)
            return
        resolver = pylsl.ContinuousResolver("type", MARKERS)
        listening: dict[str, threading.Thread] = {}
        while not self._ended.wait(EVERY_S):
            found = {info.uid(): info for info in resolver.results() if not info.source_id().startswith(IDENTITY)}
            for uid in found.keys() - listening.keys():
                listening[uid] = threading.Thread(
                    target=self._listen, args=(pylsl, found[uid]), name="lsl marker stream", daemon=True
                )
                listening[uid].start()
            # One that is over is still found for some seconds.
            listening = {uid: thread for uid, thread in listening.items() if thread.is_alive() or uid in found}

    def _listen(self, pylsl: Any, info: Any) -> None:
        """To one stream, until its program ends; one that comes again is another stream."""
        inlet = pylsl.StreamInlet(info, recover=False)
        silent = pylsl.util.TimeoutError, pylsl.util.LostError
        correction: float | None = None
        with contextlib.suppress(*silent):
            inlet.open_stream(ANSWER_S)  # what is said from now on waits
            correction = inlet.time_correction(ANSWER_S)
        while not self._ended.is_set():
            try:
                sample, stamp = inlet.pull_sample(timeout=EVERY_S)
            except pylsl.util.LostError:
                return
            except UnicodeDecodeError as error:  # as some programs on Windows write
                sample, stamp = [error.object.decode("latin-1")], None
            if sample is None:
                continue
            arrived = pylsl.local_clock()
            with contextlib.suppress(*silent):  # then the one before holds
                correction = inlet.time_correction(0.0)
            at = arrived if stamp is None or correction is None else stamp + correction
            self._on_marker(info.name(), " ".join(map(str, sample)), at - clocks_apart(pylsl.local_clock))
