"""A face and its mirror image differ in their sides by opposite amounts. What a network tells of both alike is its own
leaning to one side, and would make people's smiles crooked on an average; it is taken off the network's heads. Ours;
not of the paper.

Mirrored here is what Face Mesh found, not what it would find, so what itself leans stays. ``rtatl audit
--stills`` measures what is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rtatl_core.datasets.loader import Source
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL

FEW = 50
"""Fewer faces do not tell how a network leans."""


def level_sides(network: RTATL, faces: Sequence[Source]) -> None:
    """Take the leaning that the network has on these faces off its heads, if it tells sides and they are enough."""
    if network.config.sides and sum(len(one.rows) for one in faces) >= FEW:
        at_zero, slope = leaning(network, faces)
        network.level_sides(torch.from_numpy(at_zero), torch.from_numpy(slope))


def leaning(network: RTATL, faces: Sequence[Source]) -> tuple[Float32, Float32]:
    """(n_aus,) left - right of a face without the AU which its mirror image has too, and (n_aus,) by how much that
    grows with the AU; both by least squares, on the raw scale."""
    sides = np.concatenate([_both_ways(network, one) for one in faces], axis=1)
    lean, intensity = (sides[..., 0] - sides[..., 1]).mean(axis=0), sides.mean(axis=(0, 3))
    spread = intensity - intensity.mean(axis=0)
    slope = (spread * lean).sum(axis=0) / (spread**2).sum(axis=0).clip(1e-9)
    at_zero = lean.mean(axis=0) - slope * intensity.mean(axis=0)
    return at_zero.astype(np.float32), slope.astype(np.float32)


def _both_ways(network: RTATL, faces: Source) -> Float32:
    """(2, n, n_aus, 2) raw intensity of left and right, of the faces and of their mirror images."""
    told = [predict_store(network, faces.store, faces.rows, mirrored=turned).sides for turned in (False, True)]
    return np.stack([sides for sides in told if sides is not None])
