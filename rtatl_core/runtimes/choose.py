"""Which device and which runtime a model runs on here."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from rtatl_core.card import Card
from rtatl_core.errors import InputError, WeightsError
from rtatl_core.runtimes import openvino_runtime
from rtatl_core.runtimes.onnx_runtime import OnnxRuntime
from rtatl_core.runtimes.runtime import Runtime

log = logging.getLogger(__name__)


def pick_device(device: str = "auto") -> str:
    """ "auto" takes CUDA, then MPS, then the CPU. Raises InputError for a device this machine lacks. Torch, which takes
    seconds to import, is asked only where there may be such a device; the package goes without."""
    if device == "cpu" or (device == "auto" and not _may_have_gpu()):
        return "cpu"
    try:
        import torch
    except ImportError as error:
        raise InputError(f"device {device!r} needs torch, which is not in the package; install from source") from error

    if device == "auto":
        if torch.cuda.is_available():
            return "cuda:0"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} cannot be used here; write auto or cpu") from error
    return str(chosen)


def devices() -> tuple[str, ...]:
    """What a person may choose on this machine, found out without importing torch."""
    if not _may_have_gpu():
        return ("auto",)
    return ("auto", "cpu", "mps" if sys.platform == "darwin" else "cuda")


def _may_have_gpu() -> bool:
    """Whether there may be one, and torch to use it."""
    if importlib.util.find_spec("torch") is None:
        return False
    return sys.platform == "darwin" or shutil.which("nvidia-smi") is not None or os.path.exists("/dev/nvidiactl")


def graphs_to_run(card: Card, device: str) -> Mapping[str, Path]:
    """The exported graphs that do the arithmetic on that device; empty where torch does. Raises WeightsError."""
    return card.graphs() if device == "cpu" else {}


def open_runtime(card: Card, device: str, threads: int) -> Runtime:
    """On the CPU, for a model that was exported: OpenVINO where that works and is faster, else ONNX Runtime. Torch
    everywhere else. Raises WeightsError when files are missing or damaged, or the model answers wrongly."""
    if graphs := graphs_to_run(card, device):
        if card.graph_precision == "fp32" and openvino_runtime.serves():
            try:
                return openvino_runtime.OpenVinoRuntime(card, graphs, threads)
            except Exception as error:  # half installed, or a processor it misjudges; a faulty graph faults below, too
                log.warning("OpenVINO cannot be used here, ONNX Runtime serves instead: %s", error)
        return OnnxRuntime(card, graphs, threads)
    if importlib.util.find_spec("torch") is None:
        raise WeightsError(
            f"model {card.path.stem} has no graphs beside it, and torch is not here; run: rtatl export --model "
            f"{card.weights}"
        )
    import torch

    from rtatl_core.runtimes.torch_runtime import TorchRuntime
    from rtatl_core.weights import load_model

    torch.set_num_threads(threads)
    return TorchRuntime(load_model(card.path).network, torch.device(device))
