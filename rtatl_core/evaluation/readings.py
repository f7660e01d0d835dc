"""Model x prepared data -> predictions and agreement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtatl_core.calibration import Calibration
from rtatl_core.datasets.augment import AugmentConfig, centre_crop
from rtatl_core.datasets.chips import ChipStore, frame_pairs
from rtatl_core.datasets.flow_target import FlowTarget, warp_flow
from rtatl_core.datasets.loader import Source, StepPlan, load_steps
from rtatl_core.datasets.others import references
from rtatl_core.datasets.split import TrainingData
from rtatl_core.datasets.teacher import TEACHER_SHAPES, stand_in
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation.metrics import auc, f1, icc31, pcc
from rtatl_core.face.regions import au_regions
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.rtatl import RTATL
from rtatl_core.reference import resting_levels
from rtatl_core.tasks.objective import Objective
from rtatl_core.tasks.optical_flow import end_point_error
from rtatl_core.training.recipe import Recipe

TEACHER_MOVES = 0.05
"""Standard deviation within a clip from which on the teacher says something about its AU."""
_FEW_FRAMES = 10
"""Fewer frames of a clip say nothing."""
_VALIDATION_STEPS = 20
"""Batches of held-out unlabelled faces that judge a self-supervised run."""


class Predicted(NamedTuple):
    """What a network says of the rows of a store, before calibration; each (n, n_aus)."""

    intensity: Float32
    """1 = FACS intensity 5."""
    occurrence: Float32
    """Logits."""
    pixels: Float32
    """Intensity by the pixel stream alone."""
    geometry: Float32
    """Intensity by the geometry stream alone; the pixel stream's where there is none."""
    sides: Float32 | None = None
    """(n, n_aus, 2) of the subject's left and right; None if the network does not tell them."""


@torch.inference_mode()
def predict_store(network: RTATL, store: ChipStore, rows: NDArray[np.int64], batch: int = 128) -> Predicted:
    """Of the rows' central chips, on the network's device."""
    network.eval()
    device = next(network.parameters()).device
    known = references(store, rows) if network.config.reference else None
    outputs: list[tuple[Float32, ...]] = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        chips = np.stack([centre_crop(store.chips[int(row)], store.layout) for row in part])
        centres = au_regions(store.landmarks.take(part).astype(np.float32), network.config.aus)
        geometry = torch.from_numpy(store.geometry.take(part).astype(np.float32)).to(device)
        images = to_tensor(torch.from_numpy(chips).to(device)).contiguous(memory_format=torch.channels_last)
        compared = None if known is None else torch.from_numpy(known[start : start + batch]).to(device)
        output = network(images, torch.from_numpy(centres).to(device), geometry, compared)
        tensors = [output.intensity, output.occurrence, output.streams[0].intensity, output.streams[-1].intensity]
        if output.sides is not None:
            tensors.append(output.sides)
        outputs.append(tuple(tensor.float().cpu().numpy() for tensor in tensors))
    return Predicted(*(np.concatenate(part) for part in zip(*outputs, strict=True)))


def in_time(store: ChipStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same rows in the order of their times."""
    return rows[np.argsort(store.times[rows], kind="stable")]


def read_store(
    network: RTATL, calibration: Calibration, store: ChipStore, rows: NDArray[np.int64] | None = None
) -> tuple[Float32, Float32]:
    """(n, n_aus) intensity 0-5 before smoothing and probability of occurrence of the rows (None = all), as the engine
    reads them: frames of a clip one after the other, also those that are not asked for, each photo as of a stranger."""
    rows = np.arange(len(store)) if rows is None else rows
    clips = [clip for clip in np.unique(store.clips[rows]) if clip]
    needed = np.union1d(rows, np.flatnonzero(np.isin(store.clips, clips)))
    said = predict_store(network, store, needed)
    resting = np.broadcast_to(calibration.begins, said.intensity.shape).copy()
    for clip in clips:
        frames = in_time(store, np.flatnonzero(store.clips == clip))
        places = np.searchsorted(needed, frames)
        resting[places] = resting_levels(store.times[frames], said.intensity[places], calibration.begins)
    intensity, probability = calibration.of_person(said.intensity, resting).read(said.intensity, said.occurrence)
    asked = np.searchsorted(needed, rows)
    return intensity[asked], probability[asked]


_CHOICES = ("teacher", "icc", "f1", "loss", "last")


@dataclass(frozen=True, slots=True)
class Choice:
    """What checkpoints are chosen by."""

    by: str

    @classmethod
    def of(cls, wanted: str, data: TrainingData) -> Choice:
        """Raises RecipeError when the data do not allow the wanted one."""
        coded = _coded(data.validation) if data.labelled is not None and data.validation is not None else (False, False)
        possible = {
            "teacher": data.selection is not None,
            "icc": coded[0],
            "f1": coded[1],
            "loss": data.validation is not None,
            "last": True,
        }
        if wanted == "auto":
            return cls(next(name for name in _CHOICES if possible[name]))
        if wanted not in possible:
            raise RecipeError(f"optim.choose is {wanted!r}; write auto, {', '.join(_CHOICES)}")
        if not possible[wanted]:
            raise RecipeError(f"optim.choose is {wanted}, but the data hold nothing to measure that by; write auto")
        return cls(wanted)


def _coded(source: Source) -> tuple[bool, bool]:
    """Whether intensity and occurrence are coded."""
    store, rows = source.store, source.rows
    if store.intensity is None or store.occurrence is None:
        return False, False
    return bool(np.isfinite(store.intensity[rows]).any()), bool(np.isfinite(store.occurrence[rows]).any())


def validate(
    objective: Objective, data: TrainingData, choice: Choice, recipe: Recipe
) -> tuple[dict[str, float], float]:
    """Measures on held-out subjects, and the one that checkpoints are chosen by (larger is better; NaN for "last")."""
    measures: dict[str, float] = {}
    network = objective.network
    if data.validation is not None and data.labelled is not None:
        measures = coded_agreement(network, data.validation)
    elif data.validation is not None:
        measures = self_supervised_losses(objective, data.validation, recipe)
    if choice.by == "teacher":
        assert data.selection is not None
        values = predict_store(network, data.selection, np.arange(len(data.selection))).intensity
        return measures, float(np.nanmean(list(teacher_agreement(data.selection, values, data.aus).values())))
    if choice.by == "loss":
        return measures, -sum(getattr(recipe.tasks, name) * value for name, value in measures.items())
    return measures, measures.get({"icc": "icc31", "f1": "f1"}.get(choice.by, ""), float("nan"))


def coded_agreement(network: RTATL, source: Source) -> dict[str, float]:
    """Means over AUs: pcc and icc31 of the intensity, f1 (threshold .5) and auc of the occurrence head; only what is
    coded."""
    store, rows = source.store, source.rows
    assert store.intensity is not None
    assert store.occurrence is not None
    said = predict_store(network, store, rows)
    scores: dict[str, list[float]] = {"pcc": [], "icc31": [], "f1": [], "auc": []}
    for j in range(len(store.aus)):
        truth = store.intensity[rows, j] / MAX_INTENSITY
        if np.isfinite(truth).any():
            scores["pcc"].append(pcc(said.intensity[:, j], truth))
            scores["icc31"].append(icc31(said.intensity[:, j], truth))
        seen = np.isfinite(store.occurrence[rows, j])
        if seen.any():
            present, logit = store.occurrence[rows, j][seen] == 1, said.occurrence[seen, j]
            scores["f1"].append(f1(logit >= 0, present))
            scores["auc"].append(auc(logit, present))
    return {name: float(np.nanmean(values)) for name, values in scores.items() if np.isfinite(values).any()}


@torch.inference_mode()
def self_supervised_losses(objective: Objective, source: Source, recipe: Recipe) -> dict[str, float]:
    """Mean losses on faces of held-out people, the same faces, views and patches each time."""
    network = objective.network
    plan = StepPlan(
        aus=network.config.aus,
        labelled=None,
        unlabelled=(source,),
        labelled_batch=0,
        unlabelled_batch=min(64, len(source.rows)),
        steps=min(_VALIDATION_STEPS, -(-len(source.rows) // 64)),
        seed=recipe.optim.seed,
        augment=AugmentConfig.none(),
        flow_gap_s=network.config.flow_gap_s,
        want_flow=recipe.tasks.flow > 0,
        want_plain=recipe.tasks.consistency > 0,
        want_taught=recipe.tasks.teacher > 0,
        want_reference=network.config.reference,
    )
    network.eval()
    device = next(network.parameters()).device
    sums: dict[str, float] = {}
    for raw in load_steps(plan, 0, 0, 0):
        for name, loss in objective(raw.to_batch(device)).items():
            sums[name] = sums.get(name, 0.0) + float(loss)
    return {name: value / plan.steps for name, value in sums.items()}


def clip_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, list[float]]:
    """AU -> PCC between prediction and teacher in each clip where the teacher moves, over the frames where it knows the
    AU; AUs that never move are left out."""
    assert store.teacher is not None
    result: dict[int, list[float]] = {}
    for au in TEACHER_SHAPES.keys() & set(aus):
        told = stand_in(store.teacher, au)
        clips = [np.flatnonzero((store.clips == clip) & np.isfinite(told)) for clip in np.unique(store.clips)]
        moving = [rows for rows in clips if len(rows) >= _FEW_FRAMES and told[rows].std() > TEACHER_MOVES]
        scores = [pcc(values[rows, aus.index(au)], told[rows]) for rows in moving]
        scores = [
            score if np.isfinite(score) else 0.0 for score in scores
        ]  # a prediction that never moves follows nothing
        if scores:
            result[au] = scores
    return dict(sorted(result.items()))


def teacher_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, float]:
    """AU -> mean of ``clip_agreement``."""
    return {au: float(np.mean(scores)) for au, scores in clip_agreement(store, values, aus).items()}


@torch.inference_mode()
def flow_error(network: RTATL, store: ChipStore, most: int = 2000) -> dict[str, Any]:
    """End-point error of the flow predicted from single frames, and of predicting no motion, in pixels of the chip;
    over pairs of frames that are ``flow_gap_s`` apart (evenly spread ones if there are over ``most``), and over their
    quarter with the strongest motion."""
    errors = [
        [float(end_point_error(guess, target)) * store.layout.side for guess in (predicted, torch.zeros_like(target))]
        for predicted, target in _flows(network, store, most)
    ]
    if not errors:
        return {"pairs": 0}
    table = np.array(errors)
    moving = table[table[:, 1] >= np.quantile(table[:, 1], 0.75)]
    names = ("end_point_error_px", "of_no_motion_px")
    result = {"pairs": len(table), **{n: round(float(v), 3) for n, v in zip(names, table.mean(axis=0), strict=True)}}
    moving_values = zip(names, moving.mean(axis=0), strict=True)
    return {**result, "moving_quarter": {name: round(float(value), 3) for name, value in moving_values}}


@torch.inference_mode()
def flow_gain(network: RTATL, store: ChipStore, most: int = 500) -> float:
    """0 to 1: the factor with which the predicted flow comes nearest to what follows, by least squares. The task's loss
    is for cells that move, so predictions of the whole face are too large; where they know nothing it is 0."""
    along = length = 0.0
    for predicted, target in _flows(network, store, most):
        known = ~target.isnan()
        along += float((predicted * target)[known].sum())
        length += float(predicted[known].square().sum())
    return min(1.0, max(0.0, along / length)) if length > 0 else 1.0


def _flows(network: RTATL, store: ChipStore, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(1, 2, S/4, S/4) flow predicted from the first frame of each pair, and flow to the second, fractions of the
    chip."""
    network.eval()
    if network.flow is None:
        raise ValueError("the network has no flow decoder")
    device = next(network.parameters()).device
    target_of = FlowTarget()
    crop = np.array([[1, 0, -store.layout.margin], [0, 1, -store.layout.margin]], np.float32)
    pairs = frame_pairs(store, network.config.flow_gap_s)
    for first, second in pairs[:: max(1, len(pairs) // most)]:
        chips = [np.ascontiguousarray(centre_crop(store.chips[int(row)], store.layout)) for row in (first, second)]
        if store.flow is not None:
            field = warp_flow(store.flow[int(first)].astype(np.float32), crop, store.layout)
        else:
            field = target_of(*chips)
        image = network.standardise(to_tensor(torch.from_numpy(chips[0])[None].to(device)))
        predicted = network.flow(network.backbone(image).coarse) / FLOW_SCALE
        yield predicted, torch.from_numpy(np.ascontiguousarray(field.transpose(2, 0, 1)))[None].to(device)
