"""Movements that a rig's own shapes lack, made with soft brushes around landmarks.

FACS' appearance changes say where the skin goes; how far and how wide is ours, judged by eye. A brush moves vertices by
its stroke, fading with distance from its centre as a Gaussian.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import LEFT, RIGHT

Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Brush:
    """Centimetres, (outwards, up, forward) as seen from the side of the face it is on."""

    landmarks: tuple[int, ...]
    """Of the subject's right side; their mean is the centre."""
    offset: Vector
    reach: float
    stroke: Vector


BRUSHES: Mapping[str, Brush] = {
    "browSqueeze": Brush((21,), (0.2, -0.2, 0), 1.3, (-0.45, -0.25, 0.15)),
    "browLower": Brush((20, 21), (0, -0.1, 0), 1.3, (-0.1, -0.3, 0.05)),
    "cheekLift": Brush((36, 37, 38, 39, 40, 41), (0.2, -2.3, 0), 1.4, (0, 0.6, 0.5)),
    "lidBag": Brush((40, 41), (0, -0.4, 0), 0.55, (0, 0.24, 0.16)),
    "cornerTuck": Brush((48,), (0.45, 0, 0), 0.75, (0.2, 0.05, -0.5)),
    "cornerDown": Brush((48,), (0.1, 0, 0), 0.9, (0.1, -0.35, -0.1)),
    "cornerOut": Brush((48,), (0, 0, 0), 1.1, (0.45, -0.05, -0.15)),
    "browSit": Brush((19, 20, 21), (0.1, 0.6, 0), 1.4, (0, -0.4, 0)),
    "cornerIn": Brush((48,), (0, 0, 0), 1.1, (-0.4, 0, 0.1)),
    "chinBoss": Brush((58, 7), (0, 0.1, 0), 1.1, (0, 0.34, 0.12)),
    "lipsUp": Brush((58,), (-0.2, 0.1, 0), 0.9, (0, 0.26, 0.1)),
    "overLip": Brush((50,), (0.35, 0.35, 0), 0.55, (0, 0, 0.16)),
    "underLip": Brush((58,), (0.25, -0.35, 0), 0.55, (0, 0, 0.16)),
}
"""Each stands for two shapes, with suffix _L and _R."""

MIRRORED = {7: 9, 19: 24, 20: 23, 21: 22, 36: 45, 37: 44, 38: 43, 39: 42, 40: 47, 41: 46, 48: 54, 50: 52, 58: 56}


def sculpted(vertices: Float32, landmarks: Float32, brush: Brush, side: int) -> Float32:
    """(V, 3) displacement at weight 1. vertices: (V, 3) of a face at rest; landmarks: (68, 3) of the same face."""
    points = brush.landmarks if side == RIGHT else tuple(MIRRORED[point] for point in brush.landmarks)
    mirror = np.array([1.0 if side == LEFT else -1.0, 1, 1], np.float32)
    centre = landmarks[list(points)].mean(axis=0) + np.array(brush.offset, np.float32) * mirror
    distance = np.linalg.norm(vertices - centre, axis=1) / brush.reach
    fading = np.exp(-0.5 * distance**2)
    fading[distance > 3] = 0
    return (fading[:, None] * np.array(brush.stroke, np.float32) * mirror).astype(np.float32)
