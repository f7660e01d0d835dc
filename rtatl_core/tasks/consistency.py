"""Semi-supervised consistency on unlabelled faces, the third part of the paper's weakly supervised extension.

Source: Yan et al., IEEE TMM 2022 (WSRTL), abstract: the two auxiliary tasks "plus semi-supervised learning". Which kind
is not known to us. Ours is confidence-thresholded consistency (as FixMatch, Sohn et al., NeurIPS 2020): what the
network says of the plain view, where it is sure (probability of occurrence p >= tau or p <= 1 - tau), it must also say
of the same face in changed light, colour and sharpness, with patches erased if inpainting is on.

    L = sum_i s_i [ BCE(p_strong_i, [p_i >= 1/2]) + (x_strong_i - x_i)^2 ] / sum_i s_i,   s_i = 1 where it is sure
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rtatl_core.distributed import global_count
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch


@dataclass(frozen=True, slots=True)
class ConsistencyConfig:
    confidence: float = 0.9
    """tau: how sure the network must be of an AU's presence or absence for it to teach itself."""


class Consistency:
    name = "consistency"

    def __init__(self, config: ConsistencyConfig | None = None) -> None:
        self.config = config or ConsistencyConfig()

    def corrupt(self, batch: Batch) -> Tensor:
        return batch.chips

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        if batch.plain is None:
            raise ValueError("consistency needs batches with their plain view")
        rows = batch.unlabelled
        if rows.any():
            taught = self._teach(batch.plain[rows], batch.centres[rows], batch.geometry[rows], network)
            probability = taught.occurrence.float().sigmoid()
            sure = torch.maximum(probability, 1 - probability) >= self.config.confidence
        else:
            sure = torch.zeros((0, 1), dtype=torch.bool, device=batch.chips.device)
        total = global_count(sure.sum().float())
        if not rows.any():
            return {"consistency": output.intensity.float().sum() * 0}
        entropy = functional.binary_cross_entropy_with_logits(
            output.occurrence[rows].float(), (probability >= 0.5).float(), reduction="none"
        )
        difference = (output.intensity[rows].float() - taught.intensity.float()).square()
        return {"consistency": ((entropy + difference) * sure).sum() / total}

    @torch.no_grad()
    def _teach(self, chips: Tensor, centres: Tensor, geometry: Tensor, network: RTATL) -> RTATLOutput:
        """As at test time: no dropout, running statistics, and none of them moved."""
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        taught: RTATLOutput = network(chips, centres, geometry)
        for module, training in modes:
            module.training = training
        return taught
