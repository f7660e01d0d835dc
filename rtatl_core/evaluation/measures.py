"""Predictions and truth as arrays -> the numbers of an evaluation. Knows no network and no data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.evaluation import bootstrap as boot
from rtatl_core.evaluation.metrics import (
    auc,
    average_precision,
    confusion,
    f1,
    icc31,
    mae,
    pcc,
    precision_recall,
    reads_by_code,
    rounded,
)
from rtatl_core.facs import OCCURS, au_label
from rtatl_core.handoffs import Float32, Float64

YAW_EDGES = (0, 10, 20, 30, 45)
"""Degrees of head yaw to either side where the bins begin; the last one is open."""

Rows = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scored:
    """n frames, scored for k AUs. NaN in a prediction: the frame could not be predicted (no face found)."""

    aus: tuple[int, ...]
    """FACS numbers, the order of every (n, k) array."""
    subjects: NDArray[np.str_]
    """(n,) who is in the frame."""
    folds: NDArray[np.int64]
    """(n,) fold whose model predicted the frame, all 1 without folds."""
    intensity: Float32
    """(n, k) predicted, 0-5."""
    probability: Float32
    """(n, k) predicted probability that the AU is present."""
    true_intensity: Float32
    """(n, k) 0-5, NaN not coded; a column of NaN where the data code occurrence only."""
    true_occurrence: Float32
    """(n, k) 0 or 1, NaN not coded."""
    yaw_deg: Float32
    """(n,) head yaw, + to the subject's right, NaN not known."""
    coded: bool = False
    """Whether all frames are of real people, and their truth is what FACS coders said."""
    unknown: tuple[int, ...] = ()
    """AUs that are coded, but that the model lacks."""

    def __post_init__(self) -> None:
        n, k = len(self.subjects), len(self.aus)
        if not n or not k:
            raise ValueError("there is no frame or no AU to score")
        for name in ("subjects", "folds", "yaw_deg"):
            if (shape := getattr(self, name).shape) != (n,):
                raise ValueError(f"{name} is ({n},), not {shape}")
        for name in ("intensity", "probability", "true_intensity", "true_occurrence"):
            if (shape := getattr(self, name).shape) != (n, k):
                raise ValueError(f"{name} is ({n}, {k}), not {shape}")
        occurrence = self.true_occurrence[np.isfinite(self.true_occurrence)]
        if not np.isin(occurrence, (0, 1)).all():
            raise ValueError("true_occurrence holds 0, 1 and NaN only")


@dataclass(frozen=True, slots=True)
class _Measure:
    value: Callable[[Rows, int], float]
    """Rows and column of an AU -> value."""
    draws: Float64
    """(resamples, k) value over all folds in each resample of the subjects."""


def measure(scored: Scored, *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Agreement of ``scored`` as what ``report.json`` holds: fractions (not percent), NaN as None.

    Each measure has ``per_fold``, ``fold_mean`` (published F1 tables are averages of folds), ``pooled`` (frames of all
    folds together) and ``ci95`` of the pooled value. Means leave out folds and AUs for which a measure is not defined.
    """
    people, group = np.unique(scored.subjects, return_inverse=True)
    numbers = [int(fold) for fold in np.unique(scored.folds)]
    folds = {str(fold): scored.folds == fold for fold in numbers}
    everyone = np.ones(len(scored.subjects), bool)
    occurrence, agreement, micro = _measures(scored, group, resamples, seed)
    coded = np.isfinite(scored.true_intensity).any(axis=0)

    units: dict[str, dict[str, Any]] = {}
    for j, au in enumerate(scored.aus):
        unit = units[au_label(au)] = _frames(scored, j, intensity=bool(coded[j]))
        for name, one in (occurrence | agreement if coded[j] else occurrence).items():
            unit[name] = _entry(one, j, folds, everyone)
    means = {name: _mean_over_aus(units, name, one.draws) for name, one in (occurrence | agreement).items()}
    exclusive = all(len(np.unique(scored.folds[group == person])) == 1 for person in range(len(people)))
    result = {
        "format": 1,
        "frames": len(scored.subjects),
        "subjects": len(people),
        "subject_exclusive": exclusive,
        "coded": scored.coded,
        "not_in_model": [au_label(au) for au in scored.unknown],
        "folds": {
            fold: {"subjects": len(np.unique(scored.subjects[rows])), "frames": int(rows.sum())}
            for fold, rows in folds.items()
        },
        "threshold": {
            "value": OCCURS,
            "rule": f"an AU counts as present where its probability is {OCCURS:g} or more, the same for every AU",
        },
        "interval": {"resamples": resamples, "seed": seed, "what": _interval_text(len(people), resamples, seed)},
        "mean_over_aus": {name: mean for name, mean in means.items() if mean is not None},
        "micro_f1": _entry(micro, 0, folds, everyone),
        "aus": units,
        "yaw": _yaw(scored, group, bool(coded.any()), resamples, seed),
    }
    plain: dict[str, Any] = _plain(result)
    return plain


def _measures(
    scored: Scored, group: boot.Index, resamples: int, seed: int
) -> tuple[dict[str, _Measure], dict[str, _Measure], _Measure]:
    """Measures of occurrence, of intensity, and micro F1 (the decisions on all AUs thrown together; one column)."""
    people = int(group.max()) + 1
    options = {"resamples": resamples, "seed": seed}
    probability, present = scored.probability, scored.probability >= OCCURS
    true = np.where(np.isfinite(probability), scored.true_occurrence, np.float32("nan"))

    def f1_value(rows: Rows, j: int) -> float:
        rows = rows & np.isfinite(true[:, j])
        return f1(present[rows, j], true[rows, j] > 0.5)

    def micro_value(rows: Rows, _: int) -> float:
        cells = rows[:, None] & np.isfinite(true)
        return f1(present[cells], true[cells] > 0.5)

    def auc_value(rows: Rows, j: int) -> float:
        return auc(probability[rows, j], true[rows, j])

    def agreement(function: Callable[[Float32, Float32], float], of: boot.Statistic) -> _Measure:
        draws = boot.resampled(moments, of, **options)
        return _Measure(lambda rows, j: function(scored.intensity[rows, j], scored.true_intensity[rows, j]), draws)

    counts = boot.occurrence_sums(present, true, group, people)
    auc_draws = np.empty((resamples, len(scored.aus)))
    for j in range(len(scored.aus)):
        auc_draws[:, j] = boot.resampled(
            boot.auc_sums(probability[:, j], true[:, j], group, people), boot.auc_of, **options
        )
    moments = boot.agreement_sums(scored.intensity, scored.true_intensity, group, people)
    return (
        {
            "f1": _Measure(f1_value, boot.resampled(counts, boot.f1_of, **options)),
            "auc": _Measure(auc_value, auc_draws),
        },
        {
            "icc31": agreement(icc31, boot.icc31_of),
            "pcc": agreement(pcc, boot.pcc_of),
            "mae": agreement(mae, boot.mae_of),
        },
        _Measure(micro_value, boot.resampled(counts.sum(axis=1, keepdims=True), boot.f1_of, **options)),
    )


def _frames(scored: Scored, j: int, *, intensity: bool) -> dict[str, Any]:
    """What there is to score of one AU."""
    coded, predicted = np.isfinite(scored.true_occurrence[:, j]), np.isfinite(scored.probability[:, j])
    known = coded & predicted
    score, true = scored.probability[:, j], scored.true_occurrence[:, j]
    precision, recall, _ = precision_recall(score, true)
    unit: dict[str, Any] = {
        "frames": int(known.sum()),
        "seen": int((true[known] == 1).sum()),
        "people": len(np.unique(scored.subjects[known & (true == 1)])),
        "without_prediction": int((coded & ~predicted).sum()),
        "positive_rate": float(true[known].mean()) if known.any() else None,
        "average_precision": average_precision(precision, recall),
    }
    if intensity:
        guess, truth = scored.intensity[:, j], scored.true_intensity[:, j]
        unit["intensity_frames"] = int((np.isfinite(guess) & np.isfinite(truth)).sum())
        unit["confusion"] = confusion(guess, truth).tolist()
        unit["reads_by_code"] = reads_by_code(guess, truth)
    return unit


def _entry(one: _Measure, j: int, folds: dict[str, Rows], everyone: Rows) -> dict[str, Any]:
    pooled = one.value(everyone, j)
    per_fold = {fold: one.value(rows, j) for fold, rows in folds.items()}
    bounds = boot.interval(one.draws[:, j])
    return {
        "per_fold": per_fold,
        "fold_mean": _mean(per_fold.values()),
        "pooled": pooled,
        "ci95": bounds.tolist() if np.isfinite(pooled) else [None, None],
    }


def _mean_over_aus(units: dict[str, dict[str, Any]], name: str, draws: Float64) -> dict[str, Any] | None:
    """Mean of a measure over the AUs that have it, None if there is none."""
    having = np.array([name in unit and bool(np.isfinite(unit[name]["pooled"])) for unit in units.values()])
    entries = [unit[name] for unit, has in zip(units.values(), having, strict=True) if has]
    if not entries:
        return None
    return {
        "per_fold": {fold: _mean(entry["per_fold"][fold] for entry in entries) for fold in entries[0]["per_fold"]},
        "fold_mean": _mean(entry["fold_mean"] for entry in entries),
        "pooled": _mean(entry["pooled"] for entry in entries),
        "ci95": _interval_of_mean(draws[:, having]),
        "aus": len(entries),
    }


def _interval_of_mean(draws: Float64) -> list[float]:
    """Interval of the mean over AUs; draws: (resamples, AUs in that mean). None of it if one AU has no interval, since
    the mean would be another without that AU."""
    complete = len(draws.T) > 0 and bool(np.isfinite(boot.interval(draws)).all())
    return boot.interval(boot.mean_known(draws)).tolist() if complete else [np.nan, np.nan]


def _mean(values: Iterable[float]) -> float:
    return float(boot.mean_known(np.array(list(values))))


def _yaw(scored: Scored, group: boot.Index, intensity: bool, resamples: int, seed: int) -> dict[str, Any]:
    """Error, as a mean over AUs, in bins of head yaw to either side."""
    bins, people = len(YAW_EDGES), int(group.max()) + 1
    guess = scored.intensity if intensity else scored.probability
    truth = scored.true_intensity if intensity else scored.true_occurrence
    truth = np.where(np.isfinite(guess), truth, np.float32("nan"))
    scorable = np.isfinite(truth).any(axis=1)
    rows = scorable & np.isfinite(scored.yaw_deg)
    place = np.digitize(np.abs(scored.yaw_deg[rows]), YAW_EDGES[1:])
    cell, cells = group[rows] * bins + place, people * bins
    if intensity:
        sums, of = boot.agreement_sums(guess[rows], truth[rows], cell, cells), boot.mae_of
        what = "mean absolute error of intensity (0-5)"
    else:
        sums, of = boot.occurrence_sums(guess[rows] >= OCCURS, truth[rows], cell, cells), boot.balanced_error_of
        what = "1 - balanced accuracy"
    sums = sums.reshape(people, bins, *sums.shape[1:])
    errors = of(sums.sum(axis=0))
    having = np.isfinite(errors)
    draws = boot.resampled(sums, of, resamples=resamples, seed=seed)
    return {
        "what": f"{what}, mean over AUs",
        "frames_without_yaw": int((scorable & ~np.isfinite(scored.yaw_deg)).sum()),
        "bins": [
            {
                "from_deg": low,
                "to_deg": high,
                "frames": int((place == b).sum()),
                "subjects": len(np.unique(cell[place == b])),
                "aus": int(having[b].sum()),
                "error": _mean(errors[b]),
                "ci95": _interval_of_mean(draws[:, b, having[b]]),
            }
            for b, (low, high) in enumerate(zip(YAW_EDGES, (*YAW_EDGES[1:], None), strict=True))
        ],
    }


def _interval_text(people: int, resamples: int, seed: int) -> str:
    if people < boot.MIN_SUBJECTS:
        few = "1 subject is" if people == 1 else f"{people} subjects are"
        return f"no intervals: {few} too few to say how much people differ"
    text = (
        f"95 % percentile interval of the pooled value: the {people} subjects, each with all its frames, were drawn "
        f"with replacement {resamples:,} times (seed {seed}); the predictions stay as they are, so the luck of a "
        f"training run and of the folds is not in it; AUC from {boot.AUC_BINS:,} score bins, good to .001; none where "
        f"fewer than {boot.MIN_SUBJECTS} subjects count or a tenth of the draws has no value, nor for a mean over AUs "
        "of which one has none"
    )
    return text if people >= 20 else f"{text}; with {people} subjects such intervals tend to be too narrow"


def _plain(value: Any) -> Any:
    """JSON's types only; six decimals, NaN as None."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float | np.floating):
        return rounded(value, 6)
    return value
