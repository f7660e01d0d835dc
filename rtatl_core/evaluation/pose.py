"""Whether readings follow the head's turning, over faces that lack the AU: of many people, or within clips.

Readings of few people, or of frames that follow each other, follow anything a little. So each number stands beside
what chance makes: readings that belong to other faces, or to other moments of the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.groups import YAW_BINS, head_turn
from rtatl_core.evaluation.metrics import pcc, rounded
from rtatl_core.evaluation.rated import FEW
from rtatl_core.evaluation.readings import in_time
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32

TURNS = ("yaw", "abs_yaw", "pitch")
"""What of the head's turning readings may follow; |yaw| is from the camera to either side."""
SHUFFLES = 100
STILL = 1e-6
"""Readings that spread by less are all the same."""


def pose_where_absent(
    values: Float32,
    rated: Float32,
    people: NDArray[np.str_],
    yaw: Float32,
    pitch: Float32,
    aus: tuple[int, ...],
) -> dict[str, dict[str, Any]]:
    """AU -> over the first face of each person that raters saw lack it: their number, the PCC with each of
    ``TURNS``, and

    - by_chance: the largest size of the three that readings have which belong to other faces, in the mean over
      ``SHUFFLES``
    - reads: head turn (``groups.head_turn``) -> mean reading, None of fewer than ``FEW`` faces

    AUs that fewer than ``FEW`` faces lack, or that read the same on all, are left out.

    values: (n, n_aus) on 0-5; rated: (n, n_aus) on 0-5, NaN = nobody can tell; people: (n,) who is seen; yaw, pitch:
    (n,) degrees.
    """
    rng = np.random.default_rng(0)
    turned = np.array([head_turn(float(angle)) for angle in yaw])
    result = {}
    for j, au in enumerate(aus):
        absent = np.flatnonzero(rated[:, j] == 0)
        absent = absent[np.sort(np.unique(people[absent], return_index=True)[1])]
        read = values[absent, j]
        if len(read) < FEW or read.std() < STILL:
            continue
        by_turn = {name: read[turned[absent] == name] for _, name in YAW_BINS}
        result[au_label(au)] = {
            "faces": len(read),
            **_follows(read, _turns(yaw, pitch)[absent], (rng.permutation(read) for _ in range(SHUFFLES))),
            "reads": {name: rounded(some.mean(), 2) if len(some) >= FEW else None for name, some in by_turn.items()},
        }
    return result


class Calm(NamedTuple):
    """A store's faces at rest."""

    store: ChipStore
    values: Float32
    """(n, n_aus) on 0-5."""
    at_rest: NDArray[np.bool_]
    """(n, n_aus)."""


def pose_within_clips(faces: Sequence[Calm], aus: tuple[int, ...]) -> dict[str, dict[str, Any]]:
    """AU -> over faces at rest, each clip and all stills about their own mean, so that it is the head's turning that
    counts and not who is seen from where: the PCC with each of ``TURNS``, and by_chance: the largest size of the three
    if the readings of each clip are moved in time, and those of stills shuffled, in the mean over ``SHUFFLES``.

    Of movements slower than the clips, chance makes more than that: what drifts all along, moved, is a drift with a
    jump.
    """
    rng = np.random.default_rng(0)
    result = {}
    for j, au in enumerate(aus):
        clips = [clip for one in faces for clip in _Clip.of(one, j)]
        if sum(len(clip.read) for clip in clips) < FEW:
            continue
        read, turns = (
            np.concatenate(parts) for parts in zip(*((clip.read, clip.turns) for clip in clips), strict=True)
        )
        if read.std() >= STILL:
            moved = (np.concatenate([clip.moved(rng) for clip in clips]) for _ in range(SHUFFLES))
            result[au_label(au)] = _follows(read, turns, moved)
    return result


class _Clip(NamedTuple):
    """Faces at rest of one clip in the order of time, or stills; about their mean."""

    read: Float32
    turns: Float32
    """(n, 3)."""
    in_time: bool

    @classmethod
    def of(cls, faces: Calm, column: int) -> list[Self]:
        store, rows = faces.store, np.flatnonzero(faces.at_rest[:, column])
        found = []
        for clip in np.unique(store.clips[rows]):
            mine = in_time(store, rows[store.clips[rows] == clip])
            read, turns = faces.values[mine, column], _turns(store.yaw[mine], store.pitch[mine])
            found.append(cls(read - read.mean(), turns - turns.mean(axis=0), bool(clip)))
        return found

    def moved(self, rng: np.random.Generator) -> Float32:
        """The readings of other moments: what was told late comes first."""
        return np.roll(self.read, rng.integers(len(self.read))) if self.in_time else rng.permutation(self.read)


def _turns(yaw: Float32, pitch: Float32) -> Float32:
    """(n,) degrees each -> (n, 3), see ``TURNS``."""
    turns: Float32 = np.stack([yaw, np.abs(yaw), pitch], axis=1)
    return turns


def _follows(read: Float32, turns: Float32, others: Iterable[Float32]) -> dict[str, float | None]:
    """PCC of readings with each of ``TURNS``, None where there is none, and by_chance, of these others."""

    def told(read: Float32) -> dict[str, float | None]:
        return {name: rounded(pcc(read, turn), 2) for name, turn in zip(TURNS, turns.T, strict=True)}

    chance = np.mean([largest(told(other)) for other in others])
    return {**told(read), "by_chance": rounded(chance, 2)}


def largest(follows: Mapping[str, float | None]) -> float:
    """The largest of the correlations with ``TURNS``, whatever their sign."""
    return max(abs(follows[name] or 0.0) for name in TURNS)
