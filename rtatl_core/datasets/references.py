"""Stored faces of the same person, as the reference a network compares a face with (see rtatl_core/reference.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.handoffs import Float32
from rtatl_core.reference import unknown_reference

ABSENT = 0.35
"""Share of training faces that are shown without a reference, as single photos are."""
MOST = 8
"""A reference in training is the mean of one to so many pictures, so that networks expect anything from a moment to a
minute."""


class References:
    """What to compare each row of a store with: the mean of other rows of the same subject."""

    def __init__(self, store: ChipStore) -> None:
        self._geometry = store.geometry
        _, self._group = np.unique(store.subjects, return_inverse=True)
        self._rows = np.argsort(self._group, kind="stable")
        self._start = np.searchsorted(self._group[self._rows], np.arange(self._group.max(initial=-1) + 2))

    def others(self, row: int) -> NDArray[np.int64]:
        """The other rows of its subject."""
        group = self._group[row]
        rows = self._rows[self._start[group] : self._start[group + 1]]
        others: NDArray[np.int64] = rows[rows != row]
        return others

    def draw(self, row: int, rng: np.random.Generator) -> Float32:
        """(468, 3) mean of some of them, picked at random; NaN when there is none, and for a share of ``ABSENT``."""
        others = self.others(row)
        if not len(others) or rng.random() < ABSENT:
            return unknown_reference()
        return self._mean(rng.choice(others, min(len(others), int(rng.integers(1, MOST + 1))), replace=False))

    def mean(self, row: int) -> Float32:
        """(468, 3) mean of all of them; NaN when there is none."""
        others = self.others(row)
        return self._mean(others) if len(others) else unknown_reference()

    def _mean(self, rows: NDArray[np.int64]) -> Float32:
        mean: Float32 = self._geometry.take(rows).astype(np.float32).mean(axis=0)
        return mean


def means_of_people(flat: Float32, subjects: NDArray[np.str_]) -> Float32:
    """(n, d) values -> (n, d) mean of each row's subject."""
    _, group = np.unique(subjects, return_inverse=True)
    sums = np.zeros((group.max() + 1, flat.shape[1]), np.float32)
    np.add.at(sums, group, flat)
    return (sums / np.bincount(group)[:, None].astype(np.float32))[group]
