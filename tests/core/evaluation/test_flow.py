"""How well a network tells motion from a single picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.evaluation import flow
from rtatl_core.evaluation.flow import flow_gain
from rtatl_core.models.decoders import FlowDecoder
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from tests.core.stores import write_clips


@pytest.mark.parametrize(("told", "gain"), [(2.0, 0.5), (0.5, 1.0), (-1.0, 0.0), (0.0, 1.0)])
def test_flow_is_reduced_to_what_comes_true(monkeypatch: pytest.MonkeyPatch, told: float, gain: float) -> None:
    def flows(*_: object) -> Iterator[tuple[Tensor, Tensor]]:
        for seed in range(3):
            target = torch.randn(1, 2, 7, 7, generator=torch.Generator().manual_seed(seed))
            predicted = told * target
            target[..., 0, 0] = torch.nan  # outside the picture: not known
            yield predicted, target

    monkeypatch.setattr(flow, "_flows", flows)
    nobody = cast("RTATL", None), cast("ChipStore", Path())
    assert flow_gain(*nobody) == pytest.approx(gain)


def test_known_motion_is_the_target_where_there_is_some(tmp_path: Path) -> None:
    write_clips(tmp_path, name="a", clips=1, part="a")
    write_clips(tmp_path, name="b", clips=1, part="b", flow="dis")
    known = tmp_path / "parts" / "b" / "flow.npy"
    fields = np.load(known)
    fields[:, :10] = 0.03
    np.save(known, fields)
    network = RTATL(RTATLConfig(aus=(12,), width=8, token=16, geometry=0), flow=True)
    targets = [target for _, target in flow._flows(network, ChipStore.open(tmp_path), 100)]
    assert len(targets) == 20, "ten of each clip"
    assert [float(target[0, 0, 2].median()) > 0.02 for target in targets] == [False] * 10 + [True] * 10


def test_tempered_flow_is_the_same_motion_but_smaller() -> None:
    torch.manual_seed(0)
    decoder = FlowDecoder(8, 64).eval()
    torch.nn.init.normal_(decoder.out.weight)
    torch.nn.init.normal_(cast("Tensor", decoder.out.bias))
    coarse = torch.randn(2, 8, 2, 2)
    before = decoder(coarse)
    decoder.temper(0.25)
    torch.testing.assert_close(decoder(coarse), 0.25 * before)
    assert decoder.out.weight.requires_grad
