"""A small DISFA in exactly its layout, with all its traps, prepared by the command itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets import disfa
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.parts import UNREADABLE
from rtatl_core.errors import RecipeError
from rtatl_core.facs import DISFA_INTENSITY_AUS
from tests.clips import damage_frame, number_of, write_clip, write_video


@pytest.fixture(scope="module")
def disfa_tree(tmp_path_factory: pytest.TempPathFactory, pictures: list[np.ndarray]) -> Path:
    """SN001: whole, a picture more than labels, one short row. SN002: frames counted from 0, one AU file missing, a
    label more than pictures. SN003: labels without a video."""
    root = tmp_path_factory.mktemp("DISFA")
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN001_comp.avi", pictures[:6])
    write_video(root / "Video_RightCamera" / "RightVideoSN001_comp.avi", pictures[:3])
    write_video(root / "Videos_LeftCamera" / "LeftVideoSN002_comp.avi", pictures[:4])
    for subject, first, count in (("SN001", 1, 5), ("SN002", 0, 5), ("SN003", 1, 2)):
        folder = root / "ActionUnit_Labels" / subject
        folder.mkdir(parents=True)
        for au in DISFA_INTENSITY_AUS:
            if (subject, au) == ("SN002", 5):
                continue
            rows = [f"{first + k},{(k + au) % 6}" for k in range(count)]
            if (subject, au) == ("SN001", 12):
                rows[2] = "3"
            (folder / f"{subject}_au{au}.txt").write_text("\n".join(rows) + "\n")
    return root


def test_disfa_is_read_with_all_its_traps(disfa_tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "chips"
    assert main(["prepare", "disfa", "--root", str(disfa_tree), "--out", str(out), "--jobs", "2"]) == 0
    said = capsys.readouterr().out
    assert "no codes of AU5 for SN002" in said
    assert "no video of SN003" in said
    assert f"9 used, 1 {disfa.NO_PICTURE}, 2 {UNREADABLE}, 1 {disfa.NO_LABEL}" in said
    store = ChipStore.open(out)
    assert store.aus == DISFA_INTENSITY_AUS
    assert store.intensity is not None
    assert store.occurrence is not None
    at = {au: j for j, au in enumerate(DISFA_INTENSITY_AUS)}
    expected = [(k + 12) % 6 for k in range(5)]
    expected[2] = np.nan
    np.testing.assert_array_equal(store.intensity[:5, at[12]], expected)
    np.testing.assert_array_equal(store.occurrence[:5, at[12]], [0, 0, np.nan, 1, 1])
    np.testing.assert_array_equal(store.intensity[5:, at[1]], [1, 2, 3, 4])  # frame 0 is the first picture
    np.testing.assert_array_equal(store.occurrence[5:, at[1]], [0, 1, 1, 1])  # 2 or more
    assert np.isnan(store.intensity[5:, at[5]]).all()
    np.testing.assert_allclose(store.times[:5], np.arange(5) / 20, atol=1e-3)


def test_disfa_labels_stay_with_their_pictures_after_a_damaged_one(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "video.mp4", frames=6)
    damage_frame(path, 3)
    intensity = np.tile(np.arange(6, dtype=np.float32)[:, None] % 6, (1, 12))
    frames = list(disfa.Subject("SN001", path, 1, intensity).frames())
    seen = [(int(frame.intensity[0]), None if frame.image is None else number_of(frame.image)) for frame in frames]
    assert seen == [(0, 1), (1, 2), (2, None), (3, 4), (4, 5), (5, 6)]
    assert frames[2].lost == UNREADABLE


def test_disfa_mistakes_are_named(disfa_tree: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="holds no DISFA label files"):
        disfa.find_subjects(tmp_path)
    with pytest.raises(RecipeError, match="holds no DISFA videos like LeftVideo"):
        disfa.find_subjects(disfa_tree / "ActionUnit_Labels")
    assert disfa.find_subjects(disfa_tree, "right")[0].video is not None
    labels = tmp_path / "SN009"
    labels.mkdir()
    (tmp_path / "LeftVideoSN009_comp.avi").write_bytes(b"")
    for text, sentence in (
        ("1,6\n", r"SN009_au1.txt, line 1: intensity 6, but codes are 0-5"),
        ("1,a\n", r"line 1: 'a' is no whole number"),
        ("1,inf\n", r"line 1: 'inf' is no whole number"),
        ("1,0\n1,2.7\n", r"line 2: '2\.7' is no whole number"),
        ("2.9,1\n", r"line 1: '2\.9' is no whole number"),
        ("-1,1\n", r"line 1: '-1' is no whole number"),
        ("1e12,1\n", r"line 1: '1e12' is no whole number from 0 to 1000000"),
        ("1,2,7\n", r"line 1: 3 cells where 'frame,code' is expected"),
        ("1,2\n1,3\n", r"line 2: frame 1 has two rows; keep one"),
        ("\n", "hold label files without rows|holds label files without rows"),
    ):
        (labels / "SN009_au1.txt").write_text(text)
        with pytest.raises(RecipeError, match=sentence):
            disfa.find_subjects(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "SN009_AU01.txt").write_text("1,0\n")
    with pytest.raises(RecipeError, match=r"SN009_(au1|AU01)\.txt both code AU1 of SN009; keep one of them"):
        disfa.find_subjects(tmp_path)
