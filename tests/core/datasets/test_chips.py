"""Many arrays on disk, read as one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.augment import centre_crop
from rtatl_core.datasets.chips import ChipStore, Rows, frame_pairs, later_rows
from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout
from tests.core.stores import write_clips, write_labelled


def test_more_parts_than_files_may_be_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    files = [tmp_path / f"{number}.npy" for number in range(200)]
    for number, file in enumerate(files):
        np.save(file, np.full((2, 3), number, np.uint8))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 100, before[1]))
    try:
        rows = Rows(files)
        assert rows.shape == (400, 3)
        assert rows.take([0, 399])[:, 0].tolist() == [0, 199]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_pairs_stay_in_their_clip_and_gap(tmp_path: Path) -> None:
    store = ChipStore.open(write_clips(tmp_path / "videos"))
    pairs = frame_pairs(store, 0.2)
    assert len(pairs) == 20
    for a, b in pairs:
        assert store.clips[a] == store.clips[b]
        assert store.times[b] - store.times[a] == pytest.approx(0.2, abs=0.05)


def test_store_round_trip_and_its_central_chip(tmp_path: Path) -> None:
    store = ChipStore.open(write_labelled(tmp_path / "labelled"))
    assert store.chips.shape == (60, 144, 144, 3)
    assert store.intensity is not None
    assert np.isnan(store.intensity[1, 1])
    assert store.intensity[0, 1] == 1.0
    assert centre_crop(store.chips[0], store.layout).shape == (112, 112, 3)


def test_damaged_store_is_named(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips")
    np.save(folder / "parts" / "all" / "geometry.npy", np.zeros((3, 468, 3), np.float16))
    with pytest.raises(RecipeError, match="damaged"):
        ChipStore.open(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(RecipeError, match="not prepared to the end"):
        ChipStore.open(folder)
    assert ChipLayout(112, 16).canvas == 144


@pytest.mark.parametrize(
    ("fps", "steps"),
    [(5, 1), (6, 1), (6.25, 1), (8, 2), (10, 2), (12, 2), (12.5, 3), (24, 5), (25, 5), (29.97, 6), (30, 6), (7, None)],
)
def test_a_partner_is_the_frame_nearest_to_the_gap(fps: float, steps: int | None) -> None:
    """25 and 30 fps, with which the bundled weights were trained, lead five and six frames on."""
    times = np.round(np.arange(40) / fps, 4)
    partner = later_rows(np.full(40, "c"), times, 0.2)
    rows = np.arange(30)
    assert partner[rows].tolist() == (rows + steps if steps else np.full(30, -1)).tolist()
    assert (partner[times + 0.2 > times[-1] + 1e-6] == -1).all(), "the clip ends before"


def test_partners_stay_in_their_clip_where_frames_are_missing() -> None:
    clips = np.array(["a", "a", "a", "", "", "b", "b"])
    times = np.array([0.0, 0.16, 0.5, 0.0, 0.2, 0.2, 0.8])
    assert later_rows(clips, times, 0.2).tolist() == [1, -1, -1, -1, -1, -1, -1]
