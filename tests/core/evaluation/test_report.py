from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtatl_core.datasets.protocols import POSITIVE_RATES
from rtatl_core.errors import InputError
from rtatl_core.evaluation import report_plots
from rtatl_core.evaluation.measures import Scored, measure
from rtatl_core.evaluation.published_tables import PUBLISHED, Published, PublishedRow, Status
from rtatl_core.evaluation.report import NOT_THE_PAPERS, protocol_gap, write_report
from rtatl_core.facs import DISFA_AUS

F32 = np.float32


def _scored(n: int = 3000, people: int = 24, folds: int = 3, seed: int = 0, noise: float = 1.0) -> Scored:
    """AU4, coded in both ways, and AU12, coded as occurrence only; people go to folds in turn."""
    rng = np.random.default_rng(seed)
    person = np.arange(n) % people
    true = np.maximum(rng.integers(-4, 6, (n, 2)), 0).astype(F32)
    guess = (true + noise * rng.normal(size=(n, 2))).clip(0, 5).astype(F32)
    intensity = true.copy()
    intensity[:, 1] = np.nan
    return Scored(
        aus=(4, 12),
        subjects=np.array([f"S{i:02d}" for i in person]),
        folds=(person % folds + 1).astype(np.int64),
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
    assert measure(replace(_scored(), folds=np.ones(3000, int)), threshold=0.9)["threshold"]["value"] == 0.9


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


def test_report_folder(tmp_path: Path) -> None:
    scored = _scored()
    result = measure(scored, resamples=50)
    write_report(result, scored, tmp_path / "r", title="First try", trained_on="synthetic faces", published=None)
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert names == {"report.json", "report.md", "per_au.png", "pr.png", "intensity.png", "yaw.png"}
    stored = json.loads((tmp_path / "r" / "report.json").read_text("utf-8"))
    assert stored == {"title": "First try", "trained_on": "synthetic faces", "beside_published": None} | result
    text = (tmp_path / "r" / "report.md").read_text("utf-8")
    assert text.startswith(
        "# First try\n\n**Trained on:** synthetic faces  \n**Scored on:** 3,000 frames of 24 subjects"
    )
    assert NOT_THE_PAPERS in text
    assert "published F1" not in text.replace("as published F1 tables have it", "")
    f1 = result["aus"]["AU04"]["f1"]
    low, high = f1["ci95"]
    assert f"| {100 * f1['fold_mean']:.1f} | {100 * f1['pooled']:.1f} | {100 * low:.1f} to {100 * high:.1f} |" in text
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1
    for name in names - {"report.json", "report.md"}:
        assert f"({name})" in text
        picture = cv2.imread(str(tmp_path / "r" / name))
        assert min(picture.shape[:2]) > 300
        assert 5 < picture.std() < 120

    occurrence_only = replace(scored, true_intensity=np.full_like(scored.intensity, np.nan))
    result = measure(occurrence_only, resamples=50)
    write_report(result, occurrence_only, tmp_path / "r", title="Second", trained_on="x", published=None)
    assert not (tmp_path / "r" / "intensity.png").exists()
    assert "code occurrence only" in (tmp_path / "r" / "report.md").read_text("utf-8")


def test_bars_carry_names_and_values() -> None:
    result = measure(_scored(), resamples=50)
    figure = report_plots.per_au(result)
    first = figure.axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == ["AU4 Brow lowerer", "AU12 Lip corner puller"]
    pooled = [result["aus"][label]["f1"]["pooled"] for label in ("AU04", "AU12")]
    assert [bar.get_width() for bar in first.patches] == pytest.approx(pooled)
    assert [text.get_text().strip() for text in first.texts] == [f"{value:.2f}"[1:] for value in pooled]
    assert [text.get_text().strip() for text in figure.axes[2].texts][1] == "not coded"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    scored = _scored(n=300)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written to .*file"):
        write_report(measure(scored, resamples=10), scored, tmp_path / "file", title="", trained_on="", published=None)


def _like_disfa(people: int = 27, n: int = 2700) -> tuple[Scored, Published]:
    """DISFA's protocol on few frames: three folds of nine people, its AUs and positive rates."""
    rng = np.random.default_rng(0)
    person = np.arange(n) % people
    order = rng.permuted(np.tile(np.arange(n)[:, None], len(DISFA_AUS)), axis=0) / n
    true = (order < np.array([POSITIVE_RATES["disfa"][au] for au in DISFA_AUS]) / 100).astype(F32)
    nothing = np.full(true.shape, np.nan, F32)
    probability = np.clip(true * 0.6 + rng.random(true.shape) * 0.6, 0, 1).astype(F32)
    subjects = np.array([f"SN{i:03d}" for i in person])
    scored = Scored(DISFA_AUS, subjects, person % 3 + 1, nothing, probability, nothing, true, np.zeros(n, F32))
    return scored, replace(PUBLISHED["disfa"], frames=n)


def test_published_table_stands_beside_the_same_protocol(tmp_path: Path) -> None:
    scored, table = _like_disfa()
    result = measure(scored, resamples=10)
    assert protocol_gap(result, table) is None
    write_report(result, scored, tmp_path, title="DISFA", trained_on="DISFA", published=table)
    text = (tmp_path / "report.md").read_text("utf-8")
    ours = [100 * unit["f1"]["fold_mean"] for unit in result["aus"].values()]
    mine = " | ".join(f"**{value:.1f}**" for value in [*ours, float(np.mean(ours))])
    assert f"| **ours** | **-** | {mine} |" in text
    measured, printed = text.split("**Measured here**")[1].split("**Printed by others**")
    assert "FMAE" not in measured
    assert "ours |" not in printed
    assert "| FMAE-IAT | 2024 | 64.7 | 61.3 |" in printed
    assert "The row of RTATL itself (arXiv 2107.14399) is missing" in printed
    for row in table.rows:
        assert f"| {row.average:.1f} | {row.status.name} | {row.source} | {row.note} |" in printed
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["beside_published"] == "disfa"


def _other(change: str) -> tuple[dict[str, Any], Published]:
    scored, table = _like_disfa()
    if change == "folds":
        scored = replace(scored, folds=np.ones(len(scored.folds), int))
    if change == "same person in two folds":
        scored = replace(scored, folds=np.arange(len(scored.folds)) // 27 % 3 + 1)
    if change == "rule":
        scored.true_occurrence[:60, DISFA_AUS.index(25)] = 1
    if change == "frames":
        scored.probability[:300] = np.nan
    if change == "AUs":
        table = replace(
            table, aus=(*table.aus, 27), rows=(PublishedRow("x", 2020, (1.0,) * 9, 1.0, "x", Status.CONFIRMED),)
        )
    return measure(scored, resamples=10, threshold=0.4 if change == "threshold" else 0.5), table


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("folds", "the folds hold 27 subjects, the published ones 9, 9, 9"),
        ("same person in two folds", "in more than one fold"),
        ("rule", "AU25 is present in 29.* by the published labels in 27.7"),
        ("threshold", "threshold is 0.4"),
        ("frames", "scored on 2,400 of 2,700"),
        ("AUs", "AU27 is not scored"),
    ],
)
def test_another_protocol_keeps_the_published_table_away(change: str, reason: str, tmp_path: Path) -> None:
    result, table = _other(change)
    gap = protocol_gap(result, table)
    assert gap is not None
    assert re.search(reason, gap)
    scored, _ = _like_disfa()
    write_report(result, scored, tmp_path, title="DISFA", trained_on="synthetic faces", published=table)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert f"the protocol is another: {gap}." in text
    assert "FMAE" not in text
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["beside_published"] is None


def test_the_command_line_starts_without_matplotlib() -> None:
    code = "import sys, rtatl_core.cli, rtatl_core.evaluation.report; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
