"""Hair for a rig that has none: three shells of strands around the skull.

Enters: the head's skin and a style. Leaves: vertices that lie on the skull at the crown, stand off it by the style's
volume, and hang down at the sides and the back when the hair is long; and a texture whose alpha is strands. The grid
is the same for everybody, so that one mesh serves all.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, UInt8

CENTRE = np.array([0.0, 1.0, -8.5], np.float32)
"""Of the skull, head space."""
COLUMNS, ROWS, SHELLS = 49, 20, 3
SIDE = 256
"""Of the texture of one shell; shells lie beside each other."""
_COVERAGE = (0.97, 0.75, 0.5)
_NAPE = np.radians(128)
_EARS = np.radians(88)


@dataclass(frozen=True, slots=True)
class HairStyle:
    """``bald`` hair is drawn nowhere; lengths in centimetres below the ears."""

    bald: bool
    volume: float
    """Centimetres off the skull."""
    length: float
    hairline: float
    """Radians from the crown to the forehead's hairline; larger is lower, a fringe from about 1.1 on."""
    curl: float
    """0 straight, 1 frizzy."""
    phase: float

    @classmethod
    def sample(cls, rng: np.random.Generator, *, bald: bool, long: float) -> HairStyle:
        """long: probability of hair below the ears."""
        is_long = rng.random() < long
        fringe = rng.random() < (0.25 if is_long else 0.12)
        return cls(
            bald=bald,
            volume=float(rng.uniform(0.3, 2.6) if is_long or rng.random() < 0.5 else rng.uniform(0.12, 1.0)),
            length=float(rng.uniform(2, 18)) if is_long else 0.0,
            hairline=float(rng.uniform(1.0, 1.22) if fringe else rng.normal(0.78, 0.07)),
            curl=float(rng.uniform(0, 0.5) if rng.random() < 0.75 else rng.uniform(0.5, 1)),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )


def hair_mesh() -> tuple[NDArray[np.int32], Float32]:
    """(triangles, uv) of the grid; outermost shell first, so that it hides the others."""
    column, row = np.meshgrid(np.arange(COLUMNS), np.arange(ROWS), indexing="xy")
    uv = np.stack([column / (COLUMNS - 1), row / (ROWS - 1)], axis=-1).reshape(-1, 2)
    corner = (row[:-1, :-1] * COLUMNS + column[:-1, :-1]).ravel()
    quads = np.stack([corner, corner + COLUMNS, corner + 1, corner + 1, corner + COLUMNS, corner + COLUMNS + 1], axis=1)
    turn, polar = (2 * uv.reshape(ROWS, COLUMNS, 2)[:-1, :-1] - [1, 0]).reshape(-1, 2).T * [[np.pi], [_NAPE / 2]]
    quads = quads[~((np.abs(turn) < 0.7) & (polar > 1.35))]  # no hair grows on a face
    triangles, places = [], []
    for shell in range(SHELLS):
        triangles.append(quads.reshape(-1, 3) + shell * ROWS * COLUMNS)
        places.append((uv * [0.98, 1] + [0.01 + shell, 0]) / [SHELLS, 1])
    return np.concatenate(triangles[::-1]).astype(np.int32), np.concatenate(places).astype(np.float32)


def grow(style: HairStyle, skin: Float32) -> Float32:
    """skin: (n, 3) vertices of face, head and neck at rest, head space -> (SHELLS * ROWS * COLUMNS, 3)."""
    if style.bald:
        return np.tile(CENTRE, (SHELLS * ROWS * COLUMNS, 1)).astype(np.float32)
    turn = np.linspace(-np.pi, np.pi, COLUMNS, dtype=np.float32)[None, :]
    polar = np.broadcast_to(np.linspace(0.02, _NAPE, ROWS, dtype=np.float32)[:, None], (ROWS, COLUMNS))
    skull = _skull_radius(skin, polar, turn)
    # Waves over the surface, none where the hair begins.
    begins = hairline(style, turn)
    grown = ((polar - 0.02) / 0.35).clip(0.35, 1) * ((begins - polar) / 0.25 + 0.4).clip(0.15, 1)
    waves = (
        1
        + 0.25 * np.sin(3 * turn + style.phase) * np.sin(4 * polar + style.phase)
        + 0.2 * np.sin(7 * turn - style.phase)
    )
    shells = []
    for shell in range(SHELLS):
        stand_off = style.volume * (shell + 1) / SHELLS * grown * waves + 0.08 * (shell + 1) + 0.15
        radius = skull + stand_off
        points = np.stack(
            [radius * np.sin(polar) * np.sin(turn), radius * np.cos(polar), radius * np.sin(polar) * np.cos(turn)],
            axis=-1,
        )
        if style.length > 0:
            points = _hang(points, style, polar, turn)
        shells.append(points.reshape(-1, 3) + CENTRE)
    return np.concatenate(shells).astype(np.float32)


def hairline(style: HairStyle, turn: Float32) -> Float32:
    """Radians from the crown down to which hair grows, for each direction round the head (0 = front)."""
    side = np.abs(turn)
    knots = (0, 0.45, 0.8, 1.15, 1.35, 1.6, 2.0, np.pi)
    front = style.hairline
    ends = _NAPE if style.length == 0 else _NAPE + 0.5
    down = (front, front + 0.02, front + 0.16, 1.35, 1.62, 1.55, 2.0, ends)
    if style.length > 0:
        down = (front, front + 0.02, front + 0.25, 1.7, ends, ends, ends, ends)
    line: Float32 = np.interp(side, knots, down).astype(np.float32)
    return line


def _skull_radius(skin: Float32, polar: Float32, turn: Float32) -> Float32:
    """Distance of the skin from the skull's centre in each direction of the grid."""
    from scipy.spatial import cKDTree

    offset = skin - CENTRE
    radius = np.linalg.norm(offset, axis=1)
    directions = np.stack(
        np.broadcast_arrays(np.sin(polar) * np.sin(turn), np.cos(polar), np.sin(polar) * np.cos(turn)), axis=-1
    )
    distance, near = cKDTree(offset / radius[:, None]).query(directions.reshape(-1, 3), k=4)
    weight = 1 / (distance + 1e-3)
    found = (radius[near] * weight).sum(axis=1) / weight.sum(axis=1)
    smooth: Float32 = cv2.GaussianBlur(found.reshape(polar.shape).astype(np.float32), (0, 0), 0.8)
    return smooth


def _hang(points: Float32, style: HairStyle, polar: Float32, turn: Float32) -> Float32:
    """Below the ears strands of long hair fall straight instead of following the neck."""
    ears = int(np.searchsorted(polar[:, 0], _EARS))
    rows = np.arange(ROWS - ears, dtype=np.float32)[:, None] / (ROWS - 1 - ears)
    start = points[ears]
    fall = points.copy()
    spread = 1 + 0.12 * np.sin(2 * turn + style.phase) * rows + 0.1 * rows
    fall[ears:, :, 0] = start[:, 0] * spread
    fall[ears:, :, 2] = start[:, 2] * spread
    fall[ears:, :, 1] = start[:, 1] - rows * (8 + style.length)
    behind = ((np.abs(turn) - 0.75) / 0.3).clip(0, 1)[..., None]  # the face stays free
    return points * (1 - behind) + fall * behind


def paint_hair(style: HairStyle, colour: NDArray[np.float64], rng: np.random.Generator) -> UInt8:
    """colour: (3,) sRGB 0-255 -> (SIDE, SHELLS * SIDE, 4) RGBA strands."""
    if style.bald:
        return np.zeros((2, 2 * SHELLS, 4), np.uint8)
    noise = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    along = 14 * (1 - style.curl) + 1.5
    strands = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.8 + 0.7 * style.curl, sigmaY=along)
    broad = cv2.GaussianBlur(noise, (0, 0), sigmaX=5, sigmaY=30)
    strands = strands / strands.std() + 0.8 * broad / broad.std()
    v, u = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    wave = 5 * style.curl * np.sin(v / 9 + style.phase)
    strands = cv2.remap(strands, u + wave, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    turn = (u / SIDE * 2 - 1) * np.pi
    polar = v / SIDE * (_NAPE if style.length == 0 else _NAPE + 0.3)
    inside = (hairline(style, turn) - polar) / 0.12  # > 0 on the scalp, fades over the hairline
    lengths = 1 - ((v / SIDE - 0.8) / 0.2).clip(0, 1) * (0.8 if style.length > 0 else 0)
    shades = []
    for coverage in _COVERAGE:
        enough = np.quantile(strands, 1 - coverage)
        alpha = ((strands - enough) * 0.5 + 0.5 + (inside.clip(-3, 1) - 1) * 0.9 + (lengths - 1)).clip(0, 1)
        light = (1 + 0.28 * strands.clip(-2, 2) * (0.6 + 0.4 * coverage))[..., None]
        shade = (colour * light).clip(2, 250)
        shades.append(np.dstack([shade, alpha * 255]).astype(np.uint8))
    return np.concatenate(shades, axis=1)
