"""A weak teacher on faces without codes: what MediaPipe's blendshapes say, where they say something.

Symbols: x_hat_i predicted intensity on 0-1, t_i the teacher's (see datasets/teacher.as_intensity), m_i = 1 where it
knows AU i. The error is capped, so that the network may disagree with the teacher where it sees otherwise:

    L = sum_i m_i huber_d(x_hat_i - t_i) / sum_i m_i,    d = 0.15

Ours; not of the paper. Renders give every AU exactly but are no photographs; the teacher is coarse and lacks AUs but
has seen real people.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from rtatl_core.distributed import full_precision, global_count
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch, Task

TOLERANCE = 0.15
"""d: from which difference (1 = FACS 5) on the error grows only linearly."""


class WeakTeacher(Task):
    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        known = ~batch.taught.isnan()
        taught = batch.taught.nan_to_num(0.0)
        count = global_count(known.sum().float())
        loss = taught.new_zeros(())
        for said in output.streams:
            value = full_precision(said.intensity)
            error = functional.huber_loss(value, taught, reduction="none", delta=TOLERANCE)
            loss = loss + (error * known).sum() / count
        return {"teacher": loss / len(output.streams) + 0 * full_precision(output.intensity).sum()}
