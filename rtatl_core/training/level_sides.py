"""A face and its mirror image differ in their sides by opposite amounts. What a network tells of both alike is its own
leaning to one side, and would make people's smiles crooked on an average; it is taken off the network's heads. Ours;
not of the paper.

Mirrored here is what Face Mesh found, not what it would find, so what itself leans stays. ``rtatl audit
--stills`` measures what is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from rtatl_core.datasets.loader import Source
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL

FEW = 50
"""Fewer people do not tell how a network leans, however many their faces are: one person's lean alike."""
MOST = 4000
"""Faces that are looked at; more would take hours and tell the same."""
SPREAD = 0.1
"""Raw. The line counts as if ``FEW`` faces more, whose intensities spread by so much, told that it is level: of an AU
that hardly any face shows, nothing is known of those that do."""


def level_sides(network: RTATL, faces: Sequence[Source]) -> None:
    """Take the leaning that the network has on these faces off its heads, if it tells sides and their people are
    enough."""
    people = {name for one in faces for name in one.store.subjects[one.rows].tolist()}
    if network.config.sides and len(people) >= FEW:
        every = math.ceil(sum(len(one.rows) for one in faces) / MOST)
        at_zero, slope = leaning(network, [one._replace(rows=one.rows[::every]) for one in faces])
        device = next(network.parameters()).device
        network.level_sides(*(torch.from_numpy(values).to(device) for values in (at_zero, slope)))


def leaning(network: RTATL, faces: Sequence[Source]) -> tuple[Float32, Float32]:
    """(n_aus,) left - right of a face without the AU which its mirror image has too, and (n_aus,) by how much that
    grows with the AU, on the raw scale."""
    sides = np.concatenate([_both_ways(network, one) for one in faces], axis=1)
    return line((sides[..., 0] - sides[..., 1]).mean(axis=0), sides.mean(axis=(0, 3)))


def line(lean: Float32, intensity: Float32) -> tuple[Float32, Float32]:
    """(n, n_aus) each -> (n_aus,) lean at intensity 0, (n_aus,) slope, by least squares; the less the intensities
    spread, the more level (``SPREAD``)."""
    mean = intensity.mean(axis=0)
    spread = intensity - mean
    slope = (spread * lean).sum(axis=0) / ((spread**2).sum(axis=0) + FEW * SPREAD**2)
    at_zero = lean.mean(axis=0) - slope * mean
    return at_zero.astype(np.float32), slope.astype(np.float32)


def _both_ways(network: RTATL, faces: Source) -> Float32:
    """(2, n, n_aus, 2) raw intensity of left and right, of the faces and of their mirror images."""
    told = [predict_store(network, faces.store, faces.rows, mirrored=turned).sides for turned in (False, True)]
    return np.stack([sides for sides in told if sides is not None])
