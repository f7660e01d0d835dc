"""Own tables of frames: what a row says of its frame, and rows that cannot be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.datasets.codings.coding import MATCH_S
from rtatl_core.errors import RecipeError
from tests.core.datasets.codings.conftest import NAN, read, same, seen

FRAMES = """video,frame,subject,AU12,AU04_r,AU06_c,notes
smile.mp4,1,P01,0,A,1,begin
smile.mp4,2,P01,2.5,,0,
smile.mp4,4,,E,NA,9,
"""


def test_frames_give_intensity_letters_and_occurrence(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, FRAMES)
    assert (coding.video, coding.subject, coding.aus) == ("smile.mp4", "P01", (4, 6, 12))
    assert not coding.ignored
    same(seen(coding, 0, 12, frame=1), 0, 0)
    same(seen(coding, 0, 4, frame=1), 1, 1)
    same(seen(coding, 0, 6, frame=1), NAN, 1)
    same(seen(coding, 0, 12, frame=2), 2.5, 1)
    same(seen(coding, 0, 4, frame=2), NAN, NAN)
    same(seen(coding, 0, 6, frame=2), NAN, 0)
    same(seen(coding, 0, 12, frame=4), 5, 1)
    same(seen(coding, 0, 4, frame=4), NAN, NAN)
    same(seen(coding, 0, 6, frame=4), NAN, NAN)


@pytest.mark.parametrize("column", ["12", "AU 12", "au-12", "AU_12", "aU12_R", "12_r", " 12 "])
def test_the_au_of_a_column_may_be_written_in_many_ways(tmp_path: Path, column: str) -> None:
    (coding,) = read(tmp_path, f"video,frame,{column},AU4,Coder 2,notes\nsmile.mp4,1,C,0,x,\n")
    assert (coding.aus, dict(coding.ignored), coding.unused) == ((4, 12), {}, ("Coder 2", "notes"))
    same(seen(coding, 0, 12, frame=1), 3, 1)


def test_frames_without_a_row_are_not_coded(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, FRAMES)
    for frame in (3, 5):
        same(seen(coding, 0.04, 12, frame), NAN, NAN)


def test_occurrence_follows_an_intensity_from_a_trace_on_unless_it_is_given(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "frame,AU12_r,AU6_r,AU6_c\n1,0.99,1,0\n2,1,2,1.0\n", name="P7.csv")
    assert (coding.video, coding.subject) == ("P7", "P7")
    same(seen(coding, 0, 12, frame=1), 0.99, 0)
    same(seen(coding, 0, 12, frame=2), 1, 1)
    same(seen(coding, 0, 6, frame=1), 1, 0)
    same(seen(coding, 0, 6, frame=2), 2, 1)


def test_rows_with_times_reach_the_frames_beside_them_only(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "video,time,AU12\na.mp4,1.04,2\na.mp4,1.00,1\na.mp4,00:00:02.5,3\n")
    same(seen(coding, 1.0, 12), 1, 1)
    same(seen(coding, 1.03, 12), 2, 1)
    same(seen(coding, 1.04 + MATCH_S, 12), 2, 1)
    same(seen(coding, 1.04 + MATCH_S + 0.001, 12), NAN, NAN)
    same(seen(coding, 2.5, 12), 3, 1)


def test_of_a_frame_and_a_time_the_frame_counts(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "video,time,frame,AU12\na.mp4,9.0,2,3\n")
    same(seen(coding, 0.04, 12, frame=2), 3, 1)
    same(seen(coding, 9.0, 12, frame=226), NAN, NAN)


def test_an_answer_can_be_changed_without_changing_the_coding(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, FRAMES)
    for values in coding.at(1, 0):
        values[:] = 3
    same(seen(coding, 0, 12, frame=1), 0, 0)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("video,frame,AU12\na.mp4,1,5.5\n", 2, "'5.5'"),
        ("video,frame,AU12\na.mp4,1,-1\n", 2, "'-1'"),
        ("video,frame,AU12\na.mp4,1,F\n", 2, "'F'"),
        ("video,frame,AU12\na.mp4,1,strong\n", 2, "'strong'"),
        ("video,frame,AU12_c\na.mp4,1,2\n", 2, "0 or 1"),
        ("video,frame,AU12\na.mp4,0,1\n", 2, "first is 1"),
        ("video,frame,AU12\na.mp4,1.5,1\n", 2, "whole numbers"),
        ("video,frame,AU12\na.mp4,,1\n", 2, "whole numbers"),
        ("video,frame,AU12\na.mp4,1_0,1\n", 2, "whole numbers"),
        ('video,frame,AU12\na.mp4,"1,250",1\n', 2, "as in 1250"),
        ("video;frame;AU12\na.mp4;1.250;1\n", 2, "as in 1250"),
        ("video,time,AU12\na.mp4,soon,1\n", 2, "'soon'"),
        ("video,time,AU12\na.mp4,-0.5,1\n", 2, "start of the video"),
        ("video,time,AU12\na.mp4,1:-5,1\n", 2, "'1:-5'"),
        ("video,frame,AU12\na.mp4,1,1\n\n,2,1\n", 4, "names no video"),
        ("video,frame,AU12\na.mp4,1,1\na.mp4,1,2\n", 3, "two rows for frame 1"),
        ("video,frame,AU12,AU12_r\na.mp4,1,1,1\n", 1, "two columns"),
        ("video,frame,AU12,au12\na.mp4,1,1,0\n", 1, "two columns 'au12'"),
        ("frame,face_id,timestamp,confidence,success,AU12_r\n1,0,0.0,0.98,1,1\n", 1, "measurement"),
        ("video,frame,subject,AU12\na.mp4,1,P1,1\na.mp4,2,P2,1\n", 3, "one person"),
    ],
)
def test_a_wrong_frame_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(RecipeError, match=rf"coding\.csv, line {line}: .*") as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)
