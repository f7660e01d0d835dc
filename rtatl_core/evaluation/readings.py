"""A network on prepared faces: what it says of them, and what is read from that as the engine reads live."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from rtatl_core.calibration import Calibration
from rtatl_core.datasets.augment import centre_crop, mirror_canvas, mirror_geometry, mirror_landmarks
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.references import References
from rtatl_core.errors import RecipeError
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import Float32
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.rtatl import RTATL
from rtatl_core.reference import PersonalReference, expressed

_BATCH = 128
"""Chips at once."""
_FACE = 0
"""The one of each clip."""


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


def predict_store(network: RTATL, store: ChipStore, rows: NDArray[np.int64], *, mirrored: bool = False) -> Predicted:
    """Of the rows' central chips, or of their mirror images, on the network's device. A network that compares sees each
    face beside the same person's: of stills the mean of the others; in a clip what was seen before, exactly as live, so
    that all of its frames are looked at. Raises RecipeError for chips of another size."""
    if (side := store.layout.side) != network.config.chip_side:
        raise RecipeError(
            f"{store.folder} has chips of {side} px, and the model takes {network.config.chip_side}; prepare it with "
            f"--side {network.config.chip_side} into another folder"
        )
    network.eval()
    compares = network.config.reference
    in_clips = (store.clips[rows] != "") & compares
    stills, clips = rows[~in_clips], np.unique(store.clips[rows[in_clips]])
    told: list[tuple[NDArray[np.int64], Predicted]] = []
    references = References(store) if compares and len(stills) else None
    for start in range(0, len(stills), _BATCH):
        part = stills[start : start + _BATCH]
        own = None if references is None else np.stack([references.mean(int(row)) for row in part])
        told.append((part, _predicted(network, store, part, own, mirrored=mirrored)))
    for start in range(0, len(clips), _BATCH):
        together = [_frames_of(store, clip) for clip in clips[start : start + _BATCH]]
        told += _through_time(network, store, together, mirrored=mirrored)
    said_of = np.concatenate([part for part, _ in told]) if told else rows
    order = np.argsort(said_of, kind="stable")
    places = order[np.searchsorted(said_of[order], rows)]
    parts = zip(*(predicted for _, predicted in told), strict=True)
    return Predicted(*(np.concatenate(part)[places] for part in parts if part[0] is not None))


def _frames_of(store: ChipStore, clip: str) -> NDArray[np.int64]:
    return in_time(store, np.flatnonzero(store.clips == clip))


def _through_time(
    network: RTATL, store: ChipStore, clips: Sequence[NDArray[np.int64]], *, mirrored: bool
) -> Iterator[tuple[NDArray[np.int64], Predicted]]:
    """The rows of all clips, whose times ascend: one frame of each at once."""
    # each its own: a clock of another clip would tell a face of this one to be long gone
    known = [PersonalReference() for _ in clips]
    for step in range(max(map(len, clips), default=0)):
        here = [i for i, frames in enumerate(clips) if step < len(frames)]
        part = np.array([clips[i][step] for i in here])
        own = np.stack([known[i].of(_FACE) for i in here])
        predicted = _predicted(network, store, part, own, mirrored=mirrored)
        for i, row, shows in zip(here, part.tolist(), expressed(predicted.intensity).tolist(), strict=True):
            known[i].see(_FACE, float(store.times[row]), store.geometry[row].astype(np.float32), shows)
        yield part, predicted


@torch.inference_mode()
def _predicted(
    network: RTATL, store: ChipStore, rows: NDArray[np.int64], own: Float32 | None, *, mirrored: bool
) -> Predicted:
    """own: (n, 468, 3) what each face is compared with, as it is stored."""
    device = next(network.parameters()).device
    canvases = [store.chips[int(row)] for row in rows]
    landmarks, shape = (values.take(rows).astype(np.float32) for values in (store.landmarks, store.geometry))
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
    return Predicted(*(tensor.float().cpu().numpy() for tensor in tensors))


def in_time(store: ChipStore, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same rows in the order of their times."""
    return rows[np.argsort(store.times[rows], kind="stable")]


def read_store(
    network: RTATL, calibration: Calibration, store: ChipStore, rows: NDArray[np.int64] | None = None
) -> tuple[Float32, Float32]:
    """(n, n_aus) intensity 0-5 before smoothing and probability of occurrence of the rows (None = all), as the engine
    reads them."""
    said = predict_store(network, store, np.arange(len(store)) if rows is None else rows)
    return calibration.read(said.intensity, said.occurrence)
