"""Rig 2: VALID avatars (MIT, T. Do et al.), heads of people of seven ethnic groups with skins from photographs.

Enters: a folder of their .glb files as published. Leaves: ``Head``s: one of the avatars, varied in shape and skin.
Decoding an avatar takes seconds, so what is used of it is kept in the user's cache folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.gltf import Glb
from rtatl_core.synthetic.ict_shapes import FULL_JAW
from rtatl_core.synthetic.kept import kept
from rtatl_core.synthetic.rig import LEFT, RESTING_ASYMMETRY, RIGHT, ROW, Action, Layer, Material, Mesh, turned
from rtatl_core.synthetic.sculpt import BRUSHES, sculpted
from rtatl_core.synthetic.standard_face import standard_places
from rtatl_core.synthetic.valid_shapes import (
    LANDMARK_UV,
    LETTER,
    NEUTRAL_MORPHS,
    NEUTRAL_WHOLE,
    OPENING,
    morph_names,
    morph_weights,
    on_side,
)

_SKIN, _WIG = "H_DDS_HighRes", "h_wig"
_PARTS: tuple[tuple[str, Material], ...] = (
    (_SKIN, Material.SKIN),
    ("h_L_eye", Material.EYE),
    ("h_R_eye", Material.EYE),
    ("h_TeethDown", Material.TEETH),
    ("h_TeethUp", Material.TEETH),
    (_WIG, Material.HAIR),
)
_EXPRESSION, _TEETH = "h_expressions.{}_h", "h_teeth.t_{}_h"
LOWEST_CM = -17.0
"""What lies further under the eyes is not kept."""
TEXTURE_SIDE = 1024
JAW_CM = 2.82
"""Drop of the chin that counts as jawOpen = 1: what that shape of ICT-FaceKit does."""
GAP_CM, GAP_MORE_CM = 0.12, 1.0
"""Beyond the resting gap between the inner lips at which AU25 begins, and how much further it reaches 1."""
NEUTRAL_SPREAD = 0.065
BROW_HEIGHT_CM, BROW_SIT = 1.9, 2.3
"""Resting brows higher than ``BROW_HEIGHT_CM`` above the inner eye corner are lowered by a brush of weight ``BROW_SIT``
per excess centimetre, and lower ones raised by it, within ``BROW_SIT_LIMITS``: so that renders at rest agree with
photographs (gates.py). Avatars differ by 1.5 cm; one weight for all made the low-browed ones frown at rest."""
BROW_SIT_LIMITS = (-0.4, 2.0)
LID_DROOP = (0.06, 0.06)
_VERSION = 2


@dataclass(frozen=True, slots=True)
class _Avatar:
    name: str
    base: Float32
    mesh: Mesh
    deltas: Mapping[str, tuple[NDArray[np.int64], Float32]]
    """Morph or brush -> the vertices (k,) that it moves, and by how much (k, 3) in centimetres."""
    eyes: tuple[tuple[NDArray[np.int64], Float32], ...]
    """(vertices, centre) of the subject's left and right eyeball."""
    skin: UInt8
    wig: UInt8


class ValidRig:
    """Raises InputError for a folder without avatars, or with files that are none."""

    name = "valid"

    def __init__(self, folder: Path) -> None:
        self._files = sorted(folder.glob("*.glb"))
        if not self._files:
            raise InputError(f"{folder} holds no .glb avatars; name the folder of VALID avatars as published")

    def head(self, rng: np.random.Generator) -> ValidHead:
        return ValidHead(_open(self._files[rng.integers(len(self._files))]), rng)


class ValidHead:
    """An avatar, varied: other proportions, a slightly other skin, another resting face."""

    def __init__(self, avatar: _Avatar, rng: np.random.Generator) -> None:
        self.name = f"valid-{avatar.name}"
        self.age = float(rng.uniform(0.05, 0.5))
        self.mesh = avatar.mesh
        self._avatar = avatar
        self._neutral_weights = _resting_face(avatar, rng)
        self._shape = _reshape(avatar.base, rng)
        self.textures = (_recolour(avatar.skin, rng), np.zeros((2, 2, 4), np.uint8), _recolour(avatar.wig, rng))
        self._resting_gap = self._between_lips(self._shape)
        chin = self.mesh.landmarks[8]
        self._jaw = {name: -_moved(avatar, name, chin)[1] / JAW_CM for name in OPENING}

    def vertices(self, action: Action) -> Float32:
        moved = self._shape.copy()
        for name, weight in morph_weights(action, self._neutral_weights).items():
            if abs(weight) > 1e-4:
                rows, delta = self._avatar.deltas[name]
                moved[rows] += np.float32(weight) * delta
        turn = turned(*action.gaze).astype(np.float32)
        for rows, centre in self._avatar.eyes:
            at = self._shape[rows].mean(axis=0) + (centre - self._avatar.base[rows].mean(axis=0))
            moved[rows] = (self._shape[rows] - at) @ turn.T + at
        return moved

    def labels(self, action: Action, vertices: Float32) -> Float32:
        labels = action.aus.copy()
        weights = morph_weights(action, self._neutral_weights)
        # Lips grow as far apart when one is pushed before, beside or over the other, but that leaves no gap.
        gap = float((self._between_lips(vertices) - self._resting_gap).min())
        labels[ROW[25]] = (gap - GAP_CM) / GAP_MORE_CM
        jaw = sum(weights.get(name, 0.0) * drop for name, drop in self._jaw.items())
        labels[ROW[26]] = jaw / FULL_JAW[0]
        labels[ROW[27]] = (jaw - FULL_JAW[1]) / FULL_JAW[2]
        labels[ROW[24]] = action.both(24)  # done by morphs of the whole mouth, whichever side is asked for
        labels[[ROW[5], ROW[7]]] *= 1 - 0.8 * action.aus[ROW[43]]  # lids that follow the eye down are not AU43
        return labels.clip(0, 1).astype(np.float32)

    def _between_lips(self, vertices: Float32) -> Float32:
        """(2,) centimetres between the inner lips: how far apart, and how much higher the upper one lies."""
        upper, lower = (vertices[self.mesh.landmarks[point]] for point in (62, 66))
        return np.array([np.linalg.norm(upper - lower), upper[1] - lower[1]], np.float32)


def _moved(avatar: _Avatar, name: str, vertex: int) -> tuple[float, ...]:
    """By how much a morph moves that vertex, in centimetres."""
    rows, delta = avatar.deltas[name]
    return tuple(delta[rows == vertex].sum(axis=0).tolist())


def _resting_face(avatar: _Avatar, rng: np.random.Generator) -> dict[str, float]:
    """Nobody rests at zero."""
    weights: dict[str, float] = {}
    for name, share in NEUTRAL_MORPHS:
        common = rng.normal(0, NEUTRAL_SPREAD * share)
        weights |= {on_side(name, letter): rng.normal(common, RESTING_ASYMMETRY * share) for letter in LETTER.values()}
    for name in NEUTRAL_WHOLE:
        weights[name] = rng.normal(0, NEUTRAL_SPREAD)
    at = avatar.base[avatar.mesh.landmarks]
    height = float((at[[21, 22], 1] - at[[39, 42], 1]).mean())
    sit = float(np.clip(BROW_SIT * (height - BROW_HEIGHT_CM), *BROW_SIT_LIMITS)) + rng.normal(0, 0.25)
    weights |= {f":browSit_{letter}": sit for letter in LETTER.values()}
    droop = float(np.clip(rng.normal(*LID_DROOP), -0.05, 0.3))
    return weights | {f"{letter}eyeClose": droop for letter in LETTER.values()}


def _reshape(base: Float32, rng: np.random.Generator) -> Float32:
    """Other proportions: stretched along the axes, and bent softly here and there, the same on both sides."""
    shape = base * rng.normal(1, (0.035, 0.035, 0.03)).astype(np.float32)
    for _ in range(14):
        centre = rng.uniform((0, -9, -4), (7, 9, 4)).astype(np.float32)
        push = rng.normal(0, 0.16, 3).astype(np.float32)
        reach = rng.uniform(2.0, 4.5)
        for mirror in (1.0, -1.0):
            flip = np.array([mirror, 1, 1], np.float32)
            near = np.exp(-0.5 * (((base - centre * flip) / reach) ** 2).sum(axis=1))
            shape += near[:, None].astype(np.float32) * push * flip
    return shape.astype(np.float32)


def _recolour(texture: UInt8, rng: np.random.Generator) -> UInt8:
    """Lighter or darker, warmer or cooler, by one table for each channel."""
    level = np.arange(256) / 255
    gamma = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.05, 3))
    table = np.stack([255 * level**power for power in (*gamma, 1.0)], axis=-1).reshape(1, 256, 4)
    recoloured: UInt8 = cv2.LUT(texture, table.astype(np.uint8))
    return recoloured


@lru_cache(maxsize=32)
def _open(file: Path) -> _Avatar:
    stamp = f"{file.name} {file.stat().st_size} {_VERSION} {morph_names()} {BRUSHES}"
    key = hashlib.sha256(stamp.encode()).hexdigest()[:16]
    parts = kept(f"valid-{file.stem}-{key}", lambda: _convert(file))
    mesh = Mesh(**{name: parts[name] for name in ("triangles", "uv", "layer", "material", "face_uv", "landmarks")})
    names = [str(name) for name in parts["names"]]
    eyes = tuple((parts[f"eye{side}"], parts[f"centre{side}"]) for side in (LEFT, RIGHT))
    deltas = {name: _sparse(delta) for name, delta in zip(names, parts["deltas"], strict=True)}
    return _Avatar(file.stem, parts["base"], mesh, deltas, eyes, parts["skin"], parts["wig"])


def _sparse(delta: NDArray[np.float16]) -> tuple[NDArray[np.int64], Float32]:
    """Most morphs move a small part of the head."""
    rows = np.flatnonzero(delta.any(axis=1))
    return rows, delta[rows].astype(np.float32)


def _convert(file: Path) -> dict[str, NDArray[np.generic]]:
    glb = Glb(file)
    centres = {LEFT: glb.joint("LeftEye"), RIGHT: glb.joint("RightEye")}
    origin = (centres[LEFT] + centres[RIGHT]) / 2
    meshes = [(glb.mesh(name), kind) for name, kind in _PARTS]
    skin = meshes[0][0]
    lacking = [n for n in morph_names() if skin is None or _EXPRESSION.format(n) not in skin.morphs]
    if skin is None or lacking:
        raise InputError(f"avatar {file} lacks the morph {lacking[0]}; name avatars of the VALID library as published")
    parts, start = [], 0
    for mesh, kind in meshes:
        if mesh is None:
            continue
        vertices = (mesh.vertices - origin) * 100
        triangles = mesh.triangles[(vertices[:, 1] > LOWEST_CM)[mesh.triangles].all(axis=1)]
        used, places = np.unique(triangles, return_inverse=True)
        pattern = _TEETH if kind == Material.TEETH else _EXPRESSION
        moves = {n: mesh.morphs.get(pattern.format(n)) for n in morph_names()}
        deltas = np.stack([np.zeros((len(used), 3)) if d is None else d[used] * 100 for d in moves.values()])
        parts.append((vertices[used], places.reshape(-1, 3) + start, mesh.uv[used], kind, deltas.astype(np.float32)))
        start += len(used)
    base = np.concatenate([part[0] for part in parts]).astype(np.float32)
    uv = np.concatenate([part[2] for part in parts]).astype(np.float32)
    material = np.concatenate([np.full(len(part[0]), part[3], np.uint8) for part in parts])
    triangles = np.concatenate([part[1] for part in parts]).astype(np.int32)
    of_skin = np.flatnonzero(material == Material.SKIN)
    landmarks = np.array([of_skin[np.linalg.norm(uv[of_skin] - place, axis=1).argmin()] for place in LANDMARK_UV])
    face_uv = np.full_like(uv, np.nan)
    face_uv[of_skin] = standard_places(base[of_skin], base[landmarks])
    material[of_skin[np.isnan(face_uv[of_skin, 0])]] = Material.BODY
    border = (material[triangles] == Material.SKIN).any(axis=1) & (material[triangles] == Material.BODY).any(axis=1)
    material[triangles[border][material[triangles[border]] == Material.SKIN]] = Material.BODY
    names, deltas = list(morph_names()), np.concatenate([part[4] for part in parts], axis=1)
    on_skin = np.isin(material, (Material.SKIN, Material.BODY))[:, None]
    for name, brush in BRUSHES.items():
        for side, letter in LETTER.items():
            names.append(f":{name}_{letter}")
            deltas = np.concatenate([deltas, (sculpted(base, base[landmarks], brush, side) * on_skin)[None]])
    eyeballs = np.flatnonzero(material == Material.EYE)
    wig = glb.texture(_WIG) if glb.mesh(_WIG) else np.zeros((2, 2, 4), np.uint8)
    return {
        "base": base,
        "uv": uv,
        "triangles": triangles,
        "layer": np.where(material == Material.HAIR, Layer.HAIR, Layer.FACE).astype(np.uint8),
        "material": material,
        "face_uv": face_uv,
        "landmarks": landmarks.astype(np.int32),
        "names": np.array(names),
        "deltas": deltas.astype(np.float16),
        "skin": _texture(glb.texture(_SKIN), 50),
        "wig": _texture(wig, 255),
        **{f"eye{side}": eyeballs[(base[eyeballs, 0] > 0) == (side == LEFT)] for side in (LEFT, RIGHT)},
        **{f"centre{side}": ((centres[side] - origin) * 100).astype(np.float32) for side in (LEFT, RIGHT)},
    }


def _texture(image: UInt8, alpha: int) -> UInt8:
    side = min(TEXTURE_SIDE, len(image))
    small: UInt8 = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    small[..., 3] = np.minimum(small[..., 3], alpha)
    return small
