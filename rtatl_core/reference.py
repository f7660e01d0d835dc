"""A person's own face, to compare a frame with: how it looks at rest as far as it was watched, for the network, and
what it reads at a rest that somebody named, for the calibration.

A face at rest can look like an AU: low brows like AU4, thin lips like AU24. What tells them apart is how this person
looks otherwise. Networks with ``reference`` (models/rtatl.py) therefore see each face beside the mean of the same
person's landmarks: live, of the calm moments, kept here; in training, of other pictures (datasets/references.py). Ours;
not of the paper.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.face.track import LONGEST_STEP_S, PATIENCE_S
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32

KNOWN_AFTER_S = 0.75
"""A face seen for less is compared with nothing."""
MEMORY_S = 60.0
"""Until so much calm time was seen, all of it counts the same; then older moments fade."""
_LONGEST_FRAME_S = 0.1
"""What one frame counts for at most, so that a pause does not give its last frame the weight of all."""
FALLS_S, RISES_S = 0.5, 300.0
"""Time constants, in seconds, of how much a face shows at its calmest: it shows less than that, or more."""
CALM = 0.5
"""A moment in which a face shows this much more than at its calmest counts a third (docs/LOG.md)."""

REST_S = 2.0
"""How long a face is watched when its rest is taken."""
_ROUNDING_S = 1e-6
"""By how much a sum of many steps may fall short."""


def unknown_reference() -> Float32:
    """(468, 3) of a face with nothing to compare it with."""
    return np.full((MESH_POINTS, 3), np.nan, np.float32)


def expressed(raw: Float32) -> Float32:
    """(..., n_aus) raw intensity (1 = FACS 5) -> (...) how much a face shows: the sum over AUs, on 0-5 each."""
    total: Float32 = MAX_INTENSITY * raw.clip(min=0).sum(axis=-1)
    return total


@dataclass(slots=True)
class _Known:
    mean: Float32
    last: float
    calmest: float
    """How much it shows where it shows least; slowly forgotten."""
    weight: float = 0.0
    """Of everything in the mean, in seconds of the calmest moments."""
    watched_s: float = 0.0


class PersonalReference:
    """How each face looks at rest, as far as it was seen: the mean of its geometry (``AlignedFace.geometry``), in which
    a moment counts the less the more the face shows then. Else a smile that is held would become what this person looks
    like, and fade, and the face after it would read as its opposite. Weighted by time, so that it means the same at 15
    and at 60 frames per second.

    With e(t) = ``expressed`` and its calmest value c(t), which follows e down within ``FALLS_S`` and up within
    ``RISES_S``, a moment weighs exp(-(e - c) / ``CALM``), and all that came before it exp((c(t) - c(t-1)) / ``CALM``)
    of what it did when calmer moments come. Ours; not of the paper.
    """

    def __init__(self) -> None:
        self._faces: dict[int, _Known] = {}

    def of(self, face_id: int) -> Float32:
        """(468, 3) what is known of that face; NaN while that is nothing."""
        known = self._faces.get(face_id)
        return known.mean if known is not None and known.watched_s >= KNOWN_AFTER_S else unknown_reference()

    def see(self, face_id: int, timestamp: float, geometry: Float32, shows: float) -> None:
        """That frame, in seconds of the source, counts towards the next ones. shows: see ``expressed``."""
        known = self._faces.get(face_id)
        if known is None:
            self._faces[face_id] = _Known(geometry.astype(np.float32), timestamp, shows)
            self._faces = _remembered(self._faces, timestamp)
            return
        took = min(max(timestamp - known.last, 0.0), _LONGEST_FRAME_S)
        known.last = timestamp
        if took == 0:
            return
        known.watched_s += took
        step = (shows - known.calmest) * -math.expm1(-took / (FALLS_S if shows < known.calmest else RISES_S))
        known.calmest += step
        before = known.weight * math.exp(min(0.0, step) / CALM)
        now = took * math.exp(-max(0.0, shows - known.calmest) / CALM)
        known.weight = min(before + now, MEMORY_S)
        known.mean = known.mean + (geometry - known.mean) * np.float32(now / max(before + now, 1e-9))

    def forget(self) -> None:
        self._faces.clear()


class Rest(NamedTuple):
    """What a person reads at rest."""

    raw: Float32
    """(2, n_aus) output of the network: intensity, and left - right (``predictor.Raw.at_rest``)."""
    where: Mapping[str, Any]
    """Where that was seen, as session.json tells it."""
    doubt: str = ""
    """A sentence, if that was less than asked for."""


@dataclass(slots=True)
class _Taking:
    raws: list[Float32] = field(default_factory=list)
    watched_s: float = 0.0
    last: float = 0.0


class StatedRest:
    """What faces read at rest because somebody said so, which no watching can know: a brow that is held up all the time
    and one that lies high look the same. Other threads may call ``take`` and ``give_up``. Ours; not of the paper.
    """

    def __init__(self) -> None:
        self.of_everyone: Rest | None = None
        """For faces of which nothing else was said."""
        self._taking: dict[int, _Taking] = {}
        self._taken: dict[int, Float32] = {}
        self._lock = threading.Lock()  # what is given up must not come back from a frame that is under way

    def take(self, face_id: int) -> None:
        """That face rests from its next frame on, until it was watched for REST_S. Until then it is read as before."""
        with self._lock:
            self._taking[face_id] = _Taking()

    def give_up(self, face_id: int) -> None:
        with self._lock:
            self._taking.pop(face_id, None)
            self._taken.pop(face_id, None)

    def follow_on(self, before: StatedRest, *, alike: bool) -> None:
        """Another engine goes on with the same faces: a rest that is awaited is taken from its frames. ``alike``: its
        network is the same, so that what was taken holds."""
        with before._lock:
            awaited, taken = list(before._taking), dict(before._taken)
        with self._lock:
            self._taking = {face_id: _Taking() for face_id in awaited}
            self._taken = taken if alike else {}

    def __call__(self, face_id: int, timestamp: float, raw: Float32) -> Float32 | None:
        """raw: (2, n_aus) as in ``Rest`` -> the same of that face with this frame: the median of what it read while it
        rested, so that a blink does not count. None: nobody said. A pause, or while the face is out of sight, hardly
        counts."""
        with self._lock:
            if (seen := self._taking.get(face_id)) is not None:
                if seen.raws:
                    seen.watched_s += min(max(timestamp - seen.last, 0.0), LONGEST_STEP_S)
                seen.raws.append(raw)
                seen.last = timestamp
                if seen.watched_s >= REST_S - _ROUNDING_S:
                    self._taken[face_id] = median_of(seen.raws)
                    del self._taking[face_id]
            everyone = self.of_everyone
            return self._taken.get(face_id, None if everyone is None else everyone.raw)

    def forget(self) -> None:
        """All but what was said of everyone."""
        with self._lock:
            self._taking.clear()
            self._taken.clear()


def median_of(raws: Sequence[Float32]) -> Float32:
    """(2, n_aus) each, as in ``Rest`` -> (2, n_aus)."""
    median: Float32 = np.median(np.stack(raws), axis=0).astype(np.float32)
    return median


def _remembered(faces: dict[int, _Known], now: float) -> dict[int, _Known]:
    """Without those long gone, once there are many."""
    if len(faces) <= 32:
        return faces
    return {face_id: face for face_id, face in faces.items() if now - face.last <= PATIENCE_S}
