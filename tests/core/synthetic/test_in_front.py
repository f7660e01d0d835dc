"""Spectacles and things before a face: where they are, and what they leave to be seen."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from rtatl_core.synthetic import in_front
from rtatl_core.synthetic.in_front import GlassesStyle, glasses, occlude


def face(turn: float = 0.0) -> np.ndarray:
    """(68, 2) pixels of a plain face turned to the subject's left by ``turn`` radians; ten pixels a centimetre."""
    points = np.zeros((68, 3))
    points[:, 1] = -6
    points[0:17, 0] = np.linspace(-7.4, 7.4, 17)
    points[0:17, 1] = -0.9 - 10 * np.cos(np.linspace(-np.pi / 2, np.pi / 2, 17))
    points[0:17, 2] = -5 + 7 * np.cos(np.linspace(-np.pi / 2, np.pi / 2, 17))
    points[17:27] = np.stack([np.linspace(-6, 6, 10), np.full(10, 1.2), np.full(10, 2)], axis=1)
    points[27], points[28:31], points[31:36] = (0, -0.3, 3.1), (0, -3.7, 5), (0, -5, 4.4)
    points[36:42], points[42:48], points[48:] = (-3.15, -0.5, 1.5), (3.15, -0.5, 1.5), (0, -7.5, 4)
    x = points[:, 0] * np.cos(turn) + points[:, 2] * np.sin(turn)
    return np.stack([128 + 10 * x, 110 - 10 * points[:, 1]], axis=1).astype(np.float32)


FRAME = GlassesStyle((10, 10, 10), 0.4, 0.3, 0.0, 0.5, 0.03, True, 0.0, 0.0)


def drawn(turn: float, style: GlassesStyle = FRAME) -> np.ndarray:
    plain = np.full((256, 256, 3), 150, np.uint8)
    return np.abs(glasses(plain, face(turn), style).astype(int) - plain).max(axis=2)


def test_glasses_are_alike_on_both_sides_of_a_face_that_looks_ahead() -> None:
    ink = drawn(0) > 60
    columns = np.nonzero(ink.any(axis=0))[0]
    assert columns.min() + columns.max() == pytest.approx(256, abs=2)
    rows = np.nonzero(ink.any(axis=1))[0]
    assert rows.mean() == pytest.approx(115, abs=6)
    assert rows.max() < face()[30, 1], "mouth and chin are left alone"


def test_a_turned_head_shows_one_temple_arm_and_narrower_lenses() -> None:
    ahead, turned = face(0), face(0.6)
    ink = drawn(0.6) > 60
    columns = np.nonzero(ink.any(axis=0))[0]
    right_ear, left_ear = turned[0, 0], turned[16, 0]
    assert columns.min() < right_ear + 25  # turned to its left, the head shows its right arm
    assert columns.max() > left_ear  # and a left lens that stands out beyond the ear
    lens = columns.max() - turned[42, 0]
    assert lens < 0.9 * (np.nonzero((drawn(0) > 60).any(axis=0))[0].max() - ahead[42, 0])


def test_dark_lenses_darken_the_eyes_and_clear_ones_do_not() -> None:
    x, y = face()[42].round().astype(int)
    assert drawn(0)[y, x] == 0
    assert drawn(0, dataclasses.replace(FRAME, tint=0.8))[y, x] > 60


def test_styles_differ_and_follow_from_the_seed() -> None:
    styles = [GlassesStyle.sample(np.random.default_rng(seed)) for seed in range(200)]
    assert styles[3] == GlassesStyle.sample(np.random.default_rng(3))
    rims = Counter((style.upper_rim, style.lower_rim) for style in styles)
    assert set(rims) == {(True, True), (True, False), (False, False)}
    assert 10 < sum(style.sag > 0 for style in styles) < 60


@pytest.mark.parametrize("kind", ["_hand", "_strands", "_mug", "_microphone", "_thing"])
def test_things_before_a_face_follow_from_the_seed_and_leave_most_of_it(kind: str) -> None:
    image = np.full((256, 256, 3), 150, np.uint8)
    draw, marks = getattr(in_front, kind), face()
    for seed in range(15):
        one, same = (draw(image.copy(), marks, 150.0, np.random.default_rng(seed)) for _ in range(2))
        assert (one == same).all()
        covered = (np.abs(one.astype(int) - image).max(axis=2) > 40).mean()
        assert covered < 0.4
    assert covered > 0


def test_occluders_cover_a_part_of_a_copy() -> None:
    image = np.full((256, 256, 3), 150, np.uint8)
    for seed in range(12):
        occluded = occlude(image, face(), np.random.default_rng(seed))
        assert 0 < (occluded != 150).any(axis=2).mean() < 0.5
    assert (image == 150).all()
