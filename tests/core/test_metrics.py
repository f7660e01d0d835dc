from __future__ import annotations

import numpy as np
import pytest

from rtatl_core.metrics import f1, icc31, mae, pcc

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


def test_undefined_measures_are_nan() -> None:
    flat = np.ones(5)
    assert np.isnan(pcc(flat, np.arange(5.0)))
    assert np.isnan(icc31(np.ones(2), np.ones(2)))
    assert np.isnan(mae(np.array([np.nan]), np.array([1.0])))
    assert np.isnan(f1(np.zeros(3, bool), np.zeros(3, bool)))


def test_f1() -> None:
    predicted = np.array([1, 1, 0, 0, 1], bool)
    true = np.array([1, 0, 1, 0, 1], bool)
    assert f1(predicted, true) == pytest.approx(2 / 3)


def test_unequal_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        pcc(np.ones(3), np.ones(4))
