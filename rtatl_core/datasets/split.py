"""A recipe's folders -> who trains, who validates, who is kept for the test."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.protocols import hold_out, require_apart, test_subjects
from rtatl_core.datasets.ratings import Ratings, read_ratings
from rtatl_core.errors import RecipeError
from rtatl_core.handoffs import Float32
from rtatl_core.recipe import DataConfig


@dataclass(frozen=True, slots=True)
class TrainingData:
    """No subject is in more than one of training, validation and test."""

    aus: tuple[int, ...]
    labelled: Source | None
    unlabelled: tuple[Source, ...]
    validation: Source | None
    """Coded faces of held-out subjects; without labelled data, uncoded ones. None where there are too few."""
    test: frozenset[str]
    """Subjects of the test fold, which appear nowhere else."""
    selection: ChipStore | None
    calibration: ChipStore | None
    aside: ChipStore | None

    @property
    def side(self) -> int:
        source = self.labelled or self.unlabelled[0]
        return source.store.layout.side

    @property
    def judges(self) -> list[str]:
        """Everybody by whose face the mixture, zero and gain were set, and who was not trained on."""
        return _judges(self.selection, self.calibration)

    @property
    def subjects(self) -> list[str]:
        """Everybody whose face is trained on, coded or not; rendered faces are nobody's."""
        sources = (*((self.labelled,) if self.labelled else ()), *self.unlabelled)
        people = (source.rows[~source.store.rendered[source.rows]] for source in sources)
        names = (source.store.subjects[rows] for source, rows in zip(sources, people, strict=True))
        return sorted({str(name) for part in names for name in np.unique(part)})


def _judges(*stores: ChipStore | None) -> list[str]:
    return sorted({str(name) for store in stores if store is not None for name in np.unique(store.subjects)})


def split(config: DataConfig, seed: int) -> TrainingData:
    """Raises RecipeError when a folder cannot be used, folders do not fit together, or a side is empty."""
    real = (_with_teacher(folder) for folder in (config.selection, config.calibration, config.aside))
    selection, calibration, aside = real
    unlabelled, repeats = [ChipStore.open(Path(folder)) for folder in config.unlabelled], _repeats(config)
    if not config.labelled:
        return _without_codes(config, unlabelled, repeats, seed, selection, calibration, aside)
    store = ChipStore.open(*(Path(folder) for folder in config.labelled))
    if store.intensity is None:
        raise RecipeError(f"{store.folder} has no AU codes; data.labelled needs some")
    store = only_aus(store, config.aus or store.aus)
    if config.ratings:
        ratings = read_ratings(Path(config.ratings))
        _require_unique(ratings, [*unlabelled, calibration, selection])
        unlabelled = [_rated(other, ratings, store.aus) for other in unlabelled]
        calibration, selection = (
            None if one is None else _rated(one, ratings, store.aus) for one in (calibration, selection)
        )
        if not any(one is not None and one.is_rated.any() for one in (*unlabelled, calibration, selection)):
            raise RecipeError(f"{config.ratings} rates nothing of the data's folders; check the names in it")
    for other in unlabelled:
        if other.layout != store.layout:
            raise RecipeError(
                f"{other.folder} has chips of {other.layout.side} px, {store.folder} of {store.layout.side}; "
                "prepare both with the same --side"
            )
    test = frozenset[str]()
    if config.protocol:
        test = test_subjects(config.protocol, config.fold, (str(name) for name in store.subjects))
    free = ~np.isin(store.subjects, sorted(test)) & store.labelled
    if not free.any():
        raise RecipeError(f"{store.folder} has no coded face of these AUs outside the test fold")
    kept = hold_out(store.subjects[free], config.held_out, seed)
    require_apart(kept, test)
    validates = free & np.isin(store.subjects, sorted(kept))
    rows = np.flatnonzero(free & ~validates)
    with_codes = _pick(rows, config.label_share, seed)
    rest = np.setdiff1d(rows, with_codes)
    sources = [Source(store, rest, labels=False)] if len(rest) else []
    judging = _judges(selection, calibration, aside)
    for other, repeat in zip(unlabelled, repeats, strict=True):
        may = np.flatnonzero(~np.isin(other.subjects, [*test, *kept, *judging]))
        if len(may):
            sources.append(Source(other, may, labels=False, repeat=repeat))
    return TrainingData(
        aus=store.aus,
        labelled=Source(store, with_codes, labels=True),
        unlabelled=tuple(sources),
        validation=Source(store, np.flatnonzero(validates), labels=True),
        test=test,
        selection=selection,
        calibration=calibration,
        aside=aside,
    )


def _without_codes(
    config: DataConfig,
    stores: list[ChipStore],
    repeats: tuple[int, ...],
    seed: int,
    selection: ChipStore | None,
    calibration: ChipStore | None,
    aside: ChipStore | None,
) -> TrainingData:
    if not stores:
        raise RecipeError("the recipe names no data; fill data.labelled or data.unlabelled")
    if not config.aus:
        raise RecipeError(
            "without data.labelled the recipe must say whose regions to use; fill data.aus, e.g. [1, 2, 4, 12]"
        )
    if config.protocol:
        raise RecipeError("data.protocol needs data.labelled")
    if config.ratings:
        raise RecipeError("data.ratings teach AUs beside data.labelled; fill that, or leave the ratings out")
    names = np.unique(np.concatenate([store.subjects for store in stores]))
    kept = sorted(hold_out(names, config.held_out, seed)) if len(names) > 1 else []
    trains = [
        Source(s, np.flatnonzero(~np.isin(s.subjects, kept)), labels=False, repeat=repeat)
        for s, repeat in zip(stores, repeats, strict=True)
    ]
    held = [Source(s, np.flatnonzero(np.isin(s.subjects, kept)), labels=False) for s in stores]
    return TrainingData(
        aus=config.aus,
        labelled=None,
        unlabelled=tuple(source for source in trains if len(source.rows)),
        validation=max(held, key=lambda source: len(source.rows)) if kept else None,
        test=frozenset(),
        selection=selection,
        calibration=calibration,
        aside=aside,
    )


def _repeats(config: DataConfig) -> tuple[int, ...]:
    repeats = config.repeat or (1,) * len(config.unlabelled)
    if len(repeats) != len(config.unlabelled) or min(repeats, default=1) < 1:
        raise RecipeError(
            f"data.repeat is {list(repeats)}; write a number from 1 on for each of the "
            f"{len(config.unlabelled)} folders of data.unlabelled"
        )
    return repeats


def _require_unique(ratings: Ratings, stores: Sequence[ChipStore | None]) -> None:
    """Raises RecipeError when a rated name is in several folders: it would be rated in all of them."""
    folders: dict[str, Path] = {}
    for store in stores:
        if store is None:
            continue
        for image in ratings.of_image.keys() & set(store.images.tolist()):
            if folders.setdefault(image, store.folder) != store.folder:
                raise RecipeError(
                    f"{image} of the ratings is in {folders[image]} and in {store.folder}; rename one of the two "
                    "and prepare its folder again"
                )


def _rated(store: ChipStore, ratings: Ratings, aus: tuple[int, ...]) -> ChipStore:
    return dataclasses.replace(store, rated=ratings.take(store.images, aus))


def only_aus(store: ChipStore, aus: tuple[int, ...]) -> ChipStore:
    """The store with the codes of these AUs, in this order; NaN where it does not code one. Raises RecipeError when it
    codes none of them."""
    if aus == store.aus:
        return store
    if not set(aus) & set(store.aus):
        raise RecipeError(f"{store.folder} codes none of data.aus; it codes {', '.join(f'AU{au}' for au in store.aus)}")
    assert store.intensity is not None
    assert store.occurrence is not None
    return dataclasses.replace(
        store,
        aus=aus,
        intensity=_columns(store.intensity, store.aus, aus),
        occurrence=_columns(store.occurrence, store.aus, aus),
        sides=None if store.sides is None else _columns(store.sides, store.aus, aus),
    )


def _columns(values: Float32, have: tuple[int, ...], want: tuple[int, ...]) -> Float32:
    """values: (N, len(have), ...) -> (N, len(want), ...)."""
    result = np.full((len(values), len(want), *values.shape[2:]), np.nan, np.float32)
    for j, au in enumerate(want):
        if au in have:
            result[:, j] = values[:, have.index(au)]
    return result


def _pick(rows: NDArray[np.int64], share: float, seed: int) -> NDArray[np.int64]:
    if not 0 < share <= 1:
        raise RecipeError(f"data.label_share is {share:g}; write a share over 0 and up to 1")
    count = max(1, round(len(rows) * share))
    return np.sort(np.random.default_rng((seed, 7)).permutation(rows)[:count])


def _with_teacher(folder: str) -> ChipStore | None:
    if not folder:
        return None
    store = ChipStore.open(Path(folder))
    if store.teacher is None:
        raise RecipeError(f"{store.folder} has no teacher values; prepare it with --teacher")
    return store
