"""Agreement measures, numpy only. All take 1-D arrays of the same length; pairs with a NaN are left out.

They return NaN where the measure is not defined (fewer than three pairs, or no spread).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]


def _pairs(a: Array, b: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"two 1-D arrays of one length are needed, not {a.shape} and {b.shape}")
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def pcc(a: Array, b: Array) -> float:
    """Pearson correlation coefficient."""
    a, b = _pairs(a, b)
    if len(a) < 3 or a.std() < 1e-9 or b.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def icc31(a: Array, b: Array) -> float:
    """ICC(3,1), two fixed raters, single rating, consistency (Shrout & Fleiss 1979): (BMS - EMS) / (BMS +
    EMS)."""
    a, b = _pairs(a, b)
    n = len(a)
    if n < 3:
        return float("nan")
    ratings = np.stack([a, b], axis=1)
    grand = ratings.mean()
    between = 2 * ((ratings.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    residual = ratings - ratings.mean(axis=1, keepdims=True) - ratings.mean(axis=0) + grand
    error = (residual**2).sum() / (n - 1)
    if between + error < 1e-12:
        return float("nan")
    return float((between - error) / (between + error))


def mae(a: Array, b: Array) -> float:
    """Mean absolute error."""
    a, b = _pairs(a, b)
    return float(np.abs(a - b).mean()) if len(a) else float("nan")


def f1(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """2TP / (2TP + FP + FN); NaN when there is neither a positive nor a prediction of one."""
    hits = int((predicted & true).sum())
    total = int(predicted.sum()) + int(true.sum())
    return 2 * hits / total if total else float("nan")
