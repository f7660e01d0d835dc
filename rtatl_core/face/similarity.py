"""Least-squares similarity transforms in two and three dimensions.

Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI
13(4), 1991, eq. 40-42.
"""

from __future__ import annotations

import numpy as np

from rtatl_core.handoffs import Float64


def fit_similarity(source: Float64, target: Float64) -> tuple[float, Float64, Float64]:
    """The similarity that carries ``source`` onto ``target``, both (n, d): ``target ~ scale * source @
    rotation.T + shift``.

    Returns (scale, rotation (d, d) with determinant +1, shift (d,)). Raises ValueError when the source points
    coincide.
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    spread = float((a * a).sum())
    if spread < 1e-12:
        raise ValueError("the points coincide, no similarity can be fitted")
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.ones(len(s))
    sign[-1] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotation: Float64 = (u * sign) @ vt
    scale = float((s * sign).sum() / spread)
    return scale, rotation, target_mean - scale * rotation @ source_mean
