"""What a training run writes beside its checkpoints: one CSV row an epoch, the same for TensorBoard, a bar a step."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EpochReport:
    epoch: int
    losses: dict[str, float]
    """Mean of each unweighted loss over the epoch."""
    held_out: dict[str, float]
    """Measures on held-out subjects: pcc, icc31, f1, auc as means over AUs, or the self-supervised losses."""
    selection: float
    """What the checkpoint is chosen by; larger is better."""
    chosen_by: str
    learning_rate: float
    faces_per_s: float
    seconds: float

    def row(self) -> dict[str, float]:
        values = {"epoch": float(self.epoch), **{f"loss_{k}": v for k, v in self.losses.items()}}
        values |= {f"held_out_{k}": v for k, v in self.held_out.items()}
        return values | {
            "selection": self.selection,
            "learning_rate": self.learning_rate,
            "faces_per_s": self.faces_per_s,
            "seconds": self.seconds,
        }


class RunLog:
    """Appends to ``log.csv`` and, where the package is installed, to TensorBoard's files in ``tensorboard/``."""

    def __init__(self, out: Path) -> None:
        self._csv = out / "log.csv"
        self._board: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._board = SummaryWriter(str(out / "tensorboard"))

    def write(self, report: EpochReport) -> None:
        row = report.row()
        columns = self._columns()
        with self._csv.open("a", newline="", encoding="utf-8") as file:
            # a measure may be undefined in one epoch and not in another: the first row's columns hold
            writer = csv.DictWriter(file, columns or list(row), restval="", extrasaction="ignore")
            if not columns:
                writer.writeheader()
            writer.writerow({k: int(v) if k == "epoch" else f"{v:.6g}" for k, v in row.items()})
        if self._board is not None:
            for name, value in row.items():
                if name != "epoch":
                    self._board.add_scalar(name.replace("_", "/", 1), value, report.epoch)
            self._board.flush()

    def _columns(self) -> list[str]:
        if not self._csv.exists():
            return []
        with self._csv.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def close(self) -> None:
        if self._board is not None:
            self._board.close()
