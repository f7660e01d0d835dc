"""The face mesh: which of MediaPipe's 478 points mean what, and the mean face they are compared with.

``mean_face()`` is our own generalised Procrustes mean of FaceMesh outputs (see
``scripts/make_mean_face.py``), scaled so that the outer eye corners are 89 mm apart, a human average. Axes
are those of a head that looks straight into the camera: x to the right of the picture, y down, z away from
the camera; the origin is the midpoint between the eyes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from rtatl_core.handoffs import Float32

MESH_POINTS = 468
OUTER_EYE_MM = 89.0
"""Distance of the outer eye corners of the mean face."""

EYE_OUTER = (33, 263)
"""Outer eye corners: subject's right, subject's left (this order everywhere)."""
EYE_INNER = (133, 362)
NOSE_TIP = 1

RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 2, 127, 356, 162, 389, 234, 454)
"""Points that expressions move least: eye corners, nose ridge and base, temples, in front of the ears."""


@cache
def mean_face() -> Float32:
    """(468, 3) mean face in mm; see the module header for its axes."""
    mean: Float32 = np.load(Path(__file__).with_name("mean_face.npy"))
    mean.setflags(write=False)
    return mean


@cache
def mirror_index() -> tuple[int, ...]:
    """For each of the 468 mesh points the index of its mirror image (points of the midline map to
    themselves).

    Found from the mean face, which is symmetric by construction, so no table has to be kept.
    """
    mean = mean_face()
    mirrored = mean * np.array([-1, 1, 1], np.float32)
    distance = np.linalg.norm(mirrored[:, None] - mean[None], axis=2)
    return tuple(int(i) for i in distance.argmin(axis=1))
