"""What a step is made of does not depend on loader processes, interruptions, or how many processes train."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rtatl_core.datasets import flow_target
from rtatl_core.datasets.augment import AugmentConfig, centre_crop
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.flow_pairs import partners
from rtatl_core.datasets.flow_target import LONGEST, FlowTarget, exact_flow, warp_flow
from rtatl_core.datasets.loader import RawBatch, Source, StepPlan, Steps, load_steps
from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout
from rtatl_core.tasks.roi_inpainting import InpaintingConfig, RoIInpainting
from tests.core.stores import AUS, write_clips, write_half_known_flow, write_labelled


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> StepPlan:
    folder = tmp_path_factory.mktemp("data")
    labelled = ChipStore.open(write_labelled(folder / "labelled", count=40))
    clips = ChipStore.open(write_clips(folder / "clips"))
    return StepPlan(
        aus=AUS,
        labelled=Source(labelled, np.arange(40), labels=True),
        unlabelled=(Source(labelled, np.arange(10), labels=False), Source(clips, np.arange(24), labels=False)),
        labelled_batch=8,
        unlabelled_batch=4,
        steps=5,
        seed=0,
        augment=AugmentConfig(),
        flow_to="later",
        flow_gap_s=0.2,
        want_flow=True,
        want_plain=True,
    )


def same(a: RawBatch, b: RawBatch) -> None:
    for name, one, two in zip(RawBatch._fields, a, b, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True, msg=f"{name} differs")


def test_an_epoch_takes_each_labelled_face_once_and_the_next_in_another_order(plan: StepPlan) -> None:
    assert plan.labelled is not None
    truth = plan.labelled.store.intensity[:, 0] / 5  # type: ignore[index]

    def order(epoch: int) -> list[float]:
        return [float(v) for k in range(5) for v in Steps(plan, epoch)[k].intensity[:8, 0]]

    np.testing.assert_allclose(sorted(order(0)), np.sort(truth), atol=1e-3)
    assert order(0) != order(1)
    longer = dataclasses.replace(plan, steps=7)  # more steps than faces: a second round
    assert len(Steps(longer, 0)[6].chips) == 12


def test_unlabelled_faces_carry_no_codes_even_from_a_coded_store(plan: StepPlan) -> None:
    batches = [Steps(plan, epoch)[0].to_batch(torch.device("cpu")) for epoch in range(6)]
    for batch in batches:
        assert batch.unlabelled.tolist() == [False] * 8 + [True] * 4
    flow = torch.stack([~batch.flow[8:].isnan().flatten(1).any(dim=1) for batch in batches])
    assert flow.any()  # clips have a later frame
    assert not flow.all()  # stills and the last frames have none
    assert all(batch.flow[:8].isnan().all() for batch in batches)


def test_codes_teach_in_place_of_blendshapes(plan: StepPlan, tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "clips", teacher=True))
    codes = np.zeros((24, 2), np.float32)
    store = dataclasses.replace(store, intensity=codes, occurrence=codes)
    coded, uncoded = (Source(store, np.arange(24), labels=labels) for labels in (True, False))
    raw = Steps(dataclasses.replace(plan, labelled=coded, unlabelled=(uncoded,), want_taught=True), 0)[0]
    assert raw.taught[:8].isnan().all()
    assert raw.taught[8:].isfinite().any()


def test_what_is_repeated_is_drawn_as_often_and_what_eyes_saw_is_taught(plan: StepPlan) -> None:
    photos, clips = plan.unlabelled
    rated = np.full((len(photos.store), 2), np.nan, np.float32)
    rated[:, 0] = 2.5
    photos = Source(dataclasses.replace(photos.store, rated=rated), photos.rows, labels=False, repeat=12)
    taught = dataclasses.replace(plan, unlabelled=(photos, clips), want_taught=True, unlabelled_batch=40)
    batch = Steps(taught, 0)[0].to_batch(torch.device("cpu"))
    assert batch.taught[:8].isnan().all(), "codes are not weak labels"
    known = batch.taught[8:, 0][~batch.taught[8:, 0].isnan()]
    assert (known == 0.5).all()
    assert 28 <= len(known) <= 39, "120 of 144 turns are the photos'"


def test_loader_processes_and_starting_in_between_change_nothing(plan: StepPlan) -> None:
    cv2.setNumThreads(2)  # a pool of threads in this process must not hold up the loaders (a fork of it did, for ever)
    cv2.GaussianBlur(np.zeros((2000, 2000), np.uint8), (0, 0), 5)
    here = list(load_steps(plan, 1, 0, 0))
    there = list(load_steps(plan, 1, 0, 2))
    assert len(here) == len(there) == 5
    for one, two in zip(here, there, strict=True):
        same(one, two)
    same(next(load_steps(plan, 1, 3, 0)), here[3])


@pytest.mark.skipif(sys.platform == "win32", reason="there processes are not asked to end by a signal")
def test_a_signal_to_all_processes_leaves_loaders_to_the_first_one(plan: StepPlan) -> None:
    steps = load_steps(dataclasses.replace(plan, steps=12), 0, 0, 1)
    next(steps)
    (worker,) = multiprocessing.active_children()
    for pid in (worker.pid, forkserver._forkserver._forkserver_pid):
        os.kill(pid, signal.SIGTERM)
    assert len(list(steps)) == 11


@pytest.mark.slow
def test_a_program_ends_though_a_loader_process_still_works() -> None:
    """As when a step of the training raises what nobody catches."""
    code = "import time; from rtatl_core.datasets.loader import _context; "
    code += "_context().Process(target=time.sleep, args=(600,), daemon=True).start()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=90)


def test_two_processes_share_the_step_of_one(plan: StepPlan) -> None:
    whole = Steps(plan, 0)[2]
    halves = [Steps(dataclasses.replace(plan, rank=r, world=2), 0)[2] for r in range(2)]
    order = [*range(4), *range(8, 10), *range(4, 8), *range(10, 12)]
    for name, tensor in zip(RawBatch._fields, whole, strict=True):
        joined = torch.cat([getattr(half, name) for half in halves])
        torch.testing.assert_close(joined, tensor[order], rtol=0, atol=0, equal_nan=True, msg=name)


def test_plain_view_is_the_same_place_without_degradation(plan: StepPlan) -> None:
    settings = AugmentConfig.none()
    shifted = dataclasses.replace(plan, augment=dataclasses.replace(settings, shift=0.05, gain=0.5, flip=0.5))
    raw = Steps(shifted, 0)[0]
    changed = raw.chips.float().flatten(1).mean(1) - raw.plain.float().flatten(1).mean(1)
    assert float(changed.abs().max()) > 5
    white = raw.plain == 255
    assert white.any()  # the mouth corners' marks
    still = Steps(dataclasses.replace(plan, augment=dataclasses.replace(settings, shift=0.05)), 0)[0]
    torch.testing.assert_close(still.chips, still.plain)


@pytest.mark.parametrize(("flip", "left_over_right"), [(0.0, 0.2), (1.0, -0.2)])
def test_a_mirrored_face_swaps_the_intensities_of_its_sides(
    plan: StepPlan, tmp_path: Path, flip: float, left_over_right: float
) -> None:
    store = ChipStore.open(write_labelled(tmp_path / "told", count=8, sides=True))
    source = Source(store, np.arange(8), labels=True)
    steps = Steps(dataclasses.replace(plan, labelled=source, augment=AugmentConfig(flip=flip)), 0)
    sides = steps[0].sides[:8]
    told = ~sides.isnan().any(dim=2)
    assert told.any(dim=0).all()
    np.testing.assert_allclose((sides[..., 0] - sides[..., 1])[told], left_over_right, atol=1e-3)


@pytest.mark.parametrize("to", ["later", "rest"])
def test_known_motion_stays_beside_clips_without_it(plan: StepPlan, tmp_path: Path, to: str) -> None:
    store = ChipStore.open(write_half_known_flow(tmp_path))
    fields = np.load(tmp_path / "parts" / "b" / "flow.npy")
    source = Source(store, np.arange(len(store)), labels=False)
    steps = Steps(dataclasses.replace(plan, labelled=None, unlabelled=(source,), flow_to=to), 0)
    room = store.layout.margin
    crop = np.array([[1, 0, -room], [0, 1, -room]], np.float32)
    for row in (0, 12):
        (partner,) = partners(store, to, 0.2)[[row]]
        first, second = (centre_crop(store.chips[int(r)], store.layout) for r in (row, partner))
        seen = FlowTarget(to=to)(np.ascontiguousarray(first), np.ascontiguousarray(second))
        stored = to == "later" and row == 12
        expected = warp_flow(fields[0].astype(np.float32), crop, store.layout) if stored else seen
        np.testing.assert_allclose(steps._flow(0, row, 0, crop), expected.transpose(2, 0, 1), atol=1e-6)


def test_stores_travel_as_paths(plan: StepPlan) -> None:
    assert len(pickle.dumps(Steps(plan, 0))) < 200_000  # the chips alone are 2.5 MB


def test_a_share_of_the_faces_comes_with_flow(plan: StepPlan) -> None:
    clips = plan.unlabelled[1]
    plan = dataclasses.replace(plan, labelled=None, unlabelled=(clips,), unlabelled_batch=40)

    def known(share: float) -> torch.Tensor:
        flow = Steps(dataclasses.replace(plan, flow_share=share), 0)[0].flow
        return ~flow.isnan().flatten(1).all(dim=1)

    every, some = known(1.0), known(0.4)
    assert (some <= every).all()
    assert 0.15 < some.sum() / every.sum() < 0.65


# ---- flow fields ---------------------------------------------------------------------------------------------


def test_exact_flow_takes_the_heads_motion_out() -> None:
    """The second frame is the first one turned, zoomed and shifted; one spot moves 6 px more."""
    layout = ChipLayout(112, 16)
    first = np.array([[0.5, 0, -20], [0, 0.5, -10]])
    turn = 1.1 * np.array([[np.cos(0.2), -np.sin(0.2)], [np.sin(0.2), np.cos(0.2)]])
    y, x = np.mgrid[0:400, 0:400].astype(np.float64)
    at = np.stack([x, y], axis=-1)
    motion = (at @ turn.T + (7, -3) - at).astype(np.float32)
    spot = (at[..., 0] - 180) ** 2 + (at[..., 1] - 200) ** 2 < 20**2
    motion[spot] += turn @ (6, 0)
    motion[:60] = np.nan
    inverse = np.linalg.inv(turn)
    linear = first[:, :2] @ inverse  # aligns the second frame as the first
    second = np.concatenate([linear, (first[:, 2] - linear @ (7, -3))[:, None]], axis=1)
    field = exact_flow(motion, first, second, layout)
    assert field.shape == (36, 36, 2)
    cell = field[int((0.5 * 200 - 10) / 4), int((0.5 * 180 - 20) / 4)]
    np.testing.assert_allclose(cell * 112, (3, 0), atol=0.2)
    assert np.isnan(field[:4]).all()
    rest = np.isfinite(field).all(axis=-1)
    assert np.median(np.abs(field[rest])) < 1e-6


def test_exact_flow_is_that_of_the_middle_of_each_cell() -> None:
    """Motion that grows with the square of x tells a place half a pixel off, which the median does not take out."""
    layout = ChipLayout(112, 16)
    motion = np.zeros((144, 144, 2), np.float32)
    motion[..., 0] = np.arange(144) ** 2 / 8000
    stays = np.eye(2, 3)
    field = exact_flow(motion, stays, stays, layout)
    expected = (4 * np.arange(36) + 1.5) ** 2 / 8000
    np.testing.assert_allclose(field[5, :, 0] * 112, expected - np.median(expected), atol=1e-3)


def test_warping_a_field_turns_its_vectors() -> None:
    layout = ChipLayout(112, 16)
    field = np.zeros((36, 36, 2), np.float32)
    field[16:22, 8:14] = (0.02, 0)
    mirror = np.array([[-1, 0, 112 - 1 + 16], [0, 1, -16]], np.float32)
    flipped = warp_flow(field, mirror, layout)
    assert flipped.shape == (28, 28, 2)
    np.testing.assert_allclose(flipped[15, 28 - 1 - 7], (-0.02, 0), atol=1e-3)
    quarter = np.array([[0, -1, 112 - 1 + 16], [1, 0, -16]], np.float32)  # a quarter turn: right becomes down
    turned = warp_flow(field, quarter, layout)
    y, x = np.unravel_index(np.linalg.norm(turned, axis=-1).argmax(), (28, 28))
    np.testing.assert_allclose(turned[y, x], (0, 0.02), atol=1e-3)
    shifted = warp_flow(field, np.array([[1, 0, 40], [0, 1, -16]], np.float32), layout)
    assert np.isnan(shifted[:, 0]).all()  # beyond the canvas nothing is known


def test_stored_flow_is_as_long_as_flow_found_while_training(tmp_path: Path) -> None:
    """It is found between canvases, which are larger than chips, and told in chip sides."""
    store = ChipStore.open(write_clips(tmp_path / "clips", clips=1, flow="dis"))
    crop = np.array([[1, 0, -store.layout.margin], [0, 1, -store.layout.margin]], np.float32)
    stored, seen = [], []
    for row in np.flatnonzero(store.flow_to >= 0).tolist():
        first, second = (np.ascontiguousarray(centre_crop(store.chips[r], store.layout)) for r in (row, row + 2))
        stored.append(warp_flow(store.stored_flow(row), crop, store.layout))  # type: ignore[arg-type]
        seen.append(FlowTarget()(first, second))
    assert len(stored) == 10
    known = np.isfinite(stored)
    ours, theirs = np.array(stored)[known], np.array(seen)[known]
    assert ours @ theirs / (theirs @ theirs) == pytest.approx(1, abs=0.1)


def test_a_mirrored_cell_has_the_motion_of_its_counterpart() -> None:
    field = np.zeros((36, 36, 2), np.float32)
    field[..., 0] = np.arange(36) ** 2 / 60_000
    mirror = np.array([[-1, 0, 112 - 1 + 16], [0, 1, -16]], np.float32)
    expected = -field[0, 31 - np.arange(28), 0]
    found = warp_flow(field, mirror, ChipLayout(112, 16))
    np.testing.assert_allclose(found[3, :, 0], expected - np.median(expected), atol=1e-6)


@pytest.mark.parametrize("method", ["dis", "tvl1"])
def test_flow_methods_agree_on_a_moving_patch(method: str) -> None:
    rng = np.random.default_rng(0)
    first = cv2.GaussianBlur(rng.integers(0, 255, (112, 112, 3), np.uint8), (0, 0), 2)
    second = first.copy()
    second[60:100, 33:83] = first[58:98, 30:80]
    field = FlowTarget(method)(first, second) * 112
    np.testing.assert_allclose(np.median(field[17:23, 11:18].reshape(-1, 2), axis=0), (3, 2), atol=0.4)
    assert np.abs(field).max() <= LONGEST["later"] * 112 + 1e-4


def test_cells_lie_where_they_say_on_pictures_that_they_do_not_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    """82 pixels, as the canvas of a chip of 64 has: 20 cells of four."""
    motion = np.zeros((82, 82, 2), np.float32)
    motion[..., 0] = np.arange(82) / 40
    monkeypatch.setitem(flow_target.METHODS, "dis", lambda: lambda first, second: motion)
    black = np.zeros((82, 82, 3), np.uint8)
    found = FlowTarget()(black, black) * 82
    middles = (4 * np.arange(20) + 1.5) / 40
    np.testing.assert_allclose(found[0, :, 0], middles - np.median(middles), atol=1e-5)


def test_unknown_flow_method() -> None:
    with pytest.raises(RecipeError, match="flow method 'farneback' is unknown; write one of dis, tvl1"):
        FlowTarget("farneback")


def test_faces_lose_their_reference_their_flow_and_their_patches_independently(plan: StepPlan) -> None:
    """Single photos show intact faces without a reference: training must, too."""
    task = RoIInpainting(InpaintingConfig(coded_share=0.5, share=0.5))
    steps = Steps(dataclasses.replace(plan, want_reference=True, flow_share=0.5, steps=60), 0)
    of_reference, of_flow = np.zeros((2, 2)), np.zeros((2, 2))
    for k in range(len(steps)):
        batch = steps[k].to_batch(torch.device("cpu"))
        erased = (task.corrupt(batch, batch.chips) != batch.chips).flatten(1).any(dim=1)
        lost = batch.reference.isnan().flatten(1).any(dim=1)[:8]
        np.add.at(of_reference, (lost.int().numpy(), erased[:8].int().numpy()), 1)
        lost = batch.flow.isnan().flatten(1).all(dim=1)[8:]
        np.add.at(of_flow, (lost.int().numpy(), erased[8:].int().numpy()), 1)
    for table in (of_reference, of_flow):
        share = table / table.sum()
        np.testing.assert_allclose(share, np.outer(share.sum(axis=1), share.sum(axis=0)), atol=0.06)
        assert share.min() > 0.1
