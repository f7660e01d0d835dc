"""Smoothing of AU intensities over time, in seconds, so that it means the same at 15 and at 60 frames per
second."""

from __future__ import annotations

import math

import numpy as np

from rtatl_core.handoffs import AUPrediction, AUResult, Float32

GAP_S = 0.5
"""A face unseen for longer starts anew."""


class Smoother:
    """First-order low-pass per face: after a step the value has covered 63 % of it within ``seconds``. It
    adds about that much delay; 0 switches it off. Raw values are always kept beside."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._faces: dict[int, tuple[float, Float32]] = {}
        """Face -> when it was seen last, and (n_aus, 1 or 3) what was said then: both sides' mean, left, right."""

    def __call__(self, face_id: int, timestamp: float, prediction: AUPrediction) -> AUResult:
        raw = prediction.intensity[:, None]
        if prediction.sides is not None:
            raw = np.concatenate([raw, prediction.sides], axis=1)
        last = self._faces.get(face_id)
        value = raw
        if self.seconds > 0 and last is not None and last[1].shape == raw.shape and 0 <= timestamp - last[0] <= GAP_S:
            share = 1 - math.exp(-(timestamp - last[0]) / self.seconds)
            value = (last[1] + np.float32(share) * (raw - last[1])).astype(np.float32)
        self._faces[face_id] = (timestamp, value)
        if len(self._faces) > 32:
            self._faces = {k: v for k, v in self._faces.items() if timestamp - v[0] <= GAP_S}
        return AUResult(
            intensity=value[:, 0],
            raw_intensity=prediction.intensity,
            occurrence=prediction.occurrence,
            sides=value[:, 1:] if prediction.sides is not None else None,
        )

    def forget(self) -> None:
        self._faces.clear()
