"""Which frame of its clip the optical flow of a frame leads to: one a few tenths of a second later, or one at rest.

The paper does not tell us its pairs; both are our choice (``NetworkConfig.flow_to``). What comes next can hardly be
told from one picture, how far a face has moved from rest can.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.errors import RecipeError
from rtatl_core.handoffs import Float32

CALMEST, MOST = 0.2, 500
"""Share of a clip's frames that count as its rest, and how many of these at most are compared with each frame: all of
an hour's video would take minutes and tens of gigabytes."""
_SAME_S = 1e-6
"""Times that differ by less are the same."""


def frame_pairs(store: ChipStore, to: str, gap_s: float) -> NDArray[np.int64]:
    """(n, 2) rows of frames and of the frame of the same clip that each leads to (``partners``)."""
    partner = partners(store, to, gap_s)
    first = np.flatnonzero(partner >= 0)
    return np.stack([first, partner[first]], axis=1)


def partners(store: ChipStore, to: str, gap_s: float) -> NDArray[np.int64]:
    """(N,) for each row the row of its clip that its flow leads to; -1 = none.

    to: "later" = the frame ``gap_s`` later, to within a quarter of it; parts with such flow of their own say which.
    "rest" = a frame at rest (``resting_rows``); the row itself where the store has its flow to the same face at rest.
    Raises RecipeError when stored flow leads over another gap."""
    own = np.arange(len(store))
    if to == "rest":
        return np.where(store.flow_to == own, own, resting_rows(store))
    require_flow_gap(store, gap_s)
    stored = (store.flow_row >= 0) & (store.flow_to != own)
    return np.where(stored, store.flow_to, later_rows(store.clips, store.times, gap_s))


def require_flow_gap(store: ChipStore, gap_s: float) -> None:
    """Raises RecipeError when the flow that the store holds leads to frames at another distance."""
    first = np.flatnonzero((store.flow_to >= 0) & (store.flow_to != np.arange(len(store))))
    if not len(first):
        return
    stored = float(np.median(store.times[store.flow_to[first]] - store.times[first]))
    if abs(stored - gap_s) > gap_s / 4:
        raise RecipeError(
            f"{store.folder} holds flow to the frame {stored:.3g} s later, but network.flow_gap_s is {gap_s:g}; "
            f"write network.flow_gap_s = {stored:.3g}, or use a folder without stored flow (prepared without --flow)"
        )


def later_rows(clips: NDArray[np.str_], times: NDArray[np.float64], gap_s: float) -> NDArray[np.int64]:
    """(N,) for each row the row of the same clip (empty = a still, has none) nearest to ``gap_s`` later, to within a
    quarter of it; -1 = none, as where the clip ends before. Of two that are equally near it is the later one."""
    result = np.full(len(clips), -1, np.int64)
    for rows in _clips_in_time(clips, times):
        at = times[rows]
        later = np.searchsorted(at, at + gap_s - _SAME_S)  # the first that is not earlier than wanted
        place = np.flatnonzero(later < len(rows))  # where the clip lasts that long
        beside = np.stack([later[place], later[place] - 1])  # the candidates after and before
        off = np.abs(at[beside] - at[place] - gap_s)
        nearest = np.where(off[1] < off[0] - _SAME_S, beside[1], beside[0])
        near = off.min(axis=0) <= gap_s / 4 + _SAME_S
        result[rows[place[near]]] = rows[nearest[near]]
    return result


def resting_rows(store: ChipStore) -> NDArray[np.int64]:
    """(N,) for each row another one of the same clip on which the face is at rest: of the clip's ``CALMEST`` frames
    the one whose head is turned most alike, since alignment leaves some of the head's turning in the picture. -1 for
    stills, clips of one frame and clips of which nothing is told."""
    result = np.full(len(store), -1, np.int64)
    moved = _expression(store)
    turned = np.nan_to_num(np.stack([store.yaw, store.pitch], axis=1))
    for rows in _clips_in_time(store.clips, store.times):
        count = max(2, round(CALMEST * len(rows)))
        calmest = rows[np.argsort(moved[rows], kind="stable")[:count]]
        every = math.ceil(len(calmest) / MOST)
        calmest = calmest[np.isfinite(moved[calmest])][::every]
        apart = np.linalg.norm(turned[rows, None] - turned[None, calmest], axis=-1)
        apart[rows[:, None] == calmest] = np.inf
        found = np.isfinite(apart).any(axis=1)
        if found.any():
            result[rows[found]] = calmest[apart[found].argmin(axis=1)]
    return result


def _expression(store: ChipStore) -> Float32:
    """(N,) how much of an expression each face shows: by its codes, else its blendshapes (infinite where these tell
    nothing of the face), else how far its landmarks lie from their median over the clip."""
    shown = store.teacher
    if store.intensity is not None:
        assert store.occurrence is not None
        shown = np.where(np.isnan(store.intensity), store.occurrence, store.intensity)  # present, strength unknown
    if shown is not None:
        whole: Float32 = np.nan_to_num(shown).sum(axis=1, dtype=np.float32)
        whole[np.isnan(shown).all(axis=1)] = np.inf
        return whole
    moved = np.zeros(len(store), np.float32)
    for rows in _clips_in_time(store.clips, store.times):
        geometry = store.geometry.take(rows).astype(np.float32)
        moved[rows] = np.linalg.norm(geometry - np.median(geometry, axis=0), axis=-1).mean(axis=1)
    return moved


def _clips_in_time(clips: NDArray[np.str_], times: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """The rows of each clip in the order of their times; stills, whose clip is empty, left out."""
    order = np.lexsort((times, clips))
    bounds = np.flatnonzero(np.r_[True, clips[order][1:] != clips[order][:-1], True])
    return [order[start:stop] for start, stop in pairwise(bounds) if clips[order[start]]]
