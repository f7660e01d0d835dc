"""Published folds and own ones: who is tested, who is held out, and nobody on two sides."""

from __future__ import annotations

import numpy as np
import pytest

from rtatl_core.datasets.protocols import FOLDS, SUBJECTS, hold_out, person_in, require_apart
from rtatl_core.datasets.protocols import test_subjects as subjects_of
from rtatl_core.errors import RecipeError


@pytest.mark.parametrize(("protocol", "people", "frames"), [("bp4d", 41, (14, 14, 13)), ("disfa", 27, (9, 9, 9))])
def test_published_folds_are_whole_and_disjoint(protocol: str, people: int, frames: tuple[int, ...]) -> None:
    folds = FOLDS[protocol]
    assert tuple(len(fold) for fold in folds) == frames
    assert len(SUBJECTS[protocol]) == people == sum(frames)


def test_fera_split_is_by_odd_and_even() -> None:
    (test,) = FOLDS["bp4d-fera"]
    assert len(test) == 20
    assert all(int(name[1:]) % 2 == 0 for name in test)


def test_folds_of_own_data_cover_everybody_once() -> None:
    names = [f"p{k}" for k in range(10)]
    folds = [subjects_of("subjects:3", fold, names) for fold in (1, 2, 3)]
    assert frozenset().union(*folds) == frozenset(names)
    assert sum(len(fold) for fold in folds) == 10
    assert subjects_of("subjects:3", 1, reversed(names)) == folds[0]


@pytest.mark.parametrize(
    ("protocol", "fold", "names", "sentence"),
    [
        ("bp5d", 1, ["F001"], r"protocol 'bp5d' is unknown; write bp4d, disfa, bp4d-fera or subjects:K"),
        ("subjects:1", 1, ["a"], r"is unknown"),
        ("bp4d", 4, ["F001", "F003"], r"has the folds 1 to 3, not 4"),
        ("bp4d", 1, ["F001", "anna"], r"subject anna is not of protocol bp4d"),
        ("disfa", 1, ["SN003"], r"leaves no subject to test on"),
        ("disfa", 1, ["SN001"], r"leaves no subject to train on"),
    ],
)
def test_unusable_folds_are_named(protocol: str, fold: int, names: list[str], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        subjects_of(protocol, fold, names)


def test_a_subject_on_both_sides_is_refused() -> None:
    require_apart(["a", "b"], ["c"])
    with pytest.raises(RecipeError, match=r"subject b is in training and test \(1 of them are\)"):
        require_apart(["a", "b"], ["b", "c"])


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("Videos_LeftCamera--LeftVideoSN001_comp.avi", "SN001"),
        ("SN032/0001.png", "SN032"),
        ("F001/T1/0100.jpg", "F001"),
        ("2D--M018--T8.mp4", "M018"),
        ("F001_T1", "F001"),
        ("SN0011.mp4", ""),
        ("F001.mp4", ""),
        ("RF001_T1.mp4", ""),
        ("anna.mp4", ""),
    ],
)
def test_who_is_shown_is_told_by_the_names_that_disfa_and_bp4d_give(name: str, person: str) -> None:
    assert person_in(name) == person
    require_apart([name], ["anna", "F002"])
    if person:
        for one, other in (([name], [person]), ([person], [name]), ([name], [f"again-{name}"])):
            with pytest.raises(RecipeError, match=f"subject {person} is in training and test"):
                require_apart(one, other)


def test_hold_out_never_takes_all_and_nobody_known() -> None:
    subjects = np.array([f"s{k % 7}" for k in range(70)])
    chosen = hold_out(subjects, 0.3, seed=1)
    assert len(chosen) == 2
    others = hold_out(subjects, 0.3, seed=1, known=chosen)
    assert len(others) == 2
    assert not others & chosen
    assert not hold_out(subjects, 0.3, seed=1, known=frozenset(subjects.tolist()))
    assert len(hold_out(np.array(["a", "b"]), 0.99, seed=0)) == 1
    with pytest.raises(RecipeError, match=r"only a is left .* two subjects .* test fold.*third person, or leave"):
        hold_out(np.array(["a", "a"]), 0.5, seed=0)
