"""Many arrays on disk, read as one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.augment import centre_crop
from rtatl_core.datasets.chips import ChipStore, Rows
from rtatl_core.datasets.flow_pairs import frame_pairs
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
        assert rows.take([0, 399])[:, 0].tolist() == [0, 199]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_store_round_trip_and_its_central_chip(tmp_path: Path) -> None:
    store = ChipStore.open(write_labelled(tmp_path / "labelled"))
    assert store.chips.take(range(60)).shape == (60, 184, 184, 3)
    assert store.intensity is not None
    assert np.isnan(store.intensity[1, 1])
    assert store.intensity[0, 1] == 1.0
    assert centre_crop(store.chips[0], store.layout).shape == (144, 144, 3)


def test_damaged_store_is_named(tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips")
    np.save(folder / "parts" / "all" / "geometry.npy", np.zeros((3, 468, 3), np.float16))
    with pytest.raises(RecipeError, match="damaged"):
        ChipStore.open(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(RecipeError, match="not prepared to the end"):
        ChipStore.open(folder)
    assert ChipLayout.with_room(112).canvas == 144


def test_clips_of_one_name_in_several_folders_stay_apart(tmp_path: Path) -> None:
    one, two = write_clips(tmp_path / "one", clips=2), write_clips(tmp_path / "two", clips=1)
    store = ChipStore.open(one, two)
    assert list(store.clips) == ["one/c0"] * 12 + ["c1"] * 12 + ["two/c0"] * 12
    assert list(store.subjects) == ["c0"] * 12 + ["c1"] * 12 + ["c0"] * 12
    pairs = frame_pairs(store, "later", 0.2)
    assert len(pairs) == 30
    assert all(first // 12 == second // 12 for first, second in pairs)
    namesake = write_clips(tmp_path / "other" / "one", clips=1)
    assert set(ChipStore.open(one, namesake).clips) == {"one-1/c0", "c1", "one-2/c0"}
    stills = [write_labelled(tmp_path / name, count=4) for name in "ab"]
    assert set(ChipStore.open(*stills).clips) == {""}


def test_a_folder_counts_once(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "labelled")
    with pytest.raises(RecipeError, match=r"labelled is named twice, .*; name it once"):
        ChipStore.open(folder, folder.parent / "x" / ".." / "labelled")
