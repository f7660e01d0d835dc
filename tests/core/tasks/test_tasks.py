"""Each task against a plain numpy reference written from its docstring."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional

from rtatl_core.datasets.flow_target import FlowTarget
from rtatl_core.face.regions import WINDOW
from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.models.decoders import FLOW_SCALE, region_mask
from rtatl_core.models.rtatl import RTATL, RTATLConfig, RTATLOutput, Said
from rtatl_core.tasks.au_recognition import AURecognition
from rtatl_core.tasks.base import Batch
from rtatl_core.tasks.consistency import Consistency, ConsistencyConfig
from rtatl_core.tasks.optical_flow import OpticalFlow, end_point_error
from rtatl_core.tasks.roi_inpainting import InpaintingConfig, RoIInpainting
from rtatl_core.tasks.weak_teacher import TOLERANCE, WeakTeacher

AUS = (1, 12, 25)
CONFIG = RTATLConfig(aus=AUS, width=8, token=16, geometry=16)


def make_batch(count: int = 3) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return Batch(
        chips=torch.rand(count, 3, CHIP_SIDE, CHIP_SIDE, generator=generator),
        centres=torch.rand(count, len(AUS), 2, 2, generator=generator) * 0.7 + 0.15,
        geometry=torch.randn(count, 468, 3, generator=generator) * 0.02,
        reference=torch.full((count, 468, 3), float("nan")),
        intensity=torch.rand(count, len(AUS), generator=generator),
        occurrence=(torch.rand(count, len(AUS), generator=generator) < 0.5).float(),
        sides=torch.full((count, len(AUS), 2), float("nan")),
        taught=torch.full((count, len(AUS)), float("nan")),
        flow=torch.randn(count, 2, CHIP_SIDE // 4, CHIP_SIDE // 4, generator=generator) * 0.01,
        seeds=torch.arange(count),
    )


def test_au_losses_against_numpy() -> None:
    rng = np.random.default_rng(0)
    training = rng.uniform(0, 0.6, (50, 3)).astype(np.float32)
    training[::7, 1] = np.nan
    coded = np.where(rng.random((50, 3)) < 0.8, rng.random((50, 3)) < 0.3, np.nan).astype(np.float32)
    coded[:, 0] = np.arange(50) == 7  # so rare that its weight is bounded
    task = AURecognition(torch.from_numpy(training), torch.from_numpy(coded))
    batch = make_batch()
    batch.intensity[0, 2] = float("nan")
    batch.occurrence[1, 0] = float("nan")
    value, logit = rng.normal(size=(2, 3, 3)).astype(np.float32)
    stream = Said(torch.from_numpy(value), torch.from_numpy(logit), None)
    output = RTATLOutput(*stream, (stream,), torch.zeros(()), torch.zeros(()))
    losses = task.losses(batch, output, RTATL(CONFIG, flow=False))

    weight = 1 / (np.nanstd(training, axis=0) + 0.05)
    weight /= weight.mean()
    labels = batch.intensity.numpy()
    known = ~np.isnan(labels)
    squared = ((value - np.nan_to_num(labels)) ** 2 * weight * known).sum() / known.sum()
    rate = np.nanmean(coded, axis=0)
    positive = np.minimum((1 - rate) / rate, 10)
    probability = 1 / (1 + np.exp(-logit.astype(float)))
    present = batch.occurrence.numpy() == 1
    seen = ~np.isnan(batch.occurrence.numpy())
    entropy = np.where(present, -positive * np.log(probability), -np.log(1 - probability))
    assert float(losses["intensity"]) == pytest.approx(squared, rel=1e-4)
    assert float(losses["occurrence"]) == pytest.approx((entropy * seen).sum() / seen.sum(), rel=1e-4)


def test_an_intensity_that_is_never_but_0_teaches_nothing() -> None:
    """Of events whose strength nobody said, only the absence between them has a known intensity."""
    training = torch.rand(20, 3)
    training[:, 0] = torch.tensor([0.0, float("nan")]).repeat(10)
    task = AURecognition(training, (torch.rand(20, 3) < 0.5).float())
    batch = make_batch()
    batch.intensity[:, 0] = 0.0
    value = torch.rand(3, 3, requires_grad=True)
    stream = Said(value, torch.zeros(3, 3), None)
    output = RTATLOutput(*stream, (stream,), torch.zeros(()), torch.zeros(()))
    task.losses(batch, output, RTATL(CONFIG, flow=False))["intensity"].backward()
    assert value.grad is not None
    assert value.grad[:, 0].abs().max() == 0
    assert value.grad[:, 1:].abs().min() > 0
    nothing = AURecognition(torch.zeros(20, 3), (torch.rand(20, 3) < 0.5).float())
    assert nothing.losses(batch, output, RTATL(CONFIG, flow=False))["intensity"].item() == 0


def test_unlabelled_faces_give_no_au_loss_and_no_nan() -> None:
    task = AURecognition(torch.rand(20, 3), (torch.rand(20, 3) < 0.5).float())
    batch = make_batch()
    batch.intensity[:] = float("nan")
    batch.occurrence[:] = float("nan")
    assert batch.unlabelled.all()
    network = RTATL(CONFIG, flow=False)
    losses = task.losses(batch, network(batch.chips, batch.centres, batch.geometry), network)
    assert all(loss.item() == 0 for loss in losses.values())


def test_region_mask_against_a_loop() -> None:
    batch = make_batch()
    erased = torch.tensor([[0, 2], [1, -1], [-1, -1]])
    mask = region_mask(batch.centres, erased, 40).numpy()[:, 0]
    centres = batch.centres.numpy()
    expected = np.zeros((3, 40, 40), bool)
    for b, y, x in np.ndindex(3, 40, 40):
        for au in erased[b].tolist():
            for cx, cy in centres[b, au] if au >= 0 else ():
                near = abs((x + 0.5) / 40 - cx) <= WINDOW / 2 and abs((y + 0.5) / 40 - cy) <= WINDOW / 2
                expected[b, y, x] |= near
    np.testing.assert_array_equal(mask, expected)
    assert not mask[2].any()


def test_inpainting_erases_patches_and_leaves_the_batch_alone() -> None:
    batch = make_batch(16)
    before = batch.chips.clone()
    changed = RoIInpainting(InpaintingConfig(coded_share=0.5)).corrupt(batch, batch.chips)
    torch.testing.assert_close(batch.chips, before)
    touched = (changed != before).flatten(1).any(dim=1)
    assert 3 <= int(touched.sum()) <= 13
    face = int(touched.nonzero()[0])
    where = (changed[face] != before[face]).any(dim=0)
    means = before[face].mean(dim=(1, 2))
    torch.testing.assert_close(changed[face][:, where], means[:, None].expand(-1, int(where.sum())))


def test_coded_and_uncoded_faces_have_their_own_share() -> None:
    batch = make_batch(12)
    batch.intensity[6:], batch.occurrence[6:] = float("nan"), float("nan")
    for coded, share in ((0.0, 1.0), (1.0, 0.0)):
        changed = RoIInpainting(InpaintingConfig(share=share, coded_share=coded)).corrupt(batch, batch.chips)
        touched = (changed != batch.chips).flatten(1).any(dim=1)
        assert touched.tolist() == [coded == 1] * 6 + [share == 1] * 6


def test_inpainting_loss_teaches_recovery() -> None:
    """A few steps on one batch must lower the loss; the gradient reaches backbone, regions and relation."""
    torch.manual_seed(0)
    batch = make_batch(2)
    batch.chips = functional.interpolate(torch.rand(2, 3, 6, 6), size=(CHIP_SIDE, CHIP_SIDE), mode="bilinear")
    network = RTATL(CONFIG, flow=False, inpainting=True)
    task = RoIInpainting(InpaintingConfig(coded_share=1.0))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    history = []
    for _ in range(30):
        inputs = task.corrupt(batch, batch.chips)
        loss = task.losses(batch, network(inputs, batch.centres, batch.geometry), network)["inpainting"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        history.append(loss.item())
    assert history[-1] < 0.9 * history[0]
    for part in (network.backbone.conv1, network.regions.fine, network.relation.layers[0].linear1):
        assert part.weight.grad is not None
        assert part.weight.grad.abs().sum() > 0


def test_inpainting_without_decoder_is_refused() -> None:
    batch = make_batch()
    task = RoIInpainting()
    network = RTATL(CONFIG, flow=False)
    with pytest.raises(ValueError, match="decoder"):
        task.losses(batch, network(batch.chips, batch.centres, batch.geometry), network)


def test_flow_loss_against_numpy() -> None:
    batch = make_batch()
    batch.flow[1] = float("nan")
    batch.flow[2, :, :9] = float("nan")  # cells without a face
    network = RTATL(CONFIG).eval()
    output = network(batch.chips, batch.centres, batch.geometry)
    loss = OpticalFlow().losses(batch, output, network)["flow"]
    assert network.flow is not None
    predicted = network.flow(output.coarse).detach().numpy()[[0, 2]]
    target = batch.flow.numpy()[[0, 2]] * FLOW_SCALE
    error = ((predicted - target) ** 2).sum(axis=1)
    weight = 1 + np.sqrt((target**2).sum(axis=1)) / (0.01 * FLOW_SCALE)
    assert loss.item() == pytest.approx(np.nansum(error * weight) / np.nansum(weight), rel=1e-4)
    batch.flow[:] = float("nan")
    assert OpticalFlow().losses(batch, output, network)["flow"].item() == 0


def test_end_point_error() -> None:
    target = torch.zeros(2, 2, 4, 4)
    predicted = target.clone()
    predicted[:, 0], predicted[:, 1] = 3, 4
    assert float(end_point_error(predicted, target)) == pytest.approx(5)


def test_flow_target_finds_a_local_motion_with_its_sign() -> None:
    rng = np.random.default_rng(0)
    first = cv2.GaussianBlur(rng.integers(0, 255, (112, 112, 3), np.uint8), (0, 0), 2)
    second = first.copy()
    second[60:100, 33:83] = first[58:98, 30:80]  # the lower middle moves 3 px right and 2 px down
    flow = FlowTarget()(first, second)
    assert flow.shape == (28, 28, 2)
    inner = flow[17:23, 11:18].reshape(-1, 2).mean(axis=0) * 112
    np.testing.assert_allclose(inner, (3, 2), atol=0.6)
    assert np.abs(flow[2:10]).max() * 112 < 0.3
    moved = np.roll(first, 4, axis=1)  # the whole head moves: nothing is left
    assert np.abs(np.median(FlowTarget()(first, moved), axis=(0, 1))).max() < 1e-6


def test_consistency_against_numpy() -> None:
    """Only unlabelled faces teach, only where the plain view is sure, and the network is left as it was."""
    torch.manual_seed(0)
    batch = make_batch(5)
    batch.intensity[2:], batch.occurrence[2:] = float("nan"), float("nan")
    batch.plain = torch.rand(5, 3, CHIP_SIDE, CHIP_SIDE)
    network = RTATL(CONFIG, flow=False).train()
    before = network.backbone.bn1.running_mean.clone()
    output = network(batch.chips, batch.centres, batch.geometry)
    moved = {name: value.clone() for name, value in network.named_buffers()}
    assert not torch.equal(before, moved["backbone.bn1.running_mean"])
    with torch.no_grad():
        taught = network.eval()(batch.plain[2:], batch.centres[2:], batch.geometry[2:])
    p = 1 / (1 + np.exp(-taught.occurrence.numpy().astype(float)))
    confidence = float(np.median(np.maximum(p, 1 - p))) + 1e-4
    loss = Consistency(ConsistencyConfig(confidence)).losses(batch, output, network.train())["consistency"]
    assert network.training
    assert all(torch.equal(value, moved[name]) for name, value in network.named_buffers())

    sure = np.maximum(p, 1 - p) >= confidence
    assert 0 < sure.sum() < sure.size
    q = 1 / (1 + np.exp(-output.occurrence.detach().numpy()[2:].astype(float)))
    entropy = -np.log(np.where(p >= 0.5, q, 1 - q))
    difference = (output.intensity.detach().numpy()[2:] - taught.intensity.numpy()) ** 2
    assert loss.item() == pytest.approx(((entropy + difference) * sure).sum() / sure.sum(), rel=1e-4)
    batch.intensity[:] = 0.5
    assert Consistency().losses(batch, output, network)["consistency"].item() == 0


def test_sides_are_learnt_where_they_are_told() -> None:
    rng = np.random.default_rng(3)
    training = rng.uniform(0, 0.6, (50, 3)).astype(np.float32)
    task = AURecognition(torch.from_numpy(training), torch.from_numpy((training > 0.3).astype(np.float32)))
    batch = make_batch()
    batch.sides = torch.from_numpy(rng.uniform(0, 1, (3, 3, 2)).astype(np.float32))
    batch.intensity = batch.sides.mean(dim=-1)
    batch.sides[0] = float("nan")  # this face has the mean only
    sides = torch.from_numpy(rng.normal(size=(3, 3, 2)).astype(np.float32))
    said = Said(sides.mean(dim=-1), torch.zeros(3, 3), sides)
    output = RTATLOutput(*said, (said,), torch.zeros(()), torch.zeros(()))
    loss = task.losses(batch, output, RTATL(CONFIG, flow=False))["intensity"]

    weight = 1 / (training.std(axis=0) + 0.05)
    weight /= weight.mean()
    whole = (sides.mean(dim=-1).numpy() - batch.intensity.numpy()) ** 2
    halves = ((sides.numpy() - batch.sides.numpy()) ** 2).mean(axis=-1)
    expected = (np.where(np.isnan(halves), whole, halves) * weight).mean()
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_a_network_with_sides_never_contradicts_itself() -> None:
    config = RTATLConfig(aus=AUS, width=8, token=16, geometry=16, sides=True)
    network = RTATL(config, flow=False).eval()
    batch = make_batch()
    output = network(batch.chips, batch.centres, batch.geometry)
    assert output.sides is not None
    assert output.sides.shape == (3, len(AUS), 2)
    torch.testing.assert_close(output.sides.mean(dim=-1), output.intensity)
    assert RTATL(CONFIG, flow=False).eval()(batch.chips, batch.centres, batch.geometry).sides is None


def test_weak_teacher_against_numpy() -> None:
    rng = np.random.default_rng(4)
    batch = make_batch()
    taught = rng.uniform(0, 1, (3, 3)).astype(np.float32)
    taught[0] = np.nan
    taught[1, 2] = np.nan
    batch.taught = torch.from_numpy(taught)
    streams = tuple(
        Said(torch.from_numpy(rng.uniform(0, 1, (3, 3)).astype(np.float32)), torch.zeros(3, 3), None) for _ in range(2)
    )
    output = RTATLOutput(*streams[0], streams, torch.zeros(()), torch.zeros(()))
    loss = WeakTeacher().losses(batch, output, RTATL(CONFIG, flow=False))["teacher"]
    known = ~np.isnan(taught)
    expected = []
    for said in streams:
        error = np.abs(said.intensity.numpy() - np.nan_to_num(taught))
        huber = np.where(error < TOLERANCE, error**2 / 2, TOLERANCE * (error - TOLERANCE / 2))
        expected.append((huber * known).sum() / known.sum())
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-5)
    batch.taught = torch.full((3, 3), float("nan"))
    assert float(WeakTeacher().losses(batch, output, RTATL(CONFIG, flow=False))["teacher"]) == 0
