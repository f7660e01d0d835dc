"""Backbones with torchvision's parameter names, so that ImageNet checkpoints load from a file.

Sources: He et al., "Deep residual learning for image recognition", CVPR 2016; Sandler et al., "MobileNetV2: inverted
residuals and linear bottlenecks", CVPR 2018. ``width`` scales all channels; 64 is the original ResNet, 32 the original
MobileNetV2.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rtatl_core.models.face_mesh import FaceMeshTrunk
from rtatl_core.models.features import Features


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


_RESNETS: dict[str, tuple[type[BasicBlock] | type[Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
}


class ResNet(nn.Module):
    """(B, 3, S, S) standardised chips -> Features."""

    def __init__(self, name: str, width: int) -> None:
        super().__init__()
        block, depths = _RESNETS[name]
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

    @property
    def stem(self) -> nn.Module:
        """The first layers, up to stride 2: what sees edges and texture."""
        return nn.Sequential(OrderedDict(conv1=self.conv1, bn1=self.bn1, relu=self.relu))

    def forward(self, x: Tensor) -> Features:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        fine = self.layer2(self.layer1(x))
        middle = self.layer3(fine)
        return Features(fine, middle, self.layer4(middle))


class _InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        layers: list[nn.Module] = [] if expand == 1 else [_conv_bn_relu6(inputs, hidden, 1)]
        layers += [_conv_bn_relu6(hidden, hidden, 3, stride, groups=hidden)]
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.shortcut else out


def _conv_bn_relu6(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU6(inplace=True))


class MobileNetV2(nn.Module):
    """(B, 3, S, S) standardised chips -> Features; a third of ResNet-18's arithmetic at its original width. The last
    1x1 convolution to 1280 channels is left out, it serves ImageNet's classes."""

    _STAGES = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    """Expansion, channels, blocks, stride (table 2 of the paper)."""
    _FINE, _MIDDLE = 7, 14
    """Blocks after which the maps of stride 8 and 16 are taken."""

    def __init__(self, width: int) -> None:
        super().__init__()

        def scaled(channels: int) -> int:
            return max(8, round(channels * width / 32 / 8) * 8)

        blocks: list[nn.Module] = [_conv_bn_relu6(3, scaled(32), 3, 2)]
        inputs, widths = scaled(32), [scaled(32)]
        for expand, channels, count, stride in self._STAGES:
            for i in range(count):
                blocks.append(_InvertedResidual(inputs, scaled(channels), stride if i == 0 else 1, expand))
                inputs = scaled(channels)
                widths.append(inputs)
        self.features = nn.Sequential(*blocks)
        self.channels = (widths[self._FINE - 1], widths[self._MIDDLE - 1], widths[-1])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    @property
    def stem(self) -> nn.Module:
        """The first layers, up to stride 2: what sees edges and texture."""
        return self.features[:2]

    def forward(self, x: Tensor) -> Features:
        fine: Tensor = self.features[: self._FINE](x)
        middle: Tensor = self.features[self._FINE : self._MIDDLE](fine)
        return Features(fine, middle, self.features[self._MIDDLE :](middle))


Backbone = ResNet | MobileNetV2 | FaceMeshTrunk


def build_backbone(name: str, width: int) -> Backbone:
    """name: one of ``config.BACKBONES``. face_mesh has one width only."""
    if name == "face_mesh":
        return FaceMeshTrunk()
    return MobileNetV2(width) if name == "mobilenet_v2" else ResNet(name, width)


_CLASSIFIER = ("fc.", "classifier.", "features.18.")
"""Parts of an ImageNet checkpoint that a feature extractor has no use for."""


def load_imagenet(backbone: Backbone, tensors: dict[str, Tensor]) -> None:
    """Take over a torchvision checkpoint of the same backbone. Raises ValueError with the first tensor that does not
    fit."""
    given = {name: tensor for name, tensor in tensors.items() if not name.startswith(_CLASSIFIER)}
    wanted = backbone.state_dict()
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):
            given.setdefault(name, tensor)
        elif name not in given or given[name].shape != tensor.shape:
            there = tuple(given[name].shape) if name in given else "missing"
            raise ValueError(f"{name} is {there}, the backbone needs {tuple(tensor.shape)}")
    if extra := sorted(given.keys() - wanted.keys()):
        raise ValueError(f"{extra[0]} has no place in the backbone")
    backbone.load_state_dict(given)


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


_IMAGENET_MEAN, _IMAGENET_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def standardise_imagenet(chips: Tensor) -> Tensor:
    """(B, 3, S, S) in 0-1 -> as torchvision's ImageNet checkpoints expect it."""
    mean, spread = chips.new_tensor([_IMAGENET_MEAN, _IMAGENET_SPREAD])[:, None, :, None, None]
    result: Tensor = (chips - mean) / spread
    return result


def standardise(chips: Tensor) -> Tensor:
    """(B, 3, S, S) in 0-1 -> zero mean and unit spread per picture, which removes exposure and contrast."""
    pixels = chips.permute(0, 2, 3, 1)  # as cameras and channels-last tensors have them: nothing moves in memory
    mean, spread = _mean_and_spread(pixels)
    return ((pixels - mean) / spread).permute(0, 3, 1, 2)


def unstandardise(values: Tensor, chips: Tensor) -> Tensor:
    """Back to 0-1 and beyond: values (B, ., ., .) on the scale that ``standardise(chips)`` gave its pictures."""
    mean, spread = _mean_and_spread(chips)
    return values * spread + mean


def _mean_and_spread(chips: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1, 1, 1) each; the spread has a floor, so that an empty picture can be divided by it."""
    mean = chips.mean(dim=(1, 2, 3), keepdim=True)
    spread = (chips - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return mean, spread + 0.05


@torch.no_grad()
def to_tensor(chips: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 -> (B, 3, S, S) float in 0-1, channels last in memory."""
    return chips.to(torch.float32).div_(255).permute(0, 3, 1, 2)  # last, which OpenVINO then leaves out
