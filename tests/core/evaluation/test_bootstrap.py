from __future__ import annotations

import warnings
from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray

from rtatl_core.evaluation import bootstrap as boot
from rtatl_core.evaluation import metrics

RESAMPLES = 200
SUBJECTS = 8


def _data() -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Subject of each row, prediction and truth on 0-5 with NaN in both; people differ in level."""
    rng, n = np.random.default_rng(0), 3000
    subject = rng.integers(0, SUBJECTS, n)
    true = (rng.gamma(0.5, 1.5, n) * (1 + subject / 4)).clip(0, 5)
    predicted = (0.6 * true + rng.normal(0, 0.7, n) + rng.normal(0, 0.5, SUBJECTS)[subject]).clip(0, 5)
    true[rng.random(n) < 0.05], predicted[rng.random(n) < 0.05] = np.nan, np.nan
    return subject, predicted.astype(np.float32), true.astype(np.float32)


def bounds_of(sums: NDArray[np.float64], of: boot.Statistic, resamples: int = 1000) -> NDArray[np.float64]:
    return boot.interval(boot.resampled(sums, of, resamples=resamples))


def _with_repeated_frames(subject: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each resample, a subject's rows as often as it was drawn."""
    p = np.full(SUBJECTS, 1 / SUBJECTS)
    draw = np.random.default_rng(0).multinomial(SUBJECTS, p, size=RESAMPLES)
    return [np.repeat(np.arange(len(subject)), counts[subject]) for counts in draw]


@pytest.mark.parametrize(
    ("of", "plain"),
    [(boot.mae_of, metrics.mae), (boot.pcc_of, metrics.pcc), (boot.icc31_of, metrics.icc31)],
)
def test_agreement_intervals_equal_those_of_repeated_frames(of: boot.Statistic, plain: object) -> None:
    subject, predicted, true = _data()
    sums = boot.agreement_sums(predicted[:, None], true[:, None], subject, SUBJECTS)
    values = [plain(predicted[rows], true[rows]) for rows in _with_repeated_frames(subject)]  # type: ignore[operator]
    bounds = bounds_of(sums, of, resamples=RESAMPLES)
    assert bounds[:, 0] == pytest.approx(np.percentile(values, [2.5, 97.5]))
    assert of(sums.sum(axis=0))[0] == pytest.approx(plain(predicted, true))  # type: ignore[operator]


@pytest.mark.parametrize("of", [boot.pcc_of, boot.icc31_of])
def test_agreement_with_a_truth_that_does_not_vary_is_not_defined(of: boot.Statistic) -> None:
    subject, predicted, _ = _data()
    sums = boot.agreement_sums(predicted[:, None], np.full_like(predicted[:, None], 2.0), subject, SUBJECTS)
    assert np.isnan(of(sums.sum(axis=0))).all()


def test_f1_intervals_equal_those_of_repeated_frames() -> None:
    subject, predicted, true = _data()
    occurrence = np.where(np.isnan(true), np.nan, true >= 1).astype(np.float32)
    present, known = predicted >= 1, np.isfinite(true)
    sums = boot.occurrence_sums(present[:, None], occurrence[:, None], subject, SUBJECTS)
    assert sums.sum() == known.sum()
    values = [
        metrics.f1(present[rows][known[rows]], true[rows][known[rows]] >= 1) for rows in _with_repeated_frames(subject)
    ]
    bounds = bounds_of(sums, boot.f1_of, resamples=RESAMPLES)
    assert bounds[:, 0] == pytest.approx(np.percentile(values, [2.5, 97.5]))


def test_balanced_error_by_hand() -> None:
    sums = np.array([3.0, 2.0, 1.0, 6.0])  # 1 of 4 positives missed, 2 of 8 negatives called
    assert boot.balanced_error_of(sums) == pytest.approx(0.25)
    assert np.isnan(boot.balanced_error_of(np.array([0.0, 2.0, 0.0, 6.0])))


@pytest.mark.parametrize("kind", ["few distinct", "clipped at 0", "smooth", "rare and separated"])
def test_binned_auc_is_within_a_thousandth(kind: str) -> None:
    rng = np.random.default_rng(2)
    n = 30_000
    true = (rng.random(n) < (0.01 if kind == "rare and separated" else 0.3)).astype(np.float32)
    score = (rng.normal(size=n) + (4 if kind == "rare and separated" else 0.8) * true).astype(np.float32)
    if kind == "clipped at 0":
        score = score.clip(0.5)
    if kind == "few distinct":
        score = np.round(score, 1)
    true[::50], score[::70] = np.nan, np.nan
    group = rng.integers(0, SUBJECTS, n)
    found = float(boot.auc_of(boot.auc_sums(score, true, group, SUBJECTS).sum(axis=0)))
    assert found == pytest.approx(metrics.auc(score, true), abs=1e-12 if kind == "few distinct" else 1e-3)


def test_differences_between_people_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    subject = np.repeat(np.arange(20), 200)
    true = rng.integers(0, 6, len(subject)).astype(np.float32)
    noise = rng.normal(0, 1, len(subject))

    def width(bias_of_people: float) -> float:
        predicted = (true + noise + bias_of_people * rng.normal(size=20)[subject]).astype(np.float32)
        sums = boot.agreement_sums(predicted[:, None], true[:, None], subject, 20)
        low, high = bounds_of(sums, boot.mae_of)[:, 0]
        return float(high - low)

    # without differences: 4,000 independent absolute errors of spread .6, so about 3.9 * .6 / sqrt(4000) = .04
    assert 0.02 < width(0) < 0.06
    assert width(2) > 5 * width(0)


def test_no_interval_from_few_people_or_undefined_resamples() -> None:
    ones = np.ones((boot.MIN_SUBJECTS, 1, 4))
    assert np.isfinite(bounds_of(ones, boot.f1_of)).all()
    assert np.isnan(bounds_of(ones[1:], boot.f1_of)).all()
    few_show_it = np.zeros((20, 2, 4))
    few_show_it[..., 3] = 9
    few_show_it[:1, 0, 0] = few_show_it[:4, 1, 0] = 5  # one person; four, missing from 1 % of resamples
    bounds = bounds_of(few_show_it, boot.f1_of)
    assert np.isnan(bounds[:, 0]).all()
    assert (bounds[:, 1] == 1).all()
    few_show_it[:, 0, 1] = 2  # false alarms are no value either where nobody shows it
    assert np.isnan(bounds_of(few_show_it, boot.f1_of)[:, 0]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(bounds_of(0 * ones, boot.f1_of)).all()


def test_constant_predictions_follow_nothing_and_a_constant_truth_is_no_test() -> None:
    subject, _, true = _data()
    constant = np.full((len(true), 1), 0.3, np.float32)
    sums = boot.agreement_sums(constant, true[:, None], subject, SUBJECTS)
    assert (boot.pcc_of(sums.sum(axis=0)) == 0).all()
    assert (bounds_of(sums, boot.pcc_of) == 0).all()
    assert np.isnan(boot.pcc_of(sums[:1] * 0)).all()
    sums = boot.agreement_sums(true[:, None], constant, subject, SUBJECTS)
    assert np.isnan(boot.pcc_of(sums.sum(axis=0))).all()
    assert np.isnan(bounds_of(sums, boot.pcc_of)).all()


def test_one_seed_draws_one_set_of_people() -> None:
    subject, predicted, true = _data()
    sums = boot.agreement_sums(predicted[:, None], true[:, None], subject, SUBJECTS)
    first, again, other = (boot.resampled(sums, boot.mae_of, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_five_measures_of_the_largest_set_take_seconds() -> None:
    """12 AUs, 146,847 frames, 41 subjects, 1,000 resamples."""
    rng = np.random.default_rng(4)
    n, k, people = 146_847, 12, 41
    subject = rng.integers(0, people, n)
    true = rng.integers(0, 6, (n, k)).astype(np.float32)
    predicted = true + rng.normal(0, 1, (n, k)).astype(np.float32)
    occurrence = (true >= 2).astype(np.float32)
    start = perf_counter()
    agreement = boot.agreement_sums(predicted, true, subject, people)
    bounds = [bounds_of(agreement, of) for of in (boot.mae_of, boot.pcc_of, boot.icc31_of)]
    bounds.append(bounds_of(boot.occurrence_sums(predicted > 2, occurrence, subject, people), boot.f1_of))
    for j in range(k):
        sums = boot.auc_sums(predicted[:, j], occurrence[:, j], subject, people)
        bounds.append(bounds_of(sums, boot.auc_of))
    assert all(np.isfinite(bound).all() for bound in bounds)
    took = perf_counter() - start
    print(f"{took:.1f} s")
    assert took < 40
