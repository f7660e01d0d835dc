"""The trunk of MediaPipe's Face Mesh as a backbone: small, fast, and with weights that have seen real people.

Sources: Kartynnik et al., "Real-time facial surface geometry from monocular video on mobile GPUs", CVPR workshops 2019;
its blocks are those of Bazarevsky et al., "BlazeFace", same place. The layout is read off the model that the mediapipe
package brings (``face_landmark.tflite``, Apache-2.0), up to its map of stride 32; what follows there finds landmarks.
Renders teach the AUs, but not what skin, light and cameras look like; these weights know that.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rtatl_core.handoffs import CHIP_SIDE, Float32
from rtatl_core.models.features import Features
from rtatl_core.openvino_package import core, is_installed, openvino
from rtatl_core.system import how_to_install

_STAGES = ((16, 16), (16, 32), (32, 64), (64, 128), (128, 128))
"""Channels in and out; each halves the resolution, the first one by the stem before it."""
_DEPTH = 2
"""Blocks of a stage after the one that halves."""
_BRIGHTNESS, _CONTRAST = 0.5, 0.25
"""Mean and spread of the pictures, on 0-1, that the weights are used to."""


class _Sloped(nn.PReLU):
    """PReLU, which ONNX Runtime computes twice as fast when it is written out."""

    def forward(self, x: Tensor) -> Tensor:
        if not torch.onnx.is_in_onnx_export():
            return super().forward(x)
        slope = self.weight[:, None, None]
        return x * slope + functional.relu(x) * (1 - slope)


class _Block(nn.Module):
    """Depthwise 3x3 and pointwise convolution beside a shortcut; ``halve``: at half the resolution."""

    ones: Tensor
    """(outputs, inputs, 1, 1) ones on the diagonal, where there are more outputs than inputs."""

    def __init__(self, inputs: int, outputs: int, *, halve: bool = False) -> None:
        super().__init__()
        self.halve, self.more = halve, outputs - inputs
        self.depthwise = nn.Conv2d(inputs, inputs, 3, 2 if halve else 1, 0 if halve else 1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.activation = _Sloped(outputs)
        if self.more:
            self.register_buffer("ones", torch.eye(outputs, inputs)[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = functional.max_pool2d(x, 2) if self.halve else x
        if self.more:
            shortcut = self._widened(shortcut)
        moved = self.pointwise(self.depthwise(_pad_end(x) if self.halve else x))
        return self.activation(moved + shortcut)  # type: ignore[no-any-return]

    def _widened(self, shortcut: Tensor) -> Tensor:
        """With channels of zeros at the end. Exported graphs get them from a convolution, which OpenVINO and ONNX
        Runtime do in a fraction of the time of padding: a twentieth of that of the whole network."""
        if torch.onnx.is_in_onnx_export():
            return functional.conv2d(shortcut, self.ones)
        return functional.pad(shortcut, (0, 0, 0, 0, 0, self.more))


def _pad_end(x: Tensor) -> Tensor:
    """A row and a column of zeros at the end, as TensorFlow pads what it halves."""
    return functional.pad(x, (0, 1, 0, 1))


class FaceMeshTrunk(nn.Module):
    """(B, 3, S, S) chips of zero mean and unit spread -> Features. Chips of another side than ``CHIP_SIDE`` are drawn
    at that size, at which the weights know faces; strides are then those of what is drawn."""

    channels = tuple(outputs for _, outputs in _STAGES[2:])

    def __init__(self) -> None:
        super().__init__()
        self.side = CHIP_SIDE
        self.stem = nn.Sequential(nn.Conv2d(3, _STAGES[0][0], 3, 2), _Sloped(_STAGES[0][0]))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *([_Block(inputs, outputs, halve=True)] if i else []),
                *(_Block(outputs, outputs) for _ in range(_DEPTH)),
            )
            for i, (inputs, outputs) in enumerate(_STAGES)
        )

    def forward(self, x: Tensor) -> Features:
        if x.shape[-1] != self.side:
            x = functional.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)
        x = self.stem(_pad_end(x * _CONTRAST + _BRIGHTNESS))
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return Features(*maps[2:])


def load_face_mesh(trunk: FaceMeshTrunk) -> None:
    """Take over the weights that the installed mediapipe package brings.

    Raises ValueError when openvino, which reads that file, or the file itself is missing, or when it holds another
    network.
    """
    if not is_installed():
        raise ValueError(f"its file is read by OpenVINO, which is missing; {how_to_install('openvino')}")
    import mediapipe

    path = Path(mediapipe.__file__).parent / "modules" / "face_landmark" / "face_landmark.tflite"
    if not path.is_file():
        raise ValueError(f"{path} is missing; install mediapipe anew")
    weights = _weights_in_order(core().read_model(path))
    tensors = trunk.state_dict()
    if len(weights) < len(tensors):
        raise ValueError(f"{path} is another version: it holds {len(weights)} tensors, fewer than {len(tensors)}")
    for (name, own), given in zip(tensors.items(), weights, strict=False):
        if own.numel() != given.size:
            raise ValueError(f"{path} is another version: its {name} holds {given.size} numbers, not {own.numel()}")
        tensors[name] = torch.from_numpy(given.copy()).reshape(own.shape)
    trunk.load_state_dict(tensors)


def _weights_in_order(model: Any) -> list[Float32]:
    """Weights, bias and slopes of each layer of an OpenVINO model, in the order in which they are used."""
    sources = [
        node.input_value(1)
        for node in model.get_ordered_ops()
        if node.get_type_name() in {"Convolution", "GroupConvolution", "PRelu"}
        or (node.get_type_name() == "Add" and node.input_value(1).get_node().get_type_name() == "Unsqueeze")
    ]
    read = core().compile_model(openvino().Model(sources, []), "CPU")([])
    return [np.asarray(read[i], np.float32) for i in range(len(sources))]
