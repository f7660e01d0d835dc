"""Augmentation of prepared chips: one affine warp from the canvas to the chip, then light, colour, noise and
blur.

Strong on purpose: weaker settings raised agreement on held-out renders and lowered it on real faces.
Landmarks move with the pixels; a mirrored face swaps the sides of its mesh.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.face.align import ChipLayout
from rtatl_core.face.mesh import MESH_POINTS, mirror_index
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.limits import FROM_0, SHARE, require_within


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    rotation_rad: float = 0.05
    scale: float = 0.04
    shift: float = 0.03
    """Standard deviation in chip sides."""
    gain: float = 0.15
    offset: float = 0.04
    colour: float = 0.06
    gamma: float = 0.22
    grey: float = 0.2
    """Probability of a grey picture."""
    noise: float = 0.03
    blur: float = 0.25
    shrink: float = 0.25
    """Probability that the picture loses detail as a small or compressed face does."""
    cutout: float = 0.15
    flip: float = 0.5

    def __post_init__(self) -> None:
        chances = ("grey", "blur", "shrink", "cutout", "flip")
        require_within("augment", self, {key: SHARE if key in chances else FROM_0 for key in self.__slots__})

    @classmethod
    def none(cls) -> AugmentConfig:
        """The central chip as it is."""
        return cls(**dict.fromkeys(cls.__slots__, 0.0))


@dataclass(frozen=True, slots=True)
class Augmented:
    chip: UInt8
    plain: UInt8
    """The same view before light, colour and sharpness were changed."""
    landmarks: Float32
    """(468, 2) fractions of the chip."""
    geometry: Float32
    matrix: Float32
    """(2, 3) canvas pixels -> chip pixels; its linear part also carries flow vectors."""
    flipped: bool


def centre_crop(canvas: UInt8, layout: ChipLayout) -> UInt8:
    """The chip as the live program cuts it."""
    m = layout.margin
    return canvas[m : m + layout.side, m : m + layout.side]


def warp(canvas: UInt8, matrix: Float32, side: int) -> UInt8:
    """Canvas -> (side, side, 3); what lies outside the canvas repeats its border."""
    chip: UInt8 = cv2.warpAffine(
        np.ascontiguousarray(canvas),
        matrix,
        (side, side),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return chip


def augment(
    canvas: UInt8,
    landmarks: Float32,
    geometry: Float32,
    layout: ChipLayout,
    config: AugmentConfig,
    rng: np.random.Generator,
) -> Augmented:
    """canvas (C, C, 3), landmarks (>= 468, 2) fractions of the chip, geometry (468, 3)."""
    flipped = bool(rng.random() < config.flip)
    matrix = _random_matrix(layout, config, flipped, rng)
    chip = warp(canvas, matrix, layout.side)
    points = (landmarks[:MESH_POINTS] * layout.side + layout.margin) @ matrix[:, :2].T + matrix[:, 2]
    points = (points / layout.side).astype(np.float32)
    if flipped:
        points = points[_mirror()]
        geometry = mirror_geometry(geometry)
    return Augmented(_degrade(chip.copy(), config, rng), chip, points, geometry, matrix, flipped)


def mirror_geometry(geometry: Float32) -> Float32:
    """(..., 468, 3) of faces -> of their mirror images."""
    return geometry[..., _mirror(), :] * np.array([-1, 1, 1], np.float32)


def mirror_landmarks(landmarks: Float32) -> Float32:
    """(..., >= 468, 2) fractions of chips -> (..., 468, 2) of the chips of the mirror images."""
    return landmarks[..., _mirror(), :] * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)


def mirror_canvas(canvas: UInt8) -> UInt8:
    """(C, C, 3) as ``align_face`` would cut it from the mirror image: faces are laid about the pixel right of the
    middle (``ChipLayout.places``)."""
    return np.roll(canvas[:, ::-1], 1, axis=1)


_NOISE_SPREAD = 32.0


@cache
def _noise() -> NDArray[np.int8]:
    """A stretch of Gaussian noise to cut pieces from: drawing it for each face took a seventh of its time."""
    stretch: NDArray[np.int8] = (
        np.random.default_rng(0).normal(0, _NOISE_SPREAD, 1 << 21).clip(-127, 127).astype(np.int8)
    )
    return stretch


@cache
def _mirror() -> NDArray[np.intp]:
    return np.array(mirror_index())


def _random_matrix(layout: ChipLayout, config: AugmentConfig, flipped: bool, rng: np.random.Generator) -> Float32:
    angle, zoom = rng.normal(0, config.rotation_rad), math.exp(rng.normal(0, config.scale))
    cos, sin = zoom * math.cos(angle), zoom * math.sin(angle)
    mirror = -1.0 if flipped else 1.0
    target = layout.side / 2 - 0.5  # the centre of the chip; plus the margin, that of the canvas
    source = target + layout.margin
    right, down = rng.normal(0, config.shift, 2) * layout.side
    return np.array(
        [
            [cos * mirror, -sin, target + right - (cos * mirror - sin) * source],
            [sin * mirror, cos, target + down - (sin * mirror + cos) * source],
        ],
        np.float32,
    )


def _degrade(chip: UInt8, config: AugmentConfig, rng: np.random.Generator) -> UInt8:
    if rng.random() < config.grey:
        chip = cv2.cvtColor(cv2.cvtColor(chip, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < config.shrink:
        chip = _shrunk(chip, rng)
    if rng.random() < config.blur:
        chip = cv2.GaussianBlur(chip, (0, 0), rng.uniform(0.4, 1.4))
    chip = _relit(chip, config, rng)
    if rng.random() < 0.5:
        chip = _with_noise(chip, config, rng)
    if rng.random() < config.cutout:
        _cut_out(chip, rng)
    return chip


def _shrunk(chip: UInt8, rng: np.random.Generator) -> UInt8:
    """As a small face in a compressed video looks."""
    side = chip.shape[0]
    small = int(side * rng.uniform(0.35, 0.8))
    chip = cv2.resize(chip, (small, small), interpolation=cv2.INTER_AREA)
    quality = int(rng.integers(25, 90))
    kept = cv2.imencode(".jpg", cv2.cvtColor(chip, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    chip = cv2.cvtColor(cv2.imdecode(kept, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    large: UInt8 = cv2.resize(chip, (side, side), interpolation=cv2.INTER_LINEAR)
    return large


def _relit(chip: UInt8, config: AugmentConfig, rng: np.random.Generator) -> UInt8:
    """In other light: gain, colour, offset and gamma, by a table of the 256 levels."""
    level = np.arange(256, dtype=np.float32) / 255
    gain = (1 + rng.normal(0, config.gain)) * (1 + rng.normal(0, config.colour, 3))
    table = np.clip(level[:, None] * gain + rng.normal(0, config.offset), 0, 1) ** np.exp(rng.normal(0, config.gamma))
    relit: UInt8 = cv2.LUT(chip, np.rint(table * 255).astype(np.uint8)[None])
    return relit


def _with_noise(chip: UInt8, config: AugmentConfig, rng: np.random.Generator) -> UInt8:
    start = int(rng.integers(len(_noise()) - chip.size))
    noise = _noise()[start : start + chip.size].reshape(chip.shape)
    strength = rng.uniform(0, config.noise) * 255 / _NOISE_SPREAD
    noisy: UInt8 = cv2.addWeighted(chip, 1, noise, strength, 0, dtype=cv2.CV_8U)
    return noisy


def _cut_out(chip: UInt8, rng: np.random.Generator) -> None:
    """Covers a rectangle with one colour, in place."""
    size = rng.integers(chip.shape[0] // 10, chip.shape[0] // 3, 2)
    y, x = rng.integers(0, chip.shape[0] - 10, 2)
    chip[y : y + size[0], x : x + size[1]] = rng.integers(0, 256, 3)
