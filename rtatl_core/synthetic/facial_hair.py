"""Brows, beards and the edge of the scalp, hair by hair.

Enters: a canvas with painted skin, a Complexion, landmarks in 512 pixels. Leaves: the canvas with hair on it, and masks
of where. Brows are painted lower than the rig's own brow points: painted on them, every neutral face reads as raised
brows to a landmark finder.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.canvas import Canvas, white
from rtatl_core.synthetic.complexion import Complexion
from rtatl_core.synthetic.lines import smooth

BROW_DROP = 9.5
INNER_DROP = np.array([9.0, 6.0, 3.0])
"""Further, from the nose outwards: so that renders' brow height agrees with photographs', gates.py."""
_RIGHT_BROW, _LEFT_BROW = (21, 20, 19, 18, 17), (22, 23, 24, 25, 26)
_GREY = np.array([0.3, 0.59, 0.11])

# Right halves of outlines, from the midline over the cheek back to the midline; x from the midline. The upper edge of
# the moustache runs under the nose, the lips are painted over what grows on them.
_CHEEK = ((0, 242), (-20, 243), (-40, 254), (-64, 276), (-96, 282), (-134, 262), (-164, 224), (-184, 186), (-200, 190))
_FULL = (*_CHEEK, (-196, 300), (-150, 350), (-104, 410), (0, 440))
_MOUSTACHE = ((0, 243), (-24, 243), (-46, 254), (-66, 284), (-58, 298), (-40, 270), (0, 262))
_GOATEE = ((0, 243), (-22, 243), (-46, 256), (-68, 286), (-72, 322), (-54, 366), (-34, 392), (0, 398))


def paint_brows(canvas: Canvas, look: Complexion, marks: Float32) -> Float32:
    """Hundreds of hairs, upright by the nose and lying down towards the temple. marks: (68, 2)."""
    rng = canvas.rng
    sides = [
        _brow_hairs(look, marks[list(points)], side, rng) for points, side in ((_RIGHT_BROW, -1.0), (_LEFT_BROW, 1.0))
    ]
    roots, steps, thin = (np.concatenate(parts) for parts in zip(*sides, strict=True))
    hairs = 1.6 * canvas.hairs(roots, steps, rng.uniform(0.5, 1.0, len(roots)) * thin)
    under = cv2.GaussianBlur(hairs, (0, 0), 3.0 * canvas.scale)
    mask: Float32 = (hairs * (0.5 + 0.35 * look.brow_density) + (0.2 + 0.25 * look.brow_density) * under).clip(0, 0.95)
    canvas.cover(mask, _hair_on_skin(look, rng.uniform(0.6, 0.95), rng.uniform(0.4, 0.62)))
    return mask


def _brow_hairs(
    look: Complexion, points: Float32, side: float, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Roots (n, 2), steps (n, 2) and strengths (n,) of one brow; points: (5, 2) from the nose outwards."""
    line = points + [0, BROW_DROP - look.brow_height]
    line[:3, 1] += INNER_DROP
    line[2:4, 1] -= look.brow_arch * np.array([1.0, 0.7])
    line[0, 0] += side * rng.uniform(-2, 4)
    fine = np.linspace(0, 1, 33)
    line = smooth(line, 4 * fine, 20)
    count = int(240 + 440 * look.brow_density)
    along = rng.uniform(0, 1, count)
    x, y = (np.interp(along, fine, line[:, axis]) for axis in (0, 1))
    thick = look.brow_thickness * np.interp(along, (0, 0.12, 0.45, 1), (0.85, 1.15, 1.05, 0.25))
    across = rng.uniform(-1, 1, count)
    # hairs of the upper edge lie down, those of the lower one rise to meet them
    tilt = np.interp(along, (0, 0.25, 0.65, 1), (-76, -42, -8, 14)) + rng.normal(0, 9, count) - 16 * across * along
    length = rng.uniform(6, 10) * rng.uniform(0.6, 1.15, count) * (1 - 0.35 * along)
    angle = np.radians(tilt)
    steps = np.stack([side * np.cos(angle), np.sin(angle)], axis=1) * length[:, None]
    roots = np.stack([x, y + across * thick], axis=1) - 0.3 * steps
    edge = (1 - 0.5 * np.abs(across) ** 3) * np.interp(along, (0, 0.1, 0.9, 1), (0.55, 1, 1, 0.7))
    return roots, steps, edge


def paint_beard(canvas: Canvas, look: Complexion, marks: Float32) -> None:
    """The shadow of a shaved beard, stubble, or hairs that hang down and, over the lip, aside. marks: (68, 2)."""
    lift = float(marks[33, 1] - 235)  # of a face whose nose ends elsewhere than the rig's
    if look.shave > 0:
        canvas.cover(canvas.fill(_mirrored(_FULL, lift), 14) * (0.16 * look.shave), look.hair)
    if look.beard <= 0:
        return
    rng = canvas.rng
    half = {"full": _FULL, "goatee": _GOATEE, "moustache": _MOUSTACHE}[look.beard_style]
    grows = canvas.fill(_mirrored(half, lift), rng.uniform(3, 5) if look.beard_style == "moustache" else 7)
    grows *= (0.9 + 0.12 * canvas.noise(14, 2)).clip(0, 1.1)
    chance = np.cumsum(grows, dtype=np.float64)
    count = min(int(chance[-1] * (0.06 + 0.05 * look.beard) / canvas.scale**2), 3600)
    chosen = np.searchsorted(chance.ravel(), rng.uniform(0, chance[-1], count))
    pixels = np.stack([chosen % canvas.side, chosen // canvas.side], axis=1)
    roots = (pixels + rng.uniform(0, 1, (count, 2))) / canvas.scale
    aside = (roots[:, 0] - 256) / 60
    over_lip = (roots[:, 1] < 290 + lift) & (np.abs(aside) < 1.2)
    lean = np.where(over_lip, 1.1 * aside.clip(-1, 1), 0.25 * aside.clip(-1, 1)) + rng.normal(0, 0.25, count)
    length = (1.2 + 8 * max(0.0, look.beard - 0.2)) * rng.uniform(0.6, 1.3, count)
    steps = np.stack([np.sin(lean), np.cos(lean)], axis=1) * length[:, None]
    hairs = canvas.hairs(roots, steps, rng.uniform(0.5, 1, count))
    dense = grows * (0.15 + 0.6 * look.beard)
    mask = (dense + hairs * (0.45 + 0.45 * look.beard)).clip(0, 0.95)
    canvas.cover(mask, look.hair * rng.uniform(0.75, 0.95) + 3)


def paint_scalp(canvas: Canvas, look: Complexion) -> Float32:
    """Short hair at the top edge of the texture, where the scalp goes on to the back of the head."""
    rng = canvas.rng
    height = rng.uniform(10, 34)
    temple = ((-10, -10), (-10, 200), (14, 185), (26, 110), (60, height + 50), (130, height + 12))
    right = [(x, y) for x, y in temple]
    left = [(512 - x, y) for x, y in reversed(temple)]
    mask = canvas.fill(np.array([*right, (256, height + rng.uniform(-8, 8)), *left]), 6)
    strands = cv2.GaussianBlur(white(canvas.side, rng), (0, 0), sigmaX=1, sigmaY=8)
    strands /= strands.std()
    cropped = look.male > 0.5 and rng.random() < 0.2
    mask = (mask + strands * mask * (1 - mask)).clip(0, 1) * (0.35 if cropped else 0.95)
    canvas.cover(mask, look.hair)
    canvas.image *= 1 + 0.12 * (strands * mask)[..., None]
    return mask


def _mirrored(half: tuple[tuple[int, int], ...], lift: float) -> NDArray[Any]:
    right = np.array(half, float) + [0, lift]
    left = right[::-1] * [-1, 1]
    return np.concatenate([right, left]) + [256, 0]


def _hair_on_skin(look: Complexion, of_hair: float, of_skin: float) -> Float32:
    """The hair's colour, darkened until it stands out from the skin."""
    lightest = of_skin * float(look.skin @ _GREY)
    colour = of_hair * look.hair
    darkened: Float32 = (colour * min(1.0, lightest / float(colour @ _GREY))).astype(np.float32)
    return darkened
