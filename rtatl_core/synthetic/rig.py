"""What the generator asks of a 3D face, whichever rig it comes from. Read this file first.

Conventions, everywhere in this package:

* Head space is right-handed, in centimetres: x to the *subject's* left (the right of an unmirrored picture), y up,
  z out of the face. The origin lies midway between the centres of the eyeballs, the neutral head looks along +z.
* Textures are uint8 (h, w, 4) RGBA, sRGB; texture coordinates are (u, v) in 0-1, u right, v *down* (row / h).
* AU intensities are 0-1 (1 = FACS intensity 5), in two columns: the subject's left, right. Rows follow ``AUS``.
* Angles are radians. Gaze is (yaw, pitch): + to the subject's left, + up.
* Randomness comes from the ``numpy.random.Generator`` handed in and from nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import Float32, Float64, UInt8

AUS = tuple(ACTION_UNITS)
"""FACS numbers of the AUs that the generator moves: the rows of every label."""
ROW = MappingProxyType({au: row for row, au in enumerate(AUS)})
LEFT, RIGHT = 0, 1
SINGLE = frozenset({17, 18, 22, 25, 26, 27, 28})
"""AUs whose two sides are always equal here: neither rig moves chin, pucker, lip gap or jaw by sides."""

RESTING_ASYMMETRY = 0.025
"""Spread of a shape's weight between the two sides of a face at rest."""

EXTRAS = ("jaw_forward", "jaw_left", "jaw_right", "mouth_left", "mouth_right", "cheek_puff_left", "cheek_puff_right")
"""Movements that no AU of ours names, 0-1; distractors that labels ignore."""

LANDMARKS = 68
"""The 68-point scheme: 0-16 jaw from the subject's right ear to the left, 17-26 brows, 27-35 nose, 36-47 eyes,
48-59 outer and 60-67 inner lips."""


class Material(IntEnum):
    """What a vertex belongs to; chooses how the shader lights it. All vertices of a triangle share it."""

    SKIN = 0
    """Of the face: AU wrinkles are carved into it."""
    BODY = 1
    """Neck, ears, back of the head, clothes."""
    MOUTH = 2
    """Socket, gums and tongue: darkens with depth."""
    TEETH = 3
    EYE = 4
    LASH = 5
    """Alpha-tested."""
    HAIR = 6
    """Alpha-tested, seen from both sides."""


class Layer(IntEnum):
    """Which texture of the head a vertex looks at."""

    FACE = 0
    PARTS = 1
    HAIR = 2


@dataclass(frozen=True, slots=True)
class Mesh:
    """What stays when the face moves. V vertices, T triangles, counter-clockwise seen from outside."""

    triangles: NDArray[np.int32]
    """(T, 3)."""
    uv: Float32
    """(V, 2) into the texture of its layer."""
    layer: UInt8
    """(V,) ``Layer``."""
    material: UInt8
    """(V,) ``Material``."""
    face_uv: Float32
    """(V, 2) the place on the standard face (the texture layout of ICT-FaceKit's face, v down), where wrinkles are
    drawn; NaN off the face. For ICT it equals ``uv``."""
    landmarks: NDArray[np.int32]
    """(68,) vertices that mark the 68 points; of the jaw line only roughly, it is a matter of view."""


Shapes = Mapping[int, tuple[tuple[str, float], ...]]
"""AU -> a rig's shapes for it, and how much of each at intensity 1."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a face does in one frame."""

    aus: Float32
    """(len(AUS), 2) intensities 0-1, left and right. 25, 26, 27 and 43 are what the muscles intend; what is seen comes
    from ``Head.labels``."""
    gaze: tuple[float, float] = (0.0, 0.0)
    extras: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.aus.shape != (len(AUS), 2):
            raise ValueError(f"an action has ({len(AUS)}, 2) intensities, not {self.aus.shape}")

    def side(self, au: int, side: int) -> float:
        return float(self.aus[ROW[au], side])

    def both(self, au: int) -> float:
        left, right = self.aus[ROW[au]]
        return float((left + right) / 2)

    def weights(self, sided: Shapes, whole: Shapes, on_side: Callable[[str, int], str]) -> defaultdict[str, float]:
        """Shape -> weight; those of ``whole`` are moved by the mean of the two sides. on_side: what one of ``sided`` is
        called there."""
        weights: defaultdict[str, float] = defaultdict(float)
        for au, parts in sided.items():
            for side in (LEFT, RIGHT):
                for shape, full in parts:
                    weights[on_side(shape, side)] += full * self.side(au, side)
        for au, parts in whole.items():
            for shape, full in parts:
                weights[shape] += full * self.both(au)
        return weights


def turned(yaw: float, pitch: float) -> Float64:
    """(3, 3) by which an eyeball or a head turns that looked straight ahead: pitch first, then yaw; radians, signs as
    in ``Action.gaze``."""
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    turn: Float64 = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ [[1, 0, 0], [0, cp, sp], [0, -sp, cp]]
    return turn


def neutral_action() -> Action:
    return Action(np.zeros((len(AUS), 2), np.float32))


def full(*aus: int) -> Action:
    """These AUs at FACS 5, everything else at rest."""
    values = np.zeros((len(AUS), 2), np.float32)
    values[[ROW[au] for au in aus]] = 1
    return Action(values)


class Head(Protocol):
    """One person: a shape, a skin and a way to move."""

    @property
    def name(self) -> str:
        """Which person of which rig, as it goes into the labels: ``ict-000123``, ``valid-Asian_F_1``."""
        ...

    @property
    def age(self) -> float:
        """0 = 18, 1 = 80 years or so: how deep the skin's lines are."""
        ...

    @property
    def mesh(self) -> Mesh: ...

    @property
    def textures(self) -> tuple[UInt8, UInt8, UInt8]:
        """One of each ``Layer``. Alpha: of FACE and PARTS how much it shines (255 = wet), of HAIR coverage."""
        ...

    def vertices(self, action: Action) -> Float32:
        """(V, 3) centimetres of head space."""
        ...

    def labels(self, action: Action, vertices: Float32) -> Float32:
        """(len(AUS), 2) what is to be seen, 0-1: AU25 from the gap between the lips, 26 and 27 from the jaw, 43 from
        the lids beyond where the gaze takes them, 5 and 7 as far as the lids leave them, the rest as intended, or on
        both sides alike where the rig moves both."""
        ...


class Rig(Protocol):
    """Where heads come from."""

    @property
    def name(self) -> str:
        """``ict`` or ``valid``."""
        ...

    def head(self, rng: np.random.Generator) -> Head:
        """A new person."""
        ...
