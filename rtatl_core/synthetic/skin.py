"""Painted skin for a rig that has none.

Enters: a Complexion and where the 68 landmarks lie in the face's texture. Leaves: sRGB textures with shine as alpha.
Positions are pixels of a 512 texture, scaled; v runs down.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.canvas import Canvas, white
from rtatl_core.synthetic.complexion import Complexion
from rtatl_core.synthetic.facial_hair import paint_beard, paint_brows, paint_scalp
from rtatl_core.synthetic.lines import smooth

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
IRIS = 0.46
"""Sine of the angle between the eye's axis and the iris' edge."""
_EYES = (range(36, 42), range(42, 48))


def paint_face(look: Complexion, landmarks: Float32, side: int, rng: np.random.Generator) -> UInt8:
    """landmarks: (68, 2) (u, v) in the texture. Returns (side, side, 4)."""
    marks = landmarks * 512
    canvas = Canvas(side, look.skin, rng)
    _flush(canvas, look, marks)
    _spots(canvas, look)
    paint_beard(canvas, look, marks)
    lips = _lips(canvas, look, marks)
    brows = paint_brows(canvas, look, marks)
    _lids(canvas, look, marks)
    scalp = paint_scalp(canvas, look)
    middle = canvas.blob(np.array([256.0, 180]), 110, 120) + 0.6 * canvas.blob(np.array([256.0, 215]), 30, 50)
    shine = 45 + 45 * middle + 90 * lips
    shine *= (1 - 0.8 * brows) * (1 - scalp)
    return np.dstack([canvas.image, shine]).clip(0, 255).astype(np.uint8)


def _flush(canvas: Canvas, look: Complexion, marks: Float32) -> None:
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
    socket = look.shadows_under_eyes + 0.08 * look.tone
    for eye in _EYES:
        centre = marks[list(eye)].mean(axis=0)
        canvas.tint(canvas.blob(centre + [0, 2], 46, 22), (-0.5 * socket, -0.7 * socket, -0.6 * socket))
        canvas.tint(canvas.blob(centre + [0, 17], 30, 8), (-0.06, -0.1, -0.05))
    for wing in (31, 35):  # where the nose meets the cheek light hardly comes
        canvas.tint(canvas.blob(marks[wing] + [0, -4], 9, 10), (-0.08, -0.14, -0.14))
    for nostril in (32, 34):
        canvas.tint(canvas.blob(marks[nostril], 6, 4), (-0.35, -0.45, -0.45))
    grain = white(canvas.side, canvas.rng)
    coarse = 0.75 + 0.4 * canvas.blob(np.array([256.0, 225]), 95, 60)  # pores are widest on nose and cheeks
    for blur, depth in ((1.1, 0.028), (2.6, 0.016)):
        pores = cv2.GaussianBlur(grain, (0, 0), blur * canvas.scale)
        canvas.tint(pores / pores.std() * coarse * look.pores, (0.7 * depth, depth, 1.1 * depth))
    canvas.tint(grain * look.pores, (0.012, 0.012, 0.012))


def _spots(canvas: Canvas, look: Complexion) -> None:
    """Freckles, the spots of age, moles, blemishes."""
    rng = canvas.rng
    if look.freckles > 0:
        count = int(400 * look.freckles)
        places = rng.normal((256, 230), (85, 55), (count, 2))
        freckles = canvas.dots(places, rng.uniform(0.5, 1.6, count), rng.uniform(0.2, 1, count))
        canvas.tint(freckles, (-0.13, -0.26, -0.33))
    count = rng.poisson(25 * max(0.0, look.age - 0.35) * (1 - 0.7 * look.tone))
    if count:
        places = rng.uniform((90, 40), (422, 300), (count, 2))
        canvas.tint(canvas.dots(places, rng.uniform(1, 4, count), rng.uniform(0.3, 1, count)), (-0.12, -0.2, -0.24))
    for x, y, radius in rng.uniform((110, 60, 0.8), (400, 390, 2.4), (rng.integers(0, 7), 3)):
        spot = canvas.blob(np.array([x, y]), radius, radius)
        canvas.tint(spot, (-0.5, -0.6, -0.6) if rng.random() < 0.5 else (-0.03, -0.25, -0.25))


def _lips(canvas: Canvas, look: Complexion, marks: Float32) -> Float32:
    rng = canvas.rng
    outline = marks[48:60]
    centre = outline.mean(axis=0)
    outline = centre + (outline - centre) * rng.uniform((1.0, 0.96), (1.05, 1.12))
    closed = np.concatenate([outline, outline[:1]])
    mask = canvas.fill(smooth(closed, np.arange(120) / 10, 12, closed=True), rng.uniform(1.2, 2.6))
    rim = cv2.GaussianBlur(mask, (0, 0), 3 * canvas.scale) * (1 - mask)
    canvas.tint(rim, (0.12, 0.12, 0.12))
    lines = cv2.GaussianBlur(white(canvas.side, rng), (0, 0), sigmaX=0.9, sigmaY=5)
    below = ((canvas.axis - marks[[62, 66], 1].mean()) / 12).clip(-1, 1)[:, None, None]  # the lower lip is lighter
    colour = look.lips * (1 + 0.05 * (lines / lines.std())[..., None]) * (1 + (0.06 + 0.12 * look.tone) * below)
    strength = (mask * look.lip_strength)[..., None]
    canvas.image *= 1 - strength
    canvas.image += strength * colour
    seam = canvas.fill(marks[60:68], 2.2)
    canvas.tint(seam, (-0.3, -0.45, -0.42))
    return mask


def _lids(canvas: Canvas, look: Complexion, marks: Float32) -> None:
    for eye in _EYES:
        corners = marks[list(eye)]
        if look.shadow is not None:
            lid = canvas.blob(corners.mean(axis=0) + [0, -8], 34, 12)
            canvas.cover(lid * 0.4, look.shadow)
        margin = canvas.outline(corners, 1.5, 1.5)
        canvas.tint((margin * (0.25 + look.liner)).clip(0, 0.85), (-1, -1, -1))


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
    noise = cv2.GaussianBlur(white(side, rng), (0, 0), sigmaX=1.2, sigmaY=1.2 * along)
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
    veins = cv2.GaussianBlur(white(side, rng), (0, 0), 1.5)
    pink = rng.uniform(0.1, 0.9) * ((radius - 0.4) / 0.6).clip(0, 1) * (1 + 0.5 * veins / veins.std())
    sclera = np.array([234, 228, 222]) - pink[..., None] * np.array([6, 46, 48])
    ring = cv2.GaussianBlur(
        rng.normal(size=(1, 256)).astype(np.float32), (0, 0), 1.2, borderType=cv2.BORDER_REFLECT_101
    )
    fibres = np.interp(angle.ravel(), np.linspace(-np.pi, np.pi, 256), ring[0] / ring.std()).reshape(radius.shape)
    bright = 1 + 0.2 * fibres + 0.3 * np.exp(-(((radius / IRIS - look.pupil - 0.15) / 0.18) ** 2))
    limbus = 1 - 0.65 * ((radius / IRIS - 0.78) / 0.22).clip(0, 1)
    iris = look.iris * (bright * limbus)[..., None]
    inside = ((IRIS - radius) / 0.025 + 0.5).clip(0, 1)[..., None]
    pupil = ((IRIS * look.pupil - radius) / 0.025 + 0.5).clip(0, 1)[..., None]
    image = (sclera * (1 - inside) + iris * inside) * (1 - pupil) + 6 * pupil
    return np.dstack([image, np.full((side, side), 230)]).clip(0, 255).astype(np.uint8)
