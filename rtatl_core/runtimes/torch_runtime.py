"""The network live in torch, on any device: as frozen traces, and as the modules that an export writes."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.models.backbone import fold_batch_norms, to_tensor
from rtatl_core.models.decoders import FLOW_SCALE, FlowDecoder
from rtatl_core.models.recovery import LiveRecovery
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.runtimes.runtime import Outputs

_WARM_UP = 3
"""Runs after which a trace has been specialised and is fast."""


class LiveNetwork(nn.Module):
    """What runs for each frame, from uint8 chips on: intensity, occurrence logits, map of the global feature, AU
    tokens, and, if the network tells them, the intensities of both sides."""

    def __init__(self, network: RTATL) -> None:
        super().__init__()
        self.network = network

    def forward(self, chips: Tensor, centres: Tensor, geometry: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
        output: RTATLOutput = self.network(to_tensor(chips), centres, geometry, reference)
        sides = () if output.sides is None else (output.sides,)
        return output.intensity, output.occurrence, output.coarse, output.tokens, *sides


class LiveFlow(nn.Module):
    """Map of the global feature -> flow (B, h, w, 2) in chip sides."""

    def __init__(self, decoder: FlowDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, coarse: Tensor) -> Tensor:
        flow: Tensor = self.decoder(coarse) / FLOW_SCALE
        return flow.permute(0, 2, 3, 1).contiguous()


class _Traces:
    """A module as frozen traces, one for each batch size: on a CPU a fifth faster than eager mode, and it
    asks for the interpreter's lock once a frame instead of once an operation, so that a busy window does not
    hold it up. Takes the module over when it is first called, so one that is never called costs nothing: folds its
    batch norms and moves it to the device."""

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self._module = module.eval()
        self._device = device
        self._traces: dict[int, Callable[..., tuple[Tensor, ...] | Tensor]] = {}

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...] | Tensor:
        count = len(inputs[0])
        if count not in self._traces:
            with torch.no_grad(), torch.inference_mode(False), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # constant shapes are meant to be, and torch.jit says that it is old
                fold_batch_norms(self._module)
                self._module.to(self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                example = tuple(tensor.clone() for tensor in inputs)
                traced = torch.jit.trace(self._module, example, check_trace=False)  # type: ignore[no-untyped-call]
                self._traces[count] = torch.jit.freeze(traced)
            for _ in range(_WARM_UP):
                self._traces[count](*inputs)
        return self._traces[count](*inputs)


class _Decoders:
    """The self-supervised heads, which run only while their layer is shown. A head that the network lacks gives
    None."""

    def __init__(self, network: RTATL, device: torch.device) -> None:
        self._flow = _Traces(LiveFlow(network.flow), device) if network.flow is not None else None
        self._recovery = _Traces(LiveRecovery(network), device) if network.inpainting is not None else None

    def flow(self, coarse: Tensor) -> Float32 | None:
        return None if self._flow is None else self._flow(coarse).cpu().numpy()  # type: ignore[union-attr]

    def patches(self, chips: Tensor, centres: Tensor, geometry: Tensor) -> UInt8 | None:
        """A second pass through the network, on the chips with regions erased."""
        if self._recovery is None:
            return None
        return self._recovery(chips, centres, geometry).cpu().numpy()  # type: ignore[union-attr]


class TorchRuntime:
    """Takes the network over."""

    def __init__(self, network: RTATL, device: torch.device) -> None:
        self.name = "torch"
        self._device = device
        self._network = _Traces(LiveNetwork(network), device)
        self._decoders = _Decoders(network, device)

    @torch.inference_mode()
    def __call__(
        self,
        chips: UInt8,
        centres: Float32,
        geometry: Float32,
        reference: Float32,
        *,
        want_flow: bool = False,
        want_patches: bool = False,
    ) -> Outputs:
        inputs = tuple(torch.from_numpy(array).to(self._device) for array in (chips, centres, geometry, reference))
        intensity, occurrence, coarse, _, *sides = self._network(*inputs)
        flow = self._decoders.flow(coarse) if want_flow else None
        patches = self._decoders.patches(*inputs[:3]) if want_patches else None
        left_right = sides[0].cpu().numpy() if sides else None
        return Outputs(intensity.cpu().numpy(), occurrence.cpu().numpy(), left_right, flow, patches)
