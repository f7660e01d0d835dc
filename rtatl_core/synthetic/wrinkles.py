"""Creases that muscles fold into the skin, drawn on the standard face (``Mesh.face_uv``), so that they serve any rig.

Enters: a person's age and an Action. Leaves: relief for the shader. Which crease belongs to which AU follows FACS'
descriptions of appearance changes; where they run was read off the rig's own vertices, which tell millimetres below
the lid or beside the nose from places in the texture; depths are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.lines import SHIFT, fixed, smooth
from rtatl_core.synthetic.rig import LEFT, RIGHT, Action

SIDE = 256
_GAIN = 1.5
_Curve = Sequence[tuple[float, float]]

DRIVERS: Mapping[str, Mapping[int, float]] = {
    "forehead": {1: 0.9, 2: 0.25},
    "forehead_side": {2: 0.9, 1: 0.2},
    "glabella": {4: 1.2, 9: 0.5},
    "crow": {6: 1.3, 12: 0.12, 7: 0.15},
    "under_eye": {6: 1.4, 9: 0.25, 12: 0.1},
    "lid_fold": {7: 0.8, 6: 0.4},
    "nose_root": {9: 1.6},
    "across_root": {9: 1.3, 4: 0.25},
    "nose_wing": {9: 0.8, 10: 0.6},
    "nasolabial": {12: 0.8, 10: 0.7, 9: 0.6, 6: 0.3, 20: 0.2},
    "cheek_fold": {20: 0.7, 12: 0.35},
    "dimple": {14: 1.3, 12: 0.2},
    "marionette": {15: 0.9, 17: 0.2},
    "chin": {17: 1.0},
    "mentolabial": {17: 0.8, 24: 0.3, 15: 0.2},
    "lips": {18: 0.9, 23: 0.8, 24: 0.5, 28: 0.4},
}
"""Crease -> AU -> share of its depth. Creases on the midline follow both sides, others their own."""
_MIDLINE = frozenset({"forehead", "glabella", "across_root", "chin", "mentolabial", "lips"})
_DEEPENS_WITH_AGE = ("forehead", "glabella", "crow", "under_eye", "nasolabial", "marionette")


@dataclass(frozen=True, slots=True)
class Wrinkles:
    """One person's creases."""

    names: tuple[tuple[str, int], ...]
    """(crease, side), side -1 on the midline: the rows of ``grooves``."""
    grooves: Float32
    """(n, SIDE * SIDE) depth, positive is deep, negative the roll beside a crease."""
    resting: Float32
    """(n,) how deep each is in the resting face."""
    depth: float
    """How readily this skin folds."""

    @classmethod
    def sample(cls, age: float, rng: np.random.Generator) -> Self:
        """age: 0 = 18, 1 = 80 years or so. The young fold too, they only do not keep it."""
        names: list[tuple[str, int]] = []
        maps = []
        middle, right = _forehead(rng)
        drawn = {"forehead": middle, "forehead_side": right} | {name: draw(rng) for name, draw in _DRAWN.items()}
        for crease, image in drawn.items():
            if crease in _MIDLINE:
                names.append((crease, -1))
                maps.append(image)
            else:
                names += [(crease, LEFT), (crease, RIGHT)]
                # drawn at small u, the subject's right; the left is its mirror image
                maps += [image[:, ::-1], image]
        worn = {name: max(0.0, age - 0.15) * rng.uniform(0, 0.8) for name in _DEEPENS_WITH_AGE}
        worn["forehead_side"] = 0.7 * worn["forehead"]
        if rng.random() < 0.5:
            worn["nasolabial"] = max(worn["nasolabial"], rng.uniform(0, 0.5))
        uneven = rng.uniform(0.75, 1.25, len(names))  # nobody sleeps on both cheeks alike
        return cls(
            names=tuple(names),
            grooves=np.stack(maps, dtype=np.float32).reshape(len(maps), -1),
            resting=np.array([worn.get(name, 0.0) for name, _ in names], np.float32) * uneven.astype(np.float32),
            depth=float(rng.uniform(0.3, 0.85) * (0.8 + 0.6 * age)),
        )

    def relief(self, action: Action) -> Float32:
        """(SIDE, SIDE, 3): d height / du, d height / dv (slopes, v down), cavity 0-1."""
        weights = self.resting + self.depth * np.array([_pull(crease, side, action) for crease, side in self.names])
        used = np.flatnonzero(weights > 1e-3)
        if not len(used):
            return np.zeros((SIDE, SIDE, 3), np.float32)
        depth = (weights[used].astype(np.float32) @ self.grooves[used]).reshape(SIDE, SIDE)
        across = -cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 4)
        down = -cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 4)
        return cv2.merge([across, down, depth.clip(0, 1)])


def _pull(crease: str, side: int, action: Action) -> float:
    return sum(
        share * (action.both(au) if side < 0 else action.side(au, side)) for au, share in DRIVERS[crease].items()
    )


def _draw(
    curves: Sequence[_Curve],
    blur: float,
    rng: np.random.Generator,
    *,
    jitter: float = 0.005,
    roll: float = 0.4,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Float32:
    """Grooves along curves in (u, v), about 1 deep and running out at both ends.

    The skin that a crease swallows bulges as a soft roll of height ``roll`` beside it: on both sides, or, moved by
    ``shift`` in (u, v), more on one, as the cheek over the nasolabial fold.
    """
    image = np.zeros((SIDE, SIDE), np.float32)
    runs_out = np.sin(np.linspace(0.12, 1, 24) * np.pi * 0.96) ** 0.6
    for curve in curves:
        points = np.array(curve) + rng.normal(0, jitter, (len(curve), 2))
        line = fixed(SIDE * smooth(points, np.linspace(0, len(points) - 1, 25), 14)).tolist()
        strengths = runs_out * rng.uniform(0.6, 1.1)
        for start, end, strength in zip(line[:-1], line[1:], strengths.tolist(), strict=True):
            cv2.line(image, start, end, strength, 1, cv2.LINE_AA, SHIFT)
    # A line one pixel wide and blurred is 0.4 / blur deep. The roll is smooth: half the resolution does.
    groove = cv2.GaussianBlur(image, (0, 0), blur) * (2.5 * blur)
    wide, half = 2.6 * blur, SIDE // 2
    move = np.array([[0.5, 0, shift[0] * half], [0, 0.5, shift[1] * half]], np.float32)
    beside = cv2.GaussianBlur(cv2.warpAffine(groove, move, (half, half)), (0, 0), wide / 2)
    deep: Float32 = groove - cv2.resize(beside, (SIDE, SIDE)) * (2.8 * roll)
    return _GAIN * deep


def _forehead(rng: np.random.Generator) -> tuple[Float32, Float32]:
    """Lines across, cut into what the inner brows raise and what the right outer one does."""
    count = int(rng.integers(2, 6))
    bow = rng.uniform(-0.004, 0.012)
    lines: list[_Curve] = []
    for line in range(count):
        v = 0.055 + 0.11 * line / count
        left, right = 0.25 + rng.uniform(0, 0.08), 0.75 - rng.uniform(0, 0.08)
        if rng.random() < 0.3:  # a line that breaks off in the middle
            lines += [[(left, v + 0.016), (0.36, v), (0.47, v + bow)], [(0.53, v + bow), (0.64, v), (right, v + 0.016)]]
        else:
            lines.append([(left, v + 0.016), (0.37, v), (0.5, v + bow), (0.63, v), (right, v + 0.016)])
    whole = _draw(lines, rng.uniform(0.9, 1.5), rng, jitter=0.003)
    u = (np.arange(SIDE, dtype=np.float32) + 0.5) / SIDE
    middle = np.exp(-(((u - 0.5) / 0.13) ** 4))
    return whole * middle, whole * ((1 - middle) * (u < 0.5))


def _glabella(rng: np.random.Generator) -> Float32:
    """The two upright furrows between the brows, now and then a third."""
    reach = rng.uniform(0.16, 0.18)
    lines: list[_Curve] = [
        [(0.5 + side * 0.019, 0.238), (0.5 + side * 0.023, 0.21), (0.5 + side * 0.029, reach)] for side in (-1, 1)
    ]
    if rng.random() < 0.4:
        lines.append([(0.5, 0.235), (0.5, 0.19)])
    return _draw(lines, rng.uniform(0.9, 1.5), rng, jitter=0.003)


def _crow(rng: np.random.Generator) -> Float32:
    """Rays from the outer corner of the eye; none has the same length."""
    count = int(rng.integers(2, 6))
    fans: list[_Curve] = []
    for spread in np.linspace(-1, 1, count):
        length = rng.uniform(0.035, 0.07)
        fans.append(
            [(0.3, 0.281 + 0.014 * spread), (0.3 - 0.5 * length, 0.281 + 0.02 * spread)]
            + [(0.3 - length, 0.283 + 0.032 * spread)]
        )
    return _draw(fans, rng.uniform(0.8, 1.3), rng, jitter=0.003)


def _under_eye(rng: np.random.Generator) -> Float32:
    """The furrow a centimetre below the lid, over the cheek that AU6 lifts."""
    lines: list[_Curve] = [[(0.408, 0.318), (0.385, 0.334), (0.35, 0.34), (0.315, 0.33), (0.292, 0.31)]]
    if rng.random() < 0.5:
        lines.append([(0.37, 0.322), (0.34, 0.325), (0.308, 0.314)])
    return _draw(lines, rng.uniform(1.1, 1.8), rng, jitter=0.003, roll=0.5, shift=(0, 0.018))


def _lid_fold(rng: np.random.Generator) -> Float32:
    return _draw(
        [[(0.395, 0.302), (0.365, 0.309), (0.335, 0.307), (0.308, 0.298)]], rng.uniform(0.8, 1.2), rng, jitter=0.002
    )


def _nose_root(rng: np.random.Generator) -> Float32:
    """Bunny lines: up the flank of the nose and a little outwards."""
    lines: list[_Curve] = [
        [(0.485, 0.283 + step), (0.463, 0.28 + step), (0.44, 0.297 + 1.3 * step)]
        for step in 0.018 * np.arange(rng.integers(2, 5))
    ]
    return _draw(lines, rng.uniform(0.8, 1.3), rng, jitter=0.003, roll=0.5)


def _across_root(rng: np.random.Generator) -> Float32:
    lines: list[_Curve] = [[(0.474, 0.262), (0.5, 0.257), (0.526, 0.262)]]
    if rng.random() < 0.4:
        lines.append([(0.478, 0.275), (0.5, 0.271), (0.522, 0.275)])
    return _draw(lines, rng.uniform(0.9, 1.4), rng, jitter=0.003, roll=0.5)


def _nose_wing(rng: np.random.Generator) -> Float32:
    return _draw([[(0.437, 0.398), (0.42, 0.42), (0.417, 0.448)]], rng.uniform(1.1, 1.7), rng, shift=(-0.012, 0))


def _nasolabial(rng: np.random.Generator) -> Float32:
    line = [(0.425, 0.4), (0.395, 0.445), (0.365, 0.51), (0.353, 0.57), (0.36, 0.62)]
    return _draw([line], rng.uniform(1.2, 2.2), rng, roll=0.55, shift=(-0.02, -0.008))


def _cheek_fold(rng: np.random.Generator) -> Float32:
    """Brackets beside the mouth."""
    lines: list[_Curve] = [[(0.345, 0.5), (0.333, 0.55), (0.338, 0.6)]]
    if rng.random() < 0.4:
        lines.append([(0.318, 0.49), (0.306, 0.54), (0.311, 0.59)])
    return _draw(lines, rng.uniform(1.2, 2.0), rng, shift=(-0.012, 0))


def _dimple(rng: np.random.Generator) -> Float32:
    return _draw([[(0.368, 0.535), (0.352, 0.56), (0.362, 0.59)]], rng.uniform(1.1, 1.8), rng, jitter=0.004, roll=0.5)


def _marionette(rng: np.random.Generator) -> Float32:
    return _draw([[(0.383, 0.58), (0.372, 0.63), (0.353, 0.675)]], rng.uniform(1.0, 1.7), rng, shift=(-0.012, 0))


def _chin(rng: np.random.Generator) -> Float32:
    """The orange-peel chin of AU17."""
    noise = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 1.3)
    v, u = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    window = np.exp(-(((u - 0.5) / 0.055) ** 2) - ((v - 0.692) / 0.022) ** 2)
    bumps: Float32 = (0.8 * noise / noise.std() * window).astype(np.float32)
    return bumps


def _mentolabial(rng: np.random.Generator) -> Float32:
    line = [(0.425, 0.668), (0.46, 0.66), (0.5, 0.657), (0.54, 0.66), (0.575, 0.668)]
    return _draw([line], rng.uniform(1.2, 1.9), rng, jitter=0.003, shift=(0, 0.012))


def _lips(rng: np.random.Generator) -> Float32:
    """Fine lines that run out from the lips when they purse."""
    lines: list[_Curve] = []
    for x in np.linspace(0.43, 0.57, int(rng.integers(5, 9))):
        lean = (x - 0.5) * 0.3
        lines += [[(x, 0.515), (x + lean * 0.4, 0.485)], [(x, 0.625), (x + lean * 0.4, 0.65)]]
    return 0.6 * _draw(lines, 0.8, rng, jitter=0.003)


_DRAWN: Mapping[str, Callable[[np.random.Generator], Float32]] = {
    "glabella": _glabella,
    "crow": _crow,
    "under_eye": _under_eye,
    "lid_fold": _lid_fold,
    "nose_root": _nose_root,
    "across_root": _across_root,
    "nose_wing": _nose_wing,
    "nasolabial": _nasolabial,
    "cheek_fold": _cheek_fold,
    "dimple": _dimple,
    "marionette": _marionette,
    "chin": _chin,
    "mentolabial": _mentolabial,
    "lips": _lips,
}
