"""The RTATL network.

    chip -> backbone -> global feature ----------------------------------+-> per-AU head -> intensity, occurrence
                     -> AU regions -> AU tokens -> relation embedding ---+        |
    landmarks (and the person's mean ones) -> geometry features ---------> head --+ (their mean)

The paper (Yan et al., ACM MM 2021) fixes the first two lines: a backbone, regional features with AU relation
embedding, a global feature, and two self-supervised heads that are dropped at test time. Sizes, the
transformer, and the geometry stream (landmarks beside pixels: what transfers from rendered to real faces) are
ours.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.face.regions import WINDOW
from rtatl_core.models.backbone import build_backbone, standardise, standardise_imagenet
from rtatl_core.models.config import STANDARDISATIONS, NetworkConfig, RTATLConfig
from rtatl_core.models.decoders import FlowDecoder, PatchDecoder
from rtatl_core.models.features import Features
from rtatl_core.models.relation import RegionEmbedding, RelationEncoder

_STANDARDISE = {"chip": standardise, "imagenet": standardise_imagenet}
assert tuple(_STANDARDISE) == STANDARDISATIONS


class Said(NamedTuple):
    """What a head says of the AUs."""

    intensity: Tensor
    """(B, n_aus), 1 = FACS intensity 5, not clipped; where sides are told, their mean."""
    occurrence: Tensor
    """(B, n_aus) logits."""
    sides: Tensor | None
    """(B, n_aus, 2) intensity of the subject's left and right; None where they are not told."""

    @classmethod
    def of(cls, raw: Tensor) -> Said:
        """(B, n_aus, 2) intensity and logit, or (B, n_aus, 3) left, right and logit."""
        if raw.shape[-1] == 2:
            return cls(raw[..., 0], raw[..., 1], None)
        return cls(raw[..., :2].mean(dim=-1), raw[..., 2], raw[..., :2])


class RTATLOutput(NamedTuple):
    intensity: Tensor
    """(B, n_aus), 1 = FACS intensity 5, not clipped."""
    occurrence: Tensor
    """(B, n_aus) logits."""
    sides: Tensor | None
    """(B, n_aus, 2) intensity of the subject's left and right, whose mean is ``intensity``; None if the network does
    not tell them."""
    streams: tuple[Said, ...]
    """Each stream by itself: pixels, then geometry if it is on."""
    tokens: Tensor
    """(B, n_aus, token) relation-embedded AU tokens."""
    coarse: Tensor
    """(B, C, S/32, S/32) the map the global feature is pooled from."""


class _PixelHead(nn.Module):
    """Per AU: linear in [its relation-embedded token; global feature]."""

    _PLACES = 4
    """The coarse map of a chip of 112 to 144 px has so many rows and columns."""

    def __init__(self, n_aus: int, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        outputs, token = _outputs(config), config.token
        self.drop = nn.Dropout(config.dropout)
        self.local = nn.Parameter(torch.randn(n_aus, token, outputs) * 0.1 * token**-0.5)
        self.placed = _placed(channels, config.placed) if config.placed else None
        self.whole = nn.Linear(config.placed * self._PLACES**2 or channels, n_aus * outputs)

    def forward(self, tokens: Tensor, coarse: Tensor) -> Said:
        local = torch.einsum("bnt,nto->bno", self.drop(tokens), self.local)
        whole = self.whole(self.drop(self._global_feature(coarse)))
        return Said.of(local + whole.unflatten(1, local.shape[1:]))

    def _global_feature(self, coarse: Tensor) -> Tensor:
        if self.placed is None:
            return coarse.mean(dim=(2, 3))
        if coarse.shape[-2:] != (self._PLACES, self._PLACES):
            coarse = functional.adaptive_avg_pool2d(coarse, self._PLACES)
        feature: Tensor = self.placed(coarse).flatten(1)
        return feature

    def level(self, matrix: Tensor, shift: Tensor) -> None:
        self.local.copy_(torch.einsum("nto,npo->ntp", self.local, matrix))
        _level(self.whole, matrix, shift)


def _level(head: nn.Linear, matrix: Tensor, shift: Tensor) -> None:
    """matrix: (n_aus, 3, 3) from what the head gave for an AU to what it gives from now on; shift: (n_aus, 3)."""
    n, outputs = shift.shape
    head.weight.copy_((matrix @ head.weight.view(n, outputs, -1)).flatten(0, 1))
    head.bias.copy_(((matrix @ head.bias.view(n, outputs, 1)).squeeze(-1) + shift).flatten())


def _placed(channels: int, kept: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, kept, 1), nn.GroupNorm(1, kept), nn.GELU())


def _outputs(config: NetworkConfig) -> int:
    """Numbers a head gives for each AU."""
    return 3 if config.sides else 2


class _GeometryStream(nn.Module):
    """Frontal landmark offsets, and how they differ from the person's mean ones -> AUs."""

    feature_mean: Tensor
    feature_spread: Tensor
    own_spread: Tensor

    def __init__(self, n_aus: int, config: NetworkConfig) -> None:
        super().__init__()
        width, dropout = config.geometry, config.dropout
        inputs = MESH_POINTS * 3
        self.register_buffer("feature_mean", torch.zeros(inputs))
        self.register_buffer("feature_spread", torch.ones(inputs))
        self.noise = config.geometry_noise
        self.compares = config.reference
        if self.compares:
            self.register_buffer("own_spread", torch.ones(inputs))
        self.body = nn.Sequential(
            nn.Linear(2 * inputs + 1 if self.compares else inputs, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(width, n_aus * _outputs(config))
        self._shape = (n_aus, _outputs(config))

    def forward(self, geometry: Tensor, reference: Tensor) -> Said:
        x = (geometry.flatten(1) - self.feature_mean) / self.feature_spread
        if self.training:
            x = x + torch.randn_like(x) * self.noise
        if self.compares:
            x = torch.cat([x, *self._compare(geometry, reference)], dim=1)
        return Said.of(self.head(self.body(x)).unflatten(1, self._shape))

    def _compare(self, geometry: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3 * 468) difference to the reference, 0 where there is none; (B, 1) whether there is one."""
        difference = (geometry - reference).flatten(1) / self.own_spread
        known = ~difference.isnan()
        if self.training:
            difference = difference + torch.randn_like(difference) * self.noise
        return torch.where(known, difference, torch.zeros_like(difference)), known[:, :1].to(difference.dtype)


class RTATL(nn.Module):
    """The whole network. ``flow`` and ``inpainting`` are absent unless asked for."""

    def __init__(self, config: RTATLConfig, *, flow: bool = True, inpainting: bool = False) -> None:
        super().__init__()
        self.config = config
        n = len(config.aus)
        self.backbone = build_backbone(config.backbone, config.width)
        channels = self.backbone.channels
        self.regions = RegionEmbedding(channels, n, config.token, WINDOW)
        self.relation = RelationEncoder(n, config.token, config.relation_layers, config.relation_heads, config.dropout)
        self.head = _PixelHead(n, config, channels[-1])
        self.geometry = _GeometryStream(n, config) if config.geometry else None
        self.flow = FlowDecoder(channels[-1], config.chip_side) if flow else None
        self.inpainting = PatchDecoder(config.token, round(WINDOW * config.chip_side / 4) * 4) if inpainting else None

    def standardise(self, chips: Tensor) -> Tensor:
        """(B, 3, S, S) in 0-1 -> what the backbone takes."""
        return _STANDARDISE[self.config.standardise](chips)

    @torch.no_grad()
    def level_sides(self, at_zero: Tensor, slope: Tensor) -> None:
        """Take at_zero + slope * intensity off left - right of each AU, for good; each (n_aus,), intensity on its raw
        scale, and stays what it is. Only for networks that tell sides."""
        left, right, _ = one = torch.eye(3, device=at_zero.device)  # of what a head gives for an AU
        apart, both = left - right, (left + right) / 2
        matrix = one - slope[:, None, None] / 2 * apart[:, None] * both
        shift = -at_zero[:, None] / 2 * apart
        self.head.level(matrix, shift)
        if self.geometry is not None:
            _level(self.geometry.head, matrix, shift)

    def forward(self, chips: Tensor, centres: Tensor, geometry: Tensor, reference: Tensor | None = None) -> RTATLOutput:
        """chips: (B, 3, S, S) in 0-1. centres: (B, n_aus, 2, 2) fractions of the chip. geometry: (B, 468, 3).
        reference: (B, 468, 3) the same person's mean geometry, NaN where unknown; None = unknown for all."""
        features: Features = self.backbone(self.standardise(chips))
        tokens = self.relation(self.regions(features.fine, features.middle, centres))
        pixel = self.head(tokens, features.coarse)
        if self.geometry is None:
            return RTATLOutput(pixel.intensity, pixel.occurrence, pixel.sides, (pixel,), tokens, features.coarse)
        shape = self.geometry(geometry, torch.full_like(geometry, torch.nan) if reference is None else reference)
        sides = None if pixel.sides is None or shape.sides is None else (pixel.sides + shape.sides) / 2
        intensity, occurrence = (pixel.intensity + shape.intensity) / 2, (pixel.occurrence + shape.occurrence) / 2
        return RTATLOutput(intensity, occurrence, sides, (pixel, shape), tokens, features.coarse)
