from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

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

# Shrout & Fleiss (1979), table 2: six targets; the first two judges
JUDGES = np.array([[9, 2], [6, 1], [8, 4], [7, 1], [10, 5], [6, 2]], float)


def test_icc31_by_analysis_of_variance() -> None:
    n, k = JUDGES.shape
    grand = JUDGES.mean()
    ss_rows = k * ((JUDGES.mean(axis=1) - grand) ** 2).sum()
    ss_columns = n * ((JUDGES.mean(axis=0) - grand) ** 2).sum()
    ss_error = ((JUDGES - grand) ** 2).sum() - ss_rows - ss_columns
    bms, ems = ss_rows / (n - 1), ss_error / ((n - 1) * (k - 1))
    assert icc31(JUDGES[:, 0], JUDGES[:, 1]) == pytest.approx((bms - ems) / (bms + (k - 1) * ems))


def test_icc31_ignores_a_constant_offset_but_not_a_factor() -> None:
    a = np.array([0.0, 1, 2, 3, 5])
    assert icc31(a, a + 2) == pytest.approx(1)
    assert icc31(a, 3 * a) < 0.7
    assert pcc(a, 3 * a) == pytest.approx(1)


def test_missing_pairs_are_left_out() -> None:
    a = np.array([1.0, 2, np.nan, 4, 5])
    b = np.array([1.0, 3, 3, np.nan, 5])
    assert pcc(a, b) == pytest.approx(np.corrcoef([1, 2, 5], [1, 3, 5])[0, 1])
    assert mae(a, b) == pytest.approx(1 / 3)


def test_what_is_not_known_stays_so_in_json() -> None:
    assert rounded(np.float32(0.12345), 3) == 0.123
    assert rounded(float("nan"), 3) is rounded(None, 3) is None


def test_undefined_measures_are_nan() -> None:
    flat = np.ones(5)
    assert np.isnan(pcc(np.arange(5.0), flat))
    assert np.isnan(pcc(flat, flat))
    assert np.isnan(pcc(flat[:2], np.arange(2.0)))
    assert np.isnan(icc31(np.ones(2), np.ones(2)))
    assert np.isnan(icc31(np.arange(5.0), flat)), "0 of an AU that nobody shows would pull a mean down"
    assert icc31(flat, np.arange(5.0)) == pytest.approx(0)
    assert np.isnan(mae(np.array([np.nan]), np.array([1.0])))
    assert np.isnan(f1(np.zeros(3, bool), np.zeros(3, bool)))
    assert np.isnan(f1(np.ones(3, bool), np.zeros(3, bool)))


def test_what_never_moves_follows_nothing() -> None:
    assert pcc(np.ones(5), np.arange(5.0)) == 0


def test_f1() -> None:
    predicted = np.array([1, 1, 0, 0, 1], bool)
    true = np.array([1, 0, 1, 0, 1], bool)
    assert f1(predicted, true) == pytest.approx(2 / 3)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        pcc(np.ones(3), np.ones(4))


@pytest.mark.parametrize("decimals", [1, 8], ids=["many ties", "no ties"])
def test_auc_by_mann_whitney(decimals: int) -> None:
    rng = np.random.default_rng(0)
    true = (rng.random(400) < 0.2).astype(float)
    score = np.round(rng.normal(size=400) + true, decimals)
    pairs = true.sum() * (1 - true).sum()
    assert auc(score, true) == pytest.approx(stats.mannwhitneyu(score[true > 0], score[true < 1]).statistic / pairs)


def test_auc_counts_ties_half_and_leaves_nan_out() -> None:
    nan = np.nan
    assert auc(np.array([0.2, 0.5, 0.5, 0.9, nan, 0.0]), np.array([0, 0, 1, 1, 0, nan])) == pytest.approx(3.5 / 4)
    assert auc(np.full(4, 0.3), np.array([0.0, 1, 0, 1])) == pytest.approx(0.5)


def test_measures_of_one_class_are_nan() -> None:
    score, ones = np.array([0.1, 0.2, 0.3]), np.ones(3)
    assert np.isnan(auc(score, ones))
    assert np.isnan(auc(score, 0 * ones))
    precision, recall, thresholds = precision_recall(score, 0 * ones)
    assert len(precision) == len(recall) == len(thresholds) == 0
    assert np.isnan(average_precision(precision, recall))


def test_precision_recall_by_counting_at_every_threshold() -> None:
    rng = np.random.default_rng(1)
    true = (rng.random(200) < 0.3).astype(float)
    score = np.round(rng.normal(size=200) + true, 1)
    true[::17], score[::23] = np.nan, np.nan
    known = np.isfinite(true) & np.isfinite(score)
    precision, recall, thresholds = precision_recall(score, true)
    assert np.array_equal(thresholds, np.unique(score[known])[::-1])
    for p, r, threshold in zip(precision, recall, thresholds, strict=True):
        called, positive = score[known] >= threshold, true[known] == 1
        assert p == pytest.approx((called & positive).sum() / called.sum())
        assert r == pytest.approx((called & positive).sum() / positive.sum())
    assert recall[-1] == 1


def test_average_precision_by_hand() -> None:
    precision, recall, _ = precision_recall(np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0, 1, 0]))
    assert average_precision(precision, recall) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_what_each_code_reads_is_a_median_of_enough_frames() -> None:
    true = np.repeat([0.0, 0.4, 1.0, 4.6, 5.0], (6, 4, 9, 5, 6))
    predicted = np.concatenate([np.full(10, 0.1), np.full(9, 1.0), np.linspace(2, 3, 10), [np.nan]])
    reads = reads_by_code(predicted, true)
    assert reads == pytest.approx([0.1, np.nan, np.nan, np.nan, np.nan, 2.5], nan_ok=True), "A has nine frames only"


def test_confusion_rounds_half_up_and_holds_to_the_scale() -> None:
    predicted = np.array([0.5, 2.49, 5.4, -0.3, 7.0, np.nan])
    true = np.array([0.0, 2.0, 5.0, 0.0, 4.0, 1.0])
    counts = confusion(predicted, true)
    assert counts.shape == (6, 6)
    assert counts.sum() == 5
    assert [counts[0, 1], counts[2, 2], counts[5, 5], counts[0, 0], counts[4, 5]] == [1, 1, 1, 1, 1]
