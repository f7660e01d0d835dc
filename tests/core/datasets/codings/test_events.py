"""Own tables of events, and the list of AUs that were looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.datasets.codings.coding import POINT_S
from rtatl_core.datasets.codings.read import read_codings
from rtatl_core.errors import RecipeError
from tests.core.datasets.codings.conftest import NAN, read, same, seen

EVENTS = """video,au,onset,offset,apex,intensity,subject
smile.mp4,AU12,1.0,2.0,1.4,B,P01
smile.mp4,12,1.5,3.0,,D,P01
smile.mp4,AU6,1.0,1.5,,,P01
smile.mp4,AU4,,,,,P01
calm.mp4,AU12,5,5.5,,2.5,P02
"""


def test_events_are_present_inside_and_absent_outside(tmp_path: Path) -> None:
    smile, calm = read(tmp_path, EVENTS)
    assert smile.aus == calm.aus == (4, 6, 12)
    assert (smile.subject, calm.subject) == ("P01", "P02")
    same(seen(smile, 0.9, 12), 0, 0)
    same(seen(smile, 1.0, 12), 2, 1)
    same(seen(smile, 1.2, 6), NAN, 1)
    same(seen(smile, 1.5, 6), 0, 0)
    same(seen(calm, 5.2, 12), 2.5, 1)


def test_of_overlapping_events_the_larger_intensity_counts(tmp_path: Path) -> None:
    (coding,) = read(
        tmp_path, "video,au,onset,offset,intensity\na.mp4,12,0,4,D\na.mp4,12,1,2,A\na.mp4,12,1,3,\na.mp4,12,5,6,\n"
    )
    same(seen(coding, 1.5, 12), 4, 1)
    same(seen(coding, 2.5, 12), 4, 1)
    same(seen(coding, 5.5, 12), NAN, 1)


def test_an_au_coded_anywhere_counts_as_looked_for_in_every_video(tmp_path: Path) -> None:
    smile, calm = read(tmp_path, EVENTS)
    same(seen(smile, 2.5, 4), 0, 0)
    same(seen(calm, 2.5, 4), 0, 0)
    same(seen(calm, 2.5, 6), 0, 0)


def test_nine_and_na_mark_times_at_which_an_au_could_not_be_coded(tmp_path: Path) -> None:
    (coding,) = read(
        tmp_path, "video,au,onset,offset,intensity\na.mp4,12,0,4,NA\na.mp4,12,1,2,B\na.mp4,6,0,1,9\na.mp4,12,5,6,0\n"
    )
    same(seen(coding, 0.5, 12), NAN, NAN)
    same(seen(coding, 1.5, 12), 2, 1)
    same(seen(coding, 0.5, 6), NAN, NAN)
    same(seen(coding, 1.5, 6), 0, 0)
    same(seen(coding, 5.5, 12), 0, 0)


def test_times_of_whole_milliseconds_meet_the_frames_they_were_taken_from(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "video,au,onset,offset,intensity\na.mp4,12,0.067,0.133,C\n")
    present = [seen(coding, frame / 30, 12)[1] for frame in range(6)]
    assert present == [0, 0, 1, 1, 0, 0]
    (coding,) = read(tmp_path, "video,au,onset,offset,intensity\na.mp4,12,0.033,0.067,C\n")
    assert [seen(coding, frame / 30, 12)[1] for frame in range(4)] == [0, 1, 0, 0]


def test_letters_and_combinations_may_stand_in_the_code(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "video,au,onset,offset\na.mp4,6B+12D,0,1\na.mp4,AU4C,2,3\n")
    assert [seen(coding, 0.5, au)[0] for au in (4, 6, 12)] == [0, 2, 4]
    same(seen(coding, 2.5, 4), 3, 1)


def test_an_event_without_duration_lasts_one_frame(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "video,au,onset,offset\na.mp4,12,1.0,1.0\n")
    assert [seen(coding, time, 12)[1] for time in (0.96, 1.0, 1.0 + POINT_S)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("a.mp4,AU12,2,1,", "ends at 1 s, before it begins at 2 s"),
        ("a.mp4,AU12,1,,", "offset is ''"),
        ("a.mp4,AU12,-1,2,", "start of the video"),
        ("a.mp4,AU12,1,2,6", "'6'"),
        ("a.mp4,smile,1,2,B", "'smile' names no action unit"),
        (",AU12,1,2,B", "names no video"),
        ("a.mp4,AU12,nan,2,B", "'nan'"),
    ],
)
def test_a_wrong_event_is_named_with_file_and_line(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=r"coding\.csv, line 3: .*") as caught:
        read(tmp_path, f"video,au,onset,offset,intensity\nb.mp4,4,0,1,A\n{row}\n")
    assert problem in str(caught.value)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"coding\.csv, line 1: there are two columns 'onset'; keep one"):
        read(tmp_path, "video,au,onset,offset,Onset\na.mp4,12,0,1,5\n")


def test_an_apex_outside_of_its_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="line 2: the apex at 3 s"):
        read(tmp_path, "video,au,onset,offset,apex\na.mp4,12,1,2,3\n")


def test_a_list_says_which_aus_were_looked_for(tmp_path: Path) -> None:
    (tmp_path / "coded.csv").write_text("video,coded\ncalm.mp4,12\nneutral.mp4,4 AU12 99\n*,4 6 12 15\n")
    (tmp_path / "events.csv").write_text(EVENTS)
    codings = {coding.video: coding for coding in read_codings(tmp_path)}
    assert set(codings) == {"smile.mp4", "calm.mp4", "neutral.mp4"}
    assert codings["smile.mp4"].aus == (4, 6, 12, 15)
    same(seen(codings["smile.mp4"], 0, 15), 0, 0)
    same(seen(codings["calm.mp4"], 0, 4), NAN, NAN)
    same(seen(codings["calm.mp4"], 5.2, 12), 2.5, 1)
    same(seen(codings["neutral.mp4"], 0, 4), 0, 0)
    same(seen(codings["neutral.mp4"], 0, 15), NAN, NAN)
    assert codings["neutral.mp4"].ignored == {"AU99": 1}


def test_a_list_says_whose_face_is_in_a_video_without_events(tmp_path: Path) -> None:
    (tmp_path / "coded.csv").write_text("video,subject,coded\nneutral.mp4,P01,4 12\n*,,4 6 12\n")
    (tmp_path / "events.csv").write_text("video,subject,au,onset,offset\nsmile.mp4,P01,12,0,1\n")
    assert [coding.subject for coding in read_codings(tmp_path)] == ["P01", "P01"]
    (tmp_path / "coded.csv").write_text("video,person,coded\nneutral.mp4,P01,12\n")
    assert [coding.unused for coding in read_codings(tmp_path)] == [(), ("person",)]
    (tmp_path / "coded.csv").write_text("video,subject,coded\nsmile.mp4,P02,12\n")
    with pytest.raises(RecipeError, match=r"coded\.csv, line 2: smile\.mp4 is coded for 'P02' and for 'P01'"):
        read_codings(tmp_path)


@pytest.mark.parametrize(
    ("listing", "problem"),
    [
        ("video,coded\nsmile,4 6\n", "AU12 is not listed for smile.mp4, yet coded in events.csv"),
        ("video,coded\nsmile.mp4,4 smile\n", "'smile' names no action unit"),
        ("video,coded\n*,4 6 12\n*,4\n", "listed in line 2"),
        ("video,coded\n,4\n", "names no video"),
        ("video,subject,coded\n*,P01,4 6 12\n", "the row * names a subject"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused(tmp_path: Path, listing: str, problem: str) -> None:
    (tmp_path / "coded.csv").write_text(listing)
    (tmp_path / "events.csv").write_text(EVENTS)
    with pytest.raises(RecipeError, match=r"coded\.csv, line") as caught:
        read_codings(tmp_path)
    assert problem in str(caught.value)


def test_commas_in_a_list_do_not_cost_aus(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, 'video,coded\na.mp4,4,6,12\nb.mp4,"1,2"\n')[:1]
    assert coding.aus == (1, 2, 4, 6, 12)
    same(seen(coding, 0, 12), 0, 0)


def test_a_list_is_for_codings_by_events(tmp_path: Path) -> None:
    (tmp_path / "coded.csv").write_text("video,coded\n*,4\nsmile.mp4,4 12\n")
    (tmp_path / "frames.csv").write_text("video,frame,AU12\nsmile.mp4,1,2\n")
    with pytest.raises(RecipeError, match=r"coded\.csv, line 3: smile\.mp4 is coded by frames"):
        read_codings(tmp_path)
