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

    def __call__(self, face_id: int, timestamp: float, prediction: AUPrediction) -> AUResult:
        raw = prediction.intensity
        last = self._faces.get(face_id)
        value = raw
        if self.seconds > 0 and last is not None and 0 <= timestamp - last[0] <= GAP_S:
            share = 1 - math.exp(-(timestamp - last[0]) / self.seconds)
            value = (last[1] + np.float32(share) * (raw - last[1])).astype(np.float32)
        self._faces[face_id] = (timestamp, value)
        if len(self._faces) > 32:
            self._faces = {k: v for k, v in self._faces.items() if timestamp - v[0] <= GAP_S}
        return AUResult(intensity=value, raw_intensity=raw, occurrence=prediction.occurrence)

    def forget(self) -> None:
        self._faces.clear()
