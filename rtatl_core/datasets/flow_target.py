"""Optical flow between aligned chips: what the single-image flow task is to predict.

The alignment has removed the head's similarity motion; the median motion that is left is subtracted too, so that what
remains is what the face does. Fields are at a quarter of the pictures' resolution, x to the right and y down, in
fractions of the chip's side. The paper does not tell us its flow method; DIS (Kroeger et al., ECCV 2016), TV-L1 (Zach
et al., DAGM 2007) and exact flow of rendered faces are our choices.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout
from rtatl_core.handoffs import Float32, Float64, UInt8

LONGEST = {"later": 0.05, "rest": 0.15}
"""Motions are cut at this fraction of the chip: what is longer in a few tenths of a second is mostly a false match, and
no jaw drops further from rest."""
CELL = 4
"""Pixels of the chip per flow vector, each way."""


def _dis() -> Callable[[UInt8, UInt8], Float32]:
    engine = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda a, b: engine.calc(a, b, None)


def _tvl1() -> Callable[[UInt8, UInt8], Float32]:
    engine = cv2.optflow.createOptFlow_DualTVL1()
    return lambda a, b: engine.calc(a, b, None)


METHODS: dict[str, Callable[[], Callable[[UInt8, UInt8], Float32]]] = {"dis": _dis, "tvl1": _tvl1}
"""dis: a millisecond a pair, fit for training as it goes. tvl1: a tenth of a second, for ``rtatl prepare --flow``."""


class FlowTarget:
    """Two chips -> the motion between them."""

    def __init__(self, method: str = "dis", to: str = "later") -> None:
        """to: which frame the second one is (flow_pairs.py). Raises RecipeError for an unknown method."""
        if method not in METHODS:
            raise RecipeError(f"flow method {method!r} is unknown; write one of {', '.join(METHODS)}")
        self._flow, self._to = METHODS[method](), to

    def __call__(self, first: UInt8, second: UInt8) -> Float32:
        """RGB pictures (S, S, 3) -> (S/4, S/4, 2) in fractions of S; a rest of S / 4 pixels at the end has no cell."""
        side, cells = first.shape[0], first.shape[0] // CELL
        grey = [cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY) for chip in (first, second)]
        whole = self._flow(grey[0], grey[1])[: cells * CELL, : cells * CELL]
        flow = cv2.resize(whole, (cells, cells), interpolation=cv2.INTER_AREA)
        return without_head(flow / side, self._to)


def without_head(flow: Float32, to: str) -> Float32:
    """Subtract the median motion of the known (finite) cells and cut at ``LONGEST``."""
    known = np.isfinite(flow).all(axis=-1)
    if not known.any():
        return flow.astype(np.float32)
    motion: Float32 = (flow - np.median(flow[known], axis=0)).clip(-LONGEST[to], LONGEST[to]).astype(np.float32)
    return motion


def exact_flow(motion: Float32, first: Float64, second: Float64, layout: ChipLayout, to: str = "later") -> Float32:
    """Motion in image pixels -> motion between the two aligned canvases.

    motion: (h, w, 2), NaN where unknown. first, second: (2, 3) image -> canvas of the frame and of the one it leads to.
    Returns (C/4, C/4, 2) in fractions of the chip's side, NaN where unknown.
    """
    return flow_of_landings(landings(motion, first, layout), second, layout, to)


def landings(motion: Float32, first: Float64, layout: ChipLayout) -> Float32:
    """(C/4, C/4, 2) where the middle of each cell of a frame's canvas lies in the image that the motion leads to: all
    that need be kept of the motion until that image is aligned. Arguments as of ``exact_flow``."""
    back = cv2.invertAffineTransform(first)
    source = (_middles(layout) @ back[:, :2].T + back[:, 2]).astype(np.float32)
    step = cv2.remap(motion, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(np.nan,) * 4)
    landed: Float32 = source + step
    return landed


def flow_of_landings(landed: Float32, second: Float64, layout: ChipLayout, to: str = "later") -> Float32:
    """``exact_flow`` of ``landings``."""
    moved = landed @ second[:, :2].T + second[:, 2] - _middles(layout)
    return without_head(moved.astype(np.float32) / layout.side, to)


def _middles(layout: ChipLayout) -> Float64:
    """(C/4, C/4, 2) of the cells of a canvas, in its pixels."""
    cells = np.arange(layout.canvas // CELL)
    middles: Float64 = (np.stack(np.meshgrid(cells, cells), axis=-1) + 0.5) * CELL - 0.5
    return middles


def warp_flow(field: Float32, matrix: Float32, layout: ChipLayout, to: str = "later") -> Float32:
    """Carry a stored field along when its canvas is warped to a chip.

    field: (C/4, C/4, 2) of the canvas. matrix: (2, 3) canvas pixels -> chip pixels. Returns (S/4, S/4, 2); NaN where
    the field is unknown or the chip reaches outside it.
    """
    cells = layout.side // CELL
    linear, shift = matrix[:, :2], matrix[:, 2]
    centre = (CELL - 1) / 2  # of the first cell, in pixels
    of_cells = np.concatenate([linear, ((linear @ np.full(2, centre) + shift - centre) / CELL)[:, None]], axis=1)
    moved = cv2.warpAffine(
        field.astype(np.float32),
        of_cells,
        (cells, cells),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(np.nan,) * 4,
    )
    return without_head(moved @ linear.T, to)
