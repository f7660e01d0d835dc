"""A person's own face, to compare a frame with: how it looked so far, for the network, and what it reads at rest, for
the calibration.

A face at rest can look like an AU: low brows like AU4, thin lips like AU24. What tells them apart is how this person
looks otherwise. Networks with ``reference`` (models/rtatl.py) therefore see each face beside the mean of the same
person's landmarks: live, the running mean kept here; in training, the mean of other pictures (datasets/others.py).
Ours; not of the paper.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import numpy as np

from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.face.track import LONGEST_STEP_S, PATIENCE_S
from rtatl_core.handoffs import Float32, Float64

KNOWN_AFTER_S = 0.75
"""A face seen for less is compared with nothing."""
MEMORY_S = 60.0
"""Before that time has passed every moment counts the same; then older ones fade."""
_LONGEST_FRAME_S = 0.1
"""What one frame counts for at most, so that a pause does not give its last frame the weight of all."""
FALLS_S, RETURNS_S, RISES_S = 0.5, 20.0, 60.0
"""Time constants of the level at rest, in seconds. FALLS_S: the reading is below it. RETURNS_S: above it, but within
what strangers at rest show. RISES_S: above that too."""

REST_S = 2.0
"""So long a face is watched whose rest is taken."""
_ROUNDING_S = 1e-6
"""What the sum of many steps may lack."""


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
            self._faces = _remembered(self._faces, timestamp)
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


@dataclass(slots=True)
class _Level:
    value: Float32
    last: float


class RestingLevel:
    """What each face reads at rest, per AU, as far as it has shown: a level that falls with the output within half a
    second, and rises with it within a minute; three times as soon if strangers at rest may read as much, so that a look
    to the floor does not make a brow raise of what comes after. An expression held from the beginning counts as rest
    until it ends.

    People at rest differ more from each other than from themselves, so that a rise over one's own level tells an AU
    where the output alone does not (``Calibration.of_person``). OpenFace subtracts a running median instead, which
    takes an expression of some length for the person (Baltrusaitis et al., FG 2015). Ours; not of the paper.
    """

    def __init__(self) -> None:
        self._faces: dict[int, _Level] = {}

    def __call__(self, face_id: int, timestamp: float, raw: Float32, begins: Float32) -> Float32:
        """(n_aus,) level of that face with this frame, on the scale of ``raw``. begins: what strangers at rest read at
        most (``Calibration.begins``), and the level of a face not seen before."""
        level = self._faces.get(face_id)
        if level is None or level.value.shape != raw.shape:
            self._faces[face_id] = _Level(begins.astype(np.float32), timestamp)
            self._faces = _remembered(self._faces, timestamp)
            return self._faces[face_id].value
        passed = min(max(timestamp - level.last, 0.0), _LONGEST_FRAME_S)
        level.last = timestamp
        slowness = np.where(raw < level.value, FALLS_S, np.where(raw <= begins, RETURNS_S, RISES_S))
        level.value = level.value - (raw - level.value) * np.expm1(-passed / slowness).astype(np.float32)
        return level.value

    def forget(self) -> None:
        self._faces.clear()


class Rest(NamedTuple):
    """What a person reads at rest."""

    raw: Float32
    """(2, n_aus) output of the network: intensity, and left - right (``predictor.Raw.at_rest``)."""
    where: Mapping[str, Any]
    """Where that was seen, as session.json tells it."""


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


Seen = TypeVar("Seen", _Known, _Level)


def _remembered(faces: dict[int, Seen], now: float) -> dict[int, Seen]:
    """Without those long gone, once there are many."""
    if len(faces) <= 32:
        return faces
    return {face_id: face for face_id, face in faces.items() if now - face.last <= PATIENCE_S}


def resting_levels(times: Float64, raw: Float32, begins: Float32) -> Float32:
    """(T,) seconds, (T, n_aus) raw output on one face -> (T, n_aus) its level at rest with each frame."""
    level = RestingLevel()
    return np.stack([level(0, float(at), said, begins) for at, said in zip(times, raw, strict=True)])
