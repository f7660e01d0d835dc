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
    """Bilinear samples of a feature map inside AU regions (RoIAlign with one sample per bin; exports to
    ONNX).

    features: (B, C, h, w). centres: (B, n, 2, 2) as fractions of the chip. window: side of a region as such a
    fraction. Returns (B, n, C * 2 * POOL * POOL).
    """
    batch, n = centres.shape[:2]
    steps = ((torch.arange(POOL, device=centres.device, dtype=centres.dtype) + 0.5) / POOL - 0.5) * window
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
    grid = (centres.reshape(batch, n * 2, 1, 2) + offsets) * 2 - 1
    sampled = functional.grid_sample(features, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # (B, C, n * 2, P * P) -> (B, n, C * 2 * P * P)
    channels = features.shape[1]
    return sampled.reshape(batch, channels, n, 2 * POOL * POOL).transpose(1, 2).flatten(2)


class RegionEmbedding(nn.Module):
    """Finest and middle map -> one token per AU, each AU with its own projection."""

    def __init__(self, channels: tuple[int, ...], n_aus: int, token: int, window: float) -> None:
        super().__init__()
        self.window = window
        lateral = token
        self.fine = nn.Conv2d(channels[0], lateral, 1)
        self.middle = nn.Conv2d(channels[1], lateral, 1)
        pooled = lateral * 2 * POOL * POOL
        self.weight = nn.Parameter(torch.randn(n_aus, pooled, token) * pooled**-0.5)
        self.bias = nn.Parameter(torch.zeros(n_aus, token))
        self.norm = nn.LayerNorm(token)

    def forward(self, fine: Tensor, middle: Tensor, centres: Tensor) -> Tensor:
        """-> (B, n_aus, token)."""
        raised = functional.interpolate(self.middle(middle), size=fine.shape[-2:], mode="bilinear", align_corners=False)
        pooled = pool_regions(functional.relu(self.fine(fine) + raised), centres, self.window)
        # not einsum: ONNX Runtime would transpose the weights, 7 MB, in every frame
        tokens = torch.matmul(pooled.transpose(0, 1), self.weight).transpose(0, 1) + self.bias
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
