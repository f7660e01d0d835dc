"""Regional features and AU relation embedding.

RTATL learns regional features "together with AU relation embedding" (abstract). What form the embedding has
is not known to us; a transformer encoder over one token per AU is our choice (as in UDCT and others).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

POOL = 3
"""Samples per side of a region."""


def pool_regions(features: Tensor, centres: Tensor, window: float) -> Tensor:
    """Bilinear samples of a feature map inside AU regions (RoIAlign with one sample per bin); beyond the border the map
    repeats its edge.

    features: (B, C, h, w). centres: (B, n, 2, 2) as fractions of the chip. window: side of a region as such a
    fraction. Returns (B, n, 2 * POOL * POOL * C).

    Written with plain indexing: ONNX Runtime and OpenVINO do it many times faster than GridSample.
    """
    batch, n = centres.shape[:2]
    channels, height, width = features.shape[1:]
    steps = ((torch.arange(POOL, device=centres.device, dtype=centres.dtype) + 0.5) / POOL - 0.5) * window
    places = centres.reshape(batch, n * 2, 2, 1) + steps  # x and y of a region's columns and rows
    left, right, rightwards = _between(places[:, :, None, 0], width)
    above, below, downwards = _between(places[:, :, 1, :, None], height)
    pixels = features.permute(0, 2, 3, 1).reshape(batch * height * width, channels)
    first = torch.arange(batch, device=centres.device)[:, None, None, None] * (height * width)

    def line(row: Tensor) -> Tensor:
        start = first + row * width
        return pixels[start + left] * (1 - rightwards[..., None]) + pixels[start + right] * rightwards[..., None]

    sampled = line(above) * (1 - downwards[..., None]) + line(below) * downwards[..., None]
    return sampled.reshape(batch, n, 2 * POOL * POOL * channels)


def _between(places: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Fractions of a side of ``size`` samples -> the samples before and after each, and where between them it lies."""
    positions = (places * size - 0.5).clamp(0, size - 1)
    before = positions.floor()
    return before.long(), (before + 1).clamp(max=size - 1).long(), positions - before


class RegionEmbedding(nn.Module):
    """Finest and middle map -> one token per AU, each AU with its own projection."""

    def __init__(self, channels: tuple[int, ...], n_aus: int, token: int, window: float) -> None:
        super().__init__()
        self.window = window
        lateral = token
        self.fine = nn.Conv2d(channels[0], lateral, 1)
        self.middle = nn.Conv2d(channels[1], lateral, 1)
        pooled = 2 * POOL * POOL * lateral
        self.project = nn.Parameter(torch.randn(n_aus, pooled, token) * pooled**-0.5)
        self.bias = nn.Parameter(torch.zeros(n_aus, token))
        self.norm = nn.LayerNorm(token)

    def forward(self, fine: Tensor, middle: Tensor, centres: Tensor) -> Tensor:
        """-> (B, n_aus, token)."""
        raised = functional.interpolate(self.middle(middle), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        pooled = pool_regions(functional.relu(self.fine(fine) + raised), centres, self.window)
        # not einsum: ONNX Runtime would transpose the weights, 7 MB, in every frame
        tokens = torch.matmul(pooled.transpose(0, 1), self.project).transpose(0, 1) + self.bias
        return self.norm(tokens)  # type: ignore[no-any-return]


class RelationEncoder(nn.Module):
    """AU tokens attend to each other: (B, n_aus, token) -> the same shape, relation-embedded."""

    def __init__(self, n_aus: int, token: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.identity = nn.Parameter(torch.randn(n_aus, token) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                token, heads, 2 * token, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.identity
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens
