"""Light and background: from HDR pictures of real places, or painted.

Enters: equirectangular .hdr files (or none). Leaves: a Light and what is seen behind the head. Directions
are of the world: x right in the picture, y up, z towards the camera. Light is linear; a grey card of albedo .4 that
faces the camera comes out about well exposed, with the spread of real pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32, Float64, UInt8

FROM_PICTURES = 0.7
"""Share of scenes that are lit by an HDR picture where there are any."""
_SMALL = (32, 64)
_SPOT = 0.985
"""Cosine within which light counts as that of the brightest spot."""


@dataclass(frozen=True, slots=True)
class Light:
    ambient: Float32
    """(9, 3) irradiance / pi, real spherical harmonics up to order 2 in the order 1, y, z, x, xy, yz, 3z2-1, xz, x2-y2:
    albedo times their sum is the colour of a diffuse surface."""
    key_direction: Float32
    """(3,) unit, towards the light; so are the others."""
    key_colour: Float32
    """(3,) radiance / pi of a surface that faces the light."""
    fill_direction: Float32
    fill_colour: Float32
    rim_direction: Float32
    rim_colour: Float32
    shadow: float
    """0 = the key light throws none, 1 = black."""


@dataclass(frozen=True, slots=True)
class _Place:
    """An HDR picture, made ready."""

    picture: Float32
    """(h, w, 3) linear RGB, mean 1."""
    small: Float32
    """(32, 64, 3)."""


def unit(x: float, y: float, z: float) -> Float32:
    """(3,) of length 1, in that direction."""
    vector = np.array([x, y, z], np.float32)
    return vector / np.float32(np.linalg.norm(vector))


def sh_basis(directions: NDArray[Any]) -> Float32:
    """(..., 3) unit vectors -> (..., 9) real spherical harmonics up to order 2 (Ramamoorthi & Hanrahan 2001)."""
    x, y, z = np.moveaxis(np.asarray(directions, np.float32), -1, 0)
    rows = (
        *(np.full_like(x, 0.282095), 0.488603 * y, 0.488603 * z, 0.488603 * x),
        *(1.092548 * x * y, 1.092548 * y * z, 0.315392 * (3 * z * z - 1), 1.092548 * x * z, 0.546274 * (x * x - y * y)),
    )
    return np.stack(rows, axis=-1).astype(np.float32)


_COSINE = np.array([1, *[2 / 3] * 3, *[1 / 4] * 5], np.float32)
"""The cosine lobe by order, divided by pi: irradiance / pi = radiance convolved with this."""


def ambient_of(small: Float32) -> Float32:
    """(h, w, 3) equirectangular radiance -> (9, 3) coefficients of ``Light.ambient``."""
    return (_projection(*small.shape[:2]) @ small.reshape(-1, 3)).astype(np.float32)


@cache
def _projection(height: int, width: int) -> Float32:
    """(9, h * w): radiance -> irradiance / pi, in spherical harmonics."""
    directions, solid = _sphere(height, width)
    weights = sh_basis(directions) * solid[..., None] * _COSINE
    return np.ascontiguousarray(weights.reshape(-1, 9).T)


@cache
def _sphere(height: int, width: int) -> tuple[Float32, Float32]:
    """Directions (h, w, 3) and solid angles (h, w) of an equirectangular picture; its middle lies *behind* the head, at
    -z, where the camera looks."""
    polar = (np.arange(height) + 0.5) / height * np.pi
    turn = ((np.arange(width) + 0.5) / width * 2 - 1) * np.pi
    sin, cos = np.sin(polar)[:, None], np.cos(polar)[:, None]
    directions = np.stack(
        np.broadcast_arrays(sin * np.sin(turn), cos * np.ones_like(turn), -sin * np.cos(turn)), axis=-1
    )
    solid = np.broadcast_to(np.sin(polar)[:, None], (height, width)) * (np.pi / height) * (2 * np.pi / width)
    return directions.astype(np.float32), solid.astype(np.float32)


def hdr_files(folder: Path | None) -> tuple[Path, ...]:
    """The .hdr pictures of a folder; of no folder none. Raises InputError for a folder without."""
    files = tuple(sorted(folder.glob("*.hdr"))) if folder else ()
    if folder and not files:
        raise InputError(f"{folder} holds no .hdr surroundings; name a folder of equirectangular .hdr pictures")
    return files


class Surroundings:
    """Where pictures are taken. Raises InputError for a file that is no picture."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._places = [_open(file) for file in files]

    def sample(self, rng: np.random.Generator, side: int, field: float) -> tuple[Light, UInt8]:
        """A light, and a background of (side, side, 3) sRGB seen under the angle ``field`` (radians)."""
        if self._places and rng.random() < FROM_PICTURES:
            place = self._places[rng.integers(len(self._places))]
            turn = int(rng.integers(_SMALL[1]))
            small = np.roll(place.small, turn, axis=1)
            light, gains = _light_of(small, rng)
            return light, _look(place.picture, gains, turn / _SMALL[1], side, field, rng)
        return _studio(rng), _painted(rng, side)


def _open(file: Path) -> _Place:
    picture = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise InputError(f"surroundings {file} cannot be read; is it a Radiance .hdr picture?")
    picture = cv2.resize(picture[..., ::-1], (1024, 512), interpolation=cv2.INTER_AREA).astype(np.float32)
    picture /= picture.mean()
    return _Place(picture, cv2.resize(picture, _SMALL[::-1], interpolation=cv2.INTER_AREA))


def _light_of(small: Float32, rng: np.random.Generator) -> tuple[Light, Float32]:
    """The brightest spot becomes the key light, the rest is ambient. Also (3,) the camera's gains for red, green and
    blue: exposed for the face, white-balanced for it by halves."""
    directions, solid = _sphere(*small.shape[:2])
    luminance = small.mean(axis=-1)
    row, column = np.unravel_index((luminance * solid).argmax(), luminance.shape)
    key = directions[row, column]
    spot = (directions @ key > _SPOT) & (luminance > 4 * np.median(luminance))
    key_colour = (solid * spot).ravel() @ small.reshape(-1, 3) / np.pi
    ambient = ambient_of(np.where(spot[..., None], np.median(luminance), small))
    facing = sh_basis(np.array([0.0, 0.0, 1.0])) @ ambient + max(float(key[2]), 0.0) * key_colour
    seen = np.maximum(facing, 0.15 * ambient[0])  # with the light behind it, a face may stay dark
    exposure = np.exp(rng.normal(np.log(0.62), 0.35)) / max(float(seen.mean()), 1e-3)
    balance = (seen.mean() / np.maximum(seen, 1e-3)).clip(0.5, 2) ** rng.uniform(0.2, 0.9)
    gains = (exposure * balance * np.exp(rng.normal(0, 0.06, 3))).astype(np.float32)
    light = Light(
        ambient=ambient * gains,
        key_direction=key,
        key_colour=(key_colour * gains).clip(0, 2.5).astype(np.float32),
        fill_direction=unit(rng.uniform(-1, 1), 0.2, 1),
        fill_colour=np.full(3, rng.uniform(0, 0.15), np.float32),
        rim_direction=unit(1, 0.3, -1),
        rim_colour=np.zeros(3, np.float32),
        shadow=float(rng.uniform(0.4, 0.95)),
    )
    return light, gains


def _studio(rng: np.random.Generator) -> Light:
    """Lamps and windows of rooms: one key light from somewhere, some fill, now and then a rim."""
    warmth = rng.uniform(-1, 1)
    warm = np.array([1 + 0.12 * warmth, 1, 1 - 0.15 * warmth])
    strength = rng.uniform(0.15, 0.95)
    turn, height = rng.uniform(-1.3, 1.3), rng.uniform(-0.25, 1.1)
    sky = rng.uniform(0.2, 0.65) * (1.2 - 0.5 * strength)
    ambient = np.zeros((9, 3), np.float32)
    above, below = sky * rng.uniform(0.85, 1.15, 3), sky * rng.uniform(0.35, 0.9) * rng.uniform(0.85, 1.15, 3)
    ambient[0] = (above + below) / 2 / 0.282095
    ambient[1] = (above - below) / 2 / 0.488603
    ambient[3] = rng.normal(0, 0.08, 3).mean() / 0.488603
    rim = rng.uniform(0, 0.5) * (rng.random() < 0.4)
    return Light(
        ambient=ambient,
        key_direction=unit(np.sin(turn) * np.cos(height), np.sin(height), np.cos(turn) * np.cos(height)),
        key_colour=(strength * warm).astype(np.float32),
        fill_direction=unit(rng.uniform(-1, 1), rng.uniform(-0.4, 0.6), rng.uniform(0, 1)),
        fill_colour=(rng.uniform(0, 0.3) * rng.uniform(0.85, 1.15, 3)).astype(np.float32),
        rim_direction=unit(rng.choice([-1, 1]), rng.uniform(-0.2, 0.6), -rng.uniform(0.3, 1)),
        rim_colour=(rim * rng.uniform(0.7, 1.2, 3)).astype(np.float32),
        shadow=float(rng.uniform(0.3, 0.95) * (rng.random() < 0.8)),
    )


def _look(picture: Float32, gains: Float32, turned: float, side: int, field: float, rng: np.random.Generator) -> UInt8:
    """The part of the surroundings behind the head, out of focus."""
    half = 96
    x = np.linspace(-1, 1, half, dtype=np.float32)[None, :] * np.float32(np.tan(field / 2))
    y = -x.T + np.float32(rng.normal(0, 0.06))
    turn = np.arctan2(x, np.ones_like(y))
    polar = np.arctan2(np.hypot(x, 1), y)
    height, width = picture.shape[:2]
    u = ((turn / (2 * np.pi) + 0.5 - turned) % 1.0 * width).astype(np.float32)
    v = (polar / np.pi * height).astype(np.float32)
    seen = cv2.remap(picture, np.broadcast_to(u, v.shape).copy(), v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    # Blurred in linear light, where lamps spread; enlarged after the shoulder, where the sun no longer rings.
    blurred = cv2.GaussianBlur(seen * gains, (0, 0), np.exp(rng.uniform(np.log(0.5), np.log(5))))
    return cv2.resize(to_srgb(blurred), (side, side), interpolation=cv2.INTER_CUBIC)


def _painted(rng: np.random.Generator, side: int) -> UInt8:
    """Walls, windows, shelves: plain shapes at a quarter of the size, out of focus."""
    small = side // 4
    first = _wall(rng)
    second = first * rng.uniform(0.5, 1.4) if rng.random() < 0.6 else _wall(rng)
    axis = np.linspace(-0.5, 0.5, small)
    angle = rng.uniform(0, 2 * np.pi)
    slope = (axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle) + 0.5).clip(0, 1)[..., None]
    image = np.ascontiguousarray(first * (1 - slope) + second * slope, np.float32)
    for _ in range(rng.integers(0, 7)):
        _shape(image, first, rng)
    if rng.random() < 0.3:
        _window(image, rng)
    if rng.random() < 0.25:
        _shelf(image, rng)
    cells = int(rng.integers(3, 20))
    texture = cv2.resize(
        rng.normal(size=(cells, cells)).astype(np.float32), (small, small), interpolation=cv2.INTER_CUBIC
    )
    image += texture[..., None] * rng.uniform(0, 18)
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 3.5))
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR).clip(0, 255).astype(np.uint8)


def _shape(image: Float32, wall: Float64, rng: np.random.Generator) -> None:
    """A board, a door frame, a lamp: whatever stands about, of the wall's colour more often than not."""
    small = len(image)
    x, y = rng.integers(-small // 4, small, 2)
    width, height = rng.integers(2, small, 2)
    if rng.random() < 0.4:  # door frames: long and thin
        width, height = (width, small // 14 + 1) if rng.random() < 0.5 else (small // 14 + 1, height)
    colour = (wall * rng.uniform(0.4, 1.5) if rng.random() < 0.6 else _wall(rng)).tolist()
    if rng.random() < 0.75:
        cv2.rectangle(image, (int(x), int(y)), (int(x + width), int(y + height)), colour, -1)
    else:
        cv2.ellipse(image, (int(x), int(y)), (int(width // 2), int(height // 2)), 0, 0, 360, colour, -1)


def _window(image: Float32, rng: np.random.Generator) -> None:
    """Bright panes between bars."""
    small = len(image)
    x, y = (int(at) for at in rng.integers(-small // 4, small // 2, 2))
    width, height = (int(length) for length in rng.integers(small // 3, small, 2))
    pane = rng.uniform(170, 255) * rng.uniform(0.9, 1.05, 3)
    bar = (pane * rng.uniform(0.15, 0.75)).tolist()
    cv2.rectangle(image, (x, y), (x + width, y + height), pane.tolist(), -1)
    cv2.rectangle(image, (x, y), (x + width, y + height), bar, 2)
    for part in range(1, int(rng.integers(2, 4))):
        across = x + width * part // 3
        cv2.line(image, (across, y), (across, y + height), bar, 1)
    cv2.line(image, (x, y + height // 2), (x + width, y + height // 2), bar, 1)


def _shelf(image: Float32, rng: np.random.Generator) -> None:
    """Rows of books."""
    small = len(image)
    left, right = sorted(int(at) for at in rng.integers(-small // 3, small + small // 3, 2))
    pitch = int(rng.integers(small // 6, small // 3))
    board = (_wall(rng) * 0.6).tolist()
    for floor in range(int(rng.integers(0, pitch)), small + pitch, pitch):
        x = left
        while x < right:
            width = int(rng.integers(2, 6))
            top = floor - int(pitch * rng.uniform(0.55, 0.9))
            cv2.rectangle(image, (x, top), (min(x + width, right) - 1, floor), (_wall(rng) * 0.7).tolist(), -1)
            x += width
        cv2.line(image, (left, floor), (right, floor), board, 2)


def _wall(rng: np.random.Generator) -> Float64:
    """A colour of rooms: mostly muted."""
    return rng.uniform(10, 245) * (1 + rng.normal(0, 0.07 if rng.random() < 0.75 else 0.25, 3)).clip(0.1, 1.6)


def to_srgb(linear: Float32) -> UInt8:
    """Linear light -> sRGB with a soft shoulder."""
    soft = linear / (1 + np.maximum(linear - 0.8, 0))
    table = _srgb_table()
    return table[(soft.clip(0, 1) * (len(table) - 1)).astype(np.int32)]


@cache
def _srgb_table() -> UInt8:
    x = np.linspace(0, 1, 4096)
    return (np.where(x < 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055) * 255 + 0.5).astype(np.uint8)
