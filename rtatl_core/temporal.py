"""Smoothing of AU intensities over time, in seconds, so that it means the same at 15 and at 60 frames per
second."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtatl_core.handoffs import AUPrediction, AUResult, Float32

GAP_S = 0.5
"""A face unseen for longer starts anew."""


SMOOTHING_S = 0.09
"""Time constant at rest, unless a person chooses another."""
EAGERNESS = 2.0
"""By how much the rate of following (1/s) grows with the speed of an AU (intensity per second)."""
SPEED_S = 0.1
"""Time constant of that speed."""


@dataclass(slots=True)
class _Face:
    seen: float
    raw: Float32
    """(n_aus, 1 or 3) intensity of the whole, left, right, as the network gave it last."""
    value: Float32
    """The same as it was shown last, smoothed."""
    speed: Float32
    """Change of ``raw`` per second."""


class Smoother:
    """A one-euro filter per face and AU: what is at rest follows as a first-order low-pass with the time constant
    ``seconds``, what moves fast follows faster, so that a blink keeps its height. 0 switches it off; raw values are
    always kept beside.

    Source: Casiez, Roussel, Vogel: "1 euro filter: a simple speed-based low-pass filter for noisy input", CHI 2012. The
    sides of an AU are followed at one rate, so their mean stays the whole.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._faces: dict[int, _Face] = {}

    def __call__(self, face_id: int, timestamp: float, prediction: AUPrediction) -> AUResult:
        raw = prediction.intensity[:, None]
        if prediction.sides is not None:
            raw = np.concatenate([raw, prediction.sides], axis=1)
        face = self._faces.get(face_id)
        if face is None or face.raw.shape != raw.shape or not 0 <= timestamp - face.seen <= GAP_S:
            face = self._faces[face_id] = _Face(timestamp, raw, raw, np.zeros_like(raw))
        elif self.seconds <= 0:
            face.value = raw
        elif timestamp > face.seen:
            self._follow(face, timestamp - face.seen, raw)
        face.seen, face.raw = timestamp, raw
        if len(self._faces) > 32:
            self._faces = {k: f for k, f in self._faces.items() if timestamp - f.seen <= GAP_S}
        return AUResult(
            intensity=face.value[:, 0],
            raw_intensity=prediction.intensity,
            occurrence=prediction.occurrence,
            sides=face.value[:, 1:] if prediction.sides is not None else None,
        )

    def _follow(self, face: _Face, passed: float, raw: Float32) -> None:
        face.speed = face.speed + np.float32(1 - math.exp(-passed / SPEED_S)) * ((raw - face.raw) / passed - face.speed)
        rate = 1 / self.seconds + EAGERNESS * np.abs(face.speed).max(axis=1, keepdims=True)
        face.value = (face.value + (1 - np.exp(-passed * rate)) * (raw - face.value)).astype(np.float32)

    def forget(self) -> None:
        self._faces.clear()
