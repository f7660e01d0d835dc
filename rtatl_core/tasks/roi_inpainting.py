"""RoI inpainting (RTATL's regional task): AU patches are removed from the input at random and must be
recovered from the relation-embedded features of the AUs they belong to.

Source: Yan et al., ACM MM 2021, abstract ("randomly cropped AU patches", "region features with AU relation
embedding"). How many patches, the decoder and the loss are our choice: k of 1-3 AUs per face, both regions
erased with the chip's mean colour, L1 on the standardised pixels of the erased patches. Other AUs that share
a region lose it too, so the answer can only come from relations and surroundings.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rtatl_core.face.regions import WINDOW
from rtatl_core.models.backbone import standardise
from rtatl_core.models.decoders import cut_patches
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch

MAX_ERASED = 3


class RoIInpainting:
    name = "inpainting"

    def __init__(self, share: float = 0.5) -> None:
        """share: of the faces in a batch that lose patches; the others stay intact, as all are at test
        time."""
        self.share = share
        self._erased: Tensor | None = None

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Tensor:
        """Erases k ~ U{1..3} AUs in the chosen faces; remembers which for the losses of the same step."""
        count, n = batch.centres.shape[:2]
        most = min(MAX_ERASED, n)
        order = torch.rand(count, n, generator=generator).argsort(dim=1)[:, :most]
        keep = torch.arange(most) < torch.randint(1, most + 1, (count, 1), generator=generator)
        keep &= torch.rand(count, 1, generator=generator) < self.share
        self._erased = torch.where(keep, order, -1)
        mask = region_mask(batch.centres, self._erased, batch.chips.shape[-1])
        mean = batch.chips.mean(dim=(2, 3), keepdim=True)
        return torch.where(mask, mean, batch.chips)

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        if network.inpainting is None or self._erased is None:
            raise ValueError("inpainting needs a network with its decoder, and corrupt() before losses()")
        if not (self._erased >= 0).any():
            return {"inpainting": output.tokens.new_zeros(())}
        face, slot = torch.nonzero(self._erased >= 0, as_tuple=True)
        au = self._erased[face, slot]
        target = cut_patches(
            standardise(batch.chips)[face], batch.centres[face, au][:, None], WINDOW, network.inpainting.side
        )[:, 0]
        recovered = network.inpainting(output.tokens[face, au])
        return {"inpainting": functional.l1_loss(recovered, target)}


def region_mask(centres: Tensor, erased: Tensor, side: int) -> Tensor:
    """(B, 1, side, side) True inside the windows of the AUs in ``erased`` ((B, k) indices, -1 = none)."""
    pixel = (torch.arange(side, device=centres.device) + 0.5) / side
    chosen = torch.gather(centres, 1, erased.clamp(min=0)[:, :, None, None].expand(-1, -1, 2, 2))
    near = (pixel - chosen[..., None]).abs() <= WINDOW / 2  # (B, k, 2 regions, 2 axes, side)
    inside = near[..., 1, :, None] & near[..., 0, None, :]
    inside &= (erased >= 0)[:, :, None, None, None]
    return inside.flatten(1, 2).any(dim=1, keepdim=True)
