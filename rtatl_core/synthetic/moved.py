"""Photographs that move: real skin, hair and light, and expressions that are known.

Enters: photos on which raters saw which AUs (datasets/ratings.py), and rigs. Leaves: the same photos with AUs of a rig
added, as labelled frames: of each AU what was rated and what was added; and where the photo is at rest, the exact flow
back to it.

A resting head of a rig is laid over the photo's face: a similarity of the 51 inner landmarks in space, then a
thin-plate map in the picture. What its skin does when it moves is turned and scaled likewise, and the picture is drawn
along. Only AUs move that skin alone shows, since nothing is known of what shut lips and lids hide, and nothing gets
wrinkles; parted lips do not move. Glasses and hair go along with the skin behind them, a small lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.parts import NO_FACE, Frame
from rtatl_core.datasets.ratings import Ratings
from rtatl_core.errors import InputError
from rtatl_core.face.find import FaceMesh
from rtatl_core.face.similarity import fit_similarity
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32, Float64, UInt8
from rtatl_core.photos import read_photo
from rtatl_core.synthetic.rig import (
    AUS,
    LANDMARKS,
    LEFT,
    RIGHT,
    ROW,
    SINGLE,
    Action,
    Head,
    Material,
    Rig,
    neutral_action,
)
from rtatl_core.synthetic.studio import open_rig

Chances = Mapping[tuple[int, ...], float]

BROWS: Chances = {(1, 2): 0.25, (1,): 0.2, (2,): 0.15, (4,): 0.25, (1, 4): 0.1, (1, 2, 4): 0.05}
MOUTHS: Chances = {(15,): 0.15, (17,): 0.12, (18,): 0.16, (20,): 0.13, (24,): 0.12, (23,): 0.08, (28,): 0.07} | {
    (15, 17): 0.08,
    (17, 24): 0.06,
    (17, 18): 0.03,
}
"""What is added together, and how often. AU12 and AU14 are not: photos show them."""
MOVES = 0.65
"""Share of the pictures in which shut lips move, and of these in which brows do too."""
FAINT_SHARE, FAINT, CLEAR = 0.35, (0.08, 0.35), (0.3, 1.0)
ONE_SIDED = 0.3
SHUT: Mapping[int, float] = {25: 0.6, 26: 0.75}
"""AU -> rating under which lips and jaw are taken to be shut."""
AT_REST = 1.0
"""Rating under which every AU must be where a photo's own face is called at rest."""
PHOTOS_PER_UNIT, HEADS_PER_UNIT, OF_EACH = 20, 3, 6

_INNER = slice(17, LANDMARKS)
"""Of the 68 points; the jaw line is a matter of view."""
_MESH_POINTS = (
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
"""Face Mesh's points for these."""
_TO_MESH = np.diag([1.0, -1.0, -1.0])
"""Head space (y up, z towards the camera) -> Face Mesh's axes."""
_MOST_POINTS = 2000
_FACING = 0.15
"""Cosine between skin and view under which skin is seen too flat to lead the picture."""
_STEP = 3
"""Pixels between the places at which the motion is found."""
_SOFT_CM, _FADE_CM = 0.08, 0.5
"""Over how much of a face motions are smoothed, and how far from its edge they end."""


@dataclass(frozen=True, slots=True)
class MovedPhotos:
    """A batch of photos, each as it is and in ``each - 1`` pictures more. A picture's subject has the photo's name."""

    number: int
    root: Path
    rated: tuple[tuple[str, tuple[float, ...]], ...]
    """Photos as the ratings name them, their paths below ``root``, with 0-5 of each of ``AUS``; NaN = unknown."""
    rigs: tuple[Path, ...]
    seed: int
    each: int
    tracking: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return f"{self.root.name}-{self.number:05d}"

    def frames(self) -> Iterator[Frame]:
        rng = np.random.default_rng((self.seed, 4, self.number))
        rigs = _opened(self.rigs)
        motions = [Motion(rigs[(self.number + i) % len(rigs)].head(rng)) for i in range(HEADS_PER_UNIT)]
        with FaceMesh(tracking=False) as mesh:
            for name, rated in self.rated:
                image = read_photo(self.root / name)
                faces = mesh(image) if image is not None else []
                if image is None or not faces:
                    yield Frame(name, name, None) if image is None else Frame(name, name, None, lost=NO_FACE)
                    continue
                laid = [motion.on(faces[0]) for motion in motions]
                sides = np.repeat(np.array(rated, np.float32)[:, None], 2, axis=1)
                rests = bool(np.nanmax(sides, initial=0) < AT_REST)
                for which in range(self.each):
                    added = sample_added(sides[:, 0], rng) if which else np.zeros_like(sides)
                    moved = laid[which % len(laid)].move(image, Action(added))
                    picture = f"{self.seed}-{which}-{name}"
                    yield _frame(picture, name, moved, sides + MAX_INTENSITY * added, rests=rests)


def moved_units(
    roots: Sequence[Path], ratings: Ratings, rigs: tuple[Path, ...], seed: int, count: int = 0
) -> list[MovedPhotos]:
    """Units that make ``count`` pictures, rounded up to as many of each photo; 0 = ``OF_EACH``. Raises InputError when
    none of the rated photos is there, or two folders have one name."""
    if len({root.name for root in roots}) < len(roots):
        raise InputError("two folders of photos have one name; rename one, since what is made of them is called so")
    of_root = {root: [name for name in sorted(ratings.of_image) if (root / name).is_file()] for root in roots}
    photos = sum(map(len, of_root.values()))
    if not photos:
        raise InputError(f"{roots[0]} holds no rated photo; name the folder below which the names of the table lie")
    each = -(-count // photos) if count else OF_EACH
    units = []
    for root, names in of_root.items():
        values = ratings.take(names, AUS)
        rated = [(name, tuple(map(float, row))) for name, row in zip(names, values, strict=True)]
        for number, start in enumerate(range(0, len(rated), PHOTOS_PER_UNIT)):
            batch = tuple(rated[start : start + PHOTOS_PER_UNIT])
            units.append(MovedPhotos(number, root, batch, rigs, seed, each))
    return units


def sample_added(rated: Float32, rng: np.random.Generator) -> Float32:
    """(len(AUS),) ratings on 0-5 -> (len(AUS), 2) what is added, 0-1, left and right; with the rating never over 1."""
    shut = all(rated[ROW[au]] < limit for au, limit in SHUT.items())
    mouth = shut and rng.random() < MOVES
    wanted = list(_pick(MOUTHS, rng)) if mouth else []
    if not mouth or rng.random() < MOVES:
        wanted += _pick(BROWS, rng)
    added = np.zeros((len(AUS), 2), np.float32)
    for au in wanted:
        room = 1 - rated[ROW[au]] / MAX_INTENSITY
        if not room > 0:  # nor where it is unknown
            continue
        strength = rng.uniform(*(FAINT if rng.random() < FAINT_SHARE else CLEAR))
        added[ROW[au]] = min(strength, room)
        if au not in SINGLE and rng.random() < ONE_SIDED:
            added[ROW[au], rng.choice((LEFT, RIGHT))] *= rng.uniform(0, 1)
    return added


def _pick(table: Chances, rng: np.random.Generator) -> tuple[int, ...]:
    chances = np.array(list(table.values()))
    return list(table)[rng.choice(len(table), p=chances / chances.sum())]


def _frame(name: str, subject: str, moved: Moved, sides: Float32, *, rests: bool) -> Frame:
    """sides: (len(AUS), 2) on 0-5, NaN = unknown; rests: what was moved was at rest."""
    intensity = sides.mean(axis=1).astype(np.float32)
    occurrence = np.where(np.isnan(intensity), np.nan, intensity >= 1).astype(np.float32)
    return Frame(
        name,
        subject,
        moved.image,
        intensity=intensity,
        occurrence=occurrence,
        sides=sides,
        flow=moved.back if rests else None,
        flow_to=name if rests else "",
    )


@cache
def _opened(folders: tuple[Path, ...]) -> list[Rig]:
    """Once for each process."""
    return [open_rig(folder) for folder in folders]


class Motion:
    """How the skin of one head moves."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._rest = head.vertices(neutral_action())
        mesh = head.mesh
        skin = (mesh.material == Material.SKIN) & np.isfinite(mesh.face_uv[:, 0])
        self._skin = np.flatnonzero(skin)
        self._normals = _normals(self._rest, mesh.triangles[skin[mesh.triangles].all(axis=1)])[self._skin]

    def on(self, landmarks: Float32) -> Laid:
        """landmarks: (478, 3) pixels, as Face Mesh finds them."""
        from scipy.interpolate import RBFInterpolator

        marks = landmarks[list(_MESH_POINTS)].astype(np.float64)
        own = self._rest[self._head.mesh.landmarks[_INNER]] @ _TO_MESH
        scale, turn, shift = fit_similarity(own, marks)
        to_picture = _TO_MESH @ (scale * turn.T)
        seen = self._rest[self._skin] @ to_picture + shift
        facing = np.flatnonzero((self._normals @ _TO_MESH @ turn.T)[:, 2] < -_FACING)
        facing = facing[:: max(1, len(facing) // _MOST_POINTS)]
        rough = (own @ (scale * turn.T) + shift)[:, :2]
        fit = RBFInterpolator(rough, marks[:, :2] - rough, kernel="thin_plate_spline", smoothing=1.0)
        places = seen[facing, :2]
        return Laid(self, self._skin[facing], places + fit(places), to_picture[:, :2], float(scale))

    def of(self, action: Action, vertices: NDArray[np.int64]) -> Float64:
        """(len(vertices), 3) cm from rest."""
        moved: Float64 = (self._head.vertices(action)[vertices] - self._rest[vertices]).astype(np.float64)
        return moved


@dataclass(frozen=True, slots=True)
class Laid:
    """A head's motion laid over a face in a picture."""

    motion: Motion
    vertices: NDArray[np.int64]
    """(n,) those of the skin that is seen."""
    places: Float64
    """(n, 2) where they lie, pixels."""
    to_picture: Float64
    """(3, 2) centimetres of head space -> pixels."""
    scale: float
    """Pixels in a centimetre."""

    def move(self, image: UInt8, action: Action) -> Moved:
        """The picture (h, w, 3) with that action added; what leaves it is made up by its edge."""
        from scipy.interpolate import LinearNDInterpolator

        height, width = image.shape[:2]
        shift = self.motion.of(action, self.vertices) @ self.to_picture
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        coarse = rows[::_STEP, ::_STEP], columns[::_STEP, ::_STEP]
        found = LinearNDInterpolator(self.places + shift, -shift)(coarse[1], coarse[0]).astype(np.float32)
        known = np.isfinite(found[..., :1])
        back = self._softened(np.where(known, found, np.float32(0)), known)
        fine = (columns / _STEP, rows / _STEP)
        back = cv2.remap(back, *fine, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(known.astype(np.uint8), *fine, cv2.INTER_NEAREST)[..., None] > 0
        drawn = cv2.remap(
            image, columns + back[..., 0], rows + back[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return Moved(drawn.astype(np.uint8), np.where(seen, back, np.nan).astype(np.float32))

    def _softened(self, back: Float32, known: NDArray[np.bool_]) -> Float32:
        """back (h, w, 2) with what is unknown (h, w, 1) fading out from the edge of what is known."""
        fade = self.scale * _FADE_CM / 2 / _STEP
        share = cv2.GaussianBlur(known.astype(np.float32), (0, 0), fade)[..., None]
        near = cv2.GaussianBlur(back, (0, 0), fade) / np.maximum(share, 1e-3) * np.minimum(1, 2 * share)
        soft = cv2.GaussianBlur(np.where(known, back, near), (0, 0), max(0.6, self.scale * _SOFT_CM / 2 / _STEP))
        return np.asarray(soft, np.float32)


@dataclass(frozen=True, slots=True)
class Moved:
    image: UInt8
    """(h, w, 3)."""
    back: Float32
    """(h, w, 2) pixels from where a thing is to where it was before the motion; NaN off the face."""


def _normals(vertices: Float32, triangles: NDArray[np.int32]) -> Float64:
    """(V, 3) outwards, of length 1; NaN off the triangles."""
    normals = np.zeros((len(vertices), 3))
    a, b, c = (vertices[triangles[:, corner]].astype(np.float64) for corner in range(3))
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], np.cross(b - a, c - a))
    with np.errstate(invalid="ignore"):
        return np.asarray(normals / np.linalg.norm(normals, axis=1, keepdims=True))
