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

from rtatl_core.distributed import full_precision, global_count, must_take_part
from rtatl_core.limits import Limit, require_within
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch, Task


@dataclass(frozen=True, slots=True)
class ConsistencyConfig:
    confidence: float = 0.9
    """tau: how sure the network must be of an AU's presence or absence for it to teach itself."""

    def __post_init__(self) -> None:
        sure = Limit("a probability from 0.5 to under 1, e.g. 0.9", lambda value: 0.5 <= value < 1)
        require_within("consistency", self, {"confidence": sure})


class Consistency(Task):
    def __init__(self, config: ConsistencyConfig | None = None) -> None:
        self.config = config or ConsistencyConfig()

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        if batch.plain is None:
            raise ValueError("consistency needs batches with their plain view")
        rows = batch.unlabelled
        if not rows.any() and not must_take_part():
            return {"consistency": full_precision(output.intensity).sum() * 0}
        seen = (batch.plain, batch.centres, batch.geometry, batch.reference)
        taught = self._teach(tuple(tensor[rows] for tensor in seen), network)
        probability = full_precision(taught.occurrence).sigmoid()
        sure = torch.maximum(probability, 1 - probability) >= self.config.confidence
        total = global_count(sure.sum().to(probability.dtype))
        logits, taught_present = full_precision(output.occurrence[rows]), (probability >= 0.5).to(probability.dtype)
        entropy = functional.binary_cross_entropy_with_logits(logits, taught_present, reduction="none")
        difference = (full_precision(output.intensity[rows]) - full_precision(taught.intensity)).square()
        return {"consistency": ((entropy + difference) * sure).sum() / total}

    @torch.no_grad()
    def _teach(self, seen: tuple[Tensor, ...], network: RTATL) -> RTATLOutput:
        """As at test time: no dropout, running statistics, and none of them moved."""
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        taught: RTATLOutput = network(*seen)
        for module, training in modes:
            module.training = training
        return taught
