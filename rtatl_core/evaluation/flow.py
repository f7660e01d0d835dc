"""How well a network tells motion from a single picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtatl_core.datasets.augment import centre_crop
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.flow_pairs import frame_pairs
from rtatl_core.datasets.flow_target import FlowTarget, warp_flow
from rtatl_core.evaluation.metrics import pcc, rounded
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.rtatl import RTATL
from rtatl_core.tasks.optical_flow import end_point_error

MOST_PAIRS = 2000


@torch.inference_mode()
def flow_error(network: RTATL, store: ChipStore, rows: NDArray[np.int64] | None = None) -> dict[str, Any]:
    """End-point error of the flow predicted from single frames (of these rows, or all), and of predicting no motion, in
    pixels of the chip; over the pairs of ``flow_pairs.py`` (evenly spread ones where there are more than twice
    ``MOST_PAIRS``), and over their quarter with the strongest motion. Also the PCC of the predicted flow with the
    target within each clip, over all known cells and both directions; all stills together are one, "stills"."""
    errors, clips = [], dict[str, list[Tensor]]()
    for row, predicted, target in _flows(network, store, MOST_PAIRS, rows):
        guesses = (predicted, torch.zeros_like(target))
        errors.append([float(end_point_error(guess, target)) * store.layout.side for guess in guesses])
        known = ~target.isnan()
        clip = str(store.clips[row]) or "stills"
        clips.setdefault(clip, []).append(torch.stack([predicted[known], target[known]]).cpu())
    if not errors:
        return {"pairs": 0}
    pairs = {clip: torch.cat(parts, dim=1).numpy() for clip, parts in clips.items()}
    correlations = {clip: rounded(pcc(told, true), 2) for clip, (told, true) in pairs.items()}
    table = np.array(errors)
    moving = table[table[:, 1] >= np.quantile(table[:, 1], 0.75)]
    names = ("end_point_error_px", "of_no_motion_px")
    result: dict[str, Any] = {
        "pairs": len(table),
        **{n: round(float(v), 3) for n, v in zip(names, table.mean(axis=0), strict=True)},
    }
    moving_values = zip(names, moving.mean(axis=0), strict=True)
    result["moving_quarter"] = {name: round(float(value), 3) for name, value in moving_values}
    return {**result, "pcc": correlations}


@torch.inference_mode()
def flow_gain(network: RTATL, store: ChipStore, most: int = 500) -> float:
    """0 to 1: the factor with which the predicted flow comes nearest to the target, by least squares. The task's loss
    is for cells that move, so predictions of the whole face are too large; where they know nothing it is 0."""
    along = length = 0.0
    for _, predicted, target in _flows(network, store, most):
        known = ~target.isnan()
        along += float((predicted * target)[known].sum())
        length += float(predicted[known].square().sum())
    return min(1.0, max(0.0, along / length)) if length > 0 else 1.0


def _flows(
    network: RTATL, store: ChipStore, most: int, rows: NDArray[np.int64] | None = None
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The row of the first frame of each pair, (1, 2, S/4, S/4) flow predicted from it, and flow to the second,
    fractions of the chip."""
    network.eval()
    if network.flow is None:
        raise ValueError("the network has no flow decoder")
    device = next(network.parameters()).device
    config = network.config
    target_of = FlowTarget(to=config.flow_to)
    crop = np.array([[1, 0, -store.layout.margin], [0, 1, -store.layout.margin]], np.float32)
    pairs = frame_pairs(store, config.flow_to, config.flow_gap_s)
    if rows is not None:
        pairs = pairs[np.isin(pairs[:, 0], rows)]
    for first, second in pairs[:: max(1, len(pairs) // most)]:
        chips = [np.ascontiguousarray(centre_crop(store.chips[int(row)], store.layout)) for row in (first, second)]
        stored = store.stored_flow(int(first)) if store.flow_to[first] == second else None
        field = target_of(*chips) if stored is None else warp_flow(stored, crop, store.layout, config.flow_to)
        if not np.isfinite(field).any():  # nothing is known where a face was found by mistake
            continue
        image = network.standardise(to_tensor(torch.from_numpy(chips[0])[None].to(device)))
        predicted = network.flow(network.backbone(image).coarse) / FLOW_SCALE
        yield int(first), predicted, torch.from_numpy(np.ascontiguousarray(field.transpose(2, 0, 1)))[None].to(device)
