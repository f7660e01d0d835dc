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
from rtatl_core.datasets.parts import Frame
from rtatl_core.evaluation import flow
from rtatl_core.evaluation.flow import flow_gain
from rtatl_core.models.decoders import FlowDecoder
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from tests.core.stores import face, write_clips, write_half_known_flow, write_store


@pytest.mark.parametrize(("told", "gain"), [(2.0, 0.5), (0.5, 1.0), (-1.0, 0.0), (0.0, 1.0)])
def test_flow_is_reduced_to_what_comes_true(monkeypatch: pytest.MonkeyPatch, told: float, gain: float) -> None:
    def flows(*_: object) -> Iterator[tuple[int, Tensor, Tensor]]:
        for seed in range(3):
            target = torch.randn(1, 2, 7, 7, generator=torch.Generator().manual_seed(seed))
            predicted = told * target
            target[..., 0, 0] = torch.nan  # outside the picture: not known
            yield seed, predicted, target

    monkeypatch.setattr(flow, "_flows", flows)
    nobody = cast("RTATL", None), cast("ChipStore", Path())
    assert flow_gain(*nobody) == pytest.approx(gain)


def test_flow_is_compared_within_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one clip it is told right but for its length, in the other one the wrong way round."""
    store = ChipStore.open(write_clips(tmp_path, clips=2))
    first = [int(np.flatnonzero(store.clips == clip)[0]) for clip in np.unique(store.clips)]

    def flows(*_: object) -> Iterator[tuple[int, Tensor, Tensor]]:
        for row, told in zip(first, (0.5, -1.0), strict=True):
            target = torch.randn(1, 2, 7, 7, generator=torch.Generator().manual_seed(row))
            predicted = told * target
            target[..., 0, 0] = torch.nan
            yield row, predicted, target

    monkeypatch.setattr(flow, "_flows", flows)
    found = flow.flow_error(cast("RTATL", None), store)
    assert found["pairs"] == 2
    assert list(found["pcc"].values()) == [1.0, -1.0]
    assert found["end_point_error_px"] == pytest.approx(1.25 * found["of_no_motion_px"], rel=0.2)


def test_stills_with_motion_of_their_own_are_compared_together(tmp_path: Path) -> None:
    still = np.zeros((240, 240, 2), np.float32)
    faces = []
    for k in range(4):
        picture, landmarks = face(1.0, np.random.default_rng(k))
        motion = still + (0.0 if k < 2 else 4.0) * (np.arange(240) > 140)[:, None, None]  # of the lower face
        faces.append((Frame(str(k), str(k), picture, flow=motion, flow_to=str(k)), landmarks, None))
    store = ChipStore.open(write_store(tmp_path, faces))
    network = RTATL(RTATLConfig(aus=(12,), width=8, token=16, geometry=0, flow_to="rest"), flow=True)
    found, of_resting = flow.flow_error(network, store), flow.flow_error(network, store, np.array([0, 1]))
    assert (found["pairs"], list(found["pcc"])) == (4, ["stills"])
    assert found["of_no_motion_px"] > 0.5
    assert (of_resting["pairs"], of_resting["of_no_motion_px"]) == (2, 0.0)
    assert flow.flow_error(network, store, np.array([], np.int64)) == {"pairs": 0}
    fields = np.load(tmp_path / "parts" / "all" / "flow.npy")
    fields[0] = np.nan
    np.save(tmp_path / "parts" / "all" / "flow.npy", fields)
    without = flow.flow_error(network, ChipStore.open(tmp_path), np.array([0, 1]))
    assert (without["pairs"], without["of_no_motion_px"]) == (1, 0.0), "a card holds no NaN"


def test_known_motion_is_the_target_where_there_is_some(tmp_path: Path) -> None:
    store = ChipStore.open(write_half_known_flow(tmp_path))
    network = RTATL(RTATLConfig(aus=(12,), width=8, token=16, geometry=0), flow=True)
    targets = [target for _, _, target in flow._flows(network, store, 100)]
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
