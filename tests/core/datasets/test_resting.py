"""Expressions moved onto other people's resting faces."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rtatl_core.datasets.augment import AugmentConfig, mirror_geometry
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source, StepPlan, Steps
from rtatl_core.datasets.resting import RestingFaces
from rtatl_core.datasets.teacher import TEACHER_SHAPES
from rtatl_core.handoffs import Float32
from tests.core.stores import AUS, write_clips, write_labelled


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> ChipStore:
    """Ten people of six faces; the first of each is at rest."""
    store = ChipStore.open(write_labelled(tmp_path_factory.mktemp("labelled")))
    intensity = np.full((60, 2), 2.0, np.float32)
    intensity[:10] = 0
    return dataclasses.replace(store, intensity=intensity)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> ChipStore:
    """A clip of one person who is at rest in its first frame only."""
    store = ChipStore.open(write_clips(tmp_path_factory.mktemp("clips"), clips=1))
    teacher = np.ones((12, len(TEACHER_SHAPES)), np.float32)
    teacher[0] = 0
    return dataclasses.replace(store, teacher=teacher)


def geometry(store: ChipStore, row: int) -> Float32:
    return store.geometry[row].astype(np.float32)


def test_an_expression_keeps_its_movement_and_changes_its_owner(rendered: ChipStore, real: ChipStore) -> None:
    resting = RestingFaces(rendered, np.arange(60), [(real, np.arange(12))])
    mine = geometry(rendered, 13)  # of person 3, whose resting face is row 3
    people = [geometry(real, 0), *(geometry(rendered, row) for row in range(10))]
    faces = [*people, *(mirror_geometry(face) for face in people)]
    seen = set()
    for seed in range(60):
        moved = mine + resting.move(13, np.random.default_rng(seed))
        owner = moved - (mine - geometry(rendered, 3))
        errors = [float(np.abs(owner - face).max()) for face in faces]
        assert min(errors) < 1e-5
        seen.add(int(np.argmin(errors)))
    assert {0, len(people)} <= seen  # the real one, also mirrored
    assert len(seen) > 8


def test_only_people_at_rest_and_rows_that_may_be_used_take_part(rendered: ChipStore, real: ChipStore) -> None:
    nobody = RestingFaces(rendered, np.arange(1, 60), [(real, np.arange(1, 12))])
    assert not nobody.move(10, np.random.default_rng(0)).any()  # the resting face of person 0 may not be used
    only_rendered = [nobody.move(11, np.random.default_rng(seed)) for seed in range(20)]
    expected = [geometry(rendered, row) - geometry(rendered, 1) for row in range(1, 10)]
    expected += [mirror_geometry(geometry(rendered, row)) - geometry(rendered, 1) for row in range(1, 10)]
    assert all(min(float(np.abs(move - face).max()) for face in expected) < 1e-5 for move in only_rendered)


def test_a_batch_moves_the_reference_along_and_leaves_uncoded_faces_alone(rendered: ChipStore, real: ChipStore) -> None:
    plan = StepPlan(
        aus=AUS,
        labelled=Source(rendered, np.arange(60), labels=True),
        unlabelled=(Source(real, np.arange(12), labels=False),),
        labelled_batch=30,
        unlabelled_batch=8,
        steps=2,
        seed=0,
        augment=AugmentConfig(),
        flow_gap_s=0.2,
        want_flow=False,
        want_plain=False,
        want_reference=True,
    )
    before, after = Steps(plan, 0)[0], Steps(dataclasses.replace(plan, exchange=1.0), 0)[0]
    moved = (after.geometry - before.geometry).flatten(1).abs().amax(dim=1)
    assert (moved[:30] > 1e-4).sum() >= 25  # now and then a person is exchanged with themselves
    assert (moved[30:] == 0).all()
    known = ~before.reference[:, 0, 0].isnan()
    assert known[:30].any()
    for faces in (before, after):
        assert (faces.chips == before.chips).all()
        assert (faces.reference[:, 0, 0].isnan() == ~known).all()
    change = (after.geometry - after.reference) - (before.geometry - before.reference)
    assert change[known].abs().max() < 1e-5
