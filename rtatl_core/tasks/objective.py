"""All tasks of a run on one batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtatl_core.models.rtatl import RTATL
from rtatl_core.tasks.base import Batch, Task


class Objective(nn.Module):
    """Batch -> named losses of all tasks; one module, so that DistributedDataParallel sees the decoders too."""

    def __init__(self, network: RTATL, tasks: list[Task]) -> None:
        super().__init__()
        self.network, self.tasks = network, tasks

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        inputs = batch.chips
        for task in self.tasks:
            inputs = task.corrupt(batch, inputs)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        output = self.network(inputs, batch.centres, batch.geometry, batch.reference)
        return {name: loss for task in self.tasks for name, loss in task.losses(batch, output, self.network).items()}
