"""The folder of an evaluation: tables, plots, and published numbers only beside the same protocol."""

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

from rtatl_core.datasets.protocols import POSITIVE_RATES
from rtatl_core.errors import InputError
from rtatl_core.evaluation import report_plots
from rtatl_core.evaluation.measures import Scored, measure
from rtatl_core.evaluation.published_tables import PUBLISHED, Published, PublishedRow, Status
from rtatl_core.evaluation.report import NOT_THE_PAPERS, protocol_gap, write_report
from rtatl_core.facs import DISFA_AUS
from tests.core.evaluation.test_measures import _scored

F32 = np.float32


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
    reads = ["-" if value is None else f"{value:.1f}" for value in result["aus"]["AU04"]["reads_by_code"]]
    assert f"| AU04 | {' | '.join(reads)} |" in text
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


def test_one_person_read_without_a_mistake(tmp_path: Path) -> None:
    true = np.arange(40, dtype=F32)[:, None] % 2
    scored = Scored((12,), np.full(40, "anna"), np.ones(40, int), 5 * true, true, 5 * true, true, np.zeros(40, F32))
    write_report(measure(scored, resamples=10), scored, tmp_path, title="", trained_on="", published=None)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "**Scored on:** 40 frames of 1 subject\n" in text
    assert "1 subject is too few" in text


def test_a_report_survives_a_crash_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = _scored(n=300)
    result = measure(scored, resamples=10)
    write_report(result, scored, tmp_path, title="First", trained_on="", published=None)

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rtatl_core.files.os.fsync", crash)
    with pytest.raises(InputError, match="No space left"):
        write_report(result, scored, tmp_path, title="Second", trained_on="", published=None)
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["title"] == "First"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    scored = _scored(n=300)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written to .*file"):
        write_report(measure(scored, resamples=10), scored, tmp_path / "file", title="", trained_on="", published=None)


def _like_disfa() -> tuple[Scored, Published]:
    """DISFA's protocol on few frames: three folds of nine people, its AUs and positive rates."""
    rng, n = np.random.default_rng(0), 2700
    person = np.arange(n) % 27
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
    return measure(scored, resamples=10), table


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("folds", "the folds hold 27 subjects, the published ones 9, 9, 9"),
        ("same person in two folds", "in more than one fold"),
        ("rule", "AU25 is present in 29.* by the published labels in 27.7"),
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
