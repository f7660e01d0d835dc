"""Curves from the ring buffer: right values at right times, gaps as NaN, memory that stays."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from au_desktop.sinks import history as module
from au_desktop.sinks.history import History
from rtatl_core.handoffs import AnalysedFrame, FramePacket
from tests.desktop.fakes import intensities, make_face, picture

IMAGE = picture((32, 24))
AUS = (1, 12, 43)


def frame(time: float, ids: tuple[int, ...] = (0,), aus: tuple[int, ...] = AUS) -> AnalysedFrame:
    packet = FramePacket(IMAGE, 1, time, 0.0)
    return AnalysedFrame(packet, tuple(make_face(packet, i, max(ids) + 1, aus) for i in ids), aus)


def test_curves_hold_what_was_appended_relative_to_the_newest() -> None:
    history = History(10)
    times = np.arange(30) / 30
    for time in times:
        history.append(frame(time))
    shown, values = history.curves(0, 60)
    np.testing.assert_allclose(shown, times - times[-1])
    np.testing.assert_allclose(values, [intensities(time, AUS) for time in times], rtol=1e-5)
    assert values.dtype == np.float32


def test_only_the_seconds_asked_for_are_given() -> None:
    history = History(60)
    for n in range(300):
        history.append(frame(n / 30))
    shown, values = history.curves(0, 5)
    assert shown[0] == pytest.approx(-5)
    assert len(shown) == len(values) == 151


def test_the_oldest_fall_out_when_the_ring_is_full() -> None:
    history = History(0.5)
    for n in range(500):
        history.append(frame(n / module.RATE))
    shown, values = history.curves(0, 60)
    assert len(shown) == 60
    assert shown[0] == pytest.approx(-59 / module.RATE)
    np.testing.assert_allclose(values[-1], intensities(499 / module.RATE, AUS), rtol=1e-5)
    assert (np.diff(shown) > 0).all()


def test_a_lost_face_leaves_a_gap() -> None:
    history = History(10)
    for n in range(6):
        history.append(blind(n / 30) if n in (2, 3) else frame(n / 30))
    times, values = history.curves(0, 10)
    assert np.isnan(values).all(axis=1).tolist() == [False, False, True, False, False]
    np.testing.assert_allclose(times * 30, [-5, -4, -3, -1, 0], atol=1e-9)


def blind(time: float) -> AnalysedFrame:
    return AnalysedFrame(FramePacket(IMAGE, 1, time, 0.0), (), AUS)


def test_a_face_that_was_away_costs_no_time() -> None:
    """Rows of a gap draw nothing, but a minute of them took longer than a frame."""
    history = History(60)
    for n in range(900):
        history.append(frame(n / 30, () if 100 <= n < 800 else (0,)))
    shown, values = history.curves(0, 60)
    assert len(shown) == len(values) == 100 + 1 + 100
    assert np.isnan(values[100]).all()
    assert np.isfinite(np.delete(values, 100, axis=0)).all()
    for n in range(900, 950):
        history.append(frame(n / 30, (1,)))
    shown, values = history.curves(0, 60)
    assert len(shown) == 202, "what goes on without the face is told by one row"
    assert shown[0] == pytest.approx(-949 / 30)


def test_a_pause_of_the_source_breaks_the_curve() -> None:
    history = History(60)
    for time in (0.0, 0.04, 10.0, 10.04):
        history.append(frame(time))
    shown, values = history.curves(0, 60)
    gap = np.isnan(values).all(axis=1)
    assert gap.tolist() == [False, False, True, False, False]
    assert -10 < shown[2] < -0.04


def faces(history: History) -> tuple[int, ...]:
    """Ids below 100 that have a curve."""
    return tuple(face for face in range(100) if len(history.curves(face, 60)[0]))


def test_each_face_has_its_own_curve() -> None:
    history = History(10)
    history.append(frame(0.0, ids=(0,)))
    history.append(frame(0.04, ids=(0, 3)))
    assert faces(history) == (0, 3)
    times, values = history.curves(3, 10)
    assert times.tolist() == [0]
    assert not np.isnan(values).any()


def test_many_people_passing_by_cost_no_more_memory() -> None:
    history = History(10)
    for n in range(100):
        history.append(frame(n / 30, ids=(n,)))
    assert faces(history) == tuple(range(100))[-module.MOST_FACES :]


def test_a_newcomer_costs_nobody_who_is_there_a_curve() -> None:
    history, most = History(10), module.MOST_FACES
    for n in range(30):
        history.append(frame(n / 30, ids=tuple(range(most))))
    history.append(frame(1.0, ids=(most, *range(most - 1))))  # the largest, so it comes first; the last one left
    lengths = [len(history.curves(face, 60)[0]) for face in range(most + 1)]
    assert lengths == [31] * (most - 1) + [0, 1]
    history.append(frame(1.1, ids=tuple(range(most + 2))))
    assert faces(history) == tuple(range(most + 2)), "all that are there"
    history.append(frame(1.2, ids=(most + 2,)))
    assert len(faces(history)) == most


def test_a_face_is_forgotten_once_it_left_the_window() -> None:
    history = History(0.5)
    history.append(frame(0.0, ids=(0,)))
    for n in range(1, 61):
        history.append(frame(n / module.RATE, ids=(1,)))
    assert faces(history) == (1,)


def test_another_source_or_model_starts_anew() -> None:
    history = History(10)
    history.append(frame(5.0))
    history.append(frame(0.0))
    assert len(history.curves(0, 10)[0]) == 1
    history.append(frame(0.1, aus=(4,)))
    assert history.curves(0, 10)[1].shape == (1, 1)
    history.clear()
    assert faces(history) == ()


def test_an_unknown_face_has_an_empty_curve() -> None:
    history = History(10)
    history.append(frame(0.0))
    times, values = history.curves(7, 10)
    assert times.shape == (0,)
    assert values.shape == (0, 3)


def test_reading_while_writing_never_sees_half_a_row() -> None:
    history = History(0.2)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            history.append(frame(n / 100))
            n += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            times, values = history.curves(0, 10)
            assert len(times) == len(values)
            assert (np.diff(times) > 0).all()
            assert not np.isnan(values).any()
    finally:
        stop.set()
        writer.join()
