"""Smoothing of AU intensities over time, in seconds, so that it means the same at 15 and at 60 frames per
second."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtatl_core.handoffs import AUPrediction, AUResult, Float32

GAP_S = 0.5
"""A face unseen for longer starts anew."""
SMOOTHING_S = 0.1
"""Time constant in seconds, unless a person chooses another."""
CALM = 5
"""How many times as long the time constant of an AU at rest is."""
APART = 0.1
"""What is shown, once so far (on 0-5) from what the network says, follows it in about the time constant."""


@dataclass(slots=True)
class _Face:
    seen: float
    value: Float32
    """(n_aus, 1 or 3) intensity of the whole, left, right, as it was shown last."""
    apart: Float32
    """By how much the network said more than that, averaged over the time constant, so that noise cancels out."""


class Smoother:
    """A low-pass per face and AU whose rate grows with how far its output stays behind its input: a face at rest is
    calm, a slow change arrives within the time constant of ``seconds``, and a blink keeps its height. 0 switches it
    off; raw values are always kept beside.

    An exponential smoothing whose rate follows its smoothed error, in the manner of Trigg and Leach: "Exponential
    smoothing with an adaptive response rate", Operational Research Quarterly 18, 1967; form and constants are our own
    (docs/LOG.md). The sides of an AU are followed at one rate, so their mean stays the whole.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._faces: dict[int, _Face] = {}

    def __call__(self, face_id: int, timestamp: float, prediction: AUPrediction) -> AUResult:
        raw = prediction.intensity[:, None]
        if prediction.sides is not None:
            raw = np.concatenate([raw, prediction.sides], axis=1)
        face, seconds = self._faces.get(face_id), self.seconds  # once: another thread may set it meanwhile
        if face is None or face.value.shape != raw.shape or not 0 <= timestamp - face.seen <= GAP_S:
            face = self._faces[face_id] = _Face(timestamp, raw, np.zeros_like(raw))
        elif seconds <= 0:
            face.value = raw
        elif timestamp > face.seen:
            _follow(face, timestamp - face.seen, raw, seconds)
        face.seen = timestamp
        if len(self._faces) > 32:
            self._faces = {k: f for k, f in self._faces.items() if timestamp - f.seen <= GAP_S}
        return AUResult(
            intensity=face.value[:, 0],
            raw_intensity=prediction.intensity,
            occurrence=prediction.occurrence,
            sides=face.value[:, 1:] if prediction.sides is not None else None,
        )

    def forget(self) -> None:
        self._faces.clear()


def _follow(face: _Face, passed: float, raw: Float32, seconds: float) -> None:
    lag = raw - face.value
    face.apart = face.apart + np.float32(1 - math.exp(-passed / seconds)) * (lag - face.apart)
    rate = (1 / CALM + np.abs(face.apart).max(axis=1, keepdims=True) / APART) / seconds
    face.value = (face.value + (1 - np.exp(-passed * rate)) * lag).astype(np.float32)
