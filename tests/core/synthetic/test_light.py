"""Surroundings: what they light and what is seen of them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.errors import InputError
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


@pytest.mark.parametrize("columns", [slice(32, 64), slice(0, 32)])
def test_light_from_one_side_falls_on_that_side(columns: slice) -> None:
    """The middle of the picture lies behind the head, its right half at the right of what the camera sees."""
    half = np.zeros((32, 64, 3), np.float32)
    half[:, columns] = 1
    to_right, to_left = sh_basis(np.array([[1.0, 0, 0], [-1, 0, 0]])) @ ambient_of(half)
    lit, dark = (to_right, to_left) if columns.start else (to_left, to_right)
    assert lit.mean() > 0.9
    assert dark.mean() < 0.1


def test_the_key_light_points_at_the_lamp_and_the_picture_shows_it(tmp_path: Path) -> None:
    """A lamp behind the head, seen in the middle of the background, shines from there."""
    room = np.full((256, 512, 3), 0.2, np.float32)
    cv2.circle(room, (256, 128), 6, (900.0, 900.0, 900.0), -1)
    cv2.imwrite(str(tmp_path / "room.hdr"), room)
    surroundings, offsets = Surroundings(hdr_files(tmp_path)), []
    for seed in range(200):
        light, background = surroundings.sample(np.random.default_rng(seed), 96, 1.4)
        x, _, z = light.key_direction
        if z > -0.88:
            continue  # the lamp is out of view, or the room is a painted one
        blurred = cv2.GaussianBlur(background, (0, 0), 3)[..., 1]
        column = np.nonzero(blurred == blurred.max())[1].mean()
        offsets.append(column - 47.5)
        assert offsets[-1] == pytest.approx(48 * x / -z / np.tan(0.7), abs=8)
    assert min(offsets) < -15
    assert max(offsets) > 15


def test_the_sun_has_no_dark_ring(tmp_path: Path) -> None:
    room = np.full((256, 512, 3), 1.0, np.float32)
    cv2.circle(room, (256, 128), 5, (50000.0, 50000.0, 50000.0), -1)
    cv2.imwrite(str(tmp_path / "sun.hdr"), room)
    surroundings = Surroundings(hdr_files(tmp_path))
    for seed in range(100):
        light, background = surroundings.sample(np.random.default_rng(seed), 96, 1.4)
        if light.key_direction[2] < -0.88:
            assert background.min() >= np.median(background[:8]) - 25
