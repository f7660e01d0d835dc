"""RoI inpainting as it is shown live: some AUs lose their regions, and the network paints them from what is left.

A face shown this way goes through the network twice. The first pass reads the whole chip and gives the AUs, as ever;
the second reads the chip with the regions erased exactly as in training, and the inpainting decoder turns the
relation-embedded tokens of those AUs into pixels. What is wrong in the patches is what the network does not know.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtatl_core.face.regions import erased_live
from rtatl_core.models.backbone import to_tensor, unstandardise
from rtatl_core.models.decoders import PatchDecoder, erase_regions
from rtatl_core.models.rtatl import RTATL


class PatchPainter(nn.Module):
    """Tokens of erased AUs, and the whole chips they come from, in; recovered pixels out."""

    def __init__(self, decoder: PatchDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor, chips: Tensor) -> Tensor:
        """tokens: (B, k, token). chips: (B, S, S, 3) uint8 RGB, whole. -> (B, k, 2, side, side, 3) uint8 RGB."""
        k, side = tokens.shape[1], self.decoder.side
        patches = self.decoder(tokens.flatten(0, 1)).reshape(-1, k * 2, 3, side * side)
        # The decoder learnt pixels on the scale of the whole chip, not of the one it saw.
        pixels = (unstandardise(patches, to_tensor(chips)) * 255).round().clamp(0, 255).to(torch.uint8)
        return pixels.reshape(-1, k, 2, 3, side, side).permute(0, 1, 2, 4, 5, 3).contiguous()


class LiveRecovery(nn.Module):
    """Whole chips in, recovered pixels out. The network must have its inpainting decoder."""

    erased: Tensor

    def __init__(self, network: RTATL) -> None:
        super().__init__()
        if network.inpainting is None:
            raise ValueError("recovering patches needs a network with its inpainting decoder")
        self.network = network
        self.paint = PatchPainter(network.inpainting)
        self.register_buffer("erased", torch.tensor(erased_live(network.config.aus)), persistent=False)

    def forward(self, chips: Tensor, centres: Tensor, geometry: Tensor) -> Tensor:
        """chips: (B, S, S, 3) uint8 RGB. centres: (B, n_aus, 2, 2) fractions of the chip. geometry: (B, 468, 3).
        -> (B, k, 2, side, side, 3) uint8 RGB."""
        corrupted = erase_regions(to_tensor(chips), centres, self.erased.expand(len(chips), -1))
        tokens = self.network(corrupted, centres, geometry).tokens[:, self.erased]
        patches: Tensor = self.paint(tokens, chips)
        return patches
