"""What a backbone gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Features(NamedTuple):
    """Maps of one batch; strides are relative to the chip."""

    fine: Tensor
    """(B, C2, S/8, S/8)."""
    middle: Tensor
    """(B, C3, S/16, S/16)."""
    coarse: Tensor
    """(B, C4, S/32, S/32)."""
