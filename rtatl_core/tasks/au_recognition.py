"""AU recognition: intensity and occurrence from labelled faces.

Symbols: x_hat_i predicted intensity on 0-1, x_i label on 0-1 (FACS 0-5), p_i probability of occurrence, y_i in {0, 1},
m_i = 1 where AU i is coded, r_i share of positives in the training data.

    L_int = sum_i m_i w_i (x_hat_i - x_i)^2 / sum_i m_i,   w_i ~ 1 / (spread_i + 0.05), 0 where spread_i is 0
    L_occ = class-balanced binary cross entropy over the coded y_i, weight of the positives (1 - r_i) / r_i, at most 10

Where the subject's left l_i and right r_i are told apart, the square is the mean of both sides':
((l_hat_i - l_i)^2 + (r_hat_i - r_i)^2) / 2. Weighting the left-right difference eightfold improved it little and made
the mean worse.
Intensity and occurrence may each be coded or not for any AU of any face. Events coded without a strength leave known
intensities only where the AU is absent: from nothing but zeros its intensity would be learnt to be always 0, and with
the largest weight. Every stream (pixels, geometry) and their mixture is supervised, so that neither leans on the other.
The paper's own losses are not known to us; weighting the positives of an AU by how rare they are is our choice
(ME-GraphAU and JAA-Net weigh AUs against each other), so the occurrence head calls an AU present more readily than it
is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rtatl_core.distributed import full_precision, global_count
from rtatl_core.models.rtatl import RTATL, RTATLOutput, Said
from rtatl_core.tasks.base import Batch, Task

MOST_POSITIVE_WEIGHT = 10.0
FLAT = 1e-4
"""Intensities on 0-1 that spread by less are all the same."""


class AURecognition(Task):
    def __init__(self, intensity: Tensor, occurrence: Tensor) -> None:
        """intensity: (N, n_aus) labels of the training set on 0-1; occurrence: (N, n_aus) 0 or 1; NaN = not coded. They
        set the weights."""
        _, spread = _moments(intensity)
        graded = spread > FLAT
        weight = torch.where(graded, 1 / (spread + 0.05), torch.zeros_like(spread))
        self.weight = weight / weight[graded].mean().nan_to_num(1.0)
        rate, _ = _moments(occurrence)
        self.positive_weight = ((1 - rate) / rate.clamp(min=1e-3)).clamp(max=MOST_POSITIVE_WEIGHT)

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        device = batch.intensity.device
        weight, positive_weight = self.weight.to(device), self.positive_weight.to(device)
        coded, seen = ~batch.intensity.isnan(), ~batch.occurrence.isnan()
        labels, present = batch.intensity.nan_to_num(0.0), batch.occurrence.nan_to_num(0.0)
        counts = global_count(torch.stack([coded.sum(), seen.sum()]).float())
        predictions = (Said(output.intensity, output.occurrence, output.sides), *output.streams)
        told = ~batch.sides.isnan().any(dim=-1)
        halves = batch.sides.nan_to_num(0.0)
        intensity = labels.new_zeros(())
        occurrence = labels.new_zeros(())
        for value, logit, sides in predictions:
            error = (full_precision(value) - labels).square()
            if sides is not None:
                error = torch.where(told, (full_precision(sides) - halves).square().mean(dim=-1), error)
            intensity = intensity + (error * weight * coded).sum() / counts[0]
            entropy = functional.binary_cross_entropy_with_logits(
                full_precision(logit), present, pos_weight=positive_weight, reduction="none"
            )
            occurrence = occurrence + (entropy * seen).sum() / counts[1]
        return {"intensity": intensity / len(predictions), "occurrence": occurrence / len(predictions)}


def _moments(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(N, n) with NaN -> mean (n,), standard deviation (n,); 0 where nothing is known."""
    known = ~labels.isnan()
    count = known.sum(dim=0).clamp(min=1)
    filled = labels.nan_to_num(0.0)
    mean = filled.sum(dim=0) / count
    spread = ((filled - mean).square() * known).sum(dim=0).div(count).sqrt()
    return mean, spread
