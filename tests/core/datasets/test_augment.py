"""Views of a face for training: picture, landmarks and geometry change together."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtatl_core.datasets.augment import AugmentConfig, _degrade, augment, centre_crop
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.face.mesh import mirror_index
from rtatl_core.handoffs import CHIP_SIDE, Float32
from tests.core.stores import write_labelled


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ChipStore:
    return ChipStore.open(write_labelled(tmp_path_factory.mktemp("data") / "labelled"))


def one(store: ChipStore) -> tuple[np.ndarray, Float32, Float32]:
    return (
        np.ascontiguousarray(store.chips[0]),
        store.landmarks[0].astype(np.float32),
        store.geometry[0].astype(np.float32),
    )


def test_augmentation_without_change_is_the_central_chip(store: ChipStore) -> None:
    made = augment(*one(store), store.layout, AugmentConfig.none(), np.random.default_rng(0))
    assert np.abs(made.chip.astype(int) - centre_crop(store.chips[0], store.layout)).mean() < 0.5
    np.testing.assert_allclose(made.landmarks, store.landmarks[0][:468].astype(np.float32), atol=1e-3)


def test_flip_mirrors_picture_landmarks_and_geometry(store: ChipStore) -> None:
    settings = dict.fromkeys(AugmentConfig.__slots__, 0.0)
    plain = augment(*one(store), store.layout, AugmentConfig(**settings), np.random.default_rng(0))
    flipped = augment(*one(store), store.layout, AugmentConfig(**(settings | {"flip": 1.0})), np.random.default_rng(0))
    assert flipped.flipped
    assert np.abs(flipped.chip.astype(int) - plain.chip[:, ::-1]).mean() < 1.0
    mirror = list(mirror_index())
    edge = (CHIP_SIDE - 1) / CHIP_SIDE  # pixel centres: x of the mirrored pixel
    expected = plain.landmarks[mirror] * (-1, 1) + (edge, 0)
    np.testing.assert_allclose(flipped.landmarks, expected, atol=1e-3)
    np.testing.assert_allclose(flipped.geometry, plain.geometry[mirror] * (-1, 1, 1), atol=1e-6)


def test_landmarks_move_with_the_pixels(store: ChipStore) -> None:
    settings = dict.fromkeys(AugmentConfig.__slots__, 0.0) | {"rotation_rad": 0.3, "scale": 0.1, "shift": 0.05}
    for seed in range(5):
        made = augment(*one(store), store.layout, AugmentConfig(**settings), np.random.default_rng(seed))
        x, y = (made.landmarks[61] * CHIP_SIDE).astype(int)
        assert made.chip[y, x].min() > 240  # the white mark at the mouth corner


def test_a_small_face_loses_red_and_blue_as_a_jpeg_does() -> None:
    """Which keeps more of what is red than of what is blue."""
    config = replace(AugmentConfig.none(), shrink=1.0)
    noise = np.random.default_rng(0).integers(0, 256, (CHIP_SIDE // 8, CHIP_SIDE // 8), np.uint8)
    lost = []
    for colour in (0, 2):
        chip = np.full((CHIP_SIDE, CHIP_SIDE, 3), 128, np.uint8)
        chip[..., colour] = cv2.resize(noise, (CHIP_SIDE, CHIP_SIDE), interpolation=cv2.INTER_CUBIC)
        degraded = [
            _degrade(chip, config, np.random.default_rng(seed))[..., colour].astype(float) for seed in range(20)
        ]
        lost.append(np.mean([np.square(one - chip[..., colour]).mean() for one in degraded]))
    red, blue = lost
    assert red < 0.9 * blue
