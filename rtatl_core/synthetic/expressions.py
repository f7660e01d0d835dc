"""What faces do at one moment: expressions, mixtures and single AUs, for stills.

Frequencies and combinations are ours, after the AU lists of EMFACS and the pain expression (Prkachin & Solomon 2008);
pairs that exclude each other are those that muscles or the rigs cannot do at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import AUS, EXTRAS, LEFT, RIGHT, ROW, SINGLE, Action

EXPRESSIONS: tuple[tuple[int, ...], ...] = (
    *((6, 12), (6, 12, 25), (12, 25), (12,), (6, 12, 25, 26), (1, 2, 12, 25), (6, 7, 12, 25)),
    *((1, 4), (1, 4, 15), (1, 4, 15, 17), (15, 17), (1, 4, 20)),
    *((1, 2, 5), (1, 2, 5, 26, 25), (1, 2, 5, 25, 27), (1, 2), (2,), (5,)),
    *((1, 2, 4, 5, 20, 25), (1, 2, 4, 5, 20, 25, 26), (1, 2, 4)),
    *((4, 5, 7, 23), (4, 7, 24), (4, 5, 7, 24), (4, 7), (4,), (4, 17, 24), (4, 7, 10, 25)),
    *((9, 10, 25), (4, 9, 7), (9, 17), (10, 25), (10, 17), (4, 10), (9,)),
    *((14,), (12, 14), (14, 17), (24,), (17, 24), (17,), (18,), (22, 25), (18, 25), (28,), (23,), (15,)),
    *((4, 6, 7, 9, 43), (4, 6, 7, 10, 43), (4, 6, 7, 10, 25, 43), (4, 7, 9, 10, 25)),
    *((43,), (43, 4, 7), (12, 43), (27, 25, 43), (7,), (6,), (6, 7)),
    *(
        (25, 26),
        (25,),
        (16, 25),
        (20, 25),
        (25, 26, 22),
        (25, 18),
        (10, 16, 25),
        (20, 26, 25),
        (26,),
        (27, 25),
        (24, 26),
    ),
)
EXCLUSIVE: frozenset[frozenset[int]] = frozenset(
    frozenset(pair)
    for pair in (
        *((5, 43), (26, 27), (18, 20), (18, 12), (12, 15), (22, 12), (22, 15), (22, 27), (22, 20), (22, 18)),
        *((28, 22), (28, 18), (28, 27), (28, 25), (28, 12), (28, 10), (28, 16), (28, 24), (28, 23), (28, 20)),
        *((24, 25), (24, 27), (24, 22), (24, 16), (24, 18), (23, 25), (23, 27), (23, 16), (14, 27), (14, 22)),
    )
)
NEUTRAL_SHARE, EXPRESSION_SHARE, SINGLE_SHARE = 0.16, 0.38, 0.2
"""Of stills; the rest are mixtures of one to five AUs."""
SPLIT_SHARE = 0.3
"""Share of stills whose halves do unrelated things. No face does, but only so do networks learn whose side is whose: on
symmetric faces either side's label can be read off the other."""
ONE_SIDED = 0.4
"""Share of AUs with sides in which one side is weaker; far more than on real faces, or networks learn no sides."""
EXTRA_SHARE = 0.08
GAZE_SPREAD = (0.25, 0.17)
_MOST_GAZE = (0.7, 0.5)
POSE_SPREAD = tuple(np.radians((17, 10, 7)))
_MOST_POSE = tuple(np.radians((50, 30, 25)))


def sample_still(rng: np.random.Generator) -> Action:
    """One random expression with gaze and, now and then, movements that no AU names."""
    aus = np.zeros((len(AUS), 2), np.float32)
    shown = possible(_wanted(rng))
    for au in shown:
        aus[ROW[au]] = _intensities(au, rng)
    if rng.random() < SPLIT_SHARE:
        whole = [au for au in shown if au in SINGLE]
        aus[[ROW[au] for au in shown if au not in SINGLE], RIGHT] = 0
        for au in possible(whole + [au for au in _wanted(rng) if au not in SINGLE])[len(whole) :]:
            aus[ROW[au], RIGHT] = _strength(rng)
    return Action(aus, sample_gaze(rng), _extras(rng))


def _wanted(rng: np.random.Generator) -> list[int]:
    """AUs of one face, perhaps some that cannot be shown together."""
    kind = rng.random() - NEUTRAL_SHARE
    if kind < 0:
        return []
    if kind < EXPRESSION_SHARE:
        expression = EXPRESSIONS[rng.integers(len(EXPRESSIONS))]
        return [*expression, *(int(au) for au in rng.choice(AUS, rng.integers(0, 3)))]
    if kind < EXPRESSION_SHARE + SINGLE_SHARE:
        return [int(rng.choice(AUS))]
    return [int(au) for au in rng.choice(AUS, rng.integers(1, 6))]


def possible(wanted: list[int]) -> list[int]:
    """Those of the AUs, first come first served, that exist and do not exclude one another."""
    kept: list[int] = []
    for au in wanted:
        if au in ROW and au not in kept and not any(frozenset((au, other)) in EXCLUSIVE for other in kept):
            kept.append(au)
    return kept


def _intensities(au: int, rng: np.random.Generator) -> Float32:
    sides = np.full(2, _strength(rng), np.float32)
    if au not in SINGLE and rng.random() < ONE_SIDED:
        sides[LEFT if rng.random() < 0.5 else RIGHT] *= rng.uniform(0, 1) if rng.random() < 0.5 else 0.0
    return sides


def _strength(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.08, 1) if rng.random() < 0.8 else rng.uniform(0, 0.3))


def _extras(rng: np.random.Generator) -> Mapping[str, float]:
    extras = {name: float(rng.uniform(0, 0.7)) for name in EXTRAS if rng.random() < EXTRA_SHARE / 2}
    if rng.random() < EXTRA_SHARE:
        extras |= dict.fromkeys(("cheek_puff_left", "cheek_puff_right"), float(rng.uniform(0, 0.8)))
    return extras


def sample_gaze(rng: np.random.Generator) -> tuple[float, float]:
    yaw, pitch = rng.normal(0, GAZE_SPREAD).clip(*(np.array(_MOST_GAZE) * sign for sign in (-1, 1)))
    return float(yaw), float(pitch)


def sample_pose(rng: np.random.Generator) -> tuple[float, float, float]:
    """(yaw, pitch, roll) of the head, radians; signs as in ``render.Stance``."""
    yaw, pitch, roll = rng.normal(0, POSE_SPREAD).clip(*(np.array(_MOST_POSE) * sign for sign in (-1, 1)))
    return float(yaw), float(pitch), float(roll)
