"""The ways in which a network runs live: on the CPU from exported graphs and without torch, in ONNX Runtime
(onnx_runtime.py) or OpenVINO (openvino_runtime.py), or as frozen torch traces on any device (torch_runtime.py).

All take numpy arrays and give numpy arrays: chips (B, S, S, 3) uint8, centres (B, n_aus, 2, 2), geometry and
reference (B, 468, 3; the latter NaN where unknown) -> raw intensity (B, n_aus), occurrence logits (B, n_aus), raw
intensity of the subject's left and right (B, n_aus, 2) or None, flow (B, h, w, 2) in chip sides or None, and recovered
patches (B, k, 2, side, side, 3) uint8 or None (see models/recovery.py).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from rtatl_core.handoffs import Float32, UInt8

LIVE_INPUTS = ("chips", "centres", "geometry", "reference")
LIVE_OUTPUTS = ("intensity", "occurrence", "coarse", "tokens", "sides")
"""What the network gives for each frame, in order; the last only by a network that tells sides."""


class Outputs(NamedTuple):
    intensity: Float32
    occurrence: Float32
    sides: Float32 | None
    flow: Float32 | None
    patches: UInt8 | None


class Runtime(Protocol):
    name: str

    def __call__(
        self,
        chips: UInt8,
        centres: Float32,
        geometry: Float32,
        reference: Float32,
        *,
        want_flow: bool = False,
        want_patches: bool = False,
    ) -> Outputs: ...
