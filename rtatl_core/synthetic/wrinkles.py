"""Creases that muscles fold into the skin, drawn on the standard face (``Mesh.face_uv``), so that they serve any rig.

Enters: a person's age and an Action. Leaves: relief for the shader. Which crease belongs to which AU follows FACS'
descriptions of appearance changes; where they run was read off the rig's texture layout; depths are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import LEFT, RIGHT, Action

SIDE = 256
_JITTER = 0.005
_Curve = Sequence[tuple[float, float]]

DRIVERS: Mapping[str, Mapping[int, float]] = {
    "forehead": {1: 0.5, 2: 0.6},
    "glabella": {4: 1.0, 9: 0.3},
    "crow": {6: 1.0, 12: 0.25, 7: 0.2},
    "under_eye": {6: 0.8, 7: 0.5, 9: 0.2},
    "nose_root": {9: 1.0},
    "nasolabial": {12: 0.8, 10: 0.7, 9: 0.6, 6: 0.3, 20: 0.2},
    "dimple": {14: 1.0, 12: 0.3},
    "marionette": {15: 0.8, 17: 0.2},
    "chin": {17: 1.0},
    "mentolabial": {17: 0.8, 24: 0.3},
    "lips": {18: 0.9, 23: 0.8, 24: 0.5, 28: 0.4},
}
"""Crease -> AU -> share of its depth. Creases of cheeks and eyes follow their own side, others both."""
_MIDLINE = frozenset({"forehead", "glabella", "chin", "mentolabial", "lips"})
_DEEPENS_WITH_AGE = ("forehead", "glabella", "crow", "under_eye", "nasolabial", "marionette")


@dataclass(frozen=True, slots=True)
class Wrinkles:
    """One person's creases."""

    names: tuple[tuple[str, int], ...]
    """(crease, side), side -1 on the midline: the rows of ``grooves``."""
    grooves: Float32
    """(n, SIDE * SIDE) depth, positive is deep."""
    resting: Float32
    """(n,) how deep each is in the resting face."""
    depth: float
    """How readily this skin folds."""

    @classmethod
    def sample(cls, age: float, rng: np.random.Generator) -> Self:
        names: list[tuple[str, int]] = []
        maps = []
        for crease, draw in _DRAWN.items():
            if crease in _MIDLINE:
                names.append((crease, -1))
                maps.append(draw(rng))
            else:
                right = draw(rng)
                names += [(crease, LEFT), (crease, RIGHT)]
                # drawn at small u, the subject's right; the left is its mirror image
                maps += [right[:, ::-1], right]
        worn = {name: max(0.0, age - 0.15) * rng.uniform(0, 0.8) for name in _DEEPENS_WITH_AGE}
        if rng.random() < 0.5:
            worn["nasolabial"] = max(worn["nasolabial"], rng.uniform(0, 0.5))
        return cls(
            names=tuple(names),
            grooves=np.stack(maps).reshape(len(maps), -1).astype(np.float32),
            resting=np.array([worn.get(name, 0.0) for name, _ in names], np.float32),
            depth=float(rng.uniform(0.25, 0.8) * (0.8 + 0.6 * age)),
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
        return np.dstack([across, down, depth.clip(0, 1)])


def _pull(crease: str, side: int, action: Action) -> float:
    return sum(
        share * (action.both(au) if side < 0 else action.side(au, side)) for au, share in DRIVERS[crease].items()
    )


def _draw(curves: Sequence[_Curve], blur: float, rng: np.random.Generator, jitter: float = _JITTER) -> Float32:
    """Grooves along curves in (u, v), each smoothed through its points, of depth about 1."""
    image = np.zeros((SIDE, SIDE), np.float32)
    for curve in curves:
        points = np.array(curve) + rng.normal(0, jitter, (len(curve), 2))
        fine = np.linspace(0, len(points) - 1, 24)
        line = np.stack([np.interp(fine, np.arange(len(points)), points[:, axis]) for axis in (0, 1)], axis=1)
        for _ in range(6):
            line[1:-1] = (line[:-2] + 2 * line[1:-1] + line[2:]) / 4
        cv2.polylines(image, [np.round(line * SIDE * 16).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 4)
    return cv2.GaussianBlur(image, (0, 0), blur) * (2.5 * blur)


def _forehead(rng: np.random.Generator) -> Float32:
    count = int(rng.integers(2, 6))
    lines = []
    for line in range(count):
        v = 0.05 + 0.11 * line / count
        lines.append([(0.3, v + 0.012), (0.4, v), (0.5, v + 0.006), (0.6, v), (0.7, v + 0.012)])
    return _draw(lines, rng.uniform(0.9, 1.5), rng)


def _glabella(rng: np.random.Generator) -> Float32:
    lines: list[_Curve] = [[(x, 0.235), (x + d, 0.2), (x + 2 * d, 0.165)] for x, d in ((0.478, -0.004), (0.522, 0.004))]
    if rng.random() < 0.4:
        lines.append([(0.5, 0.235), (0.5, 0.19)])
    return _draw(lines, rng.uniform(0.9, 1.5), rng, 0.003)


def _crow(rng: np.random.Generator) -> Float32:
    fans: list[_Curve] = []
    for line in range(int(rng.integers(2, 5))):
        v = 0.26 + 0.02 * line
        fans.append([(0.3, v), (0.27, v + 0.01 * (line - 1)), (0.235, v + 0.018 * (line - 1))])
    return _draw(fans, rng.uniform(0.8, 1.3), rng, 0.004)


def _under_eye(rng: np.random.Generator) -> Float32:
    return _draw([[(0.39, 0.315), (0.35, 0.322), (0.31, 0.312)]], rng.uniform(1.2, 1.8), rng, 0.004)


def _nose_root(rng: np.random.Generator) -> Float32:
    lines: list[_Curve] = [
        [(0.485, 0.29 + 0.018 * k), (0.46, 0.283 + 0.018 * k), (0.438, 0.3 + 0.022 * k)] for k in range(3)
    ]
    return _draw(lines, rng.uniform(0.8, 1.2), rng, 0.003)


def _nasolabial(rng: np.random.Generator) -> Float32:
    return _draw(
        [[(0.425, 0.4), (0.395, 0.445), (0.365, 0.51), (0.355, 0.57), (0.36, 0.62)]], rng.uniform(1.3, 2.3), rng
    )


def _dimple(rng: np.random.Generator) -> Float32:
    return _draw([[(0.365, 0.53), (0.35, 0.56), (0.36, 0.6)]], rng.uniform(1.0, 1.6), rng)


def _marionette(rng: np.random.Generator) -> Float32:
    return _draw([[(0.382, 0.59), (0.37, 0.63), (0.35, 0.68)]], rng.uniform(1.0, 1.6), rng)


def _chin(rng: np.random.Generator) -> Float32:
    """The orange-peel chin of AU17."""
    noise = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)).astype(np.float32), (0, 0), 1.3)
    v, u = np.mgrid[:SIDE, :SIDE] / SIDE
    window = np.exp(-(((u - 0.5) / 0.06) ** 2) - ((v - 0.735) / 0.04) ** 2)
    bumps: Float32 = (0.5 * noise / noise.std() * window).astype(np.float32)
    return bumps


def _mentolabial(rng: np.random.Generator) -> Float32:
    return _draw([[(0.43, 0.685), (0.5, 0.675), (0.57, 0.685)]], rng.uniform(1.3, 2.0), rng)


def _lips(rng: np.random.Generator) -> Float32:
    """Fine lines that run out from the lips when they purse."""
    lines: list[_Curve] = []
    for x in np.linspace(0.43, 0.57, int(rng.integers(5, 9))):
        lean = (x - 0.5) * 0.3
        lines += [[(x, 0.515), (x + lean * 0.4, 0.49)], [(x, 0.63), (x + lean * 0.4, 0.655)]]
    return 0.6 * _draw(lines, 0.8, rng, 0.003)


_DRAWN: Mapping[str, Callable[[np.random.Generator], NDArray[np.float32]]] = {
    "forehead": _forehead,
    "glabella": _glabella,
    "crow": _crow,
    "under_eye": _under_eye,
    "nose_root": _nose_root,
    "nasolabial": _nasolabial,
    "dimple": _dimple,
    "marionette": _marionette,
    "chin": _chin,
    "mentolabial": _mentolabial,
    "lips": _lips,
}
