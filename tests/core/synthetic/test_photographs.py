"""Rendered expressions moved onto photographs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.teacher import AT_REST, TEACHER_SHAPES
from rtatl_core.errors import RecipeError
from rtatl_core.face.align import align_face
from rtatl_core.face.mesh import MESH_POINTS, OUTER_EYE_MM, mean_face
from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.photographs import OF_A_FACE, OF_BROWS, move_face, move_photographs
from tests.core.stores import face, open_store, write_clips, write_labelled

COLUMNS = list(TEACHER_SHAPES)
MOUTH_CORNERS = (61, 291)


@pytest.fixture
def renders(tmp_path: Path) -> ChipStore:
    """Ten people of six faces with AU12 and AU25, told left and right; the first of each is at rest."""
    store = ChipStore.open(write_labelled(tmp_path / "renders", sides=True))
    intensity = np.stack([np.repeat([0, 3], [10, 50]), np.zeros(60)], axis=1).astype(np.float32)
    sides = np.stack([intensity, intensity], axis=2)
    return dataclasses.replace(store, intensity=intensity, occurrence=(intensity >= 1) * np.float32(1), sides=sides)


@pytest.fixture
def photos(tmp_path: Path) -> ChipStore:
    """Twelve frames as photographs: one at rest, one with resting brows in a smile, the others with raised brows."""
    store = open_store(write_clips(tmp_path / "photos", clips=1))
    teacher = np.zeros((12, len(COLUMNS)), np.float32)
    teacher[1, COLUMNS.index(12)] = 0.9
    teacher[2:, COLUMNS.index(1)] = 2 * AT_REST[1]
    return dataclasses.replace(
        store, teacher=teacher, clips=np.full(12, ""), yaw=np.zeros(12, np.float32), pitch=np.zeros(12, np.float32)
    )


def bright(chip: Float32) -> float:
    """Mean height of the white squares that mark the mouth's corners, in pixels."""
    rows = np.nonzero(chip.astype(np.float32).mean(axis=2) > 210)[0]
    return float(rows.mean())


def test_the_picture_moves_with_its_landmarks(photos: ChipStore) -> None:
    image, points = face(0.0, np.random.default_rng(0))
    seen = align_face(image, points, photos.layout)
    movement = np.zeros((MESH_POINTS, 3), np.float32)
    near = np.linalg.norm(mean_face()[:, None] - mean_face()[list(MOUTH_CORNERS)], axis=2).min(axis=1) < 12
    movement[near, 1] = -6 / OUTER_EYE_MM  # 6 mm up around the mouth's corners
    moved = move_face(seen.chip, seen.landmarks, seen.geometry, movement, photos.layout)
    up = (seen.landmarks - moved.landmarks)[list(MOUTH_CORNERS), 1] * photos.layout.side
    eyes = np.linalg.norm(seen.landmarks[33] - seen.landmarks[263]) * photos.layout.side
    np.testing.assert_allclose(up, 6 * eyes / OUTER_EYE_MM, rtol=0.05)
    assert bright(seen.chip) - bright(moved.chip) == pytest.approx(up.mean(), rel=0.15)
    np.testing.assert_allclose(moved.geometry, seen.geometry + movement, atol=1e-6)
    forehead = np.s_[: photos.layout.canvas // 4]
    assert cv2.absdiff(moved.chip[forehead], seen.chip[forehead]).mean() < 0.5


def test_photos_at_rest_get_whole_expressions_and_others_those_of_the_brows(
    photos: ChipStore, renders: ChipStore, tmp_path: Path
) -> None:
    made = move_photographs(photos, renders, tmp_path / "smiles")
    store = ChipStore.open(tmp_path / "smiles")
    assert made == len(store) == OF_A_FACE  # nobody in the renders moves the brows, so the second photo has no use
    assert set(store.subjects) == {str(photos.subjects[0])}
    assert not store.rendered.any()  # real people, whom the card must name
    assert store.intensity is not None
    assert (store.intensity[:, 0] == 3).all()

    brows = dataclasses.replace(renders, aus=(2, 12))
    move_photographs(photos, brows, tmp_path / "brows")
    store = ChipStore.open(tmp_path / "brows")
    assert len(store) == OF_A_FACE + OF_BROWS
    assert store.intensity is not None
    assert (store.intensity[:, 0] == 3).all()
    assert np.isnan(store.intensity[OF_A_FACE:, 1]).all()  # what that mouth does nobody told
    lips = np.abs(store.geometry.take([OF_A_FACE])[0][[13, 14]] - photos.geometry[1][[13, 14]])
    assert lips.max() < 1e-3  # and it was left as it is


def test_what_parts_the_lips_is_not_warped(photos: ChipStore, renders: ChipStore, tmp_path: Path) -> None:
    assert renders.sides is not None
    open_mouths = renders.sides + np.array([0, 1], np.float32)[None, :, None] * (renders.sides[:, :1] > 0)
    with pytest.raises(RecipeError, match="leaves lips and eyes as they are"):
        move_photographs(photos, dataclasses.replace(renders, sides=open_mouths), tmp_path / "none")


def test_same_seed_same_pictures_and_a_second_run_starts_afresh(
    photos: ChipStore, renders: ChipStore, tmp_path: Path
) -> None:
    for out in ("one", "two", "two"):
        move_photographs(photos, renders, tmp_path / out, seed=3)
    move_photographs(photos, renders, tmp_path / "other", seed=4)
    one, two, other = (ChipStore.open(tmp_path / out) for out in ("one", "two", "other"))
    assert (one.chips.take(range(9)) == two.chips.take(range(9))).all()
    assert not (one.chips.take(range(9)) == other.chips.take(range(9))).all()


def test_material_that_does_not_serve_is_named(
    photos: ChipStore, renders: ChipStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecipeError, match=r"no photo of .* is at rest"):
        move_photographs(dataclasses.replace(photos, yaw=photos.yaw + 60), renders, tmp_path / "a")
    awake = dataclasses.replace(renders, sides=np.full((60, 2, 2), 2.0, np.float32))
    with pytest.raises(RecipeError, match=r"no rendered person of .* is at rest"):
        move_photographs(photos, awake, tmp_path / "b")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    with pytest.raises(RecipeError, match="not empty"):
        move_photographs(photos, renders, tmp_path / "mine")
    folders = ["--photos", str(tmp_path / "photos"), "--renders", str(tmp_path / "renders")]
    assert main(["move", *folders, "--out", str(tmp_path / "c")]) == 2
    assert "no teacher values; prepare it with --teacher" in capsys.readouterr().err
