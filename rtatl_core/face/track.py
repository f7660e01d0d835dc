"""Faces found in one picture after the other -> ids that stay."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtatl_core.handoffs import Float32

PATIENCE_S = 10.0
"""How long a person may turn away, drink or leave the picture and still keep their id; reference.py forgets a face
after as long."""
ALIKE, MAY_CHANGE_S = 0.5, 1.0
"""After MAY_CHANGE_S unseen, a face is taken for the same person only if its size is between ALIKE and 1/ALIKE of the
old one. Otherwise a passer-by far away would inherit the identity."""
REACH = 0.7
"""Face widths that a face moves at most from one frame to the next."""
LONGEST_STEP_S = 0.25
"""The most that the time between two frames counts for when a face is waited for."""


@dataclass(slots=True)
class _Track:
    face_id: int
    centre: Float32
    size: float
    last_seen: float
    """In seconds watched."""


class FaceTracker:
    """Gives faces ids that stay. A face belongs to the track whose last place is nearest, if that is within
    ``REACH`` face widths and the track was seen in the last ``PATIENCE_S``; otherwise it is a new face with a
    new id, as is one that comes back at another size (``ALIKE``). Time without frames (a pause, another model is
    loaded) hardly counts: nobody was seen to leave in it."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._last = self._watched = 0.0
        """Timestamp of the last frame, and the seconds watched until then."""

    def assign(self, boxes: Float32, timestamp: float) -> list[int]:
        """boxes: (n, 4) x0, y0, x1, y1 of every frame, n may be 0 -> n ids. Nearest pairs are matched first; no id is
        given twice in a frame. No time passes to a picture that has none (NaN)."""
        if not math.isnan(timestamp):
            self._watched += min(max(timestamp - self._last, 0.0), LONGEST_STEP_S)
            self._last = timestamp
        now = self._watched
        self._tracks = [t for t in self._tracks if now - t.last_seen <= PATIENCE_S]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        pairs = sorted(
            (float(np.linalg.norm(centres[i] - track.centre)) / max(float(sizes[i]), track.size), i, k)
            for i in range(len(boxes))
            for k, track in enumerate(self._tracks)
            if now - track.last_seen <= MAY_CHANGE_S or ALIKE <= float(sizes[i]) / track.size <= 1 / ALIKE
        )
        ids: dict[int, int] = {}
        taken: set[int] = set()
        for distance, i, k in pairs:
            if distance > REACH or i in ids or k in taken:
                continue
            track = self._tracks[k]
            track.centre, track.size, track.last_seen = centres[i], float(sizes[i]), now
            ids[i] = track.face_id
            taken.add(k)
        for i in range(len(boxes)):
            if i not in ids:
                self._tracks.append(_Track(self._next_id, centres[i], float(sizes[i]), now))
                ids[i] = self._next_id
                self._next_id += 1
        return [ids[i] for i in range(len(boxes))]

    def forget(self, *, new_ids: bool = False) -> None:
        """Start anew with a new source; ids go on, unless ``new_ids`` begins at 0 again."""
        self._tracks.clear()
        self._last = self._watched = 0.0
        if new_ids:
            self._next_id = 0
