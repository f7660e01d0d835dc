"""How far a network agrees with codes, and with the teacher within clips of real faces."""

from __future__ import annotations

import numpy as np

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.teacher import TEACHER_SHAPES, stand_in
from rtatl_core.evaluation.metrics import auc, f1, icc31, pcc
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL

TEACHER_MOVES = 0.05
"""Standard deviation within a clip from which on the teacher says something about its AU."""
_FEW_FRAMES = 10
"""Fewer frames of a clip say nothing."""


def coded_agreement(network: RTATL, source: Source) -> dict[str, float]:
    """Means over AUs: pcc and icc31 of the intensity, f1 (threshold .5) and auc of the occurrence head; only what is
    coded, and f1 and auc only of AUs that are coded present and absent: where nobody shows an AU, its F1 is 0 for one
    false alarm and unknown for none, and the mean would jump."""
    store, rows = source.store, source.rows
    assert store.intensity is not None
    assert store.occurrence is not None
    said = predict_store(network, store, rows)
    scores: dict[str, list[float]] = {"pcc": [], "icc31": [], "f1": [], "auc": []}
    for j in range(len(store.aus)):
        truth = store.intensity[rows, j] / MAX_INTENSITY
        if np.isfinite(truth).any():
            scores["pcc"].append(pcc(said.intensity[:, j], truth))
            scores["icc31"].append(icc31(said.intensity[:, j], truth))
        seen = np.isfinite(store.occurrence[rows, j])
        present, logit = store.occurrence[rows, j][seen] == 1, said.occurrence[seen, j]
        if 0 < present.sum() < len(present):
            scores["f1"].append(f1(logit >= 0, present))
            scores["auc"].append(auc(logit, present))
    return {name: float(np.nanmean(values)) for name, values in scores.items() if np.isfinite(values).any()}


def clip_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, list[float]]:
    """AU -> PCC between prediction and teacher in each clip where the teacher moves, over the frames where it knows the
    AU; AUs that never move are left out."""
    assert store.teacher is not None
    result: dict[int, list[float]] = {}
    for au in TEACHER_SHAPES.keys() & set(aus):
        taught = stand_in(store.teacher, au)
        clips = [np.flatnonzero((store.clips == clip) & np.isfinite(taught)) for clip in np.unique(store.clips)]
        moving = [rows for rows in clips if len(rows) >= _FEW_FRAMES and taught[rows].std() > TEACHER_MOVES]
        scores = [pcc(values[rows, aus.index(au)], taught[rows]) for rows in moving]
        if scores:
            result[au] = scores
    return dict(sorted(result.items()))


def teacher_agreement(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[int, float]:
    """AU -> mean of ``clip_agreement``."""
    return {au: float(np.mean(scores)) for au, scores in clip_agreement(store, values, aus).items()}
