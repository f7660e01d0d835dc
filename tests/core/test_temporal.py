from __future__ import annotations

import math

import numpy as np
import pytest

from rtatl_core.handoffs import AUPrediction
from rtatl_core.temporal import CALM, GAP_S, SMOOTHING_S, Smoother


def prediction(value: float) -> AUPrediction:
    return AUPrediction(np.array([value], np.float32), np.array([0.5], np.float32))


@pytest.mark.parametrize("rate", [15, 30, 120])
def test_a_tiny_step_covers_63_percent_in_the_time_of_rest_at_any_rate(rate: int) -> None:
    smoother = Smoother(0.1)
    smoother(0, 0.0, prediction(0))
    for k in range(1, rate + 1):
        result = smoother(0, k / rate * 0.1 * CALM, prediction(0.001))
    assert result.intensity[0] == pytest.approx(0.001 * (1 - math.exp(-1)), rel=0.05)
    assert result.raw_intensity[0] == np.float32(0.001)


@pytest.mark.parametrize("rate", [15, 30, 60])
@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0])
def test_what_moves_arrives_in_about_the_time_constant(rate: int, speed: float) -> None:
    """An AU that rises steadily, by half an intensity in a second or more."""
    smoother = Smoother(SMOOTHING_S)
    times = np.arange(0, 1.5, 1 / rate)
    shown = [float(smoother(0, t, prediction(speed * t)).intensity[0]) for t in times]
    assert np.interp(0.5 * speed, shown, times) - 0.5 < 1.15 * SMOOTHING_S


@pytest.mark.parametrize("rate", [25, 30, 60])
def test_a_blink_keeps_its_height(rate: int) -> None:
    """0 to 5 and back in a fifth of a second: a plain low-pass of the same time constant would keep three quarters."""
    smoother = Smoother(SMOOTHING_S)
    times = np.arange(0, 1, 1 / rate)
    lids = 5 * np.clip(1 - np.abs(times - 0.5) / 0.1, 0, 1)
    shown = [float(smoother(0, t, prediction(v)).intensity[0]) for t, v in zip(times, lids, strict=True)]
    assert max(shown) > 0.88 * lids.max()
    assert abs(int(np.argmax(shown)) - int(np.argmax(lids))) <= rate / 25


def test_a_face_at_rest_is_calm() -> None:
    """Noise of .1 leaves .4 of itself, and a seventh of its change from frame to frame."""
    rng = np.random.default_rng(0)
    smoother = Smoother(SMOOTHING_S)
    noisy = 1 + rng.normal(0, 0.1, 600)
    shown = [float(smoother(0, k / 30, prediction(value)).intensity[0]) for k, value in enumerate(noisy)]
    assert np.std(shown[30:]) < 0.042
    assert np.abs(np.diff(shown[30:])).mean() < np.abs(np.diff(noisy)).mean() / 7


def test_a_frame_that_is_looked_at_again_changes_nothing_that_follows() -> None:
    """As when a layer is switched on while a video is paused."""
    once, twice = Smoother(SMOOTHING_S), Smoother(SMOOTHING_S)
    values = np.random.default_rng(0).normal(1, 0.3, 12)
    for k, value in enumerate(values):
        expected = once(0, k / 30, prediction(value)).intensity
        shown = twice(0, k / 30, prediction(value)).intensity
        assert shown == expected
        if k == 5:
            assert twice(0, k / 30, prediction(value + 0.02)).intensity == expected


def test_zero_switches_it_off() -> None:
    smoother = Smoother(0)
    smoother(0, 0.0, prediction(0))
    assert smoother(0, 0.01, prediction(3)).intensity[0] == 3


def test_it_may_be_switched_off_in_the_middle_of_a_frame() -> None:
    """The window's thread sets ``seconds`` while another one smooths."""

    class SwitchedOff(Smoother):
        reads = 0

        @property
        def seconds(self) -> float:
            self.reads += 1
            return 0.1 if self.reads < 2 else 0.0

        @seconds.setter
        def seconds(self, seconds: float) -> None: ...

    smoother = SwitchedOff(0.1)
    smoother(0, 0.0, prediction(0))
    assert np.isfinite(smoother(0, 0.01, prediction(3)).intensity[0])


def test_faces_do_not_mix_and_gaps_start_anew() -> None:
    smoother = Smoother(1.0)
    smoother(0, 0.0, prediction(5))
    assert smoother(1, 0.03, prediction(1)).intensity[0] == 1
    assert smoother(0, GAP_S + 0.1, prediction(2)).intensity[0] == 2


def test_of_a_crowd_everybody_is_smoothed() -> None:
    smoother = Smoother(0.3)
    for face_id in range(40):
        smoother(face_id, 10.0, prediction(0))
    assert all(0 < smoother(face_id, 10.04, prediction(1)).intensity[0] < 1 for face_id in range(40))


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
