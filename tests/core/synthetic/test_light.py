"""Surroundings, camera faults, glasses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.errors import InputError
from rtatl_core.synthetic.degrade import GlassesStyle, degrade, glasses, occlude
from rtatl_core.synthetic.surroundings import Surroundings, ambient_of, hdr_files, sh_basis, to_srgb


def test_a_uniform_sky_lights_every_direction_alike() -> None:
    ambient = ambient_of(np.full((32, 64, 3), 0.7, np.float32))
    normals = np.random.default_rng(0).normal(size=(50, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    assert sh_basis(normals) @ ambient == pytest.approx(0.7, abs=0.01)


def test_light_from_above_falls_on_what_looks_up() -> None:
    sky = np.zeros((32, 64, 3), np.float32)
    sky[:10] = 1
    up, down = sh_basis(np.array([[0.0, 1, 0], [0, -1, 0]])) @ ambient_of(sky)
    assert (up > 0.4).all()
    assert (down < 0.1).all()


@pytest.fixture
def lamp(tmp_path: Path) -> Path:
    """A dim room with one lamp a quarter turn to the right of what the camera sees."""
    room = np.full((64, 128, 3), 0.1, np.float32)
    room[22:28, 94:98] = 80
    cv2.imwrite(str(tmp_path / "room.hdr"), room)
    return tmp_path


def test_the_brightest_spot_becomes_the_key_light(lamp: Path) -> None:
    surroundings = Surroundings(hdr_files(lamp))
    heights = []
    for seed in range(60):
        light, background = surroundings.sample(np.random.default_rng(seed), 64, 0.5)
        assert background.shape == (64, 64, 3)
        assert np.linalg.norm(light.key_direction) == pytest.approx(1, abs=1e-4)
        heights.append(float(light.key_direction[1]))
    above_horizon = np.cos(np.pi * 25 / 64)
    assert np.median(heights) == pytest.approx(above_horizon, abs=0.15)


def test_painted_rooms_need_no_file() -> None:
    surroundings = Surroundings(())
    means = []
    for seed in range(40):
        light, background = surroundings.sample(np.random.default_rng(seed), 80, 0.5)
        assert background.dtype == np.uint8
        facing = sh_basis(np.array([0.0, 0, 1])) @ light.ambient + max(light.key_direction[2], 0) * light.key_colour
        means.append(float(facing.mean()))
    assert 0.3 < np.median(means) < 1.2


def test_a_folder_without_surroundings_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no \.hdr"):
        hdr_files(tmp_path)


def test_srgb_is_monotone_and_soft() -> None:
    values = to_srgb(np.linspace(0, 3, 100, dtype=np.float32))
    assert (np.diff(values.astype(int)) >= 0).all()
    assert values[0] == 0
    assert to_srgb(np.float32([0.2140]))[0] == pytest.approx(127, abs=2)


def _blots(side: int = 128) -> np.ndarray:
    """Soft blots of all sizes."""
    noise = np.random.default_rng(0).normal(size=(side, side)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 3)
    grey = (128 + 45 * soft / soft.std()).clip(0, 255).astype(np.uint8)
    return np.dstack([grey, grey, grey])


def _shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(2,) pixels by which a picture moved, brightness and contrast set aside: least squares on its gradients."""
    a, b = (cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 2)[8:-8, 8:-8] for image in (before, after))
    across, down = np.gradient(b, axis=1), np.gradient(b, axis=0)
    table = np.stack([across.ravel(), down.ravel(), b.ravel(), np.ones(b.size)], axis=1)
    x, y, gain, _ = np.linalg.lstsq(table, a.ravel(), rcond=None)[0]
    return np.array([x, y]) / gain


def test_degrading_moves_nothing() -> None:
    image = _blots()
    assert _shift(image, np.roll(image, 1, axis=1)) == pytest.approx([1, 0], abs=0.2)
    shifts = [np.abs(_shift(image, degrade(image, np.random.default_rng(seed)))).max() for seed in range(80)]
    assert np.median(shifts) < 0.1
    assert np.quantile(shifts, 0.95) < 0.4


def test_degrading_follows_from_the_seed_and_changes_pictures() -> None:
    image = _blots()
    one, same, other = (degrade(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == same).all()
    assert np.abs(one.astype(int) - other).mean() > 2


def _landmarks() -> np.ndarray:
    marks = np.full((68, 2), 64, np.float32)
    marks[0], marks[16] = (30, 64), (98, 64)
    marks[27], marks[30], marks[33] = (64, 54), (64, 72), (64, 78)
    marks[36:42], marks[42:48] = (48, 54), (80, 54)
    marks[17:27] = np.stack([np.linspace(40, 88, 10), np.full(10, 44)], axis=1)
    marks[48:] = (64, 95)
    return marks


def test_glasses_lie_on_the_eyes_and_leave_the_chin_alone() -> None:
    image = np.full((128, 128, 3), 150, np.uint8)
    style = GlassesStyle((10, 10, 10), 0.4, 0.3, 0.05, 0.5, 0.05, True, 0.0, 0.0)
    worn = glasses(image, _landmarks(), style)
    changed = np.abs(worn.astype(int) - image).max(axis=2) > 20
    rows, columns = np.nonzero(changed)
    assert 40 < rows.mean() < 66
    assert abs(columns.mean() - 64) < 3
    assert not changed[90:].any()


@pytest.mark.parametrize("seed", range(12))
def test_occluders_cover_a_part_only(seed: int) -> None:
    image = np.full((128, 128, 3), 150, np.uint8)
    changed = (occlude(image, _landmarks(), np.random.default_rng(seed)) != image).any(axis=2).mean()
    assert 0 < changed < 0.5
