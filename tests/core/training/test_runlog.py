from __future__ import annotations

from pathlib import Path

from rtatl_core.training.runlog import EpochReport, RunLog
from tests.tables import csv_rows


def report(epoch: int, held_out: dict[str, float]) -> EpochReport:
    return EpochReport(
        epoch=epoch,
        losses={"intensity": 0.5},
        held_out=held_out,
        selection=0.25,
        chosen_by="icc",
        learning_rate=1e-3,
        faces_per_s=100.0,
        seconds=2.0,
    )


def test_columns_keep_their_place_when_a_measure_is_missing_once(tmp_path: Path) -> None:
    log = RunLog(tmp_path)
    log.write(report(1, {"icc31": 0.1, "f1": 0.2}))
    log.close()
    again = RunLog(tmp_path)  # as after --resume
    again.write(report(2, {"icc31": 0.3}))
    again.write(report(3, {"icc31": 0.4, "f1": 0.5, "auc": 0.6}))
    again.close()
    rows = csv_rows(tmp_path / "log.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["held_out_f1"] for row in rows] == ["0.2", "", "0.5"]
    assert [row["selection"] for row in rows] == ["0.25"] * 3
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2
