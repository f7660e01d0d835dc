"""A network on prepared faces: what it says of them, and what is read from that as the engine reads live."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rtatl_core.calibration import Calibration
from rtatl_core.datasets.augment import centre_crop, mirror_canvas, mirror_geometry, mirror_landmarks
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.others import references
from rtatl_core.errors import RecipeError
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import Float32
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.rtatl import RTATL
from rtatl_core.reference import resting_levels

_BATCH = 128
"""Chips at once."""


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
def predict_store(network: RTATL, store: ChipStore, rows: NDArray[np.int64], *, mirrored: bool = False) -> Predicted:
    """Of the rows' central chips, or of their mirror images, on the network's device. Raises RecipeError for chips of
    another size."""
    if (side := store.layout.side) != network.config.chip_side:
        raise RecipeError(
            f"{store.folder} has chips of {side} px, and the model takes {network.config.chip_side}; prepare it with "
            f"--side {network.config.chip_side} into another folder"
        )
    network.eval()
    device = next(network.parameters()).device
    known = references(store, rows) if network.config.reference else None
    outputs: list[tuple[Float32, ...]] = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        canvases = [store.chips[int(row)] for row in part]
        landmarks, shape = (rows.take(part).astype(np.float32) for rows in (store.landmarks, store.geometry))
        own = None if known is None else known[start : start + _BATCH]
        if mirrored:
            canvases, landmarks = list(map(mirror_canvas, canvases)), mirror_landmarks(landmarks)
            shape, own = mirror_geometry(shape), None if own is None else mirror_geometry(own)
        chips = np.stack([centre_crop(canvas, store.layout) for canvas in canvases])
        images = to_tensor(torch.from_numpy(chips).to(device)).contiguous(memory_format=torch.channels_last)
        centres, geometry, compared = (
            None if array is None else torch.from_numpy(array).to(device)
            for array in (au_regions(landmarks, network.config.aus), shape, own)
        )
        output = network(images, centres, geometry, compared)
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
    resting = np.full_like(said.intensity, np.nan)  # photos are read as strangers
    for clip in clips:
        frames = in_time(store, np.flatnonzero(store.clips == clip))
        places = np.searchsorted(needed, frames)
        resting[places] = resting_levels(store.times[frames], said.intensity[places], calibration.begins)
    intensity, probability = calibration.of_person(said.intensity, resting).read(said.intensity, said.occurrence)
    asked = np.searchsorted(needed, rows)
    return intensity[asked], probability[asked]
