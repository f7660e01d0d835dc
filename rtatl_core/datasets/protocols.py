"""Which subjects train and which test: the published folds of BP4D and DISFA, and folds for data of one's own.

The lists of BP4D and DISFA are those of JAA-Net, ME-GraphAU, AUNCE and others (public code). ME-GraphAU numbers them
the other way round: its fold 1 tests on our fold 3. "bp4d-fera" is the intensity split of FERA 2015 (odd subjects
train, even ones test).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import RecipeError
from rtatl_core.facs import BP4D_AUS, DISFA_AUS


def _named(letter: str, numbers: str) -> frozenset[str]:
    return frozenset(f"{letter}{int(number):03d}" for number in numbers.split())


FOLDS: dict[str, tuple[frozenset[str], ...]] = {
    "bp4d": (
        _named("F", "1 2 8 9 10 16 18 23") | _named("M", "1 4 7 8 12 14"),
        _named("F", "3 5 11 13 20 22") | _named("M", "2 5 10 11 13 16 17 18"),
        _named("F", "4 6 7 12 14 15 17 19 21") | _named("M", "3 6 9 15"),
    ),
    "disfa": (
        _named("SN", "1 2 9 10 16 26 27 30 32"),
        _named("SN", "6 11 12 13 18 21 24 28 31"),
        _named("SN", "3 4 5 7 8 17 23 25 29"),
    ),
    "bp4d-fera": (_named("F", "2 4 6 8 10 12 14 16 18 20 22") | _named("M", "2 4 6 8 10 12 14 16 18"),),
}
"""Protocol -> the test subjects of each fold."""
SUBJECTS: dict[str, frozenset[str]] = {
    "bp4d": frozenset().union(*FOLDS["bp4d"]),
    "disfa": frozenset().union(*FOLDS["disfa"]),
    "bp4d-fera": frozenset().union(*FOLDS["bp4d"]),
}
_BP4D_RATES = (21.1, 17.1, 20.3, 46.1, 54.9, 59.4, 56.2, 46.6, 16.9, 34.3, 16.5, 15.1)
_DISFA_RATES = (5.0, 4.3, 15.2, 7.9, 4.2, 12.9, 27.7, 8.8)

POSITIVE_RATES: dict[str, dict[int, float]] = {
    "bp4d": dict(zip(BP4D_AUS, _BP4D_RATES, strict=True)),
    "disfa": dict(zip(DISFA_AUS, _DISFA_RATES, strict=True)),
}
"""Data set -> AU -> percent of all labelled frames in which the AU counts as present (DISFA: intensity 2 or more);
recomputed from the list files of github.com/CVI-SZU/MDHR."""
_PERSON = re.compile(r"(SN\d{3})(?!\d)|(?<![A-Z0-9])([FM]\d{3})[/\\_-]+T\d", re.IGNORECASE)
OWN = "subjects"
"""``subjects:K``: K folds over the subjects of any data."""


def fold_count(protocol: str) -> int:
    """Raises RecipeError for an unknown protocol."""
    if protocol in FOLDS:
        return len(FOLDS[protocol])
    name, _, count = protocol.partition(":")
    if name == OWN and count.isdigit() and int(count) >= 2:
        return int(count)
    raise RecipeError(
        f"protocol {protocol!r} is unknown; write {', '.join(FOLDS)} or {OWN}:K with K folds, e.g. {OWN}:3"
    )


def test_subjects(protocol: str, fold: int, subjects: Iterable[str]) -> frozenset[str]:
    """The subjects on which ``fold`` (from 1) tests, out of those there are.

    Raises RecipeError when the fold does not exist, when the data hold subjects that the protocol does not know (it is
    another data set), or when either side would be empty.
    """
    count, there = fold_count(protocol), frozenset(subjects)
    if not 1 <= fold <= count:
        raise RecipeError(f"protocol {protocol} has the folds 1 to {count}, not {fold}")
    if protocol in FOLDS:
        if strangers := sorted(there - SUBJECTS[protocol]):
            raise RecipeError(
                f"subject {strangers[0]} is not of protocol {protocol}; choose the protocol of these data, "
                f"or {OWN}:{count}"
            )
        chosen = FOLDS[protocol][fold - 1] & there
    else:
        chosen = frozenset(name for i, name in enumerate(_shuffled(there)) if i % count == fold - 1)
    if not chosen or chosen == there:
        side = "test" if not chosen else "train"
        raise RecipeError(f"fold {fold} of {protocol} leaves no subject to {side} on; these data have {len(there)}")
    return chosen


def fold_people(protocol: str, fold: int) -> frozenset[str]:
    """Everybody on whom a published fold tests, whether these data code them or not; nobody with folds of one's own."""
    return FOLDS[protocol][fold - 1] if protocol in FOLDS else frozenset()


def person_in(name: str) -> str:
    """The person of DISFA or BP4D after whom a video or picture is called (``LeftVideoSN001_comp.avi``,
    ``F001/T1/2440.jpg``); empty where there is none."""
    found = _PERSON.search(name)
    return (found[1] or found[2]).upper() if found else ""


def people_in(names: Iterable[str]) -> frozenset[str]:
    return frozenset(filter(None, map(person_in, names)))


def _shuffled(subjects: frozenset[str]) -> list[str]:
    """The same order on every machine."""
    names = np.array(sorted(subjects))
    return [str(name) for name in np.random.default_rng(0).permutation(names)]


def require_apart(
    train: Iterable[str], test: Iterable[str], *, trained: str = "in training", tested: str = "test"
) -> None:
    """Raises RecipeError when a subject is on both sides, be it in the name of a video or picture (``person_in``);
    ``trained`` and ``tested`` say in words which they are."""
    one, other = (names | people_in(names) for names in (frozenset(train), frozenset(test)))
    if both := sorted(one & other):
        raise RecipeError(
            f"subject {both[0]} is {trained} and {tested} ({len(both)} of them are); the result would not hold for new "
            "people, so choose other data, or with a protocol another fold"
        )


def hold_out(
    subjects: NDArray[np.str_], share: float, seed: int, *, known: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Subjects to validate on: about ``share`` of them, never all, and none of ``known``; at least one where there is
    one. Raises RecipeError when there is only one subject."""
    names = np.unique(subjects)
    if len(names) < 2:
        raise RecipeError(
            f"only {names[0] if len(names) else 'nobody'} is left to train on, and two subjects are needed, one "
            "of them for validation; with data.protocol others are in the test fold, so that three are needed in all: "
            "code a third person, or leave the protocol out"
        )
    count = min(len(names) - 1, max(1, round(len(names) * share)))
    shuffled = (str(name) for name in np.random.default_rng(seed).permutation(names))
    return frozenset([name for name in shuffled if name not in known][:count])
