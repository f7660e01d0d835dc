"""How far readings follow the teacher."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.evaluation import agreement
from rtatl_core.evaluation.agreement import coded_agreement, teacher_agreement
from rtatl_core.evaluation.readings import Predicted
from rtatl_core.models.rtatl import RTATL
from tests.core.stores import AUS, write_clips, write_labelled


def test_agreement_is_per_clip(tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "selection", teacher=True, name="k"))
    smile = store.teacher[:, 8]
    shifted = np.stack([smile + 10 * (store.clips == "c1"), -smile], axis=1).astype(np.float32)
    agreement = teacher_agreement(store, shifted, AUS)
    assert agreement[12] == pytest.approx(1)  # an offset between people does not matter
    assert agreement[25] == pytest.approx(-1)


def test_a_false_alarm_of_an_au_that_nobody_shows_moves_no_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ChipStore.open(write_labelled(tmp_path, count=12))
    present = np.tile(np.array([[0, 0], [1, 0]], np.float32), (6, 1))
    source = Source(dataclasses.replace(store, occurrence=present), np.arange(12), labels=True)
    quiet = np.where(present == 1, 0.1, -0.1).astype(np.float32)
    alarm = quiet.copy()
    alarm[3, 1] = 0.1
    for logits in (quiet, alarm):
        still = np.zeros((12, 2), np.float32)
        said = Predicted(still, logits, still, still)
        monkeypatch.setattr(agreement, "predict_store", lambda *_, said=said: said)
        found = coded_agreement(cast("RTATL", None), source)
        assert (found["f1"], found["auc"]) == (1, 1)
    nobody = source._replace(store=dataclasses.replace(store, occurrence=np.zeros((12, 2), np.float32)))
    assert "f1" not in coded_agreement(cast("RTATL", None), nobody)
