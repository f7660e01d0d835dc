"""Painted skin for a rig that has none.

Enters: a Complexion and where the 68 landmarks lie in the face's texture. Leaves: sRGB textures with shine as alpha.
Positions are pixels of a 512 texture, scaled; v runs down. Brows are painted lower than the rig's own brow points:
painted on them, every neutral face reads as raised brows to a landmark finder.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.complexion import Complexion

CELLS: Mapping[str, tuple[float, float, float, float]] = {
    "eye": (0.0, 0.0, 0.5, 0.5),
    "teeth": (0.5, 0.0, 0.75, 0.25),
    "mouth": (0.75, 0.0, 1.0, 0.25),
    "body": (0.5, 0.25, 0.75, 0.5),
    "hair": (0.75, 0.25, 1.0, 0.5),
    "cloth": (0.0, 0.5, 0.25, 0.75),
    "lash": (0.25, 0.5, 0.5, 0.75),
}
"""Cells (u0, v0, u1, v1) of the parts atlas. "eye" is the disc of directions of the front of an eyeball: a unit
direction (x, y) from its axis lies at u = .5 + x / 2, v = .5 - y / 2 of the cell."""
BROW_DROP = 9.5
INNER_DROP = np.array([9.0, 6.0, 3.0])
"""Further, from the nose outwards: so that renders' brow height agrees with photographs', gates.py."""
IRIS = 0.46
"""Sine of the angle between the eye's axis and the iris' edge."""
_BANK = 1536
_SHIFT = 4  # OpenCV draws in sixteenths of a pixel
_RIGHT_BROW, _LEFT_BROW = (21, 20, 19, 18, 17), (22, 23, 24, 25, 26)
_EYES = (range(36, 42), range(42, 48))


def _white(side: int, rng: np.random.Generator) -> Float32:
    """(side, side) noise of unit spread: a random cut from one large field, ten times cheaper than drawing it."""
    rows, columns = rng.integers(0, _BANK - side, 2) if side < _BANK else (0, 0)
    cut = _noise_bank()[rows : rows + side, columns : columns + side]
    turned: Float32 = np.rot90(cut, rng.integers(4))
    return np.ascontiguousarray(turned)


@cache
def _noise_bank() -> Float32:
    return np.random.default_rng(0).normal(size=(_BANK, _BANK)).astype(np.float32)


class _Canvas:
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
        cv2.fillPoly(mask, [self._fixed(outline)], 1.0, cv2.LINE_AA, _SHIFT)
        return cv2.GaussianBlur(mask, (0, 0), blur * self.scale)

    def strokes(self, starts: Float32, ends: Float32, strengths: Float32) -> Float32:
        """Mask of hairs, (n, 2) from and to in 512 pixels."""
        mask = np.zeros((self.side, self.side), np.float32)
        for start, end, strength in zip(self._fixed(starts), self._fixed(ends), strengths.tolist(), strict=True):
            cv2.line(mask, start.tolist(), end.tolist(), strength, 1, cv2.LINE_AA, _SHIFT)
        return mask

    def _fixed(self, points: NDArray[Any]) -> NDArray[np.int32]:
        return np.round(np.asarray(points) * self.scale * (1 << _SHIFT)).astype(np.int32)


def paint_face(look: Complexion, landmarks: Float32, side: int, rng: np.random.Generator) -> UInt8:
    """landmarks: (68, 2) (u, v) in the texture. Returns (side, side, 4)."""
    marks = landmarks * 512
    canvas = _Canvas(side, look.skin, rng)
    _flush(canvas, look, marks)
    _spots(canvas, look)
    _beard(canvas, look, marks)
    lips = _lips(canvas, look, marks)
    brows = _brows(canvas, look, marks)
    _lids(canvas, look, marks)
    scalp = _scalp(canvas, look)
    middle = canvas.blob(np.array([256.0, 180]), 110, 120) + 0.6 * canvas.blob(np.array([256.0, 215]), 30, 50)
    shine = 45 + 45 * middle + 90 * lips
    shine *= (1 - 0.8 * brows) * (1 - scalp)
    return np.dstack([canvas.image, shine]).clip(0, 255).astype(np.uint8)


def _flush(canvas: _Canvas, look: Complexion, marks: Float32) -> None:
    """Blood and pigment: red cheeks and nose, dark sockets, blotches, grain."""
    light = 1 - 0.6 * look.tone
    red = 0.12 * canvas.noise(6)
    for x in (148, 364):
        red += look.redness * canvas.blob(np.array([x, 240.0]), 55, 40)
    nose, mouth = marks[30], marks[48:60].mean(axis=0)
    red += 0.8 * look.redness * canvas.blob(nose, 34, 26) + 0.25 * canvas.blob(mouth + [0, 10], 90, 55)
    canvas.tint(red * light, (0.05, -0.09, -0.08))
    canvas.tint(canvas.noise(4), (0.02, 0.025, 0.025))
    canvas.tint(canvas.noise(9, 2), (0.012, 0.018, 0.016))
    for eye in _EYES:
        centre = marks[list(eye)].mean(axis=0)
        canvas.tint(
            canvas.blob(centre + [0, 2], 46, 22),
            (-0.5 * look.shadows_under_eyes, -0.7 * look.shadows_under_eyes, -0.6 * look.shadows_under_eyes),
        )
        canvas.tint(canvas.blob(centre + [0, 17], 30, 8), (-0.06, -0.1, -0.05))
    for wing in (31, 35):  # where the nose meets the cheek light hardly comes
        canvas.tint(canvas.blob(marks[wing] + [0, -4], 9, 10), (-0.08, -0.14, -0.14))
    for nostril in (32, 34):
        canvas.tint(canvas.blob(marks[nostril], 6, 4), (-0.35, -0.45, -0.45))
    grain = _white(canvas.side, canvas.rng)
    pores = cv2.GaussianBlur(grain, (0, 0), 1.1 * canvas.scale)
    canvas.tint(pores / pores.std() * look.pores, (0.02, 0.028, 0.03))
    canvas.tint(grain * look.pores, (0.012, 0.012, 0.012))


def _spots(canvas: _Canvas, look: Complexion) -> None:
    """Freckles, moles, blemishes."""
    rng = canvas.rng
    marks = np.zeros(canvas.image.shape[:2], np.float32)
    if look.freckles > 0:
        places = rng.normal((256, 230), (85, 55), (int(400 * look.freckles), 2))
        for (x, y), size, strength in zip(
            places, rng.uniform(0.5, 1.6, len(places)), rng.uniform(0.2, 1, len(places)), strict=True
        ):
            cv2.circle(
                marks,
                canvas._fixed(np.array([x, y])).tolist(),
                int(size * canvas.scale * 16),
                strength,
                -1,
                cv2.LINE_AA,
                _SHIFT,
            )
        canvas.tint(cv2.GaussianBlur(marks, (0, 0), 0.7), (-0.13, -0.26, -0.33))
    for x, y, radius in rng.uniform((110, 60, 0.8), (400, 390, 2.6), (rng.integers(0, 7), 3)):
        spot = canvas.blob(np.array([x, y]), radius, radius)
        canvas.tint(spot, (-0.5, -0.6, -0.6) if rng.random() < 0.6 else (-0.03, -0.28, -0.28))


def _beard(canvas: _Canvas, look: Complexion, marks: Float32) -> None:
    if look.beard <= 0:
        return
    rng = canvas.rng
    upper, lower, chin = marks[51], marks[57], marks[8]
    around = np.array(
        [(-62, -16), (-30, -30), (0, -33), (30, -30), (62, -16), (66, 40), (44, 104), (0, 122), (-44, 104), (-66, 40)]
    )
    whole = np.array(
        [
            *((62, 214), (98, 206), (126, 250), (184, 282), (222, 268), (256, 262), (290, 268), (328, 282)),
            *((386, 250), (414, 206), (450, 214), (444, 310), (360, 420), (256, 450), (152, 420), (68, 310)),
        ]
    )
    outline = (upper + lower) / 2 + around if look.goatee else whole + [0, (chin[1] - 366) * 0.5]
    mask = canvas.fill(outline, rng.uniform(5, 12))
    nose = canvas.fill(
        np.array([marks[31] + [-6, 8], marks[35] + [6, 8], marks[35] + [2, -30], marks[31] + [-2, -30]]), 3
    )
    mask *= 1 - nose
    grain = _white(canvas.side, rng)
    hairs = cv2.GaussianBlur(grain, (0, 0), sigmaX=0.6, sigmaY=0.6 + 2.4 * look.beard)
    hairs = (0.62 + 0.3 * hairs / hairs.std()).clip(0.1, 1)
    strength = mask * hairs * min(1.0, 1.15 * look.beard)
    canvas.cover(strength.clip(0, 0.95), look.hair * 0.9 + 4)


def _lips(canvas: _Canvas, look: Complexion, marks: Float32) -> Float32:
    rng = canvas.rng
    outline = marks[48:60]
    centre = outline.mean(axis=0)
    outline = centre + (outline - centre) * rng.uniform((1.0, 0.96), (1.05, 1.12))
    closed = np.concatenate([outline[-2:], outline, outline[:3]])
    smooth = np.stack(
        [np.interp(np.linspace(1.5, 14.5, 120), np.arange(len(closed)), closed[:, axis]) for axis in (0, 1)], axis=1
    )
    mask = canvas.fill(smooth, rng.uniform(1.2, 2.6))
    grain = _white(canvas.side, rng)
    lines = cv2.GaussianBlur(grain, (0, 0), sigmaX=0.9, sigmaY=5)
    below = ((canvas.axis - marks[[62, 66], 1].mean()) / 12).clip(-1, 1)[:, None, None]  # the lower lip is lighter
    colour = look.lips * (1 + 0.06 * (lines / lines.std())[..., None]) * (1 + 0.07 * below)
    strength = (mask * look.lip_strength)[..., None]
    canvas.image *= 1 - strength
    canvas.image += strength * colour
    seam = canvas.fill(marks[60:68], 2.2)
    canvas.tint(seam, (-0.3, -0.45, -0.42))
    return mask


def _brows(canvas: _Canvas, look: Complexion, marks: Float32) -> Float32:
    """Hundreds of hairs, upright by the nose and lying down towards the temple."""
    rng = canvas.rng
    starts, ends = [], []
    for points, side in ((_RIGHT_BROW, -1.0), (_LEFT_BROW, 1.0)):
        line = marks[list(points)] + [0, BROW_DROP - look.brow_height]
        line[:3, 1] += INNER_DROP
        line[2:4, 1] -= look.brow_arch * np.array([1.0, 0.7])
        line[0, 0] += side * rng.uniform(-2, 4)
        count = int(140 + 260 * look.brow_density)
        along = rng.uniform(0, 1, count)
        x, y = (np.interp(along, np.linspace(0, 1, 5), line[:, axis]) for axis in (0, 1))
        thick = look.brow_thickness * np.interp(along, (0, 0.15, 0.45, 1), (0.7, 1, 0.95, 0.18))
        across = rng.uniform(-1, 1, count)
        tilt = np.radians(
            np.interp(along, (0, 0.3, 0.7, 1), (-78, -40, -8, 12)) + rng.normal(0, 11, count) + 14 * across * along
        )
        length = rng.uniform(6, 11) * rng.uniform(0.6, 1.15, count) * (1 - 0.35 * along)
        step = np.stack([side * np.cos(tilt), np.sin(tilt)], axis=1) * length[:, None]
        root = np.stack([x, y + across * thick], axis=1) - 0.3 * step
        starts.append(root)
        ends.append(root + step)
    count = sum(map(len, starts))
    hairs = canvas.strokes(
        np.concatenate(starts), np.concatenate(ends), rng.uniform(0.35, 0.9, count).astype(np.float32)
    )
    hairs = cv2.GaussianBlur(hairs, (0, 0), 0.6 * canvas.scale)
    under = cv2.GaussianBlur(hairs, (0, 0), 3.5 * canvas.scale)
    mask = (hairs * (0.55 + 0.4 * look.brow_density) + 0.3 * under).clip(0, 1)
    darker = np.minimum(look.hair * rng.uniform(0.55, 0.95), look.skin * rng.uniform(0.4, 0.72))
    canvas.cover(mask, darker)
    return mask


def _lids(canvas: _Canvas, look: Complexion, marks: Float32) -> None:
    margin = np.zeros(canvas.image.shape[:2], np.float32)
    for eye in _EYES:
        corners = canvas._fixed(marks[list(eye)])
        cv2.polylines(margin, [corners], True, 1.0, max(1, round(1.5 * canvas.scale)), cv2.LINE_AA, _SHIFT)
        if look.shadow is not None:
            lid = canvas.blob(marks[list(eye)].mean(axis=0) + [0, -8], 34, 12)
            canvas.cover(lid * 0.4, look.shadow)
    margin = cv2.GaussianBlur(margin, (0, 0), 1.5 * canvas.scale)
    canvas.tint((margin * (0.25 + look.liner)).clip(0, 0.85), (-1, -1, -1))


def _scalp(canvas: _Canvas, look: Complexion) -> Float32:
    """Short hair at the top edge of the texture, where the scalp goes on to the back of the head."""
    rng = canvas.rng
    height = rng.uniform(10, 34)
    x = np.array([-10, -10, 14, 26, 60, 130, 256, 382, 452, 486, 498, 522, 522])
    y = np.array(
        [
            -10,
            200,
            185,
            110,
            height + 50,
            height + 12,
            height + rng.uniform(-8, 8),
            height + 12,
            height + 50,
            110,
            185,
            200,
            -10,
        ]
    )
    mask = canvas.fill(np.stack([x, y], axis=1), 6)
    grain = _white(canvas.side, rng)
    strands = cv2.GaussianBlur(grain, (0, 0), sigmaX=1, sigmaY=8)
    strands /= strands.std()
    mask = (mask + 0.25 * strands * mask * (1 - mask) * 4).clip(0, 1) * (
        0.35 if look.male > 0.5 and rng.random() < 0.2 else 0.95
    )
    canvas.cover(mask, look.hair)
    canvas.image *= 1 + 0.12 * (strands * mask)[..., None]
    return mask


def paint_parts(look: Complexion, side: int, rng: np.random.Generator) -> UInt8:
    """(side, side, 4) atlas of ``CELLS``."""
    atlas = np.zeros((side, side, 4), np.uint8)
    cell = side // 4
    swatches = {
        "eye": _eye(look, 2 * cell, rng),
        "teeth": _plain(np.array([226, 214, 192]) * rng.uniform(0.8, 1.06), 0.04, 140, cell, rng),
        "mouth": _plain(np.array([150, 62, 58]) * rng.uniform(0.7, 1.1), 0.1, 200, cell, rng),
        "body": _plain(look.skin, 0.03, 40, cell, rng),
        "hair": _plain(look.hair, 0.2, 15, cell, rng, along=6),
        "cloth": _plain(look.cloth, 0.07, 4, cell, rng),
        "lash": _lash(look, cell, rng),
    }
    for name, image in swatches.items():
        u0, v0, u1, v1 = (round(edge * side) for edge in CELLS[name])
        atlas[v0:v1, u0:u1] = image
    return atlas


def _plain(
    colour: NDArray[Any], spread: float, shine: int, side: int, rng: np.random.Generator, along: float = 1.0
) -> UInt8:
    noise = cv2.GaussianBlur(_white(side, rng), (0, 0), sigmaX=1.2, sigmaY=1.2 * along)
    image = colour * (1 + spread * (noise / noise.std())[..., None])
    return np.dstack([image, np.full((side, side), shine)]).clip(0, 255).astype(np.uint8)


def _lash(look: Complexion, side: int, rng: np.random.Generator) -> UInt8:
    """One dark strip, or none: single hairs are too fine for pictures of this size."""
    alpha = np.full((side, side), 255 if rng.random() < 0.35 + look.lashes else 0)
    colour = np.minimum(look.hair * 0.5, 40) * (1 - 0.3 * (1 - look.lashes)) + look.skin * 0.3 * (1 - look.lashes)
    return np.dstack([np.broadcast_to(colour, (side, side, 3)), alpha]).astype(np.uint8)


def _eye(look: Complexion, side: int, rng: np.random.Generator) -> UInt8:
    """The front of an eyeball seen along its axis: white with veins, limbal ring, fibres, pupil."""
    y, x = (np.mgrid[:side, :side].astype(np.float32) + 0.5) * 2 / side - 1
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    veins = cv2.GaussianBlur(_white(side, rng), (0, 0), 1.5)
    pink = rng.uniform(0.1, 0.9) * ((radius - 0.4) / 0.6).clip(0, 1) * (1 + 0.5 * veins / veins.std())
    white = np.array([234, 228, 222]) - pink[..., None] * np.array([6, 46, 48])
    ring = cv2.GaussianBlur(
        rng.normal(size=(1, 256)).astype(np.float32), (0, 0), 1.2, borderType=cv2.BORDER_REFLECT_101
    )
    fibres = np.interp(angle.ravel(), np.linspace(-np.pi, np.pi, 256), ring[0] / ring.std()).reshape(radius.shape)
    bright = 1 + 0.22 * fibres + 0.5 * np.exp(-(((radius / IRIS - look.pupil - 0.15) / 0.18) ** 2))
    limbus = 1 - 0.65 * ((radius / IRIS - 0.78) / 0.22).clip(0, 1)
    iris = look.iris * (bright * limbus)[..., None]
    inside = ((IRIS - radius) / 0.025 + 0.5).clip(0, 1)[..., None]
    pupil = ((IRIS * look.pupil - radius) / 0.025 + 0.5).clip(0, 1)[..., None]
    image = (white * (1 - inside) + iris * inside) * (1 - pupil) + 6 * pupil
    return np.dstack([image, np.full((side, side), 230)]).clip(0, 255).astype(np.uint8)
