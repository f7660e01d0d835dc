"""Single-image optical flow (RTATL's temporal task): the global feature of one frame must predict the motion
to a frame a few tenths of a second on.

Source: Yan et al., ACM MM 2021, abstract. The flow method, the gap, the resolution and the loss are our
choice: DIS flow between aligned chips (the alignment has removed the head's similarity motion), the median
motion that is left subtracted, and

    L = sum_p w_p |f_p - t_p|^2 / sum_p w_p,   w_p = 1 + |t_p| / 1 % of the chip

so that the still majority of pixels does not win. The square matters: what follows a single frame is
uncertain, and the plain end-point error is then least for no motion at all (tried: predictions stayed under
0.1 px), the squared one for the motion to expect.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch

LONGEST = 0.05
"""Motions are cut at this fraction of the chip; what is longer in a few tenths of a second is mostly a false match."""


class OpticalFlow:
    name = "flow"

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Tensor:
        return batch.chips

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        if network.flow is None:
            raise ValueError("the flow task needs a network with its flow decoder")
        known = ~batch.flow[:, 0, 0, 0].isnan()
        if not known.any():
            return {"flow": output.coarse.new_zeros(())}
        target = batch.flow[known] * FLOW_SCALE
        error = (network.flow(output.coarse[known]) - target).square().sum(dim=1)
        weight = 1 + torch.linalg.vector_norm(target, dim=1) / (0.01 * FLOW_SCALE)
        return {"flow": (error * weight).sum() / weight.sum()}


def end_point_error(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean length of the difference of two flow fields (B, 2, h, w), in their unit."""
    distance: Tensor = torch.linalg.vector_norm(predicted - target, dim=1)
    return distance.mean()


class FlowTarget:
    """DIS flow (Kroeger et al., ECCV 2016) between two chips, head motion removed."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def __call__(self, first: UInt8, second: UInt8) -> Float32:
        """RGB chips (S, S, 3) -> (S/4, S/4, 2) in chip sides, x right, y down."""
        side = first.shape[0]
        grey = [cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY) for chip in (first, second)]
        flow = self._dis.calc(grey[0], grey[1], None)
        flow = cv2.resize(flow, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
        motion = (flow - np.median(flow, axis=(0, 1))) / side
        result: Float32 = motion.clip(-LONGEST, LONGEST).astype(np.float32)
        return result


def to_target(flow: Float32) -> Tensor:
    """(h, w, 2) -> (2, h, w)."""
    return torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))
