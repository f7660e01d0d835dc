"""Single-image optical flow (RTATL's temporal task): the global feature of one frame must predict the motion to another
of its clip, a few tenths of a second on or at rest (datasets/flow_pairs.py).

Source: Yan et al., ACM MM 2021, abstract. The flow method, the gap, the resolution and the loss are our choice: targets
of ``datasets/flow_target.py`` (DIS, TV-L1, or exact flow of rendered faces, head motion removed), and

    L = sum_p w_p |f_p - t_p|^2 / sum_p w_p,   w_p = 1 + |t_p| / 1 % of the chip

over the cells p whose motion is known, so that the still majority does not win. The square matters: what follows a
single frame is uncertain, and the plain end-point error is then least for no motion at all (tried: predictions stayed
under 0.1 px), the squared one for the motion to expect.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from rtatl_core.distributed import full_precision, global_count, must_take_part
from rtatl_core.limits import Limit, require_within
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch, Task


@dataclass(frozen=True, slots=True)
class FlowConfig:
    share: float = 1.0
    """Share of the faces with a frame to lead to on whose flow a step learns; the decoder takes a third of a step."""

    def __post_init__(self) -> None:
        limit = Limit("a share over 0, up to 1 (tasks.flow = 0 turns it off)", lambda value: 0 < value <= 1)
        require_within("flow", self, {"share": limit})


class OpticalFlow(Task):
    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        if network.flow is None:
            raise ValueError("the flow task needs a network with its flow decoder")
        known = ~batch.flow.isnan().any(dim=1)
        faces = known.flatten(1).any(dim=1)
        target = batch.flow[faces].nan_to_num(0.0) * FLOW_SCALE
        weight = (1 + torch.linalg.vector_norm(target, dim=1) / (0.01 * FLOW_SCALE)) * known[faces]
        total = global_count(weight.sum())
        if not faces.any() and not must_take_part():
            return {"flow": full_precision(output.coarse).sum() * 0}
        predicted = full_precision(network.flow(output.coarse[faces]))
        error = (predicted - target).square().sum(dim=1)
        return {"flow": (error * weight).sum() / total}


def end_point_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean length of the difference of two flow fields (B, 2, h, w), in their unit, over the cells where the target is
    known; NaN when none is."""
    distance: Tensor = torch.linalg.vector_norm(predicted - target, dim=1)
    return distance[~distance.isnan()].mean()
