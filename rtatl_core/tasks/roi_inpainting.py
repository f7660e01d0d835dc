"""RoI inpainting (RTATL's regional task): AU patches are removed from the input at random and must be recovered from
the relation-embedded features of the AUs they belong to.

Source: Yan et al., ACM MM 2021, abstract ("randomly cropped AU patches", "region features with AU relation embedding").
How many patches, the decoder and the loss are our choice: k of 1-3 AUs per face, both regions erased with the chip's
mean colour, L1 on the standardised pixels of the erased patches. Other AUs that share a region lose it too, so the
answer can only come from relations and surroundings.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rtatl_core.distributed import full_precision, global_count, must_take_part
from rtatl_core.face.regions import WINDOW
from rtatl_core.limits import SHARE, require_within
from rtatl_core.models.backbone import standardise
from rtatl_core.models.decoders import cut_patches, erase_regions
from rtatl_core.models.rtatl import RTATL, RTATLOutput
from rtatl_core.tasks.base import Batch, Draw, Task


@dataclass(frozen=True, slots=True)
class InpaintingConfig:
    share: float = 0.5
    """Share of the uncoded faces in a batch that lose patches; the others stay intact, as all are at test time."""
    coded_share: float = 0.5
    """The same for coded faces. With 0 the codes are learnt from intact faces only."""
    most: int = 3
    """At most so many AUs lose their patches in one face."""

    def __post_init__(self) -> None:
        require_within("inpainting", self, {"share": SHARE, "coded_share": SHARE})
        if self.most < 1:
            raise ValueError(f"inpainting.most is {self.most}; write 1 or more (tasks.inpainting = 0 turns it off)")


class RoIInpainting(Task):
    def __init__(self, config: InpaintingConfig | None = None) -> None:
        self.config = config or InpaintingConfig()

    def _erased(self, batch: Batch) -> Tensor:
        """(B, most) which AUs lose their patches: k ~ U{1..most} of them in the chosen faces, then -1. It follows from
        the faces' seeds."""
        n = batch.centres.shape[1]
        most = min(self.config.most, n)
        erased = np.full((len(batch.seeds), most), -1)
        shares = (self.config.coded_share, self.config.share)
        for face, (seed, uncoded) in enumerate(zip(batch.seeds.tolist(), batch.unlabelled.tolist(), strict=True)):
            rng = Draw.ERASING.by(seed)
            if rng.random() < shares[uncoded]:
                count = int(rng.integers(1, most + 1))
                erased[face, :count] = rng.choice(n, count, replace=False)
        return torch.from_numpy(erased).to(batch.chips.device)

    def corrupt(self, batch: Batch, chips: Tensor) -> Tensor:
        return erase_regions(chips, batch.centres, self._erased(batch))

    def losses(self, batch: Batch, output: RTATLOutput, network: RTATL) -> dict[str, Tensor]:
        decoder = network.inpainting
        if decoder is None:
            raise ValueError("inpainting needs a network with its decoder")
        erased = self._erased(batch)
        face, slot = torch.nonzero(erased >= 0, as_tuple=True)
        total = global_count(torch.tensor(float(len(face)), device=batch.chips.device))
        if len(face) == 0 and not must_take_part():
            return {"inpainting": full_precision(output.tokens).sum() * 0}
        au = erased[face, slot]
        whole, centres = standardise(batch.chips)[face], batch.centres[face, au][:, None]
        target = cut_patches(whole, centres, WINDOW, decoder.side)[:, 0]
        recovered = full_precision(decoder(output.tokens[face, au]))
        return {"inpainting": (recovered - target).abs().mean(dim=(1, 2, 3, 4)).sum() / total}
