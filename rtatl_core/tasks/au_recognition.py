"""AU recognition: intensity and occurrence from labelled faces.

Symbols: x_hat_i predicted intensity on 0-1, x_i label on 0-1 (FACS 0-5), m_i = 1 where AU i is labelled, r_i
share of positives in the training data.

    L_int = sum_i m_i w_i (x_hat_i - x_i)^2 / sum_i m_i,   w_i ~ 1 / (spread_i + 0.05)
    L_occ = class-balanced binary cross entropy, weight of the positives (1 - r_i) / r_i, at most 10

Every stream (pixels, geometry) and their mixture is supervised, so that neither leans on the other. The
paper's own losses are not known to us; weighting by class frequency is the habit of ME-GraphAU and JAA-Net.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch

PRESENT = 0.2
"""An AU counts as present from FACS intensity 1 (A, trace) on."""


class AURecognition:
    name = "au"

    def __init__(self, intensity: Tensor) -> None:
        """intensity: (N, n_aus) labels of the training set on 0-1, NaN = unknown; sets the weights."""
        known = ~intensity.isnan()
        count = known.sum(dim=0).clamp(min=1)
        filled = intensity.nan_to_num(0.0)
        mean = filled.sum(dim=0) / count
        spread = ((filled - mean).square() * known).sum(dim=0).div(count).sqrt()
        weight = 1 / (spread + 0.05)
        self.weight = weight / weight.mean()
        rate = ((filled >= PRESENT) & known).sum(dim=0) / count
        self.positive_weight = ((1 - rate) / rate.clamp(min=1e-3)).clamp(max=10.0)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return batch.chips

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        known = ~batch.intensity.isnan()
        labels = batch.intensity.nan_to_num(0.0)
        present = (labels >= PRESENT).to(labels.dtype)
        total = known.sum().clamp(min=1)
        predictions = ((output.intensity, output.occurrence), *output.streams)
        intensity = labels.new_zeros(())
        occurrence = labels.new_zeros(())
        for value, logit in predictions:
            intensity = intensity + ((value - labels).square() * self.weight * known).sum() / total
            entropy = functional.binary_cross_entropy_with_logits(
                logit, present, pos_weight=self.positive_weight, reduction="none"
            )
            occurrence = occurrence + (entropy * known).sum() / total
        return {"intensity": intensity / len(predictions), "occurrence": occurrence / len(predictions)}
