"""A network's own leaning to one side, and its way out of the heads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import rtatl_core.training.level_sides as levelling
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.parts import Frame
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.face.mesh import mirror_index
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.training.level_sides import FEW, MOST, leaning, level_sides, line
from tests.core.stores import AUS, face, write_labelled, write_store


@pytest.fixture
def faces(tmp_path: Path) -> Source:
    return Source.whole(ChipStore.open(write_labelled(tmp_path, FEW, people=FEW)))


def crooked(*, geometry: int = 16, reference: bool = False) -> RTATL:
    """Untrained, so that it leans somehow, and its left of the second AU reads .3 more."""
    torch.manual_seed(1)
    config = RTATLConfig(aus=AUS, width=8, token=16, geometry=geometry, sides=True, reference=reference)
    network = RTATL(config, flow=False).eval()
    with torch.no_grad():
        network.head.whole.bias.view(len(AUS), 3)[1, 0] += 0.3
    return network


@pytest.mark.parametrize("geometry", [0, 16])
def test_faces_and_their_mirror_images_lean_to_no_side_and_read_the_same(faces: Source, geometry: int) -> None:
    network = crooked(geometry=geometry)
    before = predict_store(network, *faces[:2])
    at_zero, slope = leaning(network, [faces])
    assert np.abs(at_zero + slope * before.intensity.mean(axis=0)).max() > 0.02, "else there is nothing to level"
    level_sides(network, [faces])
    after, mirrored = (predict_store(network, *faces[:2], mirrored=turned) for turned in (False, True))
    np.testing.assert_allclose(after.intensity, before.intensity, atol=1e-5)
    np.testing.assert_allclose(after.occurrence, before.occurrence, atol=1e-5)
    assert before.sides is not None
    assert after.sides is not None
    assert mirrored.sides is not None
    left_over = sum((told[..., 0] - told[..., 1]).mean(axis=0) for told in (after.sides, mirrored.sides))
    np.testing.assert_allclose(left_over, 0, atol=1e-4)
    taken = [(told[..., 0] - told[..., 1]) for told in (before.sides, after.sides)]
    np.testing.assert_allclose(taken[0] - taken[1], at_zero + slope * before.intensity, atol=1e-4)


def test_too_few_people_tell_nothing_however_many_their_faces(faces: Source, tmp_path: Path) -> None:
    network = crooked()
    before = [weight.clone() for weight in network.parameters()]
    one_less = Source.whole(ChipStore.open(write_labelled(tmp_path / "more", 2 * FEW, people=FEW - 1)))
    for few in ([faces._replace(rows=faces.rows[1:])], [one_less]):
        level_sides(network, few)
        assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
    level_sides(network, [one_less, faces])
    assert not torch.equal(before[-1], list(network.parameters())[-1])


def test_a_network_is_levelled_on_its_device(faces: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros(len(AUS), np.float32)
    monkeypatch.setattr(levelling, "leaning", lambda network, faces: (nothing, nothing))
    level_sides(crooked().to("meta"), [faces])  # which, as GPUs, does not compute with numbers of the CPU


def test_of_very_many_faces_some_are_looked_at(faces: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def leans(network: RTATL, faces: Sequence[Source]) -> tuple[Float32, Float32]:
        looked_at.extend(len(one.rows) for one in faces)
        return np.zeros(len(AUS), np.float32), np.zeros(len(AUS), np.float32)

    monkeypatch.setattr(levelling, "leaning", leans)
    for faces_of_each in (1, 2 * MOST // FEW, 4 * MOST // FEW):
        level_sides(crooked(), [faces._replace(rows=np.repeat(faces.rows, faces_of_each)), faces])
    assert looked_at[:2] == [FEW, FEW], "few: all"
    assert looked_at[2] + looked_at[3] <= MOST + 1
    assert looked_at[4] + looked_at[5] <= MOST + 1


def test_how_the_lean_grows_is_told_by_faces_that_show_the_au_and_by_no_noise() -> None:
    """Of a lean of .02, and .1 of the intensity, .05 apart from face to face: an AU that some show, one that none do.
    Least squares alone would take off lines of about 1, 5 on the scale of 0-5, where somebody does show it."""
    rng = np.random.default_rng(0)
    intensity = np.stack([rng.choice([0, 0.4], 400), rng.normal(0.05, 0.003, 400)], axis=1).astype(np.float32)
    lean = (0.02 + 0.1 * intensity + rng.normal(0, 0.05, (400, 2))).astype(np.float32)
    at_zero, slope = line(lean, intensity)
    assert slope[0] == pytest.approx(0.1, abs=0.02)
    assert abs(slope[1]) < 0.02
    assert abs(np.polyfit(*np.stack([intensity, lean])[..., 1], 1)[0]) > 0.5
    np.testing.assert_allclose(at_zero + slope * intensity.mean(axis=0), lean.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(line(lean[:, :1], np.full((400, 1), 0.05, np.float32))[1], 0, atol=1e-6)


@pytest.mark.parametrize("reference", [False, True])
def test_what_is_said_of_a_mirror_image_is_said_of_a_picture_turned_before(tmp_path: Path, reference: bool) -> None:
    rng = np.random.default_rng(0)
    swap = [*mirror_index(), *range(468, 478)]
    straight, turned = [], []
    for k in range(8):
        image, points = face(float(rng.uniform()), rng)
        points[[61, 13, 105], :2] += rng.normal(0, 3, (3, 2))  # crooked
        straight.append((Frame(f"{k}", f"{k % 4}", image), points, None))
        other = points[swap] * np.array([-1, 1, 1], np.float32) + np.array([image.shape[1] - 1, 0, 0], np.float32)
        turned.append((Frame(f"{k}", f"{k % 4}", np.ascontiguousarray(image[:, ::-1])), other, None))
    stores = [ChipStore.open(write_store(tmp_path / name, some)) for name, some in (("a", straight), ("b", turned))]
    network, rows = crooked(reference=reference), np.arange(8)
    told, mirrored = (predict_store(network, stores[0], rows, mirrored=how) for how in (False, True))
    expected = predict_store(network, stores[1], rows)
    for part in ("intensity", "sides", "pixels", "geometry"):
        wanted, before = getattr(expected, part), getattr(told, part)
        np.testing.assert_allclose(getattr(mirrored, part), wanted, atol=0.1 * np.abs(wanted - before).max())
