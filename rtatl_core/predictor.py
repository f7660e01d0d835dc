"""AlignedFaces -> AUPredictions on any device. The only place where a network runs outside training."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from rtatl_core.errors import InputError
from rtatl_core.face.align import ChipLayout
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import AlignedFace, AUPrediction, Float32
from rtatl_core.models.backbone import fold_batch_norms, to_tensor
from rtatl_core.models.decoders import FLOW_SCALE
from rtatl_core.models.rtatl import RTATL
from rtatl_core.weights import Model, calibrate

_WARM_UP = 3
"""Runs after which a trace has been specialised and is fast."""


def pick_device(device: str = "auto") -> torch.device:
    """ "auto" takes CUDA, then MPS, then the CPU. Raises InputError for a device this machine lacks."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} cannot be used here; write cpu, cuda, mps or auto") from error
    return chosen


class _Live(nn.Module):
    """What runs per frame: uint8 chips in; intensity, occurrence logits and, if asked for, flow out."""

    def __init__(self, network: RTATL, *, with_flow: bool) -> None:
        super().__init__()
        self.network, self.with_flow = network, with_flow

    def forward(self, chips: Tensor, centres: Tensor, geometry: Tensor) -> tuple[Tensor, ...]:
        output = self.network(to_tensor(chips), centres, geometry)
        if self.with_flow and self.network.flow is not None:
            flow = self.network.flow(output.coarse) / FLOW_SCALE
            return output.intensity, output.occurrence, flow.permute(0, 2, 3, 1).contiguous()
        return output.intensity, output.occurrence


class Predictor:
    """Takes over a model and holds it on a device. One thread at a time.

    The network runs as a frozen trace, one for each number of faces: a third faster than eager mode on a CPU,
    and it asks for the interpreter's lock once a frame instead of once an operation, so that a busy window
    does not hold it up.
    """

    def __init__(self, model: Model, device: str = "auto") -> None:
        self.device = pick_device(device)
        self.model = model
        self.layout = ChipLayout(side=model.network.config.chip_side)
        fold_batch_norms(model.network)
        self._network = model.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._traces: dict[tuple[int, bool], Callable[..., tuple[Tensor, ...]]] = {}

    @torch.inference_mode()
    def __call__(self, faces: Sequence[AlignedFace], *, want_flow: bool = False) -> tuple[list[AUPrediction], Float32]:
        """All faces of a frame in one batch. Returns a prediction per face, and the regions they were read
        from: (n_faces, n_aus, 2, 2) as fractions of the chip."""
        centres = au_regions(np.stack([face.landmarks for face in faces]), self.model.aus)
        chips = np.stack([face.chip for face in faces])
        geometry = np.stack([face.geometry for face in faces])
        inputs = tuple(torch.from_numpy(array).to(self.device) for array in (chips, centres, geometry))
        outputs = [tensor.cpu().numpy() for tensor in self._trace(inputs, want_flow)(*inputs)]
        intensity, occurrence = calibrate(outputs[0], outputs[1], self.model.calibration)
        flows = outputs[2] if len(outputs) == 3 else [None] * len(faces)
        predictions = [AUPrediction(*parts) for parts in zip(intensity, occurrence, flows, strict=True)]
        return predictions, centres

    def _trace(self, inputs: tuple[Tensor, ...], want_flow: bool) -> Callable[..., tuple[Tensor, ...]]:
        key = (len(inputs[0]), want_flow)
        if key not in self._traces:
            live = _Live(self._network, with_flow=want_flow).eval()
            with torch.no_grad(), torch.inference_mode(False), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # constant shapes are meant to be, and torch.jit says that it is old
                example = tuple(tensor.clone() for tensor in inputs)
                traced = torch.jit.trace(live, example, check_trace=False)  # type: ignore[no-untyped-call]
                frozen = torch.jit.freeze(traced)
            self._traces[key] = frozen
            for _ in range(_WARM_UP):
                frozen(*inputs)
        return self._traces[key]
