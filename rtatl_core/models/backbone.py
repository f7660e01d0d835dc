"""ResNet backbones with torchvision's parameter names, so that ImageNet checkpoints load from a file.

Source: He et al., "Deep residual learning for image recognition", CVPR 2016. ``width`` scales all channels;
64 is the original.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


class Features(NamedTuple):
    """Maps of one batch; strides are relative to the chip."""

    fine: Tensor
    """(B, C2, S/8, S/8): layer2."""
    middle: Tensor
    """(B, C3, S/16, S/16): layer3."""
    coarse: Tensor
    """(B, C4, S/32, S/32): layer4."""


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, planes, stride)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(out + shortcut)  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * self.expansion
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3x3(planes, planes, stride)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(out + shortcut)  # type: ignore[no-any-return]


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


_LAYOUTS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}
BACKBONES = tuple(_LAYOUTS)


class ResNet(nn.Module):
    """(B, 3, S, S) standardised chips -> Features."""

    def __init__(self, name: str = "resnet18", width: int = 64) -> None:
        super().__init__()
        if name not in _LAYOUTS:
            raise ValueError(f"backbone {name!r} is unknown; known are {', '.join(BACKBONES)}")
        block, depths = _LAYOUTS[name]
        self._inputs = width
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = self._stage(block, width, depths[0], 1)
        self.layer2 = self._stage(block, width * 2, depths[1], 2)
        self.layer3 = self._stage(block, width * 4, depths[2], 2)
        self.layer4 = self._stage(block, width * 8, depths[3], 2)
        self.channels = tuple(width * k * block.expansion for k in (2, 4, 8))
        """Channels of Features.fine, middle, coarse."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _stage(self, block: type[BasicBlock] | type[Bottleneck], planes: int, depth: int, stride: int) -> nn.Sequential:
        blocks: list[nn.Module] = []
        for i in range(depth):
            blocks.append(block(self._inputs, planes, stride if i == 0 else 1))
            self._inputs = planes * block.expansion
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Features:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        fine = self.layer2(self.layer1(x))
        middle = self.layer3(fine)
        return Features(fine, middle, self.layer4(middle))


def fold_batch_norms(module: nn.Module) -> None:
    """Merge every batch norm that directly follows a convolution into it, in place; for inference only (the
    result is the same up to rounding, a fifth faster on a CPU). Relies on modules being registered in the
    order in which they run."""
    for child in module.children():
        fold_batch_norms(child)
    for (first_name, first), (second_name, second) in pairwise(list(module.named_children())):
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(module, first_name, fuse_conv_bn_eval(first, second))
            setattr(module, second_name, nn.Identity())


def standardise(chips: Tensor) -> Tensor:
    """(B, 3, S, S) in 0-1 -> zero mean and unit spread per picture, which removes exposure and contrast."""
    mean = chips.mean(dim=(1, 2, 3), keepdim=True)
    spread = (chips - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return (chips - mean) / (spread + 0.05)


@torch.no_grad()
def to_tensor(chips: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float in 0-1, channels last in memory."""
    return chips.permute(0, 3, 1, 2).to(torch.float32).div_(255)
