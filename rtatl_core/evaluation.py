"""Model x prepared data -> predictions and agreement."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtatl_core.datasets.augment import centre_crop
from rtatl_core.datasets.chips import ChipStore, frame_pairs
from rtatl_core.datasets.teacher import TEACHER_SHAPES
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import Float32
from rtatl_core.metrics import pcc
from rtatl_core.models.backbone import standardise, to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.rtatl import RTATL
from rtatl_core.tasks.optical_flow import FlowTarget, end_point_error, to_target

TEACHER_MOVES = 0.02
"""Standard deviation within a clip from which on the teacher says something about its AU."""


@torch.inference_mode()
def predict_store(
    network: RTATL, store: ChipStore, rows: NDArray[np.int64], batch: int = 128
) -> tuple[Float32, Float32, Float32]:
    """Intensity on 0-1 of the rows' central chips: mixture, pixel stream, geometry stream; each (n,
    n_aus)."""
    network.eval()
    outputs: list[tuple[Float32, ...]] = []
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        chips = np.stack([centre_crop(store.chips[row], store.layout) for row in part])
        centres = au_regions(store.landmarks[part].astype(np.float32), network.config.aus)
        geometry = torch.from_numpy(store.geometry[part].astype(np.float32))
        images = to_tensor(torch.from_numpy(chips)).contiguous(memory_format=torch.channels_last)
        output = network(images, torch.from_numpy(centres), geometry)
        streams = [stream[0].numpy() for stream in output.streams]
        outputs.append((output.intensity.numpy(), streams[0], streams[-1]))
    mixture, pixels, shape = (np.concatenate(part) for part in zip(*outputs, strict=True))
    return mixture, pixels, shape


def clip_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, list[float]]:
    """AU -> PCC between prediction and teacher in each clip where the teacher moves; AUs that never move are
    left out."""
    assert store.teacher is not None
    result: dict[int, list[float]] = {}
    for column, au in enumerate(TEACHER_SHAPES):
        if au not in aus:
            continue
        scores = [
            pcc(values[rows, aus.index(au)], store.teacher[rows, column])
            for clip in np.unique(store.clips)
            if store.teacher[rows := np.flatnonzero(store.clips == clip), column].std() > TEACHER_MOVES
        ]
        scores = [
            score if np.isfinite(score) else 0.0 for score in scores
        ]  # a prediction that never moves follows nothing
        if scores:
            result[au] = scores
    return result


def teacher_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, float]:
    """AU -> mean of ``clip_agreement``."""
    return {au: float(np.mean(scores)) for au, scores in clip_agreement(store, values, aus).items()}


def pooled_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, float]:
    """AU -> PCC between prediction and teacher over the frames of all clips together; differences between
    people count here."""
    assert store.teacher is not None
    return {
        au: pcc(values[:, aus.index(au)], store.teacher[:, column])
        for column, au in enumerate(TEACHER_SHAPES)
        if au in aus
    }


@torch.inference_mode()
def flow_error(network: RTATL, store: ChipStore) -> dict[str, Any]:
    """End-point error of the flow predicted from single frames, and of predicting no motion, in pixels of the
    chip; over all pairs of frames that are ``flow_gap_s`` apart."""
    network.eval()
    target_of, side = FlowTarget(), store.layout.side
    errors = []
    for first, second in frame_pairs(store, network.config.flow_gap_s):
        chips = [np.ascontiguousarray(centre_crop(store.chips[row], store.layout)) for row in (first, second)]
        target = to_target(target_of(*chips))[None]
        coarse = network.backbone(standardise(to_tensor(torch.from_numpy(chips[0])[None]))).coarse
        assert network.flow is not None
        predicted = network.flow(coarse) / FLOW_SCALE
        errors.append([float(end_point_error(guess, target)) * side for guess in (predicted, torch.zeros_like(target))])
    if not errors:
        return {"pairs": 0}
    ours, none = np.mean(errors, axis=0)
    return {"pairs": len(errors), "end_point_error_px": round(ours, 3), "of_no_motion_px": round(none, 3)}
