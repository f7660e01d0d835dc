"""Agreement measures, numpy only. All take 1-D arrays of the same length; pairs with a NaN are left out.

They return NaN where the measure is not defined (fewer than three pairs, no spread, or one class only).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]

FEWEST = 10
"""Frames of a code that say what such frames read."""


def _pairs(a: Array, b: Array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"two 1-D arrays of one length are needed, not {a.shape} and {b.shape}")
    both = np.isfinite(a) & np.isfinite(b)
    return a[both], b[both]


def rounded(value: float | np.floating[Any] | None, digits: int) -> float | None:
    """A measure for JSON: None where there is none, NaN included."""
    return None if value is None or not np.isfinite(value) else round(float(value), digits)


def varies(values: Array) -> NDArray[np.bool_]:
    """values: (n, k) -> (k,) whether a column holds two values that differ; NaN is none."""
    known = np.isfinite(values)
    least, most = (np.where(known, values, fill) for fill in (np.inf, -np.inf))
    spreads: NDArray[np.bool_] = most.max(axis=0, initial=-np.inf) > least.min(axis=0, initial=np.inf)
    return spreads


def pcc(said: Array, true: Array) -> float:
    """Pearson correlation coefficient; 0 where only the truth varies, because what never moves follows nothing: a mean
    that left it out would reward a model for saying always the same."""
    said, true = _pairs(said, true)
    if len(said) < 3 or true.std() < 1e-9:
        return float("nan")
    return float(np.corrcoef(said, true)[0, 1]) if said.std() >= 1e-9 else 0.0


def icc31(said: Array, true: Array) -> float:
    """ICC(3,1), two fixed raters, single rating, consistency (Shrout & Fleiss 1979): (BMS - EMS) / (BMS +
    EMS). As for ``pcc``, not defined where the truth does not vary, which would give 0 whatever is said."""
    said, true = _pairs(said, true)
    n = len(said)
    if n < 3 or true.std() < 1e-9:
        return float("nan")
    ratings = np.stack([said, true], axis=1)
    grand = ratings.mean()
    between = 2 * ((ratings.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    residual = ratings - ratings.mean(axis=1, keepdims=True) - ratings.mean(axis=0) + grand
    error = (residual**2).sum() / (n - 1)
    return float((between - error) / (between + error))


def mae(a: Array, b: Array) -> float:
    """Mean absolute error."""
    a, b = _pairs(a, b)
    return float(np.abs(a - b).mean()) if len(a) else float("nan")


def f1(predicted: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """2TP / (2TP + FP + FN); NaN without a positive, where a single false alarm would make it 0."""
    hits, positives = int((predicted & true).sum()), int(true.sum())
    return 2 * hits / (int(predicted.sum()) + positives) if positives else float("nan")


def auc(score: Array, true: Array) -> float:
    """Area under the ROC curve: the share of (positive, negative) pairs that ``score`` orders rightly, ties counting
    half (Mann-Whitney). true: 1 positive, 0 negative."""
    score, true = _pairs(score, true)
    positive = true > 0.5
    hits, misses = int(positive.sum()), int((~positive).sum())
    if not hits or not misses:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = np.cumsum(count) - (count - 1) / 2  # from 1; equal scores share the mean of their ranks
    return float((rank[place][positive].sum() - hits * (hits + 1) / 2) / (hits * misses))


def precision_recall(score: Array, true: Array) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and the threshold (score >= threshold) of each, thresholds descending, one per distinct score.
    Empty where there is no positive. true: 1 positive, 0 negative."""
    score, true = _pairs(score, true)
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(true[order] > 0.5)
    if not len(hits) or not hits[-1]:
        return np.empty(0), np.empty(0), np.empty(0)
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))  # of each run of equal scores: no threshold parts them
    return hits[last] / (last + 1), hits[last] / hits[-1], score[last]


def average_precision(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """Area under a ``precision_recall`` curve as a sum of steps, not of trapezoids, which would be too kind."""
    return float((np.diff(recall, prepend=0.0) * precision).sum()) if len(precision) else float("nan")


def confusion(predicted: Array, true: Array) -> NDArray[np.int64]:
    """(6, 6) counts of intensities rounded to integers and held to 0-5: row = true, column = predicted."""
    predicted, true = _pairs(predicted, true)
    rows, columns = (_code(x) for x in (true, predicted))
    return np.bincount(rows * 6 + columns, minlength=36).reshape(6, 6)


def reads_by_code(predicted: Array, true: Array) -> list[float]:
    """Median prediction of the frames of each true code, 0 to 5 (rounded likewise); NaN for a code with fewer than
    ``FEWEST`` frames. Agreement measures hardly show whether strong expressions read as strong; this does."""
    predicted, true = _pairs(predicted, true)
    of_code = (predicted[_code(true) == code] for code in range(6))
    return [float(np.median(values)) if len(values) >= FEWEST else float("nan") for values in of_code]


def _code(intensity: Array) -> NDArray[np.int64]:
    code: NDArray[np.int64] = np.floor(intensity + 0.5).clip(0, 5).astype(np.int64)
    return code
