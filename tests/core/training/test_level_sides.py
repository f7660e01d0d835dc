"""A network's own leaning to one side, and its way out of the heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.parts import Frame
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.face.mesh import mirror_index
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.training.level_sides import FEW, leaning, level_sides
from tests.core.stores import AUS, face, open_store, write_labelled, write_store


@pytest.fixture
def faces(tmp_path: Path) -> Source:
    return Source.whole(open_store(write_labelled(tmp_path, FEW)))


def crooked(*, geometry: int = 16) -> RTATL:
    """Untrained, so that it leans somehow, and its left of the second AU reads .3 more."""
    torch.manual_seed(1)
    network = RTATL(RTATLConfig(aus=AUS, width=8, token=16, geometry=geometry, sides=True), flow=False).eval()
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
    np.testing.assert_allclose(leaning(network, [faces]), 0, atol=1e-4)


def test_too_few_faces_tell_nothing(faces: Source) -> None:
    network = crooked()
    before = [weight.clone() for weight in network.parameters()]
    level_sides(network, [faces._replace(rows=faces.rows[1:])])
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_what_is_said_of_a_mirror_image_is_said_of_a_picture_turned_before(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    swap = [*mirror_index(), *range(468, 478)]
    straight, turned = [], []
    for k in range(8):
        image, points = face(float(rng.uniform()), rng)
        points[[61, 13, 105], :2] += rng.normal(0, 3, (3, 2))  # crooked
        straight.append((Frame(f"{k}", f"{k}", image), points, None))
        other = points[swap] * np.array([-1, 1, 1], np.float32) + np.array([image.shape[1] - 1, 0, 0], np.float32)
        turned.append((Frame(f"{k}", f"{k}", np.ascontiguousarray(image[:, ::-1])), other, None))
    stores = [open_store(write_store(tmp_path / name, some)) for name, some in (("a", straight), ("b", turned))]
    network, rows = crooked(), np.arange(8)
    told, mirrored = (predict_store(network, stores[0], rows, mirrored=how) for how in (False, True))
    expected = predict_store(network, stores[1], rows)
    for part in ("intensity", "sides", "pixels", "geometry"):
        wanted, before = getattr(expected, part), getattr(told, part)
        np.testing.assert_allclose(getattr(mirrored, part), wanted, atol=0.1 * np.abs(wanted - before).max())
