"""Stored faces of the same person, as the reference a network compares a face with (see rtatl_core/reference.py)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.teacher import weak_labels
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.reference import calmness, expressed, unknown_reference

ABSENT = 0.35
"""Share of training faces that are shown without a reference, as single photos are."""
MOST = 8
"""A reference in training is the mean of one to so many pictures, so that networks expect anything from a moment to a
minute."""


class References:
    """What to compare each row of a store with: the mean of other rows of the same subject, in which, as live, a row
    counts the less the more its face shows than the calmest of them. shows: (n,) see ``expressed``; None: all alike."""

    def __init__(self, store: ChipStore, shows: Float32 | None = None) -> None:
        self._geometry = store.geometry
        self._shows = np.zeros(len(store), np.float32) if shows is None else shows
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
        shows = self._shows[rows]
        weights = calmness(shows - shows.min())
        mean: Float32 = np.tensordot(weights / weights.sum(), self._geometry.take(rows).astype(np.float32), axes=1)
        return mean


def shown_by_labels(store: ChipStore, aus: tuple[int, ...], *, weak: bool) -> Float32:
    """(n,) how much each row shows (``expressed``) by its codes, an AU whose intensity is not coded counting as FACS A
    where it occurs; or by what is taught of real faces (``weak``)."""
    labels = np.zeros((len(store), len(aus)), np.float32)
    if weak:
        for row in range(len(store)):
            stand_ins, rated = (None if table is None else table[row] for table in (store.teacher, store.rated))
            labels[row] = weak_labels(stand_ins, rated, aus)
    elif store.intensity is not None and store.occurrence is not None:
        labels = np.where(np.isnan(store.intensity), store.occurrence, store.intensity) / np.float32(MAX_INTENSITY)
    return expressed(np.nan_to_num(labels))


def means_of_people(flat: Float32, subjects: NDArray[np.str_]) -> Float32:
    """(n, d) values -> (n, d) mean of each row's subject."""
    _, group = np.unique(subjects, return_inverse=True)
    sums = np.zeros((group.max() + 1, flat.shape[1]), np.float32)
    np.add.at(sums, group, flat)
    return (sums / np.bincount(group)[:, None].astype(np.float32))[group]
