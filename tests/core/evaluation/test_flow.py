"""How well a network tells motion from a single picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import torch
from torch import Tensor

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.evaluation import flow
from rtatl_core.evaluation.flow import flow_gain
from rtatl_core.models.decoders import FlowDecoder
from rtatl_core.models.rtatl import RTATL


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
