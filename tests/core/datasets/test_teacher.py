"""What is taken from blendshapes, and what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.teacher import CLEAR, TEACHER_SHAPES, Teacher, as_intensity, at_rest, clearly_shown
from rtatl_core.errors import RecipeError
from rtatl_core.handoffs import Float32

AUS = (4, 6, 7, 9, 10, 12, 18, 20, 23)


def stand_ins(**values: float) -> Float32:
    """Of a face at rest but for these, named as AU12=.5."""
    result = np.zeros(len(TEACHER_SHAPES), np.float32)
    for name, value in values.items():
        result[list(TEACHER_SHAPES).index(int(name.removeprefix("AU")))] = value
    return result


def test_a_face_at_rest_shows_nothing_of_what_the_teacher_does_not_know_either() -> None:
    np.testing.assert_array_equal(as_intensity(stand_ins(), AUS), np.zeros(len(AUS)))


def test_a_face_that_moves_says_nothing_of_what_the_teacher_does_not_know() -> None:
    weak = as_intensity(stand_ins(AU12=0.25), AUS)
    assert np.isnan(weak[[AUS.index(au) for au in (4, 6, 23)]]).all()
    assert weak[AUS.index(12)] == pytest.approx((0.25 - 0.10) / (0.85 - 0.10), abs=1e-3)


def test_a_smile_that_bares_teeth_is_no_lifted_lip() -> None:
    smiling = stand_ins(AU12=0.8, AU10=0.6, AU7=0.6, AU18=0.5, AU20=0.3)
    sneering = stand_ins(AU10=0.6, AU7=0.6)
    assert np.isnan(as_intensity(smiling, AUS)[[AUS.index(au) for au in (7, 10, 20)]]).all()
    assert (as_intensity(smiling, AUS)[[AUS.index(au) for au in (9, 18)]] == 0).all()
    assert as_intensity(smiling, AUS)[AUS.index(12)] > 0.9
    assert (as_intensity(sneering, AUS)[[AUS.index(7), AUS.index(10)]] > 0.5).all()
    assert clearly_shown(np.stack([smiling, sneering]), 10).tolist() == [False, True]
    assert clearly_shown(np.stack([smiling, sneering]), 12).tolist() == [True, False]


def test_a_lost_face_teaches_nothing() -> None:
    lost = np.full(len(TEACHER_SHAPES), np.nan, np.float32)
    assert np.isnan(as_intensity(lost, AUS)).all()
    assert not at_rest(lost[None]).any()
    assert not any(clearly_shown(lost[None], au).any() for au in CLEAR)


def test_who_lacks_the_teacher_s_file_is_told_where_it_is(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"download face_landmarker\.task from MediaPipe's page"):
        Teacher(tmp_path / "face_landmarker.task")
