"""Faces at rest of other people, for rendered expressions to be moved onto.

A network that knows rendered people only takes real people's looks for expressions. In the geometry stream that can be
mended without a picture: what an expression moves, added to the resting landmarks of somebody else, is that person's
expression, and the labels stay true. Real people are taken where there are any, since they are what the renders lack.
Ours; not of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.augment import mirror_geometry
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.teacher import at_rest
from rtatl_core.handoffs import Float32

REAL = 0.7
"""Share of exchanges for a real person, the others are for another rendered one."""
_NOTHING = 0.1
"""Intensity (0-5) below which a coded face shows nothing."""


class RestingFaces:
    """Resting geometry of everybody: by their codes in ``store``, by the teacher in ``real``."""

    def __init__(self, store: ChipStore, rows: NDArray[np.int64], real: Sequence[tuple[ChipStore, NDArray[np.int64]]]):
        """rows: those of ``store`` that may be used; real: stores with the rows that may be."""
        self._subjects = store.subjects
        self._own = _mean_of_each(store, rows[_codes_say_nothing(store, rows)])
        self._rendered = [*self._own.values()]
        self._real = [face for others, theirs in real for face in _calm_faces(others, theirs)]

    def move(self, row: int, rng: np.random.Generator) -> Float32:
        """(468, 3) from this row's person at rest to another one at rest; 0 where the former is not known."""
        own = self._own.get(str(self._subjects[row]))
        if own is None:
            return np.zeros((1, 3), np.float32)
        if self._real and rng.random() < REAL:
            person = self._real[rng.integers(len(self._real))]
            other = person[rng.integers(len(person))]
        else:
            other = self._rendered[rng.integers(len(self._rendered))]
        return (mirror_geometry(other) if rng.random() < 0.5 else other) - own


def _codes_say_nothing(store: ChipStore, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    codes = store.intensity if store.sides is None else store.sides.reshape(len(store), -1)
    assert codes is not None
    nothing: NDArray[np.bool_] = np.isfinite(codes[rows]).any(axis=1) & ~(codes[rows] >= _NOTHING).any(axis=1)
    return nothing


def _mean_of_each(store: ChipStore, rows: NDArray[np.int64]) -> dict[str, Float32]:
    """Subject -> (468, 3) mean of these rows."""
    subjects = store.subjects[rows]
    order = np.argsort(subjects, kind="stable")
    names, starts = np.unique(subjects[order], return_index=True)
    groups = np.split(rows[order], starts[1:])
    return {
        str(name): store.geometry.take(mine).astype(np.float32).mean(axis=0)
        for name, mine in zip(names, groups, strict=True)
    }


def _calm_faces(store: ChipStore, rows: NDArray[np.int64]) -> list[Float32]:
    """(n, 468, 3) of each person whom the teacher sees at rest."""
    if store.teacher is None:
        return []
    calm = rows[at_rest(store.teacher[rows])]
    return [
        store.geometry.take(calm[store.subjects[calm] == person]).astype(np.float32)
        for person in np.unique(store.subjects[calm])
    ]
