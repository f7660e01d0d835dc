"""The two self-supervised heads of RTATL, and how AU patches are cut from a chip and erased in it. Neither head is
needed to recognise AUs: each runs live only while its layer is shown.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from rtatl_core.face.regions import WINDOW


class FlowDecoder(nn.Module):
    """Global feature map of ONE chip -> the optical flow to expect, at a quarter of the chip's resolution.

    There is no skip connection to finer maps: all motion must be readable from the global feature, which is
    what the task is to teach it (RTATL, abstract). Decoder shape and resolution are our choice.
    """

    def __init__(self, channels: int, chip_side: int) -> None:
        super().__init__()
        self.side = chip_side // 4
        widths = (channels, 128, 64, 32)
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
            for a, b in pairwise(widths)
        )
        self.out = nn.Conv2d(widths[-1], 2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, coarse: Tensor) -> Tensor:
        """(B, C, S/32, S/32) -> (B, 2, S/4, S/4): x right, y down, fractions of the chip's side times
        ``FLOW_SCALE``."""
        x = coarse
        sizes = (self.side // 4, self.side // 2, self.side)
        for step, size in zip(self.steps, sizes, strict=True):
            x = step(functional.interpolate(x, size=(size, size), mode="bilinear", align_corners=False))
        return self.out(x)  # type: ignore[no-any-return]

    @torch.no_grad()
    def temper(self, gain: float) -> None:
        """Predict ``gain`` times that motion from now on."""
        for parameter in self.out.parameters():
            parameter.mul_(gain)


FLOW_SCALE = 20.0
"""The decoder's output per chip side: motions of a few hundredths of the chip become numbers around one."""


class PatchDecoder(nn.Module):
    """Relation-embedded AU token -> the pixels of that AU's two regions, standardised as the chip is."""

    def __init__(self, token: int, patch_side: int) -> None:
        super().__init__()
        if patch_side % 4:
            raise ValueError(f"the patch side must be a multiple of 4, not {patch_side}")
        self.side = patch_side
        self.seed = nn.Linear(token, 2 * 64 * (patch_side // 4) ** 2)
        self.grow = nn.Sequential(
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 16, 4, 2, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 3, 3, padding=1),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(k, token) -> (k, 2, 3, side, side)."""
        quarter = self.side // 4
        seeds = self.seed(tokens).reshape(-1, 64, quarter, quarter)
        patches: Tensor = self.grow(seeds)
        return patches.reshape(-1, 2, 3, self.side, self.side)


def cut_patches(chips: Tensor, centres: Tensor, window: float, side: int) -> Tensor:
    """Pixels of regions: chips (B, 3, S, S), centres (B, k, 2, 2) fractions -> (B, k, 2, 3, side, side)."""
    batch, k = centres.shape[:2]
    steps = ((torch.arange(side, device=chips.device, dtype=chips.dtype) + 0.5) / side - 0.5) * window
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1).reshape(-1, 2)
    grid = (centres.reshape(batch, k * 2, 1, 2) + offsets) * 2 - 1
    cut = functional.grid_sample(chips, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.permute(0, 2, 1, 3).reshape(batch, k, 2, 3, side, side)


def erase_regions(chips: Tensor, centres: Tensor, erased: Tensor) -> Tensor:
    """Chips (B, 3, S, S) with both regions of the AUs in ``erased`` ((B, k) indices, -1 = none) filled with the chip's
    mean colour; centres (B, n_aus, 2, 2) fractions."""
    mask = region_mask(centres, erased, chips.shape[-1])
    return torch.where(mask, chips.mean(dim=(2, 3), keepdim=True), chips)


def region_mask(centres: Tensor, erased: Tensor, side: int) -> Tensor:
    """(B, 1, side, side) True inside the windows of the AUs in ``erased`` ((B, k) indices, -1 = none)."""
    pixel = (torch.arange(side, device=centres.device) + 0.5) / side
    chosen = torch.gather(centres, 1, erased.clamp(min=0)[:, :, None, None].expand(-1, -1, 2, 2))
    near = (pixel - chosen[..., None]).abs() <= WINDOW / 2  # (B, k, 2 regions, 2 axes, side)
    inside = near[..., 1, :, None] & near[..., 0, None, :]
    inside &= (erased >= 0)[:, :, None, None, None]
    return inside.flatten(1, 2).any(dim=1, keepdim=True)
