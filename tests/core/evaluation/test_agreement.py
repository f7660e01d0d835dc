"""How far readings follow the teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.evaluation.agreement import teacher_agreement
from tests.core.stores import AUS, write_clips


def test_agreement_is_per_clip(tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "selection", teacher=True, name="k"))
    smile = store.teacher[:, 8]
    shifted = np.stack([smile + 10 * (store.clips == "c1"), -smile], axis=1).astype(np.float32)
    agreement = teacher_agreement(store, shifted, AUS)
    assert agreement[12] == pytest.approx(1)  # an offset between people does not matter
    assert agreement[25] == pytest.approx(-1)
