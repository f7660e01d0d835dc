"""A recipe's folders -> who trains, who validates, who is kept for the test."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.config import DataConfig
from rtatl_core.datasets.groups import GroupTable, read_groups
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.protocols import SUBJECTS, fold_people, hold_out, people_in, person_in, test_subjects
from rtatl_core.datasets.ratings import read_ratings
from rtatl_core.errors import RecipeError
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32


@dataclass(frozen=True, slots=True)
class TrainingData:
    """No subject is in more than one of training, validation and test."""

    aus: tuple[int, ...]
    labelled: Source | None
    unlabelled: tuple[Source, ...]
    validation: Source | None
    """Coded faces of held-out subjects; without labelled data, uncoded ones. None where there are too few."""
    test: frozenset[str]
    """Who is in the test fold, under any name (``names_of``), and appears nowhere else."""
    selection: ChipStore | None
    calibration: tuple[ChipStore, ...]
    """Who calibrates and is not trained on."""
    aside: ChipStore | None
    crossed: frozenset[Path] = frozenset()
    """Folders of ``unlabelled`` that calibrate too, read by networks trained without them."""
    groups: GroupTable = field(default_factory=dict)
    named_people: frozenset[str] = frozenset()
    """Who is coded or judges: uncoded faces may be called after them (``person_in``)."""

    @property
    def side(self) -> int:
        source = self.labelled or self.unlabelled[0]
        return source.store.layout.side

    @property
    def uncoded(self) -> list[int]:
        """AUs that are coded, but for none of the training faces."""
        coded = _coded_of(self.labelled) if self.labelled is not None else [True] * len(self.aus)
        return [au for au, there in zip(self.aus, coded, strict=True) if not there]

    @property
    def judges(self) -> list[str]:
        """Everybody who is not trained on, and whose face chooses the checkpoint or sets zero and gain."""
        judging = [Source.whole(store) for store in (self.selection, *self.calibration) if store is not None]
        return _people(self.named_people, *judging, *((self.validation,) if self.validation else ()))

    @property
    def strangers(self) -> frozenset[str]:
        """Who calibrates and is not trained on, under any name."""
        return _names(self.named_people, *map(Source.whole, self.calibration))

    @property
    def aside_people(self) -> frozenset[str]:
        """Who is in ``aside``, under any name."""
        return _names(self.named_people, *([] if self.aside is None else [Source.whole(self.aside)]))

    @property
    def subjects(self) -> list[str]:
        """Everybody whose face is trained on, coded or not."""
        return _people(self.named_people, *((self.labelled,) if self.labelled else ()), *self.unlabelled)


def names_of(store: ChipStore, rows: NDArray[np.int64], named_people: frozenset[str] = frozenset()) -> frozenset[str]:
    """What these rows' subjects and clips are called: one video may be prepared with its codes, as subject ``anna``,
    and without them, as ``anna.mp4``; its clip has the same name in both. ``SN001`` of ``named_people`` is a name of
    ``LeftVideoSN001_comp.avi`` as well."""
    subjects, clips = (np.unique(names[rows]).tolist() for names in (store.subjects, _file_names(store.clips)))
    names = frozenset(subjects) | frozenset(clip for clip in clips if clip)
    return names | (people_in(names) & named_people)


def split(config: DataConfig, seed: int, known: frozenset[str] = frozenset()) -> TrainingData:
    """known: who was trained on before (``optim.init``), under any name, and thus cannot validate. Raises RecipeError
    when a folder cannot be used, folders do not fit together, or a side is empty."""
    selection = [_with_teacher(config.selection)] if config.selection else []
    calibration = [_with_teacher(folder) for folder in config.strangers]
    aside = [_with_teacher(config.aside)] if config.aside else []
    unlabelled = [
        _with_teacher(folder) if folder in config.crossed else ChipStore.open(Path(folder))
        for folder in config.unlabelled
    ]
    repeats, coded = _repeats(config), _coded(config)
    _require_one_layout([*([coded] if coded else []), *unlabelled, *selection, *calibration, *aside])
    aus = config.aus if coded is None else coded.aus
    if config.ratings:
        unlabelled, selection, calibration = _all_rated(config.ratings, (unlabelled, selection, calibration), aus)
    judging = (*selection, *calibration, *aside)
    people = _named_people(config, coded, judging)
    known |= people_in(known) & people
    test = _test_people(config, coded)
    away = test | _names(people, *map(Source.whole, judging))
    labelled: Source | None = None
    validation: Source | None
    uncoded: list[Source] = []
    if coded is None:
        validation = _uncoded_validation(unlabelled, away, known, config.held_out, seed)
    else:
        labelled, validation, rest = _divide_coded(coded, config, seed, away, known)
        uncoded.append(rest)
    if validation is not None:
        away |= _names(people, validation)
    for store, repeat in zip(unlabelled, repeats, strict=True):
        uncoded.append(Source(store, np.flatnonzero(_apart_from(store, away)), labels=False, repeat=repeat))
    uncoded = [source for source in uncoded if len(source.rows)]
    if labelled is None and not uncoded:
        raise RecipeError(
            "nobody is left to train on: everybody in data.unlabelled is in data.selection, data.calibration or "
            "data.aside, or validates; name other faces"
        )
    return TrainingData(
        aus,
        labelled,
        tuple(uncoded),
        validation,
        test,
        selection=next(iter(selection), None),
        calibration=tuple(calibration),
        aside=next(iter(aside), None),
        crossed=frozenset(map(Path, config.crossed)),
        groups=read_groups(Path(config.groups)) if config.groups else {},
        named_people=people,
    )


def _named_people(config: DataConfig, coded: ChipStore | None, judging: Iterable[ChipStore]) -> frozenset[str]:
    """``TrainingData.named_people``."""
    people = SUBJECTS.get(config.protocol, frozenset[str]())
    if coded is not None:
        people |= frozenset(coded.subjects.tolist())
    return people | people_in(name for store in judging for name in np.unique(store.subjects).tolist())


def _test_people(config: DataConfig, coded: ChipStore | None) -> frozenset[str]:
    """``TrainingData.test``; nobody without a protocol."""
    if coded is None or not config.protocol:
        return frozenset()
    chosen = test_subjects(config.protocol, config.fold, coded.subjects.tolist())
    rows = np.flatnonzero(np.isin(coded.subjects, sorted(chosen)))
    return names_of(coded, rows) | fold_people(config.protocol, config.fold)


def _divide_coded(
    coded: ChipStore, config: DataConfig, seed: int, away: frozenset[str], known: frozenset[str]
) -> tuple[Source, Source, Source]:
    """Faces that train with their codes, that validate, and that train without codes, of all who are not ``away``."""
    free = _apart_from(coded, away) & coded.labelled
    if not free.any():
        raise RecipeError(f"{coded.folder} has no coded face of these AUs outside the test fold")
    met = frozenset(coded.subjects[free & ~_apart_from(coded, known)].tolist())
    held = hold_out(coded.subjects[free], config.held_out, seed, known=met)
    if not held:
        raise RecipeError(
            f"everybody who is left to train on in {coded.folder} is in the training of optim.init already, so "
            "that nobody can validate; code another person, or leave optim.init out"
        )
    validates = free & np.isin(coded.subjects, sorted(held))
    trains = np.flatnonzero(free & ~validates)
    with_codes = _pick(trains, config.label_share, seed)
    labelled = Source(coded, with_codes, labels=True)
    _require_coded(labelled, config)
    validation = Source(coded, np.flatnonzero(validates), labels=True)
    return labelled, validation, Source(coded, np.setdiff1d(trains, with_codes), labels=False)


def _coded(config: DataConfig) -> ChipStore | None:
    """The coded faces; None for self-supervised training alone."""
    if config.labelled:
        store = ChipStore.open(*(Path(folder) for folder in config.labelled))
        if store.intensity is None:
            raise RecipeError(f"{store.folder} has no AU codes; data.labelled needs some")
        return only_aus(store, config.aus or store.aus)
    if not config.unlabelled:
        raise RecipeError("the recipe names no data; fill data.labelled or data.unlabelled")
    if not config.aus:
        raise RecipeError(
            "without data.labelled the recipe must say whose regions to use; fill data.aus, e.g. [1, 2, 4, 12]"
        )
    if config.protocol:
        raise RecipeError("data.protocol needs data.labelled")
    if config.ratings:
        raise RecipeError("data.ratings teach AUs beside data.labelled; fill that, or leave the ratings out")
    return None


def _require_coded(labelled: Source, config: DataConfig) -> None:
    """Raises RecipeError when no training face has a code of some AU, unless data.aus asks for that AU by name."""
    store, coded = labelled.store, _coded_of(labelled)
    if not config.aus and not all(coded):
        known = [au for au, there in zip(store.aus, coded, strict=True) if there]
        lacking = ", ".join(au_label(au) for au in store.aus if au not in known)
        raise RecipeError(
            f"{store.folder}: nobody who trains has codes of {lacking}; leave them out with data.aus = {known}, or "
            "code more people"
        )


def _coded_of(labelled: Source) -> list[bool]:
    """(n_aus,) whether anybody has a code."""
    store, rows = labelled.store, labelled.rows
    assert store.intensity is not None
    assert store.occurrence is not None
    found: list[bool] = (np.isfinite(store.intensity[rows]) | np.isfinite(store.occurrence[rows])).any(axis=0).tolist()
    return found


def _uncoded_validation(
    stores: Sequence[ChipStore], away: frozenset[str], known: frozenset[str], share: float, seed: int
) -> Source | None:
    """Held-out people of the folder that has most of their faces; None where there is nobody to spare, or all are
    ``known``."""
    free = [_apart_from(store, away) for store in stores]
    subjects = np.concatenate([store.subjects[rows] for store, rows in zip(stores, free, strict=True)])
    if len(np.unique(subjects)) < 2:
        return None
    met = [store.subjects[rows & ~_apart_from(store, known)] for store, rows in zip(stores, free, strict=True)]
    kept = hold_out(subjects, share, seed, known=frozenset(np.concatenate(met).tolist()))
    if not kept:
        return None
    held = [Source(store, np.flatnonzero(np.isin(store.subjects, sorted(kept))), labels=False) for store in stores]
    return max(held, key=lambda source: len(source.rows))


def _require_one_layout(stores: Sequence[ChipStore]) -> None:
    for other in stores[1:]:
        if other.layout != stores[0].layout:
            raise RecipeError(
                f"{other.folder} has chips of {other.layout.side} px, {stores[0].folder} of {stores[0].layout.side}; "
                "prepare both with the same --side"
            )


def _names(named_people: frozenset[str], *sources: Source) -> frozenset[str]:
    return frozenset[str]().union(*(names_of(source.store, source.rows, named_people) for source in sources))


def _people(named_people: frozenset[str], *sources: Source) -> list[str]:
    """Names of all but rendered faces, which are nobody's."""
    real = (source._replace(rows=source.rows[~source.store.rendered[source.rows]]) for source in sources)
    return sorted(_names(named_people, *real))


def _apart_from(store: ChipStore, names: frozenset[str]) -> NDArray[np.bool_]:
    """(N,) rows of people who have none of these names, and are not called after somebody who has one."""
    clips = _file_names(store.clips)
    taken = sorted(names.union(*(_called_after(called, names) for called in (store.subjects, clips))))
    free: NDArray[np.bool_] = ~(np.isin(store.subjects, taken) | np.isin(clips, taken))
    return free


def _called_after(called: NDArray[np.str_], people: frozenset[str]) -> frozenset[str]:
    return frozenset(name for name in np.unique(called).tolist() if person_in(name) in people)


def _file_names(clips: NDArray[np.str_]) -> NDArray[np.str_]:
    """Clips without the folder that tells equal names of several folders apart."""
    return np.array([clip.rpartition("/")[2] for clip in clips.tolist()])


def _repeats(config: DataConfig) -> tuple[int, ...]:
    repeats = config.repeat or (1,) * len(config.unlabelled)
    if len(repeats) != len(config.unlabelled) or min(repeats, default=1) < 1:
        raise RecipeError(
            f"data.repeat is {list(repeats)}; write a number from 1 on for each of the "
            f"{len(config.unlabelled)} folders of data.unlabelled"
        )
    return repeats


def _all_rated(file: str, groups: Sequence[Sequence[ChipStore]], aus: tuple[int, ...]) -> Iterator[list[ChipStore]]:
    """The stores with what raters saw on them. Raises RecipeError when that is nothing, or a rated name is in several
    folders: it would be rated in all of them."""
    ratings = read_ratings(Path(file))
    folders: dict[str, Path] = {}
    for store in chain(*groups):
        for image in ratings.of_image.keys() & set(store.images.tolist()):
            if folders.setdefault(image, store.folder) != store.folder:
                raise RecipeError(
                    f"{image} of the ratings is in {folders[image]} and in {store.folder}; rename one of the two "
                    "and prepare its folder again"
                )
    if not folders:
        raise RecipeError(f"{file} rates nothing of the data's folders; check the names in it")
    for stores in groups:
        yield [dataclasses.replace(store, rated=ratings.take(store.images, aus)) for store in stores]


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


def _with_teacher(folder: str) -> ChipStore:
    store = ChipStore.open(Path(folder))
    if store.teacher is None:
        raise RecipeError(f"{store.folder} has no teacher values; prepare it with --teacher")
    return store
