"""The numbers of an evaluation, by hand, by simulation and where nothing is defined."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rtatl_core.evaluation.measures import Scored, measure

F32 = np.float32


def _scored(n: int = 3000, people: int = 24, noise: float = 1.0) -> Scored:
    """AU4, coded in both ways, and AU12, coded as occurrence only; people go to three folds in turn."""
    rng = np.random.default_rng(0)
    person = np.arange(n) % people
    true = np.maximum(rng.integers(-4, 6, (n, 2)), 0).astype(F32)
    guess = (true + noise * rng.normal(size=(n, 2))).clip(0, 5).astype(F32)
    intensity = true.copy()
    intensity[:, 1] = np.nan
    return Scored(
        aus=(4, 12),
        subjects=np.array([f"S{i:02d}" for i in person]),
        folds=(person % 3 + 1).astype(np.int64),
        intensity=guess,
        probability=(1 / (1 + np.exp(-2 * (guess - 1.5)))).astype(F32),
        true_intensity=intensity,
        true_occurrence=(true >= 2).astype(F32),
        yaw_deg=rng.normal(0, 15, n).astype(F32),
    )


def _hits(right: NDArray[np.bool_], scored: Scored) -> Scored:
    """Decisions of AU4 right where ``right``, the contrary of the truth elsewhere."""
    probability = scored.probability.copy()
    probability[:, 0] = np.where(right, scored.true_occurrence[:, 0], 1 - scored.true_occurrence[:, 0])
    return replace(scored, probability=probability)


def _f1(counts: tuple[int, int, int]) -> float:
    hits, alarms, misses = counts
    return 2 * hits / (2 * hits + alarms + misses)


def test_a_difference_between_folds_is_seen_and_fold_mean_is_not_pooled() -> None:
    scored = _scored()
    # folds of 1, 2 and 5 parts: a mean of folds must not weigh them
    folds = np.repeat([1, 2, 3], [375, 750, 1875])
    scored = _hits(folds != 3, replace(scored, folds=folds, subjects=np.char.add(scored.subjects, folds.astype(str))))
    result = measure(scored, resamples=50)
    entry = result["aus"]["AU04"]["f1"]
    assert entry["per_fold"] == {"1": 1.0, "2": 1.0, "3": 0.0}
    assert entry["fold_mean"] == pytest.approx(2 / 3, abs=1e-6)
    true = scored.true_occurrence[:, 0] == 1
    right = (true & (folds != 3)).sum(), (~true & (folds == 3)).sum(), (true & (folds == 3)).sum()
    assert entry["pooled"] == pytest.approx(_f1(right), abs=1e-6)
    assert abs(entry["pooled"] - entry["fold_mean"]) > 0.1
    assert result["folds"]["3"]["frames"] == 1875


def test_values_means_and_micro_f1_by_hand() -> None:
    true = np.array([[1, 1], [1, 0], [0, 0], [0, 0], [1, 0], [0, 0]], F32)
    called = np.array([[0.9, 0.5], [0.4, 0.7], [0.6, 0.1], [0.2, 0.1], [0.8, 0.2], [0.1, 0.1]], F32)
    nothing = np.full((6, 2), np.nan, F32)
    result = measure(
        Scored((1, 2), np.array(list("abcabc")), np.ones(6, int), nothing, called, nothing, true, true[:, 0])
    )
    first, second = result["aus"]["AU01"], result["aus"]["AU02"]
    assert first["f1"]["pooled"] == pytest.approx(_f1((2, 1, 1)), abs=1e-6)
    assert second["f1"]["pooled"] == pytest.approx(_f1((1, 1, 0)), abs=1e-6)  # .5 counts as present
    assert first["auc"]["pooled"] == pytest.approx(8 / 9, abs=1e-6)
    assert first["positive_rate"] == 0.5
    assert result["mean_over_aus"]["f1"]["pooled"] == pytest.approx((2 / 3 + 2 / 3) / 2, abs=1e-6)
    assert result["micro_f1"]["pooled"] == pytest.approx(_f1((3, 2, 1)), abs=1e-6)
    assert first["f1"]["ci95"] == [None, None]  # of three people
    assert "no intervals" in result["interval"]["what"]


def test_people_who_differ_widen_the_interval() -> None:
    def width(people_differ: bool) -> float:
        scored = _scored(n=9600, people=24)
        rng = np.random.default_rng(5)
        person = np.unique(scored.subjects, return_inverse=True)[1]
        chance = np.where(person % 2, 0.6, 1.0) if people_differ else 0.8
        low, high = measure(_hits(rng.random(9600) < chance, scored))["aus"]["AU04"]["f1"]["ci95"]
        return float(high - low)

    assert width(True) > 3 * width(False)


def test_interval_of_a_mean_draws_the_same_people_for_all_aus() -> None:
    scored = _scored(n=9600)
    odd = (np.unique(scored.subjects, return_inverse=True)[1] % 2).astype(bool)
    rng = np.random.default_rng(6)
    true = scored.true_occurrence
    right = rng.random(true.shape) < np.where(
        odd[:, None], [0.6, 1.0], [1.0, 0.6]
    )  # who is bad at one is good at other
    result = measure(replace(scored, probability=np.where(right, true, 1 - true)))
    low, high = result["mean_over_aus"]["f1"]["ci95"]
    for unit in result["aus"].values():
        assert high - low < 0.3 * (unit["f1"]["ci95"][1] - unit["f1"]["ci95"][0])


def test_interval_says_what_was_drawn_and_holds_the_value() -> None:
    result = measure(_scored(), resamples=200, seed=7)
    assert "24 subjects" in result["interval"]["what"]
    assert "200 times (seed 7)" in result["interval"]["what"]
    entries = [
        unit[name] for unit in result["aus"].values() for name in ("f1", "auc", "icc31", "pcc", "mae") if name in unit
    ]
    for entry in [*entries, *result["mean_over_aus"].values(), result["micro_f1"]]:
        low, high = entry["ci95"]
        assert low < entry["pooled"] < high
    assert measure(_scored(), resamples=200, seed=7) == result


def test_intensity_only_where_it_is_coded() -> None:
    scored = _scored()
    result = measure(scored, resamples=20)
    assert {"icc31", "pcc", "mae", "confusion"} <= result["aus"]["AU04"].keys()
    assert not {"icc31", "pcc", "mae", "confusion"} & result["aus"]["AU12"].keys()
    assert result["mean_over_aus"]["mae"]["aus"] == 1
    assert result["aus"]["AU04"]["mae"]["pooled"] == pytest.approx(
        float(np.abs(scored.intensity[:, 0] - scored.true_intensity[:, 0]).mean()), abs=1e-5
    )
    assert np.sum(result["aus"]["AU04"]["confusion"]) == 3000
    reads = [value for value in result["aus"]["AU04"]["reads_by_code"] if value is not None]
    assert len(reads) > 2
    assert reads == sorted(reads), "what is coded higher reads higher"


@pytest.mark.parametrize("intensity", [True, False])
def test_error_grows_with_yaw_where_it_was_planted(intensity: bool) -> None:
    scored = _scored(n=12_000, noise=0.2)
    side = np.abs(scored.yaw_deg) >= 30
    guess = np.where(side[:, None], 5 - scored.intensity, scored.intensity).astype(F32)
    probability = np.where(side[:, None], 1 - scored.probability, scored.probability).astype(F32)
    scored = replace(scored, intensity=guess, probability=probability)
    if not intensity:
        scored = replace(scored, true_intensity=np.full_like(guess, np.nan))
    scored.yaw_deg[:7] = np.nan
    yaw = measure(scored, resamples=100)["yaw"]
    assert ("absolute" if intensity else "balanced") in yaw["what"]
    assert yaw["frames_without_yaw"] == 7
    frames = np.histogram(np.abs(scored.yaw_deg[7:]), [0, 10, 20, 30, 45, 180])[0]
    assert [part["frames"] for part in yaw["bins"]] == frames.tolist()
    front, turned = yaw["bins"][0], yaw["bins"][3]
    assert (front["from_deg"], front["to_deg"], turned["from_deg"], turned["to_deg"]) == (0, 10, 30, 45)
    assert turned["error"] > 0.8
    assert turned["error"] > front["error"] + 0.5
    assert front["ci95"][0] <= front["error"] <= front["ci95"][1] < turned["ci95"][0]
    assert yaw["bins"][4]["to_deg"] is None


def test_frames_without_prediction_are_counted_and_left_out() -> None:
    scored = _scored()
    full = measure(scored, resamples=20)
    scored.probability[:100], scored.intensity[:100] = np.nan, np.nan
    scored.true_occurrence[50:150, 0] = np.nan
    unit = measure(scored, resamples=20)["aus"]["AU04"]
    assert (full["aus"]["AU04"]["frames"], full["aus"]["AU04"]["without_prediction"]) == (3000, 0)
    assert (unit["frames"], unit["without_prediction"]) == (2850, 50)
    assert unit["intensity_frames"] == 2900


def test_what_is_not_defined_is_null_and_left_out_of_means() -> None:
    scored = _scored()
    scored.true_occurrence[:, 1] = 0
    scored.probability[:, 1] = 0
    result = measure(scored, resamples=50)
    assert result["aus"]["AU12"]["f1"]["pooled"] is None
    assert result["aus"]["AU12"]["auc"] == {
        "per_fold": {"1": None, "2": None, "3": None},
        "fold_mean": None,
        "pooled": None,
        "ci95": [None, None],
    }
    assert result["mean_over_aus"]["f1"]["pooled"] == result["aus"]["AU04"]["f1"]["pooled"]
    json.dumps(result, allow_nan=False)


def test_false_alarms_do_not_make_an_f1_of_what_nobody_shows() -> None:
    scored = _scored()
    scored.true_occurrence[scored.folds != 1, 1] = 0
    entry = measure(scored, resamples=20)["aus"]["AU12"]["f1"]
    assert (entry["per_fold"]["2"], entry["per_fold"]["3"]) == (None, None)
    assert entry["fold_mean"] == entry["per_fold"]["1"] > 0.5
    scored.true_occurrence[:, 1] = 0
    result = measure(scored, resamples=20)
    assert result["aus"]["AU12"]["f1"]["pooled"] is None
    assert result["mean_over_aus"]["f1"]["pooled"] == result["aus"]["AU04"]["f1"]["pooled"]


def test_arrays_must_fit() -> None:
    scored = _scored()
    with pytest.raises(ValueError, match=r"folds is \(3000,\), not \(2,\)"):
        replace(scored, folds=np.ones(2, int))
    with pytest.raises(ValueError, match="probability is"):
        replace(scored, probability=scored.probability[:, :1])
    with pytest.raises(ValueError, match="0, 1 and NaN"):
        replace(scored, true_occurrence=2 * scored.true_occurrence)
    with pytest.raises(ValueError, match="no frame"):
        replace(scored, aus=())
