"""A texture in the making: tints, covers, blobs, hairs and noise on a float picture.

Enters: a side, a colour, a random generator. Leaves: ``Canvas.image``. Positions are pixels of a 512 texture, scaled to
the side; v runs down.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.lines import SHIFT, fixed

_BANK = 1536


def white(side: int, rng: np.random.Generator) -> Float32:
    """(side, side) noise of unit spread: a random cut from one large field, ten times cheaper than drawing it."""
    rows, columns = rng.integers(0, _BANK - side, 2) if side < _BANK else (0, 0)
    cut = _noise_bank()[rows : rows + side, columns : columns + side]
    turned: Float32 = np.rot90(cut, rng.integers(4))
    return np.ascontiguousarray(turned)


@cache
def _noise_bank() -> Float32:
    return np.random.default_rng(0).normal(size=(_BANK, _BANK)).astype(np.float32)


class Canvas:
    """A texture in the making, float RGB 0-255."""

    def __init__(self, side: int, colour: Float32, rng: np.random.Generator) -> None:
        self.side, self.scale, self.rng = side, side / 512, rng
        self.image = np.empty((side, side, 3), np.float32)
        self.image[:] = colour
        self.axis = np.arange(side, dtype=np.float32) / self.scale  # 512 pixels

    def tint(self, mask: Float32, factors: tuple[float, float, float]) -> None:
        """Multiply by 1 + mask * factors."""
        for channel, factor in enumerate(factors):
            self.image[..., channel] *= 1 + mask * np.float32(factor)

    def cover(self, mask: Float32, colour: NDArray[Any]) -> None:
        mask = mask[..., None]
        self.image *= 1 - mask
        self.image += mask * colour.astype(np.float32)

    def blob(self, at: NDArray[Any], width: float, height: float) -> Float32:
        across = np.exp(-(((self.axis - at[0]) / width) ** 2))
        down = np.exp(-(((self.axis - at[1]) / height) ** 2))
        blob: Float32 = np.outer(down, across).astype(np.float32)
        return blob

    def noise(self, cells: int, octaves: int = 3) -> Float32:
        """Smooth noise of unit spread, about ``cells`` lumps across."""
        total = np.zeros((self.side, self.side), np.float32)
        for octave in range(octaves):
            coarse = self.rng.normal(size=(cells << octave, cells << octave)).astype(np.float32)
            total += cv2.resize(coarse, (self.side, self.side), interpolation=cv2.INTER_CUBIC) / 2**octave
        return total / total.std()

    def fill(self, outline: NDArray[Any], blur: float) -> Float32:
        """Mask of a polygon in 512 pixels."""
        mask = np.zeros((self.side, self.side), np.float32)
        cv2.fillPoly(mask, [fixed(outline * self.scale)], 1.0, cv2.LINE_AA, SHIFT)
        return cv2.GaussianBlur(mask, (0, 0), blur * self.scale)

    def outline(self, corners: NDArray[Any], width: float, blur: float) -> Float32:
        """Mask of a closed line through ``corners``."""
        mask = np.zeros((self.side, self.side), np.float32)
        thick = max(1, round(width * self.scale))
        cv2.polylines(mask, [fixed(corners * self.scale)], True, 1.0, thick, cv2.LINE_AA, SHIFT)
        return cv2.GaussianBlur(mask, (0, 0), blur * self.scale)

    def dots(self, places: NDArray[Any], radii: NDArray[Any], strengths: NDArray[Any]) -> Float32:
        """Mask of round spots, (n, 2), (n,), (n,)."""
        mask = np.zeros((self.side, self.side), np.float32)
        centres, sizes = (fixed(lengths * self.scale).tolist() for lengths in (places, radii))
        for centre, size, strength in zip(centres, sizes, strengths.tolist(), strict=True):
            cv2.circle(mask, centre, size, strength, -1, cv2.LINE_AA, SHIFT)
        return cv2.GaussianBlur(mask, (0, 0), 0.7 * self.scale)

    def hairs(self, roots: NDArray[Any], steps: NDArray[Any], strengths: NDArray[Any]) -> Float32:
        """Mask of hairs, (n, 2) from and by how far, half a pixel wide: drawn at twice the side, where they are."""
        mask = np.zeros((self.side, self.side), np.float32)
        tips = roots + steps
        low, high = np.minimum(roots, tips).min(axis=0) - 2, np.maximum(roots, tips).max(axis=0) + 2
        left, top = np.floor(low * self.scale).clip(0, self.side).astype(int).tolist()
        right, bottom = np.ceil(high * self.scale).clip(0, self.side).astype(int).tolist()
        if right <= left or bottom <= top:
            return mask
        fine = np.zeros((2 * (bottom - top), 2 * (right - left)), np.float32)
        corner = (left << SHIFT, top << SHIFT)
        starts, ends = (2 * (fixed(points * self.scale) - corner) for points in (roots, tips))
        for start, end, strength in zip(starts.tolist(), ends.tolist(), strengths.tolist(), strict=True):
            cv2.line(fine, start, end, strength, 1, cv2.LINE_AA, SHIFT)
        mask[top:bottom, left:right] = cv2.resize(fine, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
        return mask
