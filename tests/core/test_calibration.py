"""Raw output -> intensities and probabilities, of strangers and of people whose rest is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rtatl_core.calibration import FLOOR, Calibration


def test_calibration_rule() -> None:
    calibration = Calibration(np.array([2, 1], np.float32), np.array([0.1, 0], np.float32))
    raw = np.array([[0.1, 0.5], [0.3, -1], [9, 9]], np.float32)
    logits = np.zeros_like(raw)
    intensity, probability = calibration.read(raw, logits)
    np.testing.assert_allclose(intensity, [[0, 2.5], [2, 0], [5, 5]], atol=FLOOR / 2 + 1e-6)
    np.testing.assert_array_equal(probability >= 0.5, [[False, True], [True, False], [True, True]])
    assert np.isfinite(probability).all()
    from_head = Calibration(calibration.gain, calibration.offset, occurrence_from_intensity=False)
    np.testing.assert_allclose(from_head.read(raw, logits)[1], 0.5)


def test_what_reads_less_than_nothing_keeps_its_order() -> None:
    calibration = Calibration(np.ones(1, np.float32), np.zeros(1, np.float32))
    raw = np.linspace(-0.4, 0.02, 211, dtype=np.float32)[:, None]
    read, probability = calibration.read(raw, np.zeros_like(raw))
    assert (np.diff(read[:, 0]) > 0).all()
    assert 0 < read[0, 0] < 0.005
    assert read[200, 0] == pytest.approx(FLOOR / 2), "nothing"
    np.testing.assert_allclose(read[raw > FLOOR / 5], 5 * raw[raw > FLOOR / 5], rtol=1e-5)
    slope = np.diff(read[:, 0]) / np.diff(5 * raw[:, 0])
    assert np.abs(np.diff(slope)).max() < 0.3, "no corner"
    assert len(np.unique(read.round(3))) > 30, "three decimals, as sessions have, tell most of it"
    assert (np.diff(probability[:, 0]) > 0).all()


def test_readings_count_from_a_rest_that_was_stated() -> None:
    gain, boost = np.array([1, 2, 1], np.float32), np.array([1, 2, 1], np.float32)
    calibration = Calibration(gain, np.full(3, 0.2, np.float32), boost=boost)
    rest = np.array([[0.5, 0.1, 0.2], [np.nan, np.nan, np.nan]], np.float32)
    raw = np.array([[0.5, 0.25, 0.4], [0.5, 0.25, 0.4]], np.float32)
    told, present = calibration.from_rest(rest).read(raw, np.zeros_like(raw))
    np.testing.assert_allclose(told, [[FLOOR / 2, 2, 1], [1.5, 0.5, 1]], atol=1e-5)
    np.testing.assert_array_equal(present > 0.4999, told > 0.9999)
    np.testing.assert_allclose(calibration.rest_intensity(rest[0]), [1.5, -1, 0], atol=1e-5)
    by_occurrence = dataclasses.replace(calibration, intensity_from_occurrence=np.array([True, False, False]))
    assert by_occurrence.rest_intensity(rest[0])[0] == 0
    assert by_occurrence.from_rest(rest).read(raw, np.zeros_like(raw))[0][0, 0] == 2.5


def test_the_mean_of_the_calibrated_sides_is_the_intensity() -> None:
    rng = np.random.default_rng(0)
    raw = rng.uniform(-0.5, 1.5, (200, 2, 2)).astype(np.float32)
    calibration = Calibration(
        np.array([2.0, 1.0], np.float32), np.array([0.1, 0.0], np.float32), boost=np.array([1, 3], np.float32)
    )
    whole = raw.mean(axis=-1)
    intensity, _ = calibration.read(whole, np.zeros_like(whole))
    sides = calibration.read_sides(raw, intensity)
    np.testing.assert_allclose(sides.mean(axis=-1), intensity, atol=1e-5)
    assert sides.min() >= 0
    assert sides.max() <= 5
    inside = (intensity > 1) & (intensity < 4)
    assert ((sides[..., 0] > sides[..., 1]) == (raw[..., 0] > raw[..., 1]))[inside].all()
    even = calibration.read_sides(np.full((1, 2, 2), 0.3, np.float32), np.array([[2.0, 1.5]], np.float32))
    np.testing.assert_allclose(even, [[[2, 2], [1.5, 1.5]]])


def test_sides_count_from_how_they_differ_at_rest() -> None:
    calibration = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    resting, unsaid = np.array([0.3, -0.1], np.float32), np.full(2, np.nan, np.float32)
    rest = np.array([[0.5, 0.2], [0.15, 0.25]], np.float32)  # left 0.3 higher, left 0.1 lower
    right_rises = rest + np.array([0, 0.2], np.float32)
    for raw, risen in ((rest, 0.0), (right_rises, 0.2)):
        whole = raw.mean(axis=-1)
        intensity, _ = calibration.from_rest(rest.mean(axis=-1)).read(whole, np.zeros_like(whole))
        sides = calibration.from_rest(rest.mean(axis=-1)).read_sides(raw, intensity, resting)
        np.testing.assert_allclose(sides, [[0, 5 * risen]] * 2, atol=FLOOR)
        np.testing.assert_allclose(sides.mean(axis=-1), intensity, atol=1e-6)
    intensity, _ = calibration.read(rest.mean(axis=-1), np.zeros(2, np.float32))
    strangers = calibration.read_sides(rest, intensity)
    np.testing.assert_array_equal(calibration.read_sides(rest, intensity, unsaid), strangers)
    assert (np.abs(strangers[:, 0] - strangers[:, 1]) > 0.4).all()


def test_how_far_an_au_reaches_does_not_change_how_probable_it_is() -> None:
    raw = np.array([0.1, 0.2, 0.3], np.float32)
    calibration = Calibration(np.full(3, 1.0, np.float32), np.zeros(3, np.float32), boost=np.full(3, 3, np.float32))
    intensity, probability = calibration.read(raw, np.zeros(3, np.float32))
    np.testing.assert_allclose(intensity, [0.5, 1, 2.5], atol=1e-5)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-4 * (5 * raw - 1))), atol=1e-5)
