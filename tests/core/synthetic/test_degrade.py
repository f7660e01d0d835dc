"""Faults of cameras: how often, and that nothing moves."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest

from rtatl_core.synthetic import degrade as faults
from rtatl_core.synthetic.degrade import degrade

SIDE = 192


def grid() -> np.ndarray:
    """Soft squares of unequal grey: corners and edges to hold on to, and no period to slip by."""
    cells = np.random.default_rng(0).uniform(40, 215, (24, 24)).astype(np.float32)
    grey = cv2.GaussianBlur(cv2.resize(cells, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST), (0, 0), 1.5)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)


def shifts(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(4, 2) pixels by which each quarter of the picture moved, brightness and contrast set aside: least squares on its
    gradients, far finer than OpenCV's phase correlation, which is a third out at half a pixel."""
    a, b = (cv2.GaussianBlur(image.mean(axis=2), (0, 0), 2) for image in (before, after))
    across, down = np.gradient(b, axis=1), np.gradient(b, axis=0)
    half, found = SIDE // 2, []
    for row, column in ((r, c) for r in (8, half) for c in (8, half)):
        part = (slice(row, row + half - 8), slice(column, column + half - 8))
        table = np.stack([across[part].ravel(), down[part].ravel(), b[part].ravel(), np.ones((half - 8) ** 2)], axis=1)
        x, y, gain, _ = np.linalg.lstsq(table, a[part].ravel(), rcond=None)[0]
        found.append((x / gain, y / gain))
    return np.array(found)


def test_the_measure_of_shifts_measures() -> None:
    image = grid()
    moved = cv2.warpAffine(image, np.array([[1, 0, 0.5], [0, 1, -1]], np.float32), (SIDE, SIDE))
    assert shifts(image, moved) == pytest.approx(np.tile([0.5, -1], (4, 1)), abs=0.15)


def test_no_quarter_of_a_picture_moves() -> None:
    image = grid()
    moved = [np.abs(shifts(image, degrade(image, np.random.default_rng(seed)))).max() for seed in range(150)]
    assert max(moved) < 0.3
    assert np.median(moved) < 0.1


def test_degrading_follows_from_the_seed_and_changes_pictures() -> None:
    image = grid()
    one, same, other = (degrade(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert np.abs(one.astype(int) - other).mean() > 2


@pytest.mark.parametrize(
    ("fault", "chance"),
    [
        ("_bloom", faults.BLOOM),
        ("_noise", faults.NOISE),
        ("_flicker", faults.FLICKER),
        ("_combing", faults.COMBING),
        ("_compress", faults.JPEG),
        ("_streak", faults.MOVED),
    ],
)
def test_faults_are_as_frequent_as_said(monkeypatch: pytest.MonkeyPatch, fault: str, chance: float) -> None:
    seen: Counter[str] = Counter()
    original = getattr(faults, fault)

    def counted(*args: object) -> object:
        seen[fault] += 1
        return original(*args)

    monkeypatch.setattr(faults, fault, counted)
    image, count = grid()[:32, :32].copy(), 600
    for seed in range(count):
        degrade(image, np.random.default_rng(seed))
    assert seen[fault] / count == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / count))


def test_bright_places_spread_and_dark_ones_do_not() -> None:
    lamp = np.full((64, 64, 3), 40, np.float32)
    assert (faults._bloom(lamp, np.random.default_rng(0)) == 40).all()
    lamp[28:36, 28:36] = 255
    bloomed = faults._bloom(lamp, np.random.default_rng(0))
    assert bloomed[24, 32].min() > 41
    assert bloomed[2, 2].max() == pytest.approx(40, abs=0.1)


def test_combing_moves_rows_apart_and_the_picture_nowhere() -> None:
    image = grid()
    combed = faults._combing(image, np.random.default_rng(0))
    odd = np.repeat(combed[1::2], 2, axis=0)
    even = np.repeat(combed[::2], 2, axis=0)
    assert (shifts(even, odd)[:, 0] > 0.3).all()
    assert np.abs(shifts(image, combed)).max() < 0.1


def test_coding_keeps_the_brightness_of_green_and_red() -> None:
    """Stripes that differ in brightness as red does stay; those that differ as blue does are mostly colour, and go."""
    stripes = {}
    for channel in (0, 2):
        image = np.full((64, 64, 3), 60, np.uint8)
        image[:, ::2, channel] = 200
        coded = faults._jpeg(image, 90).astype(int)
        stripes[channel] = (coded[:, ::2, channel] - coded[:, 1::2, channel]).mean()
    assert stripes[0] > 1.5 * stripes[2]
