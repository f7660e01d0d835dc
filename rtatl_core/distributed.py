"""Several training processes as one: the same command under ``torchrun``.

Every helper here is the identity in a single process. Gradients of N processes equal those of one process with the
same global batch, because losses are divided by counts over all processes (``global_count``) and batch norm takes its
statistics over all of them (``synchronise_batch_norms``); a test with two Gloo processes holds this. All processes must
run the same modules in each step, or they wait for each other in vain: a process that has nothing for a decoder runs
it on no faces (``must_take_part``).
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rtatl_core.errors import InputError

PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: while the first one reads all of a long video to choose by, the others do,
and NCCL would end the run after ten minutes. One that dies is not waited for, since torchrun ends the others."""


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the processes that ``torchrun`` started, NCCL on GPUs and Gloo on CPUs; nothing in a plain process."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ or dist.is_initialized():
        yield
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        gc.collect()  # DDP, which speaks through the group, goes before it: it may abort the process at exit
        dist.destroy_process_group()


_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """What runs inside is this process's own business, such as measuring in the first process while the others wait."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def _together() -> bool:
    return dist.is_initialized() and not _alone


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if _together() else 1


def processes_here() -> int:
    """How many of the processes share this machine; all, if what started them does not say."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", dist.get_world_size())) if dist.is_initialized() else 1


def local_device(device: str) -> torch.device:
    """ "cuda" is this process's card, "auto" that, else the CPU. Raises InputError for a device this machine lacks."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} cannot be used here; write cpu, cuda or auto") from error
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return chosen


def must_take_part() -> bool:
    """Whether a task must run its modules even where it has no face for them."""
    return world_size() > 1


def global_count(count: Tensor) -> Tensor:
    """Count of this process -> mean count per process, at least a trifle. A loss summed here and divided by it becomes
    the mean over all processes once their gradients are averaged. Every process must call it equally often."""
    if _together():
        count = count.detach().clone()
        dist.all_reduce(count)
        count = count / world_size()
    return count.clamp(min=1e-6)


def summed(values: Tensor) -> Tensor:
    """Sum over all processes, without gradient."""
    if _together():
        values = values.detach().clone()
        dist.all_reduce(values)
    return values


def full_precision(values: Tensor) -> Tensor:
    """What autocast may have made 16 bits wide, as float32 again; float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def wait_for_all() -> None:
    if dist.is_initialized():
        dist.barrier()


def from_first(value: float) -> float:
    """The first process's value, in all of them."""
    if not dist.is_initialized():
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    box = torch.tensor([value], dtype=torch.float64, device=device)
    dist.broadcast(box, 0)
    return float(box)


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes. Every process's loss depends on everybody's part, so the gradients are summed
    too."""

    @staticmethod
    def forward(context: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class _GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm over all processes on any backend, however many faces each has (none, too); torch's own SyncBatchNorm
    is for GPUs only."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not _together():
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        wide = full_precision(x)
        own = wide.new_full((1,), x.numel() / x.shape[1])
        sums = _SumOverProcesses.apply(torch.cat([wide.sum(dim=(0, 2, 3)), own]))  # type: ignore[no-untyped-call]
        count = sums[-1].detach().clamp(min=1)
        mean = sums[:-1] / count
        # not from the mean of squares: a channel far from 0 would lose its spread in rounding
        squares = (wide - mean[:, None, None]).square().sum(dim=(0, 2, 3))
        variance = _SumOverProcesses.apply(squares) / count  # type: ignore[no-untyped-call]
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), momentum)
            self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        result: Tensor = (x - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]
        return result.to(x.dtype)


def synchronise_batch_norms(module: nn.Module, device: torch.device) -> nn.Module:
    """Replace the batch norms of a network that trains in several processes; the parameters keep their names."""
    if world_size() == 1:
        return module
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]
        return converted
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = _GlobalBatchNorm2d
    return module
