"""The last minute of AU values, ready to draw: AnalysedFrame in, curves out. Memory stays constant for hours."""

from __future__ import annotations

import threading
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

from au_desktop.settings import MOST_FACES
from rtatl_core.handoffs import AnalysedFrame

RATE = 120
"""Rows kept per second of history: the fastest camera whose history is kept in full."""
GAP_S = 0.5
"""A longer pause between two frames breaks the curve."""


class History:
    """One ring of times, and beside it one ring of AU values per face.

    Written by the analysis thread, read by the window; the lock is held for copying at most one ring (about 20 us).
    """

    def __init__(self, seconds: float) -> None:
        self._rows = max(2, int(seconds * RATE))
        self._lock = threading.Lock()
        self._times = np.zeros(self._rows)
        self._values: dict[int, NDArray[np.float32]] = {}
        self._last_seen: dict[int, int] = {}
        self.aus: tuple[int, ...] = ()
        """Of the values, in their order."""
        self._written = 0

    def append(self, frame: AnalysedFrame) -> None:
        """Adds one row; faces that are not in the frame get NaN there, so that their curves break.

        A frame of another model, or one that lies before the last (another source), starts anew.
        """
        time = frame.packet.timestamp
        with self._lock:
            if frame.aus != self.aus or (self._written and time < self._newest()):
                self._forget()
                self.aus = frame.aus
            if self._written and time - self._newest() > GAP_S:
                self._add_row(self._newest() + GAP_S / 2)
            row = self._add_row(time)
            shown = {face.observation.face_id for face in frame.faces}
            for face in frame.faces:
                face_id = face.observation.face_id
                if face_id not in self._values:
                    self._make_room(shown)
                    self._values[face_id] = np.full((self._rows, len(self.aus)), np.nan, np.float32)
                self._values[face_id][row] = face.result.intensity
                self._last_seen[face_id] = self._written

    def curves(self, face_id: int, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Times (n,) in seconds relative to the newest row (<= 0), and intensities 0-5 (n, n_aus), a row of NaN in
        each gap.

        Both are copies, oldest first; empty for a face that is not known.
        """
        with self._lock:
            values = self._values.get(face_id)
            if values is None or not self._written:
                return np.empty(0), np.empty((0, len(self.aus)), np.float32)
            stored = min(self._written, self._rows)
            order = np.arange(self._written - stored, self._written) % self._rows
            times = self._times[order]
            start = int(np.searchsorted(times, times[-1] - seconds))
            shown, values = times[start:] - times[-1], values[order[start:]]
        kept = np.isfinite(values).any(axis=1)
        kept[1:] |= kept[:-1].copy()  # one row tells a gap; drawing thousands of them would cost 90 ms
        return shown[kept], values[kept]

    def clear(self) -> None:
        with self._lock:
            self._forget()

    def _newest(self) -> float:
        return float(self._times[(self._written - 1) % self._rows])

    def _add_row(self, time: float) -> int:
        row = self._written % self._rows
        self._times[row] = time
        for values in self._values.values():
            values[row] = np.nan
        self._written += 1
        return row

    def _make_room(self, shown: Set[int]) -> None:
        """Faces that were away longest go, but none that is in the frame, however many those are."""
        away = sorted(self._last_seen.keys() - shown, key=self._last_seen.__getitem__)
        for face_id in away[: max(0, len(self._values) + 1 - MOST_FACES)]:
            del self._values[face_id], self._last_seen[face_id]

    def _forget(self) -> None:
        self._values.clear()
        self._last_seen.clear()
        self._written = 0
