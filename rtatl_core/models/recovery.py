"""RoI inpainting as it is shown live: some AUs lose their regions, and the network paints them from what is left.

A face shown this way goes through the network twice. The first pass reads the whole chip and gives the AUs, as ever;
the second reads the chip with the regions erased exactly as in training, and the inpainting decoder turns the
relation-embedded tokens of those AUs into pixels. What is wrong in the patches is what the network does not know.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rtatl_core.facs import Part, action_unit
from rtatl_core.models.backbone import to_tensor, unstandardise
from rtatl_core.models.decoders import erase_regions
from rtatl_core.models.rtatl import RTATL

_PARTS = ((Part.BROW,), (Part.CHEEK, Part.EYE), (Part.MOUTH,))


def erased_live(aus: tuple[int, ...]) -> tuple[int, ...]:
    """Indices into ``aus`` of the AUs whose regions are erased: the first of the brows, the first of cheeks and eyes,
    the first of the mouth, as far as the model has them; else the first of all. Always the same, so that the picture
    does not flicker, and at most three, as many as a face loses in training."""
    parts = [action_unit(au).part for au in aus]
    firsts = (next((i for i, part in enumerate(parts) if part in group), None) for group in _PARTS)
    return tuple(i for i in firsts if i is not None) or (0,)


class LiveRecovery(nn.Module):
    """Whole chips in, recovered pixels out. The network must have its inpainting decoder."""

    erased: Tensor

    def __init__(self, network: RTATL) -> None:
        super().__init__()
        if network.inpainting is None:
            raise ValueError("recovering patches needs a network with its inpainting decoder")
        self.network = network
        self.decoder = network.inpainting
        self.register_buffer("erased", torch.tensor(erased_live(network.config.aus)), persistent=False)

    def forward(self, chips: Tensor, centres: Tensor, geometry: Tensor) -> Tensor:
        """chips: (B, S, S, 3) uint8 RGB. centres: (B, n_aus, 2, 2) fractions of the chip. geometry: (B, 468, 3).
        -> (B, k, 2, side, side, 3) uint8 RGB."""
        whole = to_tensor(chips)
        corrupted = erase_regions(whole, centres, self.erased.expand(len(chips), -1))
        tokens = self.network(corrupted, centres, geometry).tokens[:, self.erased]
        batch, k, side = len(chips), len(self.erased), self.decoder.side
        patches = self.decoder(tokens.flatten(0, 1)).reshape(batch, k * 2, 3, side * side)
        # The decoder learnt pixels on the scale of the whole chip, not of the one it saw.
        pixels = (unstandardise(patches, whole) * 255).round().clamp(0, 255).to(torch.uint8)
        return pixels.reshape(batch, k, 2, 3, side, side).permute(0, 1, 2, 4, 5, 3).contiguous()
