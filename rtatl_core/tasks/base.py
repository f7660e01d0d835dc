"""What a training task is.

A step takes one batch of labelled faces and one of unlabelled video frames, joined on the first axis
(labelled first). Each task may change the network's input (``corrupt``) and gives named losses from the
network's output. The trainer adds them up with the recipe's weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rtatl_core.models.rtatl import RTATL, RTATLOutput


@dataclass(slots=True)
class Batch:
    """Faces of one step; B labelled and unlabelled ones together."""

    chips: Tensor
    """(B, 3, S, S) in 0-1: what the network sees."""
    centres: Tensor
    """(B, n_aus, 2, 2) AU regions, fractions of the chip."""
    geometry: Tensor
    """(B, 468, 3)."""
    intensity: Tensor
    """(B, n_aus) on 0-1 (1 = FACS 5); NaN where there is no label."""
    flow: Tensor
    """(B, 2, S/4, S/4) in chip sides; NaN where there is no next frame."""


class Task(Protocol):
    name: str

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """(B, 3, S, S) the network's input; the batch itself stays intact. Tasks that change nothing return
        ``batch.chips``."""
        ...

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        """Named scalar losses, unweighted."""
        ...
