"""Own coded videos: each code reaches the frame it was given to."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.datasets import coded
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.parts import UNREADABLE
from rtatl_core.errors import RecipeError
from tests.clips import begin_later, damage_frame, number_of, write_clip, write_video


def test_own_coded_videos(tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "study"
    for name in ("P01/smile.mp4", "P02/smile.mp4", "calm.mp4", "uncoded.mp4"):
        write_video(root / name, pictures[:4])
    (root / "codes.csv").write_text(
        "video,subject,frame,AU12,AU6_c,Coder,time\n"
        "P01/smile.mp4,anna,1,A,1\nP01/smile.mp4,anna,3,4,0\n"
        "C:\\films\\P02\\smile.mp4,ben,2,0,\ncalm,cleo,4,9,1\n"
    )
    out = tmp_path / "chips"
    assert main(["prepare", "coded", "--root", str(root), "--out", str(out), "--jobs", "1"]) == 0
    said = capsys.readouterr().out
    assert "videos without codes, which are left out: uncoded.mp4" in said
    assert "codes.csv: columns not used: Coder\n" in said
    assert "4 used, 8 frame without a code" in said
    store = ChipStore.open(out)
    assert store.aus == (6, 12)
    rows = {(s, round(float(t) * 20)): i for i, (s, t) in enumerate(zip(store.subjects, store.times, strict=True))}
    assert set(rows) == {("anna", 0), ("anna", 2), ("ben", 1), ("cleo", 3)}
    assert store.intensity is not None
    assert store.occurrence is not None
    assert store.intensity[rows["anna", 0], 1] == 1
    assert store.intensity[rows["anna", 2], 1] == 4
    np.testing.assert_array_equal(store.occurrence[rows["anna", 2]], [0, 1])
    np.testing.assert_array_equal(store.occurrence[rows["ben", 1]], [np.nan, 0])
    np.testing.assert_array_equal(store.occurrence[rows["cleo", 3]], [1, np.nan])
    (root / "more.csv").write_text("video,frame,AU12\nsmile.mp4,1,2\n")
    assert main(["prepare", "coded", "--root", str(root), "--out", str(tmp_path / "x")]) == 2
    assert "are called so; write the path below --root" in capsys.readouterr().err
    (root / "more.csv").write_text("video,frame,AU12\ngone.mp4,1,2\n")
    assert main(["prepare", "coded", "--root", str(root), "--out", str(tmp_path / "x")]) == 2
    assert "codes 'gone.mp4', and there is no such video below" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("codes", "problem"),
    [
        ("video,au,onset,offset\nthree.mp4,12,1200,2000\n", "up to 2000 s, and the video ends at 3.00 s"),
        ("video,au,onset,offset\nthree.mp4,12,1.2,3.6\n", "up to 3.6 s"),
        ("video,time,AU12\nthree.mp4,1200,2\n", "up to 1200 s"),
        ("video,frame,AU12\nthree.mp4,1,1\nthree.mp4,500,2\n", r"up to frame 500, and the video has 75 frames"),
    ],
)
def test_codes_after_the_end_of_the_video_are_refused(tmp_path: Path, codes: str, problem: str) -> None:
    write_clip(tmp_path / "three.mp4", frames=75)
    (tmp_path / "codes.csv").write_text(codes)
    (unit,) = coded.find_coded(tmp_path)[1]
    with pytest.raises(RecipeError, match=rf"codes\.csv codes three\.mp4 {problem}.*milliseconds") as caught:
        list(unit.frames())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "codes",
    [
        "video,au,onset,offset\nthree.mp4,12,1.2,3.4\n",
        "video,au,onset,offset\nthree.mp4,12,,\n",
        "video,frame,AU12\nthree.mp4,76,1\nthree.mp4,999,\n",
    ],
    ids=["sound", "neutral", "empty"],
)
def test_codes_may_end_a_little_late_and_rows_without_a_code_later(tmp_path: Path, codes: str) -> None:
    write_clip(tmp_path / "three.mp4", frames=75)
    (tmp_path / "codes.csv").write_text(codes)
    (unit,) = coded.find_coded(tmp_path)[1]
    assert len([frame for frame in unit.frames() if frame.lost != coded.NO_FRAME]) == 75


@pytest.mark.parametrize(
    ("codes", "count"),
    [
        ("video,time,AU12\nslow.mp4,0.1,2\nslow.mp4,0.12,2\nslow.mp4,0.25,2\nslow.mp4,0.35,NA\nslow.mp4,2.02,2\n", 2),
        ("video,au,onset,offset\nslow.mp4,12,0.1,0.1\nslow.mp4,12,0.12,0.12\nslow.mp4,12,0.5,0.7\n", 1),
        ("video,frame,AU12\nslow.mp4,20,2\nslow.mp4,21,2\nslow.mp4,22,NA\n", 1),
    ],
    ids=["times", "events", "numbers"],
)
def test_codes_between_the_frames_of_a_slow_video_or_after_the_last_are_counted(
    tmp_path: Path, codes: str, count: int
) -> None:
    write_clip(tmp_path / "slow.mp4", frames=20, fps=10)
    (tmp_path / "codes.csv").write_text(codes)
    (unit,) = coded.find_coded(tmp_path)[1]
    frames = list(unit.frames())
    assert all(frame.image is None for frame in frames[20:])
    assert [frame.lost for frame in frames[20:]] == [coded.NO_FRAME] * count


def test_of_many_videos_without_codes_it_is_said_how_many(tmp_path: Path) -> None:
    for k in range(8):
        (tmp_path / f"{k}.mp4").touch()
    (tmp_path / "codes.csv").write_text("video,frame,AU12\n0.mp4,1,2\n")
    assert coded.find_coded(tmp_path)[2] == [
        "videos without codes, which are left out: 1.mp4, 2.mp4, 3.mp4, 4.mp4, 5.mp4 and 2 more"
    ]


def test_a_video_without_codes_is_named_though_another_of_its_name_has_some(tmp_path: Path) -> None:
    for name in ("P01/pre.mp4", "P02/pre.mp4"):
        (tmp_path / name).parent.mkdir()
        write_clip(tmp_path / name, frames=2)
    (tmp_path / "codes.csv").write_text("video,frame,AU12\nP02/pre.mp4,1,2\n")
    assert coded.find_coded(tmp_path)[2] == ["videos without codes, which are left out: P01/pre.mp4"]


@pytest.mark.parametrize("name", [".mp4", ".", "file://"])
def test_a_name_that_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / "smile.mp4", frames=2)
    (tmp_path / "codes.csv").write_text(f"video,frame,AU12\n{name},1,1\n")
    with pytest.raises(RecipeError, match=rf"codes '{re.escape(name)}', and there is no such video"):
        coded.find_coded(tmp_path)


def test_a_coding_that_names_no_video_needs_one_called_like_it(tmp_path: Path) -> None:
    write_clip(tmp_path / "smile.mp4", frames=2)
    (tmp_path / "codes.csv").write_text("film,frame,AU12\nsmile.mp4,1,1\n")
    with pytest.raises(RecipeError, match=r"codes 'codes', and there is no such video.*in a column 'video'"):
        coded.find_coded(tmp_path)


def test_one_video_named_in_two_ways_is_refused(tmp_path: Path) -> None:
    (tmp_path / "P01").mkdir()
    (tmp_path / "P01" / "smile.mp4").touch()
    (tmp_path / "codes.csv").write_text("video,au,onset,offset\nP01/smile.mp4,12,0,1\n")
    (tmp_path / "list.csv").write_text("video,coded\nsmile.mp4,12 4\n")
    with pytest.raises(RecipeError, match=r"list\.csv codes 'smile\.mp4', which codes\.csv calls 'P01/smile\.mp4'"):
        coded.find_coded(tmp_path)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_accents_may_be_taken_apart_in_names_of_files(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    (tmp_path / unicodedata.normalize(form, "lächeln.mp4")).touch()
    other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", "lächeln.mp4")
    (tmp_path / "codes.csv").write_text(f"video,frame,AU12\n{other},1,2\n", encoding="utf-8")
    (unit,) = coded.find_coded(tmp_path)[1]
    assert unit.name == unicodedata.normalize(form, "lächeln.mp4")


@pytest.mark.parametrize(
    ("codes", "doubtful"),
    [
        ("video,frame,AU12,AU4\na.mp4,1,1,0\na.mp4,2,0,9\n", True),
        ("video,frame,AU12,AU4\na.mp4,1,1,0\na.mp4,2,2,0\n", False),
        ("video,frame,AU12_c\na.mp4,1,1\na.mp4,2,0\n", False),
        ("video,frame,AU12\na.mp4,1,0\n", False),
        ("video,au,onset,offset,intensity\na.mp4,12,0,1,1\n", True),
        ("video,au,onset,offset\na.mp4,12,0,1\n", False),
    ],
)
def test_intensities_that_may_be_presence_are_told(tmp_path: Path, codes: str, doubtful: bool) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "codes.csv").write_text(codes)
    notes = coded.find_coded(tmp_path)[2]
    assert [note.startswith("CHECK: all intensities in the codings are 0 or 1") for note in notes] == [True] * doubtful


def test_a_root_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("videos", "photos"):
        assert main(["prepare", kind, "--root", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 2
        assert f"{tmp_path / 'gone'} does not exist; name the folder of the {kind}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_coded_video_of_which_nothing_is_used_is_named(
    tmp_path: Path, pictures: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    write_video(tmp_path / "study" / "whole.mp4", pictures[:2])
    (tmp_path / "study" / "damaged.mp4").write_bytes(b"no video")
    (tmp_path / "study" / "codes.csv").write_text("video,frame,AU12\nwhole.mp4,1,2\ndamaged.mp4,1,2\n")
    command = ["prepare", "coded", "--root", str(tmp_path / "study"), "--out", str(tmp_path / "out"), "--jobs", "1"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"nothing could be used of 1 of 2 parts: damaged.mp4 (1 {UNREADABLE})\n" in said


def test_a_damaged_frame_does_not_shift_the_codes_of_the_next_ones(tmp_path: Path) -> None:
    damage_frame(write_clip(tmp_path / "a.mp4", frames=6), 3)
    rows = "".join(f"a.mp4,{number},{number % 5}\n" for number in range(1, 7))
    (tmp_path / "codes.csv").write_text(f"video,frame,AU12\n{rows}")
    (unit,) = coded.find_coded(tmp_path)[1]
    frames = list(unit.frames())
    assert [None if f.image is None else number_of(f.image) for f in frames] == [1, 2, None, 4, 5, 6]
    assert [None if f.intensity is None else f.intensity[0] for f in frames] == [1, 2, None, 4, 0, 1]
    assert frames[2].lost == UNREADABLE


def test_codes_count_from_the_start_of_the_file_also_where_its_pictures_begin_later(tmp_path: Path) -> None:
    begin_later(write_clip(tmp_path / "late.mp4", frames=20), 0.4)
    (tmp_path / "codes.csv").write_text("video,au,onset,offset\nlate.mp4,12,0.6,0.8\nlate.mp4,12,1.16,1.6\n")
    (unit,) = coded.find_coded(tmp_path)[1]
    frames = list(unit.frames())
    assert [round(frame.time, 2) for frame in frames[:2]] == [0.4, 0.44]
    present = [number for number, f in enumerate(frames, 1) if f.occurrence is not None and f.occurrence[0]]
    assert present == [6, 7, 8, 9, 10, 20]
