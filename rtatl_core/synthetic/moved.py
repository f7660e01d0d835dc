"""Photographs that move: real skin, hair and light, and expressions that are known.

Enters: photos on which raters saw which AUs (datasets/ratings.py), and rigs. Leaves: the same photos with AUs of a rig
added, as labelled frames: of each AU what was rated and what was added; and where the photo is at rest, the exact flow
back to it.

Only AUs move that skin alone shows, since nothing is known of what shut lips and lids hide, and nothing gets
wrinkles; parted lips do not move. Glasses and hair go along with the skin behind them, a small lie.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np

from rtatl_core.datasets.parts import NO_FACE, UNREADABLE, Frame
from rtatl_core.datasets.ratings import Ratings
from rtatl_core.datasets.rendered import rendered_frame
from rtatl_core.errors import InputError
from rtatl_core.face.find import FaceMesh
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.photos import read_photo
from rtatl_core.synthetic.expressions import EXCLUSIVE, ONE_SIDED
from rtatl_core.synthetic.motion import Motion
from rtatl_core.synthetic.rig import AUS, LEFT, RIGHT, ROW, SINGLE, Action, Rig, neutral_action
from rtatl_core.synthetic.script import CLIP_RATE, Script, Step
from rtatl_core.synthetic.studio import open_rig

Chances = Mapping[tuple[int, ...], float]

BROWS: Chances = {(1, 2): 0.25, (1,): 0.2, (2,): 0.15, (4,): 0.25, (1, 4): 0.1, (1, 2, 4): 0.05}
_SINGLY: Chances = {(15,): 0.15, (17,): 0.12, (18,): 0.16, (20,): 0.13, (24,): 0.12, (23,): 0.08, (28,): 0.07}
_TOGETHER: Chances = {(15, 17): 0.08, (17, 24): 0.06, (17, 18): 0.03}
MOUTHS: Chances = {**_SINGLY, **_TOGETHER}
"""What is added together, and how often. AU12 and AU14 are not: photos show them."""
MOVES = 0.65
"""Share of the pictures in which shut lips move, and of these in which brows do too."""
FAINT_SHARE, FAINT, CLEAR = 0.35, (0.08, 0.35), (0.3, 1.0)
SHUT: Mapping[int, float] = {25: 0.6, 26: 0.75}
"""AU -> rating under which lips and jaw are taken to be shut."""
SHOWN = 0.5
"""Rating from which an AU bars those that no face does beside it (``expressions.EXCLUSIVE``)."""
REST_S, NOISE = 1.0, 2.0
"""Of clips: seconds of rest at the beginning, spread of a camera's noise in grey levels."""
ONSET_S, APEX_S, OFFSET_S, PAUSE_S = (0.15, 0.5), (0.3, 1.0), (0.3, 0.8), (0.3, 0.8)
AT_REST = 1.0
"""Rating under which every AU must be where a photo's own face is called at rest."""
PHOTOS_PER_UNIT, HEADS_PER_UNIT, OF_EACH = 20, 3, 6


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
        rigs = opened(self.rigs)
        motions = [Motion(rigs[(self.number + i) % len(rigs)].head(rng)) for i in range(HEADS_PER_UNIT)]
        with FaceMesh(tracking=False) as mesh:
            for name, values in self.rated:
                face = _Face.of(self.root / name, values, mesh)
                if isinstance(face, str):
                    yield Frame(name, name, None, lost=face)
                    continue
                laid = [motion.on(face.landmarks) for motion in motions]
                for which in range(self.each):
                    added = sample_added(face.rated, rng) if which else neutral_action().aus
                    moved = laid[which % len(laid)].move(face.image, Action(added))
                    yield face.frame(f"{self.seed}-{which}-{name}", name, moved.image, moved.back, added)


@dataclass(frozen=True, slots=True)
class MovedClip:
    """A photo that rests for ``REST_S`` and then does one thing after another, as a video with a camera's noise."""

    number: int
    root: Path
    photo: str
    rated: tuple[float, ...]
    """As of ``MovedPhotos``."""
    rigs: tuple[Path, ...]
    seed: int
    seconds: float
    tracking: ClassVar[bool] = True

    @property
    def name(self) -> str:
        return f"{self.root.name}-clip-{self.number:05d}"

    def frames(self) -> Iterator[Frame]:
        rng = np.random.default_rng((self.seed, 5, self.number))
        rigs = opened(self.rigs)
        motion = Motion(rigs[self.number % len(rigs)].head(rng))
        with FaceMesh(tracking=False) as mesh:
            face = _Face.of(self.root / self.photo, self.rated, mesh)
        if isinstance(face, str):
            yield Frame(self.name, self.photo, None, lost=face)
            return
        laid, script = motion.on(face.landmarks), sample_script(face.rated, self.seconds, rng)
        moved, before = laid.move(face.image, neutral_action()), neutral_action().aus
        for index in range(round(self.seconds * CLIP_RATE)):
            action = script.at(index / CLIP_RATE).action
            if not np.array_equal(action.aus, before):  # at rest and at an apex nothing has to be drawn
                moved, before = laid.move(face.image, action), action.aus
            noisy = (moved.image + rng.normal(0, NOISE, moved.image.shape)).round().clip(0, 255).astype(np.uint8)
            name, clip = f"{self.name}@{index / CLIP_RATE:.3f}", (self.name, index / CLIP_RATE)
            yield face.frame(name, self.photo, noisy, moved.back, action.aus, clip)


class _Face(NamedTuple):
    """A photo as it is."""

    image: UInt8
    landmarks: Float32
    """(478, 3) pixels."""
    rated: Float32
    """(len(AUS),) 0-5; NaN = unknown."""

    @classmethod
    def of(cls, path: Path, rated: tuple[float, ...], mesh: FaceMesh) -> Self | str:
        """Or why there is none."""
        if (image := read_photo(path)) is None:
            return UNREADABLE
        faces = mesh(image)
        return cls(image, faces[0], np.array(rated, np.float32)) if faces else NO_FACE

    def frame(
        self,
        name: str,
        subject: str,
        image: UInt8,
        back: Float32,
        added: Float32,
        clip: tuple[str, float] = ("", 0.0),
    ) -> Frame:
        """It moved. back: as of ``Moved``; added: (len(AUS), 2) on 0-1; clip: its name, and seconds within it."""
        rests = (self.rated < AT_REST).all()  # what is unknown may be shown
        return rendered_frame(
            name,
            subject,
            image,
            self.rated[:, None] / np.float32(MAX_INTENSITY) + added,
            clip=clip[0],
            time=clip[1],
            flow=back if rests else None,
            flow_to=name if rests else "",
        )


def moved_clips(
    roots: Sequence[Path], ratings: Ratings, rigs: tuple[Path, ...], seed: int, clips: int, seconds: float
) -> list[MovedClip]:
    """As many units, of one photo after the other. Raises InputError as ``moved_units``, and for clips in which nothing
    has time to happen."""
    if seconds < 2 * REST_S:
        raise InputError(f"a photo rests for {REST_S:g} s before it moves; write --seconds {2 * REST_S:g} or more")
    photos = _rated_photos(roots, ratings)
    return [MovedClip(number, *photos[number % len(photos)], rigs, seed, seconds) for number in range(clips)]


def moved_units(
    roots: Sequence[Path], ratings: Ratings, rigs: tuple[Path, ...], seed: int, count: int = 0
) -> list[MovedPhotos]:
    """Units that make ``count`` pictures, rounded up to as many of each photo; 0 = ``OF_EACH``. Raises InputError when
    none of the rated photos is there, or two folders have one name."""
    photos = _rated_photos(roots, ratings)
    each = -(-count // len(photos)) if count else OF_EACH
    units: list[MovedPhotos] = []
    for root in roots:
        rated = [(name, values) for of, name, values in photos if of == root]
        for start in range(0, len(rated), PHOTOS_PER_UNIT):
            batch = tuple(rated[start : start + PHOTOS_PER_UNIT])
            # numbered over all folders, lest the second one meets the heads and draws of the first again
            units.append(MovedPhotos(len(units), root, batch, rigs, seed, each))
    return units


def _rated_photos(roots: Sequence[Path], ratings: Ratings) -> list[tuple[Path, str, tuple[float, ...]]]:
    """Folder, name and ratings of each."""
    if len({root.name for root in roots}) < len(roots):
        raise InputError("two folders of photos have one name; rename one, since what is made of them is called so")
    photos = []
    for root in roots:
        names = [name for name in sorted(ratings.of_image) if (root / name).is_file()]
        values = ratings.take(names, AUS)
        photos += [(root, name, tuple(map(float, row))) for name, row in zip(names, values, strict=True)]
    if not photos:
        raise InputError(f"{roots[0]} holds no rated photo; name the folder below which the names of the table lie")
    return photos


def sample_added(rated: Float32, rng: np.random.Generator) -> Float32:
    """(len(AUS),) ratings on 0-5 -> (len(AUS), 2) what is added, 0-1, left and right; with the rating never over 1, and
    nothing that excludes what the photo shows, or may show."""
    shut = all(rated[ROW[au]] < limit for au, limit in SHUT.items())
    mouth = shut and rng.random() < MOVES
    wanted = list(_pick(MOUTHS, rng)) if mouth else []
    if not mouth or rng.random() < MOVES:
        wanted += _pick(BROWS, rng)
    added = np.zeros((len(AUS), 2), np.float32)
    for au in wanted:
        room = 1 - rated[ROW[au]] / MAX_INTENSITY
        if not room > 0 or _excluded(au, rated, added):  # nor where it is unknown
            continue
        strength = rng.uniform(*(FAINT if rng.random() < FAINT_SHARE else CLEAR))
        added[ROW[au]] = min(strength, room)
        if au not in SINGLE and rng.random() < ONE_SIDED:
            added[ROW[au], rng.choice((LEFT, RIGHT))] *= rng.uniform(0, 1)
    return added


def _excluded(au: int, rated: Float32, added: Float32) -> bool:
    """Whether it forms an exclusive pair with an AU that is rated, added or unknown. rated, added: as above."""
    others = [ROW[other] for pair in EXCLUSIVE if au in pair for other in pair - {au}]
    return any(not rated[row] < SHOWN or added[row].any() for row in others)


def sample_script(rated: Float32, seconds: float, rng: np.random.Generator) -> Script:
    """Rest, then one of ``sample_added`` after another."""
    steps, time_s = [Step({}, onset=0, apex=0, offset=0, pause=REST_S)], REST_S
    while time_s < seconds:
        added = sample_added(rated, rng)
        course = [float(rng.uniform(*limits)) for limits in (ONSET_S, APEX_S, OFFSET_S, PAUSE_S)]
        shown = {au: (float(left), float(right)) for au, (left, right) in zip(AUS, added, strict=True) if left or right}
        steps.append(Step(shown, *course))
        time_s += sum(course)
    return Script.sequence(steps)


def _pick(table: Chances, rng: np.random.Generator) -> tuple[int, ...]:
    chances = np.array(list(table.values()))
    return list(table)[rng.choice(len(table), p=chances / chances.sum())]


@cache
def opened(folders: tuple[Path, ...]) -> list[Rig]:
    """Once for each process."""
    return [open_rig(folder) for folder in folders]
