"""Rig 1: ICT-FaceKit. Enters: its ``FaceXModel`` folder. Leaves: ``Head``s of random identities with a painted skin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.complexion import Complexion
from rtatl_core.synthetic.hair import HairStyle, grow, hair_mesh, paint_hair
from rtatl_core.synthetic.ict_files import IctNumbers, read_model
from rtatl_core.synthetic.ict_shapes import FULL_JAW, NEUTRAL_SHAPES, NEUTRAL_WHOLE, SUFFIX, shape_weights
from rtatl_core.synthetic.rig import LEFT, RESTING_ASYMMETRY, RIGHT, ROW, Action, Layer, Material, Mesh, turned
from rtatl_core.synthetic.sculpt import BRUSHES, sculpted
from rtatl_core.synthetic.skin import CELLS, paint_face, paint_parts

# Vertex ranges of the published mesh (ICT-FaceKit's README); what is left out is hidden or transparent.
_PARTS: tuple[tuple[int, int, Material], ...] = (
    (0, 9409, Material.SKIN),
    (9409, 11248, Material.BODY),
    (11248, 13294, Material.MOUTH),
    (14062, 17039, Material.MOUTH),
    (17039, 21451, Material.TEETH),
    (21451, 22221, Material.EYE),
    (23021, 23791, Material.EYE),
    (25351, 26719, Material.LASH),
)
_LEFT_EYE, _RIGHT_EYE = (21451, 22221), (23021, 23791)
_LASHES = 25351
_LOWER_LASH = 3.5
"""Height (rig's own y) under which a lash is one of the lower lid; left out, they read as bags under the eyes."""
EYES = np.array([0.0, 3.65, 8.0], np.float32)
"""Midway between the eyeballs in the rig's own space: our origin."""
GAP = (0.30, 1.0)
"""Centimetres between the inner lips at which AU25 begins, and how much further it reaches 1."""
_INNER_LIPS = (62, 66)
NEUTRAL_SPREAD = 0.075
LID_DROOP = (0.16, 0.1)
"""Mean and spread of eyeBlink at rest: the rig's own eyes are wider than those of photographs, see gates.py."""
BROW_SIT = 0.5
"""Mean weight of the brush that lowers resting brows, for the same reason."""
EYE_SINKS = 0.25
"""Centimetres by which an eyeball sinks behind closed lids, or the cornea shows through when it has turned."""
LASH_TRIM = 0.6
"""Share of their length by which lashes are shortened."""
FACE_SIDE, PARTS_SIDE = 448, 256
TOP, BOTTOM = 12.0, -24.0
"""Height of the crown and of the shoulders in head space."""


class IctRig:
    """Heads share one mesh; hair differs from person to person."""

    name = "ict"

    def __init__(self, folder: Path) -> None:
        """Raises InputError when the folder is incomplete or of another version."""
        numbers = read_model(folder)
        kept = np.zeros(len(numbers.base), bool)
        for start, end, _ in _PARTS:
            kept[start:end] = True
        inside = kept[numbers.corners].all(axis=1)
        heights = numbers.base[numbers.corners].mean(axis=1)[:, 1]
        inside &= ~((numbers.corners >= _LASHES).all(axis=1) & (heights < _LOWER_LASH))
        corners, places = numbers.corners[inside], numbers.places[inside]
        # A vertex of ours is a pair of the rig's vertex and texture coordinate, so that seams can have two places.
        pairs, triangles = np.unique(corners.astype(np.int64) * len(numbers.uv) + places, return_inverse=True)
        self.source = (pairs // len(numbers.uv)).astype(np.int32)
        own_uv = numbers.uv[pairs % len(numbers.uv)]
        self.eyes = {
            side: np.flatnonzero((self.source >= start) & (self.source < end))
            for side, (start, end) in ((LEFT, _LEFT_EYE), (RIGHT, _RIGHT_EYE))
        }
        """Side -> (k,) vertices of the eyeball."""
        self.base = numbers.base[self.source] - EYES
        self.deltas = np.ascontiguousarray(numbers.deltas[:, self.source].astype(np.float32))
        self.modes = np.ascontiguousarray(numbers.modes[:, self.source].astype(np.float32))
        self.shapes = dict(numbers.shapes)
        self.mesh = self._build_mesh(triangles.reshape(-1, 3).astype(np.int32), own_uv, numbers)
        self._sculpt()
        self._trim_lashes()

    def _sculpt(self) -> None:
        """Add the brushes' shapes to the rig's own."""
        face = np.isin(self.mesh.material[: len(self.base)], (Material.SKIN, Material.BODY))
        strokes: list[Float32] = []
        for name, brush in BRUSHES.items():
            for side, suffix in SUFFIX.items():
                self.shapes[name + suffix] = len(self.deltas) + len(strokes)
                stroke = sculpted(self.base, self.base[self.mesh.landmarks], brush, side)
                strokes.append(stroke * face[:, None])
        self.deltas = np.concatenate([self.deltas, np.stack(strokes)])

    def _trim_lashes(self) -> None:
        """Draw lashes, here one strip without gaps, closer to the lid than the rig's own."""
        from scipy.spatial import cKDTree

        material = self.mesh.material[: len(self.base)]
        lash, skin = (np.flatnonzero(material == kind) for kind in (Material.LASH, Material.SKIN))
        _, nearest = cKDTree(self.base[skin]).query(self.base[lash])
        self.base[lash] += np.float32(LASH_TRIM) * (self.base[skin[nearest]] - self.base[lash])

    def head(self, rng: np.random.Generator) -> IctHead:
        return IctHead(self, rng)

    def _build_mesh(self, triangles: NDArray[np.int32], own_uv: Float32, numbers: IctNumbers) -> Mesh:
        material = np.zeros(len(self.source), np.uint8)
        for start, end, kind in _PARTS:
            material[(self.source >= start) & (self.source < end)] = kind
        # The face's skin and the back of the head share vertices; the texture coordinate tells them apart.
        material[(material == Material.SKIN) & (own_uv[:, 0] > 1)] = Material.BODY
        # The walls of the mouth begin at vertices of the lips.
        mouth = np.unique(triangles[(material == Material.MOUTH)[triangles].any(axis=1)])
        material[mouth[material[mouth] == Material.BODY]] = Material.MOUTH
        local = own_uv - np.floor(own_uv)
        uv = np.stack([local[:, 0], 1 - local[:, 1]], axis=1)
        face = material == Material.SKIN
        for kind, cell in ((Material.MOUTH, "mouth"), (Material.TEETH, "teeth"), (Material.LASH, "lash")):
            uv[material == kind] = _into(_cell(cell), uv[material == kind])
        for eye in (_LEFT_EYE, _RIGHT_EYE):
            at = (self.source >= eye[0]) & (self.source < eye[1])
            uv[at] = _into(_cell("eye"), _eye_disc(numbers.base[eye[0] : eye[1]], self.base[at] + EYES))
        body = material == Material.BODY
        uv[body] = _into((0.5, 0.0, 1.0, 1.0), around_head(self.base[body]))
        face_uv = np.where(face[:, None], uv, np.nan)
        hair_triangles, hair_uv = hair_mesh()
        hairs = len(hair_uv)
        first = {int(vertex): row for row, vertex in reversed(list(enumerate(self.source))) if face[row]}
        return Mesh(
            triangles=np.concatenate([triangles, hair_triangles + len(uv)]).astype(np.int32),
            uv=np.concatenate([uv, hair_uv]).astype(np.float32),
            layer=np.concatenate([np.where(face, Layer.FACE, Layer.PARTS), np.full(hairs, Layer.HAIR)]).astype(
                np.uint8
            ),
            material=np.concatenate([material, np.full(hairs, Material.HAIR, np.uint8)]),
            face_uv=np.concatenate([face_uv, np.full((hairs, 2), np.nan)]).astype(np.float32),
            landmarks=np.array([first[int(vertex)] for vertex in numbers.landmarks], np.int32),
        )


class IctHead:
    """One person of the rig."""

    def __init__(self, rig: IctRig, rng: np.random.Generator) -> None:
        self.name = f"ict-{int(rng.integers(1 << 40)):010x}"
        self.mesh = rig.mesh
        self._rig = rig
        self._neutral_weights = _resting_face(rng)
        modes = rng.normal(0, rng.uniform(0.7, 1.25), len(rig.modes)).astype(np.float32)
        shape = rig.base + np.tensordot(modes, rig.modes, axes=1)
        if rng.random() < 0.6:  # beyond what the modes span: longer, wider, deeper heads
            shape = shape * rng.normal(1, (0.035, 0.03, 0.03)).astype(np.float32)
        self._shape: Float32 = shape.astype(np.float32)
        self.complexion = Complexion.sample(rng)
        self.age = self.complexion.age
        male = self.complexion.male
        style = HairStyle.sample(rng, bald=bool(rng.random() < 0.2 * male), long=0.75 - 0.6 * male)
        self.textures = self._paint(style, rng)
        self._hair = grow(style, self._shape[np.isin(rig.mesh.material[: len(shape)], (Material.SKIN, Material.BODY))])

    def vertices(self, action: Action) -> Float32:
        weights = shape_weights(action, self._neutral_weights)
        face = self._deform(weights)
        turn = turned(*action.gaze).astype(np.float32)
        for side, rows in self._rig.eyes.items():  # the rig's eyeLook shapes move the lids only
            ball = self._shape[rows]
            centre = (ball.min(axis=0) + ball.max(axis=0)) / 2
            face[rows] = (ball - centre) @ turn.T + centre
            closed = min(1.0, max(0.0, weights[f"eyeBlink{SUFFIX[side]}"]))
            face[rows, 2] -= EYE_SINKS * closed**2
        return np.concatenate([face, self._hair])

    def labels(self, action: Action, vertices: Float32) -> Float32:
        weights = shape_weights(action, self._neutral_weights)
        labels = action.aus.copy()
        upper, lower = (vertices[self.mesh.landmarks[point]] for point in _INNER_LIPS)
        # A lower lip over the upper one, as of AU17 and 24, or beside it leaves no gap.
        _, height, depth = (upper - lower).tolist()
        labels[ROW[25]] = ((math.hypot(height, depth) if height > 0 else 0.0) - GAP[0]) / GAP[1]
        jaw = weights.get("jawOpen", 0.0)
        labels[ROW[26]] = jaw / FULL_JAW[0]
        labels[ROW[27]] = (jaw - FULL_JAW[1]) / FULL_JAW[2]
        for side, suffix in SUFFIX.items():
            closed = weights.get(f"eyeBlink{suffix}", 0.0) - self._neutral_weights[f"eyeBlink{suffix}"]
            labels[ROW[43], side] = closed
            labels[[ROW[5], ROW[7]], side] *= 1 - 0.8 * min(1.0, max(0.0, closed))
        return labels.clip(0, 1).astype(np.float32)

    def _deform(self, weights: Mapping[str, float]) -> Float32:
        used = {self._rig.shapes[name]: weight for name, weight in weights.items() if abs(weight) > 1e-4}
        deltas = self._rig.deltas
        moved = self._shape.copy()
        flat = moved.reshape(-1)
        for row, weight in used.items():
            flat += np.float32(weight) * deltas[row].reshape(-1)
        return moved

    def _paint(self, style: HairStyle, rng: np.random.Generator) -> tuple[UInt8, UInt8, UInt8]:
        face = self.mesh.uv[self.mesh.landmarks]
        skin = paint_face(self.complexion, face, FACE_SIDE, rng)
        parts = paint_parts(self.complexion, PARTS_SIDE, rng)
        both = np.concatenate([parts, paint_head(parts, rng)], axis=1)
        colour = _swatch(parts, "hair", 32)[..., :3].mean(axis=(0, 1))
        return skin, both, paint_hair(style, colour, rng)


def _resting_face(rng: np.random.Generator) -> dict[str, float]:
    """Shape weights by which this person's resting face differs from the rig's: nobody rests at zero."""
    weights: dict[str, float] = {}
    for shape, share in NEUTRAL_SHAPES:
        common = rng.normal(0, NEUTRAL_SPREAD * share)
        weights |= {shape + suffix: rng.normal(common, RESTING_ASYMMETRY * share) for suffix in SUFFIX.values()}
    for shape in NEUTRAL_WHOLE:
        weights[shape] = rng.normal(0, NEUTRAL_SPREAD * 0.7)
    sit = rng.normal(BROW_SIT, 0.35)
    weights |= dict.fromkeys((f"browSit{suffix}" for suffix in SUFFIX.values()), sit)
    droop = float(np.clip(rng.normal(*LID_DROOP), -0.05, 0.32))
    return weights | dict.fromkeys((f"eyeBlink{suffix}" for suffix in SUFFIX.values()), droop)


def around_head(vertices: Float32) -> Float32:
    """(n, 3) head space -> (n, 2): once around the head from the back over the subject's right; crown to shoulders."""
    turn = np.arctan2(vertices[:, 0], vertices[:, 2] + 8) / (2 * np.pi) + 0.5
    return np.stack([turn, ((TOP - vertices[:, 1]) / (TOP - BOTTOM)).clip(0, 1)], axis=1).astype(np.float32)


def paint_head(parts: UInt8, rng: np.random.Generator) -> UInt8:
    """The texture of neck, scalp and clothes in the layout of ``around_head``, from the atlas' swatches."""
    side = len(parts)
    body, hair, cloth = (_swatch(parts, name, side) for name in ("body", "hair", "cloth"))
    height = np.linspace(TOP, BOTTOM, side, dtype=np.float32)[:, None]
    turn = np.abs(np.linspace(-1, 1, side, dtype=np.float32))[None, :]  # 0 = face, 1 = back
    waves = cv2.GaussianBlur(rng.normal(size=(side, side)).astype(np.float32), (0, 0), 12) * 12
    hairline = np.interp(turn, (0, 0.3, 0.45, 0.6, 1), (7, 4, 0, -6, -9)).astype(np.float32)
    on_scalp = ((height - hairline + waves) / 2).clip(0, 1)[..., None]
    collar = rng.uniform(-17.5, -15.5)
    dressed = ((collar - height + 0.5 * waves) / 0.6).clip(0, 1)[..., None]
    painted = body * (1 - on_scalp) + hair * on_scalp
    return (painted * (1 - dressed) + cloth * dressed).astype(np.uint8)


def _swatch(parts: UInt8, name: str, side: int) -> Float32:
    u0, v0, u1, v1 = (round(edge * len(parts)) for edge in CELLS[name])
    return cv2.resize(parts[v0:v1, u0:u1], (side, side)).astype(np.float32)


def _cell(name: str) -> tuple[float, float, float, float]:
    """A cell of the parts atlas, which fills the left half of the parts texture."""
    u0, v0, u1, v1 = CELLS[name]
    return u0 / 2, v0, u1 / 2, v1


def _into(cell: tuple[float, float, float, float], uv: Float32) -> Float32:
    u0, v0, u1, v1 = cell
    placed: Float32 = np.array([u0, v0], np.float32) + uv * np.array([u1 - u0, v1 - v0], np.float32)
    return placed


def _eye_disc(ball: Float32, vertices: Float32) -> Float32:
    """Places on the disc of directions that skin.py paints: the middle is the axis of the eye."""
    centre = (ball.min(axis=0) + ball.max(axis=0)) / 2
    centre[2] = ball[:, 2].min() + 1.5
    axis = ball[ball[:, 2].argmax()] - centre
    axis /= np.linalg.norm(axis)
    across = np.cross([0.0, 1.0, 0.0], axis)
    across /= np.linalg.norm(across)
    upwards = np.cross(axis, across)
    direction = vertices - centre
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    disc = np.stack([0.5 + 0.5 * direction @ across, 0.5 - 0.5 * direction @ upwards], axis=1)
    behind = direction @ axis < 0
    disc[behind] = (disc[behind] - 0.5) * 0.98 / np.maximum(
        np.linalg.norm(disc[behind] - 0.5, axis=1, keepdims=True) * 2, 1e-3
    ) + 0.5
    return disc.astype(np.float32)
