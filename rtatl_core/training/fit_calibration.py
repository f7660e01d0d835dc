"""Raw output on labelled faces and on real ones -> a model's calibration."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.calibration import Calibration
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.teacher import CLEAR, at_rest, clearly_shown
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL

REST_QUANTILE = 0.2
"""Share of real video frames in which an AU is taken to be at rest or below, where no teacher says which."""
FALSE_ALARMS = 0.03
"""Share of real faces without an AU that may read 1 (FACS A) or more: what limits the gain."""
RARE_FALSE_ALARMS, FEW_LACKING = 0.01, 100
"""The share that does read 1 of an AU that raters looked for and hardly ever saw, and how many faces must lack it for
that: rendered faces do not tell how little real ones make the network say. About as many false alarms as there are
faces with the AU give the best F1 (docs/LOG.md)."""
FEW_RESTING = 20
"""Fewer real resting faces than this limit no gain by themselves."""
FEW_CLEAR = 15
"""Fewer real faces that clearly show an AU say nothing; labelled ones do then."""
CLEAR_READS = 4.0
"""What a real face that clearly shows an AU should read."""
SHOWN_RATED, CLEAR_RATED, FEW_RATED = 1.0, 2.0, 8
"""Ratings from which on a face shows an AU, and shows it clearly, and how many such faces say something."""
AS_RATED = 1.15
"""What faces that show an AU should read in the median, in units of their median rating. A little more than 1, because
most ratings are 1 or little more: with 1, half of those faces would read less and count as without the AU."""
CLEAR_LABEL, FEW_LABELLED = 0.6, 8
"""Label from which on a face clearly shows an AU, and how many such faces say something."""
MIN_BOOST, MAX_BOOST, LABELLED_BOOST = 0.5, 3.0, 1.5
"""Under 1 only where raters saw less than is read (``_most``); at most LABELLED_BOOST where only labelled faces call
for it, above all of AUs that are told badly: more stretches mistakes."""
MAX_GAIN = 4.0
CAUTIOUS_GAIN = 2.0
"""Where there are too few resting faces to limit it."""
OFFSET_LIMITS = (-0.05, 0.35)
FRAMES_PER_CLIP = 8


_NONE = np.empty(0, np.float32)


class Heard(NamedTuple):
    """Real faces, and what a network says of them."""

    source: Source
    """Its rows ascend."""
    said: Float32
    """(len(source.rows), n_aus) raw intensity."""

    @classmethod
    def of(cls, source: Source, network: RTATL) -> Self:
        return cls(source, predict_store(network, source.store, source.rows).intensity)


class Judged(NamedTuple):
    """Raw output of one AU on real faces that the teacher, or raters (data.ratings), judge."""

    resting: Float32 = _NONE
    """On faces at rest without the AU, a few frames of each clip."""
    absent: Float32 = _NONE
    """On these and on moving ones that were rated to lack it, as smiles lack most. Of an AU that raters hardly ever
    saw clearly, faces at rest count as lacking it on which they could not tell."""
    clear: Float32 = _NONE
    """On faces that clearly show it; empty where too few are known."""
    reads: float = CLEAR_READS
    """What the clear ones should read in the median, 0-5."""
    shown: Float32 = _NONE
    """On faces on which raters saw it, clearly or not; empty where too few are known."""
    rated: float = float("nan")
    """The median rating of these, 0-5."""
    lacking: Float32 = _NONE
    """On faces that were rated to lack it, of an AU that raters looked for on ``FEW_LACKING`` or more and hardly saw;
    else empty."""

    def over(self, offset: float) -> Judged:
        """The same over what is read as 0."""
        return self._replace(
            resting=self.resting - offset,
            absent=self.absent - offset,
            clear=self.clear - offset,
            shown=self.shown - offset,
            lacking=self.lacking - offset,
        )


def real_output(heard: Sequence[Heard], aus: tuple[int, ...], *, coded: bool = False) -> list[Judged]:
    """For each AU. ``coded``: there are codes of real people, which tell more of an AU that raters hardly saw."""
    found: list[_Found] = [_Found([], [], [], [], [], [], []) for _ in aus]
    for (store, rows, *_), said in heard:
        if store.teacher is None:
            continue
        few = spread(store, rows)
        rated = np.full(said.shape, np.nan, np.float32) if store.rated is None else store.rated[rows]
        is_rated = store.is_rated[rows]
        for j, au in enumerate(aus):
            calm = few & at_rest(store.teacher[rows], au)
            lacks = np.where(is_rated, few & (rated[:, j] == 0), calm)
            found[j].resting.append(said[calm & lacks, j])
            found[j].absent.append(said[lacks, j])
            found[j].lacking.append(said[lacks & is_rated & (not coded), j])
            found[j].undecided.append(said[calm & is_rated & np.isnan(rated[:, j]), j])
            if au in CLEAR:
                clear = clearly_shown(store.teacher[rows], au) & ~(rated[:, j] == 0)
                found[j].taught.append(said[few & clear, j])
            seen = few & (rated[:, j] >= SHOWN_RATED)
            found[j].seen.append(said[seen, j])
            found[j].ratings.append(rated[seen, j])
    return [one.judged() for one in found]


class Seen(NamedTuple):
    """Raw output of one AU on faces, trained ones too, on which raters clearly saw it."""

    raw: Float32
    rating: float
    """Their median rating, 0-5."""


def seen_output(heard: Sequence[Heard], aus: tuple[int, ...]) -> list[Seen | None]:
    """For each AU; None where raters saw it clearly on fewer than ``FEW_RATED`` faces."""
    found: list[tuple[list[Float32], list[Float32]]] = [([_NONE], [_NONE]) for _ in aus]
    for (store, rows, *_), said in heard:
        if store.rated is None:
            continue
        few = spread(store, rows)
        for j, (raw, ratings) in enumerate(found):
            seen = few & (store.rated[rows, j] >= CLEAR_RATED)
            raw.append(said[seen, j])
            ratings.append(store.rated[rows, j][seen])
    pairs = [(np.concatenate(raw), np.concatenate(ratings)) for raw, ratings in found]
    return [Seen(raw, float(np.median(ratings))) if len(raw) >= FEW_RATED else None for raw, ratings in pairs]


def spread(store: ChipStore, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(len(rows),) all photos, and of each clip ``FRAMES_PER_CLIP`` frames or some more (under twice as many), rated
    ones where there are any: one person's frames must not outweigh many people."""
    chosen = np.ones(len(rows), np.bool_)
    for clip in np.unique(store.clips[rows]):
        mine = np.flatnonzero(store.clips[rows] == clip)
        if clip:
            chosen[mine] = False
            rated = mine[store.is_rated[rows[mine]]]
            pool = rated if len(rated) else mine
            chosen[pool[:: max(1, len(pool) // FRAMES_PER_CLIP)]] = True
    return chosen


class _Found(NamedTuple):
    """Raw output of one AU on faces of these kinds, store by store."""

    resting: list[Float32]
    absent: list[Float32]
    lacking: list[Float32]
    """Of these, rated ones, without codes of real people."""
    undecided: list[Float32]
    """At rest, but raters cannot tell."""
    taught: list[Float32]
    """Clear by the teacher."""
    seen: list[Float32]
    """With a rating of ``SHOWN_RATED`` or more."""
    ratings: list[Float32]
    """How strong raters saw it on the faces of ``seen``."""

    def judged(self) -> Judged:
        resting, absent, lacking, undecided, taught, seen, ratings = (np.concatenate([_NONE, *part]) for part in self)
        is_clear = ratings >= CLEAR_RATED
        if is_clear.sum() < FEW_RATED:
            resting, absent = (np.concatenate([part, undecided]) for part in (resting, absent))
        found = Judged(resting, absent)
        if len(seen) >= FEW_RATED:
            found = found._replace(shown=seen, rated=float(np.median(ratings)))
        if len(taught) >= FEW_CLEAR:
            return found._replace(clear=taught)
        if len(seen) < FEW_RATED and len(lacking) >= FEW_LACKING:
            return found._replace(lacking=lacking)
        if is_clear.sum() >= FEW_RATED:
            return found._replace(clear=seen[is_clear], reads=float(np.median(ratings[is_clear])))
        return found


def fit_calibration(
    raw: Float32,
    truth: Float32,
    real: list[Float32],
    judged: Sequence[Judged] | None = None,
    seen: Sequence[Seen | None] = (),
) -> Calibration:
    """Per-AU offset, gain and boost (``_offset``, ``_gain``, ``_boost``); neutral for AUs without a coded face.

    raw, truth: (n, n_aus) on 0-1 for held-out labelled faces. real: raw output on each clip of real video, (m, n_aus).
    judged: raw output on real faces that a teacher or raters judge; seen: on faces on which raters saw the AU.
    """
    offset = np.zeros(raw.shape[1], np.float32)
    gain, boost = np.ones_like(offset), np.ones_like(offset)
    for j, labelled in enumerate(_columns(raw, truth)):
        if not len(labelled.raw):
            continue
        faces = judged[j] if judged is not None else Judged()
        offset[j] = _offset(labelled, faces, [clip[:, j] for clip in real])
        over = faces.over(offset[j])
        gain[j] = _gain(labelled.over(offset[j]), over)
        boost[j] = _boost(labelled, gain[j], labelled.clear - offset[j], over)
        if seen and (shown := seen[j]) is not None:
            boost[j] = min(boost[j], _most(gain[j], shown.raw - offset[j], shown.rating))
    return Calibration(gain=gain, offset=offset, boost=boost)


def _offset(labelled: _Labelled, faces: Judged, clips: Sequence[Float32]) -> float:
    """What the network says at rest, within ``OFFSET_LIMITS``: the median of the resting faces; without enough of
    them the ``REST_QUANTILE`` of a clip, in the median over clips; without clips, the median of labelled faces that do
    not show the AU."""
    if len(faces.resting) >= FEW_RESTING:
        at_rest = np.median(faces.resting)
    elif clips:
        at_rest = np.median([np.quantile(clip, REST_QUANTILE) for clip in clips])
    else:
        at_rest = np.float64(labelled.at_rest)
    return float(at_rest.clip(*OFFSET_LIMITS))


def _gain(labelled: _Labelled, faces: Judged) -> float:
    """What lets faces on which raters saw the AU read ``AS_RATED``; where they looked for it and hardly saw it, what
    lets ``RARE_FALSE_ALARMS`` of them read 1; where nobody judged, what undoes the shrinking of uncertain regression
    (``_wanted``). At least 1, else at most what lets ``FALSE_ALARMS`` of the faces without the AU read 1, labelled ones
    where no others were judged: more would amplify what is noise. All over the offset."""
    if len(faces.lacking):
        return max(1.0, min(_gain_to_one(float(np.quantile(faces.lacking, 1 - RARE_FALSE_ALARMS))), MAX_GAIN))
    absent = faces.absent if len(faces.absent) >= FEW_RESTING else labelled.absent
    most = CAUTIOUS_GAIN
    if len(absent) >= FEW_RESTING:
        most = min(MAX_GAIN, _gain_to_one(float(np.quantile(absent, 1 - FALSE_ALARMS))))
    wanted = _wanted(labelled, faces)
    if len(faces.shown) and (says := float(np.median(faces.shown))) > 0:
        wanted = AS_RATED * faces.rated * _gain_to_one(says)
    return max(1.0, min(wanted, most))


class _Labelled(NamedTuple):
    """Labelled faces of one AU: raw output and truth on 0-1, only where it is coded."""

    raw: Float32
    truth: Float32

    def over(self, offset: float) -> _Labelled:
        """The same over what is read as 0."""
        return self._replace(raw=self.raw - np.float32(offset))

    @property
    def absent(self) -> Float32:
        """Output where the AU is not shown."""
        return self.raw[self.truth < 0.02]

    @property
    def at_rest(self) -> float:
        """Its median."""
        return float(np.median(self.absent)) if len(self.absent) else 0.0

    @property
    def clear(self) -> Float32:
        """Output where it is clearly shown."""
        return self.raw[self.truth >= CLEAR_LABEL]


def _columns(raw: Float32, truth: Float32) -> Iterator[_Labelled]:
    for output, label in zip(raw.T, truth.T, strict=True):
        known = np.isfinite(label)
        yield _Labelled(output[known], label[known])


def _gain_to_one(highest: float) -> float:
    """The gain with which so much over the offset reads 1."""
    return 1 / (MAX_INTENSITY * max(highest, 1e-6))


def _wanted(labelled: _Labelled, faces: Judged) -> float:
    """The gain that undoes shrinking: spread of the labels over spread of the output, or more where real faces that
    clearly show the AU would read under three quarters of what they should. faces: over the offset."""
    wanted = float(labelled.truth.std()) / max(float(labelled.raw.std()), 1e-6)
    if len(faces.clear):
        wanted = max(wanted, 0.75 * faces.reads * _gain_to_one(float(np.median(faces.clear))))
    return wanted


def _boost(labelled: _Labelled, gain: float, shown: Float32, faces: Judged) -> float:
    """What lets faces that clearly show the AU read what they should in the median: real ones where enough are known;
    where raters saw it, but too rarely clearly, 1; elsewhere labelled ones (shown) of ``CLEAR_LABEL`` or more the mean
    of their labels. shown, faces: over the offset."""
    most, should_read = MAX_BOOST, faces.reads
    if len(faces.clear):
        shown = faces.clear
    elif len(faces.shown):
        return 1.0
    else:
        most = LABELLED_BOOST
        should_read = MAX_INTENSITY * float(labelled.truth[labelled.truth >= CLEAR_LABEL].sum()) / max(1, len(shown))
    if len(shown) < FEW_LABELLED:
        return 1.0
    reads = MAX_INTENSITY * gain * float(np.median(shown))
    return float(np.clip((should_read - 1) / max(reads - 1, 1e-6), 1.0, most))


def _most(gain: float, shown: Float32, rating: float) -> float:
    """The boost with which faces so rated read their rating in the median; no limit where none reads over 1."""
    reads = MAX_INTENSITY * gain * float(np.median(shown))
    return max(MIN_BOOST, (rating - 1) / (reads - 1)) if reads > 1 else float("inf")
