"""Which checkpoint of a run is the best one, and when a run gets no better."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core.errors import RecipeError
from rtatl_core.training.trainer import Trainer
from tests.core.training.conftest import recipe


def test_a_checkpoint_is_chosen_by_what_the_held_out_people_can_tell(data: Path, tmp_path: Path) -> None:
    alone = ("data.selection=", "data.aside=")
    with pytest.raises(RecipeError, match=r"optim\.choose is loss, but the data hold nothing to measure that by"):
        Trainer(recipe(data, *alone, "optim.choose=loss"), tmp_path)
    calm = tmp_path / "calm"
    shutil.copytree(data / "labelled", calm)
    part = calm / "parts" / "all"
    np.save(part / "occurrence.npy", np.zeros_like(np.load(part / "occurrence.npy")))
    np.save(part / "intensity.npy", np.full_like(np.load(part / "intensity.npy"), np.nan))
    labelled = f"data.labelled={calm.as_posix()}"
    with pytest.raises(RecipeError, match=r"optim\.choose is f1, but the data hold nothing to measure that by"):
        Trainer(recipe(data, *alone, labelled, "optim.choose=f1"), tmp_path)
    assert Trainer(recipe(data, *alone, labelled), tmp_path).choice.by == "last"
    intensity = np.load(data / "labelled" / "parts" / "all" / "intensity.npy")
    np.save(part / "intensity.npy", np.zeros_like(intensity))
    assert Trainer(recipe(data, *alone, labelled), tmp_path).choice.by == "last", "ICC is defined of no AU"
    np.save(part / "intensity.npy", intensity)
    assert Trainer(recipe(data, *alone, labelled), tmp_path).choice.by == "icc"


def test_a_checkpoint_is_not_chosen_by_what_no_task_learns(data: Path, tmp_path: Path) -> None:
    uncoded = ("data.labelled=[]", "data.aside=", "data.aus=[12, 25]", "data.held_out=0.5")
    assert Trainer(recipe(data, *uncoded), tmp_path).choice.by == "loss", "no head learns"
    assert Trainer(recipe(data, *uncoded, "tasks.teacher=1"), tmp_path).choice.by == "teacher"
    assert Trainer(recipe(data, "tasks.intensity=0"), tmp_path).choice.by == "f1"
    with pytest.raises(RecipeError, match=r"optim\.choose is icc, .* or no task learns it"):
        Trainer(recipe(data, "tasks.intensity=0", "optim.choose=icc"), tmp_path)


NOT_MEASURED = float("nan")


@pytest.mark.parametrize(
    ("given", "epochs"),
    [
        ([0.1, 0.5, 0.4, 0.3, 0.9], 4),
        ([NOT_MEASURED] * 9, 2),
        ([NOT_MEASURED, 0.5, NOT_MEASURED, NOT_MEASURED, 0.9], 4),
    ],
    ids=["worse", "not measured", "not measured any more"],
)
def test_patience_ends_a_run_that_gets_no_better(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: list[float], epochs: int
) -> None:
    scores = iter(given)
    monkeypatch.setattr("rtatl_core.training.trainer.validate", lambda *_: ({}, next(scores)))
    trainer = Trainer(recipe(data, "optim.epochs=9", "optim.patience=2", "optim.steps=1"), tmp_path)
    best = trainer.run()
    assert trainer.epoch == epochs
    assert torch.load(best, weights_only=True)["epoch"] == 2
