"""What a training task is.

A step takes one batch of labelled faces and one of unlabelled ones, joined on the first axis (labelled first). Each
task may change the network's input (``corrupt``) and gives named losses from the network's output. The trainer adds
them up with the recipe's weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from torch import Tensor

from rtatl_core.models.rtatl import RTATL, RTATLOutput


class Draw(IntEnum):
    """What is drawn for a face in a step. Each has random numbers of its own: shared ones would tie what has nothing to
    do with each other, such as that only erased faces lack a reference."""

    AUGMENTATION = 0
    REFERENCE = 1
    ERASING = 2
    FLOW = 3

    def by(self, seed: int) -> np.random.Generator:
        """seed: of the face in this step."""
        return np.random.default_rng((seed, int(self)))


@dataclass(slots=True)
class Batch:
    """Faces of one step; B labelled and unlabelled ones together."""

    chips: Tensor
    """(B, 3, S, S) in 0-1: what the network sees."""
    centres: Tensor
    """(B, n_aus, 2, 2) AU regions, fractions of the chip."""
    geometry: Tensor
    """(B, 468, 3)."""
    reference: Tensor
    """(B, 468, 3) the same person's mean geometry; NaN = unknown."""
    intensity: Tensor
    """(B, n_aus) on 0-1 (1 = FACS 5); NaN = not coded."""
    occurrence: Tensor
    """(B, n_aus) 0 or 1; NaN = not coded."""
    sides: Tensor
    """(B, n_aus, 2) intensity of the subject's left and right on 0-1; NaN = not told."""
    taught: Tensor
    """(B, n_aus) intensity on 0-1 as a weak teacher has it; NaN = it says nothing."""
    flow: Tensor
    """(B, 2, S/4, S/4) in chip sides; NaN = unknown, everywhere where there is no frame for it to lead to."""
    seeds: Tensor
    """(B,) int64: what is random about one face in this step follows from its seed (``Draw``), however faces are spread
    over processes."""
    plain: Tensor | None = None
    """(B, 3, S, S) the same view before its light, colour and sharpness were changed; only if a task asks for it."""

    @property
    def unlabelled(self) -> Tensor:
        """(B,) faces without any coded AU."""
        return self.intensity.isnan().all(dim=1) & self.occurrence.isnan().all(dim=1)


class Task(ABC):
    def corrupt(self, batch: Batch, chips: Tensor) -> Tensor:
        """(B, 3, S, S) the batch's chips as other tasks left them -> the network's input; the batch itself stays
        intact."""
        return chips

    @abstractmethod
    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        """Named scalar losses, unweighted, means over the batches of all processes (``distributed.global_count``).
        Always the same names, 0 where a batch has nothing to learn from."""
