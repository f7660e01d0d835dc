from __future__ import annotations

import math

import numpy as np
import pytest

from rtatl_core.handoffs import AUPrediction
from rtatl_core.temporal import GAP_S, Smoother


def prediction(value: float) -> AUPrediction:
    return AUPrediction(np.array([value], np.float32), np.array([0.5], np.float32))


@pytest.mark.parametrize("rate", [15, 30, 120])
def test_a_step_covers_63_percent_in_its_time_at_any_rate(rate: int) -> None:
    smoother = Smoother(0.2)
    smoother(0, 0.0, prediction(0))
    for k in range(1, rate // 5 + 1):
        result = smoother(0, k / rate, prediction(5))
    assert result.intensity[0] == pytest.approx(5 * (1 - math.exp(-1)), rel=1e-4)
    assert result.raw_intensity[0] == 5


def test_zero_switches_it_off() -> None:
    smoother = Smoother(0)
    smoother(0, 0.0, prediction(0))
    assert smoother(0, 0.01, prediction(3)).intensity[0] == 3


def test_faces_do_not_mix_and_gaps_start_anew() -> None:
    smoother = Smoother(1.0)
    smoother(0, 0.0, prediction(5))
    assert smoother(1, 0.03, prediction(1)).intensity[0] == 1
    assert smoother(0, GAP_S + 0.1, prediction(2)).intensity[0] == 2


def test_time_that_goes_back_starts_anew() -> None:
    smoother = Smoother(1.0)
    smoother(0, 10.0, prediction(5))
    assert smoother(0, 0.0, prediction(1)).intensity[0] == 1


def test_sides_are_smoothed_like_their_mean() -> None:
    smoother = Smoother(0.1)
    for step in range(6):
        sides = np.array([[5.0, 1.0]] if step else [[0.0, 0.0]], np.float32)
        prediction = AUPrediction(sides.mean(axis=1), np.zeros(1, np.float32), sides=sides)
        result = smoother(0, step / 30, prediction)
        assert result.sides is not None
        assert result.sides.mean() == pytest.approx(float(result.intensity[0]), rel=1e-5)
    assert result.sides[0, 0] == pytest.approx(5 * result.sides[0, 1], rel=1e-5)
    plain = AUPrediction(np.ones(1, np.float32), np.zeros(1, np.float32))
    assert smoother(0, 7 / 30, plain).sides is None  # another model took over
