"""Lines for OpenCV to draw: smooth, and between pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float64

SHIFT = 4
"""What OpenCV's drawing is told beside ``fixed`` points: they are in sixteenths of a pixel."""


def fixed(points: NDArray[Any]) -> NDArray[np.int32]:
    """Pixels, of places or lengths -> sixteenths of pixels, to be drawn with ``SHIFT``."""
    return np.round(np.asarray(points) * (1 << SHIFT)).astype(np.int32)


def smooth(corners: NDArray[Any], at: NDArray[Any], passes: int, *, closed: bool = False) -> Float64:
    """(n, 2) corners -> (m, 2) points of the line through them ``at`` 0 (the first corner) to n - 1, rounded off: each
    becomes, ``passes`` times, half itself and half its neighbours. Only the ends of a line that is not closed stay."""
    line = np.stack([np.interp(at, np.arange(len(corners)), corners[:, axis]) for axis in (0, 1)], axis=1)
    ends = line[[0, -1]]
    for _ in range(passes):
        around = np.concatenate([line[-1:], line, line[:1]])
        line = (around[:-2] + 2 * line + around[2:]) / 4
        if not closed:
            line[[0, -1]] = ends
    return line
