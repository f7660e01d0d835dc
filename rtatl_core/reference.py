"""A person's own face, for the network to compare a frame with.

A face at rest can look like an AU: low brows like AU4, thin lips like AU24. What tells them apart is how this person
looks otherwise. Networks with ``reference`` (models/rtatl.py) therefore see each face beside the mean of the same
person's landmarks: live, the running mean kept here; in training, the mean of other pictures (datasets/others.py).
Ours; not of the paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.handoffs import Float32

KNOWN_AFTER_S = 0.75
"""A face seen for less is compared with nothing."""
MEMORY_S = 60.0
"""Before that time has passed every moment counts the same; then older ones fade."""
_LONGEST_FRAME_S = 0.1
"""What one frame counts for at most, so that a pause does not give its last frame the weight of all."""
_FORGOTTEN_AFTER_S = 10.0


def unknown_reference() -> Float32:
    """(468, 3) of a face with nothing to compare it with."""
    return np.full((MESH_POINTS, 3), np.nan, np.float32)


@dataclass(slots=True)
class _Known:
    mean: Float32
    seconds: float
    last: float


class PersonalReference:
    """Running mean of each face's geometry (``AlignedFace.geometry``), weighted by time, so that it means the same at
    15 and at 60 frames per second."""

    def __init__(self) -> None:
        self._faces: dict[int, _Known] = {}

    def __call__(self, face_id: int, timestamp: float, geometry: Float32) -> Float32:
        """(468, 3) what that face looked like before this frame, in seconds of the source; NaN while it is not known.
        The frame then counts towards the next ones."""
        known = self._faces.get(face_id)
        if known is None:
            self._faces[face_id] = _Known(geometry.astype(np.float32), 0.0, timestamp)
            self._tidy(timestamp)
            return unknown_reference()
        before = known.mean if known.seconds >= KNOWN_AFTER_S else unknown_reference()
        took = min(max(timestamp - known.last, 0.0), _LONGEST_FRAME_S)
        known.last = timestamp
        if took > 0:
            known.seconds += took
            known.mean = known.mean + (geometry - known.mean) * np.float32(took / min(known.seconds, MEMORY_S))
        return before

    def forget(self) -> None:
        self._faces.clear()

    def _tidy(self, now: float) -> None:
        if len(self._faces) > 32:
            self._faces = {k: v for k, v in self._faces.items() if now - v.last <= _FORGOTTEN_AFTER_S}
