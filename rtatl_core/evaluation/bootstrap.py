"""Confidence intervals by resampling subjects, from sums that add up over subjects. numpy only.

Frames of one face resemble each other, so it is people, not frames, that are drawn with replacement. F1, MAE, PCC,
ICC(3,1) and AUC need nothing of a subject but a few sums (``*_sums``, last axis); a resample is a sum of those,
weighted by how often each subject was drawn, and ``*_of`` turns sums into the measure. 1,000 resamples of 12 AUs thus
cost a matrix product instead of a thousand passes over the frames.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, Float64

MIN_SUBJECTS = 5
"""Fewer people than this cannot show how much people differ: no interval."""
DEFINED = 0.9
"""Share of resamples that must have a value: an AU that one or two people show has no interval either."""
AUC_BINS = 1000
"""``auc_sums`` bins scores at their quantiles, so that a bin holds about a thousandth of the frames: the AUC is off by
less than .001 whatever the scores are, and exact where there are no more distinct scores than bins."""

Statistic = Callable[[Float64], Float64]
"""Sums (..., m) -> values (...), NaN where not defined."""
Index = NDArray[np.int64]


def resampled(sums: Float64, statistic: Statistic, *, resamples: int = 1000, seed: int = 0) -> Float64:
    """sums: (subjects, ..., m) -> (resamples, ...) the statistic of each resample of the subjects; NaN where fewer than
    ``MIN_SUBJECTS`` subjects have anything to say about it. One seed draws the same subjects for every statistic, so
    draws may be averaged."""
    subjects = len(sums)
    draw = np.random.default_rng(seed).multinomial(subjects, np.full(subjects, 1 / subjects), size=resamples)
    combined = draw.astype(np.float64) @ sums.reshape(subjects, -1)
    enough = (sums != 0).any(axis=-1).sum(axis=0) >= MIN_SUBJECTS
    return np.where(enough, statistic(combined.reshape(resamples, *sums.shape[1:])), np.nan)


def interval(draws: Float64) -> Float64:
    """(2, ...) percentiles 2.5 and 97.5 over the first axis. Resamples in which the statistic is not defined are left
    out; NaN where fewer than ``DEFINED`` of them remain."""
    enough = np.isfinite(draws).mean(axis=0) >= DEFINED
    filled = np.where(enough, draws, 0.0)  # nanpercentile warns about columns of nothing but NaN
    bounds = np.nanpercentile(filled, [2.5, 97.5], axis=0)
    return np.where(enough, bounds, np.nan)


def mean_known(values: Float64, axis: int = -1) -> Float64:
    """Mean of the values that are not NaN; NaN where there is none."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=axis), known.sum(axis=axis))


def occurrence_sums(present: NDArray[np.bool_], true: Float32, group: Index, groups: int) -> Float64:
    """(groups, k, 4) frames that are hits, false alarms, misses and right rejections.

    present: (n, k). true: (n, k) 1 positive, 0 negative, NaN leaves the frame out. group: (n,) whose sum a frame
    belongs to, from 0.
    """
    positive, negative = true > 0.5, true <= 0.5
    kinds = (present & positive, present & negative, ~present & positive, ~present & negative)
    return _grouped(np.stack(kinds, axis=-1).astype(np.float64), group, groups)


def f1_of(sums: Float64) -> Float64:
    """F1 from ``occurrence_sums``; NaN without a positive."""
    hits, alarms, misses = sums[..., 0], sums[..., 1], sums[..., 2]
    return _ratio(2 * hits, np.where(hits + misses > 0, 2 * hits + alarms + misses, 0.0))


def balanced_error_of(sums: Float64) -> Float64:
    """1 - balanced accuracy, from ``occurrence_sums``: the mean of the share of positives that were missed and the
    share of negatives with a false alarm; NaN where one class is missing."""
    hits, alarms, misses, rejections = (sums[..., i] for i in range(4))
    return (_ratio(misses, hits + misses) + _ratio(alarms, alarms + rejections)) / 2


def agreement_sums(predicted: Float32, true: Float32, group: Index, groups: int) -> Float64:
    """(groups, k, 7) frames, sums of prediction a, truth b, aa, bb, ab and abs(a - b); predicted, true: (n, k), NaN in
    either leaves the frame out. a and b are counted from their means over all groups, which keeps the squares exact
    and changes none of the measures."""
    a, b = predicted.astype(np.float64), true.astype(np.float64)
    known = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(known, a, np.nan), np.where(known, b, np.nan)
    distance = np.abs(a - b)
    a, b = a - mean_known(a, axis=0), b - mean_known(b, axis=0)
    parts = np.stack([known.astype(np.float64), a, b, a * a, b * b, a * b, distance], axis=-1)
    return _grouped(np.where(known[..., None], parts, 0.0), group, groups)


def mae_of(sums: Float64) -> Float64:
    """Mean absolute error from ``agreement_sums``."""
    return _ratio(sums[..., 6], sums[..., 0])


def pcc_of(sums: Float64) -> Float64:
    """Pearson correlation from ``agreement_sums``; 0 where only the truth varies (``metrics.pcc``)."""
    a, b, ab = _moments(sums)
    return np.where((a == 0) & (b > 0), 0.0, _ratio(ab, np.sqrt(a * b)))


def icc31_of(sums: Float64) -> Float64:
    """ICC(3,1) from ``agreement_sums``; NaN where the truth does not vary (``metrics.icc31``). For two raters
    (BMS - EMS) / (BMS + EMS) is 2 cov / (var + var): BMS is half the variance of their sum, EMS half that of their
    difference."""
    a, b, ab = _moments(sums)
    return _ratio(2 * ab, np.where(b > 0, a + b, 0.0))


def auc_sums(score: Float32, true: Float32, group: Index, groups: int) -> Float64:
    """(groups, 2 bins) histogram of the scores of negatives, then of positives; score, true, group: (n,). See
    ``AUC_BINS``."""
    known = np.isfinite(score) & np.isfinite(true)
    edges = _edges(score[known])
    bins = len(edges) + 1
    place = np.searchsorted(edges, score[known], side="right") + bins * (true[known] > 0.5)
    flat = np.bincount(group[known] * (2 * bins) + place, minlength=groups * 2 * bins)
    return flat.reshape(groups, 2 * bins).astype(np.float64)


def auc_of(sums: Float64) -> Float64:
    """AUC from ``auc_sums``; scores of one bin count as ties."""
    negative, positive = np.split(sums, 2, axis=-1)
    below = np.cumsum(negative, axis=-1) - negative / 2
    return _ratio((positive * below).sum(axis=-1), positive.sum(axis=-1) * negative.sum(axis=-1))


def _edges(score: Float32) -> Float32:
    """Ascending lower edges of all bins but the first."""
    distinct: Float32 = np.unique(score)
    if len(distinct) <= AUC_BINS:
        return distinct[1:]
    cuts = np.quantile(score, np.arange(1, AUC_BINS) / AUC_BINS, method="lower")
    heavy = cuts[1:][np.diff(cuts) == 0]  # one score in many frames: a bin of its own, so it ties with nothing else
    edges: Float32 = np.unique(np.concatenate([cuts, np.nextafter(heavy, np.float32(np.inf))]))
    return edges


def _grouped(values: Float64, group: Index, groups: int) -> Float64:
    """(n, ...) -> (groups, ...) sums."""
    columns = values.reshape(len(values), -1).T
    sums: Float64 = np.stack([np.bincount(group, weights=column, minlength=groups) for column in columns], axis=-1)
    return sums.reshape(groups, *values.shape[1:])


def _moments(sums: Float64) -> tuple[Float64, Float64, Float64]:
    """Variance of prediction and of truth and their covariance (over n); NaN with fewer than three frames, variance 0
    where the spread is no more than rounding."""
    n = np.where(sums[..., 0] >= 3, sums[..., 0], np.nan)
    mean_a, mean_b, aa, bb, ab = (sums[..., i] / n for i in range(1, 6))
    a, b = aa - mean_a**2, bb - mean_b**2
    return (
        np.where(a > 1e-12 * aa + 1e-18, a, 0.0 * a),
        np.where(b > 1e-12 * bb + 1e-18, b, 0.0 * b),
        ab - mean_a * mean_b,
    )


def _ratio(above: Float64, below: Float64 | Index) -> Float64:
    """NaN where ``below`` is 0, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)
