"""Human codings: each format in the layout its program writes, and what people do to such files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rtatl_core.datasets.codings import MATCH_S, POINT_S, VideoCoding, read_codings
from rtatl_core.errors import RecipeError

NAN = math.nan


def sample(name: str) -> str:
    return (Path(__file__).parent / "samples" / name).read_text()


def read(folder: Path, text: str, name: str = "coding.csv", encoding: str = "utf-8") -> list[VideoCoding]:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return read_codings(path)


def seen(coding: VideoCoding, time_s: float, au: int, frame: int = 0) -> tuple[float, float]:
    """(intensity, occurrence) of one AU."""
    index = coding.aus.index(au)
    intensity, occurrence = coding.at(frame, time_s)
    assert intensity.shape == occurrence.shape == (len(coding.aus),)
    return float(intensity[index]), float(occurrence[index])


def same(found: tuple[float, float], *wanted: float) -> None:
    assert found == pytest.approx(wanted, nan_ok=True)


# Own table of frames

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


def test_an_elan_tier_called_time_is_no_heading(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "time\t1000\t2000\t3\nAU12\t1000\t2000\t3\n", "p1.txt")
    assert (coding.aus, coding.ignored) == ((12,), {"time": 1})


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
        ("video,time,AU12\na.mp4,soon,1\n", 2, "'soon'"),
        ("video,time,AU12\na.mp4,-0.5,1\n", 2, "start of the video"),
        ("video,time,AU12\na.mp4,1:-5,1\n", 2, "'1:-5'"),
        ("video,frame,AU12\na.mp4,1,1\n\n,2,1\n", 4, "names no video"),
        ("video,frame,AU12\na.mp4,1,1\na.mp4,1,2\n", 3, "two rows for frame 1"),
        ("video,frame,AU12,AU12_r\na.mp4,1,1,1\n", 1, "two columns"),
        ("frame,face_id,timestamp,confidence,success,AU12_r\n1,0,0.0,0.98,1,1\n", 1, "measurement"),
        ("video,frame,subject,AU12\na.mp4,1,P1,1\na.mp4,2,P2,1\n", 3, "one person"),
    ],
)
def test_a_wrong_frame_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    with pytest.raises(RecipeError, match=rf"coding\.csv, line {line}: .*") as caught:
        read(tmp_path, text)
    assert problem in str(caught.value)


# Own table of events

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


@pytest.mark.parametrize(
    ("listing", "problem"),
    [
        ("video,coded\nsmile,4 6\n", "AU12 is not listed for smile.mp4, yet coded in events.csv"),
        ("video,coded\nsmile.mp4,4 smile\n", "'smile' names no action unit"),
        ("video,coded\n*,4 6 12\n*,4\n", "listed in line 2"),
        ("video,coded\n,4\n", "names no video"),
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


def test_an_apex_outside_of_its_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="line 2: the apex at 3 s"):
        read(tmp_path, "video,au,onset,offset,apex\na.mp4,12,1,2,3\n")


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("video,au,onset,offset\nthree.mpg,AU12,0,20,1,48\n", "6 cells under 4"),
        ("video,au,onset,offset,intensity\nthree.mpg,AU12,1,2,3,\n", "6 cells under 5"),
        ("video,au,onset,offset,\nthree.mpg,AU12,0,20,1\n", "5 cells under 4"),
        ("video,frame,AU12\nthree.mpg,3,2,5\n", "4 cells under 3"),
    ],
)
def test_a_decimal_comma_between_commas_is_refused(tmp_path: Path, text: str, counts: str) -> None:
    with pytest.raises(RecipeError, match=rf"coding\.csv, line 2: {counts} headings; .*; or tab"):
        read(tmp_path, text)
    (coding,) = read(tmp_path, 'video,au,onset,offset\nthree.mpg,AU12,"0,20","1,48"\n')
    same(seen(coding, 0.1, 12), 0, 0)


def test_aus_that_are_not_known_are_counted_and_ignored(tmp_path: Path) -> None:
    (events,) = read(tmp_path, "video,au,onset,offset\na.mp4,12,0,1\na.mp4,AU55,0,1\na.mp4,55,1,2\n")
    assert events.aus == (12,)
    assert events.ignored == {"AU55": 2}
    (frames,) = read(tmp_path, "video,frame,AU12,AU55,AU12_L\na.mp4,1,1,2,3\na.mp4,2,1,,\n")
    assert frames.aus == (12,)
    assert frames.ignored == {"AU55": 1, "AU12_L": 1}


def test_a_list_is_for_codings_by_events(tmp_path: Path) -> None:
    (tmp_path / "coded.csv").write_text("video,coded\n*,4\nsmile.mp4,4 12\n")
    (tmp_path / "frames.csv").write_text(FRAMES)
    with pytest.raises(RecipeError, match=r"coded\.csv, line 3: smile\.mp4 is coded by frames"):
        read_codings(tmp_path)


def test_the_examples_of_the_documentation_are_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "coding.md"
    events, listing, frames = (part.split("```")[0] for part in page.read_text().split("```csv\n")[1:])
    (tmp_path / "coded.csv").write_text(listing)
    (tmp_path / "events.csv").write_text(events)
    smile, calm, neutral = read_codings(tmp_path)
    assert smile.aus == (1, 2, 4, 6, 12)
    same(seen(smile, 2.0, 12), 4, 1)
    same(seen(smile, 2.0, 4), 0, 0)
    same(seen(calm, 0.9, 12), NAN, NAN)
    same(seen(neutral, 0.9, 2), 0, 0)
    (coding,) = read(tmp_path, frames)
    assert coding.subject == "P01"
    same(seen(coding, 0, 12, frame=40), 3, 1)


# What spreadsheets do

GERMAN = "video;au;onset;offset;intensity\r\nlächeln.mp4;12;1,25;2,5;2,5\r\n\r\n;;;;\r\nlächeln.mp4;4;0;1;B\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("hint", ["", "sep=;\r\n"], ids=["plain", "sep"])
def test_german_excel(tmp_path: Path, encoding: str, hint: str) -> None:
    (coding,) = read(tmp_path, hint + GERMAN, encoding=encoding)
    assert (coding.video, coding.subject, coding.aus) == ("lächeln.mp4", "lächeln", (4, 12))
    same(seen(coding, 1.25, 12), 2.5, 1)
    same(seen(coding, 1.2, 12), 0, 0)
    same(seen(coding, 0.5, 4), 2, 1)


def test_lines_are_counted_as_an_editor_does(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="line 5: "):
        read(tmp_path, GERMAN.replace(";B", ";X"))


# BORIS

BORIS9 = sample("boris9_tabular.tsv")


def check_boris9(coding: VideoCoding) -> None:
    assert (coding.video, coding.subject, coding.aus) == ("videos/p1.mp4", "anna", (4, 6, 12))
    assert coding.ignored == {"talks": 1, "modifier left": 1}
    same(seen(coding, 1.5, 12), 2, 1)
    same(seen(coding, 2.0, 12), 0, 0)
    assert [seen(coding, time, 4) for time in (2.96, 3.0, 3.04)] == [(0, 0), (3, 1), (0, 0)]
    same(seen(coding, 4.5, 6), 4, 1)


def test_boris_9_tabular_events(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, BORIS9, "o1.tsv")
    check_boris9(coding)
    (coding,) = read(tmp_path, BORIS9.replace("\t", ","), "o1.csv")
    check_boris9(coding)


BORIS7 = sample("boris7_tabular.csv")


def test_boris_7_tabular_events_below_their_block(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, BORIS7)
    assert (coding.video, coding.subject, coding.aus) == ("C:\\films\\p1.mp4", "p1", (1,))
    assert [seen(coding, time, 1)[0] for time in (3.2, 3.4, 3.6, 6.1, 6.2)] == [0, 1, 3, 3, 0]


BORIS7_AGGREGATED = sample("boris7_aggregated.tsv")
BORIS9_AGGREGATED = sample("boris9_aggregated.csv")


@pytest.mark.parametrize("text", [BORIS7_AGGREGATED, BORIS9_AGGREGATED], ids=["7", "9"])
def test_boris_aggregated_events_of_several_observations(tmp_path: Path, text: str) -> None:
    first, second = read(tmp_path, text)
    assert (first.video, first.subject) == ("p1.mp4", "p1")
    assert (second.video, second.subject) == ("p2.mp4", "bea")
    assert first.aus == second.aus == (6, 12)
    assert (first.ignored, second.ignored) == ({"blink": 1}, {})
    same(seen(first, 1.8, 12), 3, 1)
    same(seen(first, 8.125, 12), 0, 0)
    same(seen(second, 11, 6), 4, 1)
    same(seen(second, 11, 12), 4, 1)


@pytest.mark.parametrize(
    ("drop", "line", "status"), [("STOP\t2.000", 2, "START"), ("START\t1.000", 4, "STOP")], ids=["stop", "start"]
)
def test_a_boris_event_without_its_other_half_is_refused(tmp_path: Path, drop: str, line: int, status: str) -> None:
    lines = [line if drop not in line else "" for line in BORIS9.split("\n")]
    with pytest.raises(RecipeError, match=rf"o1\.tsv, line {line}: the {status} of 'AU12' has no"):
        read(tmp_path, "\n".join(lines), "o1.tsv")


def test_a_boris_state_that_starts_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="line 2: the START of 'AU12' has no STOP"):
        read(tmp_path, BORIS9.replace("STOP\t2.000", "START\t2.000"), "o1.tsv")


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("player #1:videos/p1.mp4", "player #1:videos/p1.mp4;videos/p2.mp4", "joins several videos"),
        ("START\t4.000\tvideos/p1.mp4", "START\t4.000\tvideos/p2.mp4", "joins several videos"),
        ("AU4 frown\tupper\t3", "AU4 frown\tupper\t7", "the modifier 7 is beyond 0-5"),
        ("START\t4.000", "BEGIN\t4.000", "'BEGIN'"),
        ("START\t4.000", "START\tNA", "time is 'NA'"),
    ],
)
def test_boris_exports_that_cannot_be_read_right_are_refused(tmp_path: Path, old: str, new: str, problem: str) -> None:
    assert old in BORIS9
    with pytest.raises(RecipeError, match=r"o1\.tsv, line \d+: ") as caught:
        read(tmp_path, BORIS9.replace(old, new), "o1.tsv")
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", ["10,5", "00:00:10,5"])
def test_the_time_offset_of_boris_7_may_have_a_decimal_comma(tmp_path: Path, text: str) -> None:
    (coding,) = read(tmp_path, BORIS7.replace("Time offset (s),10.0", f'Time offset (s),"{text}"'))
    assert [seen(coding, time, 1)[0] for time in (2.7, 2.9, 5.6, 5.8)] == [0, 1, 3, 0]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Time offset (s),10.0,", "Time offset (s),ten,", r"line 11: time offset \(s\) is 'ten'; write seconds"),
        ("Time offset (s),10.0,", "Time offset (s),10,5", r"line 11: time offset \(s\) has \d+ cells"),
        (
            "Time offset (s),10.0,",
            "Time offset (s),20.0,",
            r"line 17: AU1 begins at -6\.7 s; times count from the start",
        ),
        (",,START\n13.500", ",,START,5\n13.500", r"line 17: 11 cells under 10 headings"),
    ],
)
def test_a_boris_7_export_that_cannot_be_read_right_is_refused(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    assert old in BORIS7
    with pytest.raises(RecipeError, match=problem):
        read(tmp_path, BORIS7.replace(old, new))


def test_two_observations_of_one_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"line 4: p1\.mp4 is coded in two observations, the second is 'o2'"):
        read(tmp_path, BORIS7_AGGREGATED.replace("p2.mp4", "p1.mp4"))


def test_a_code_with_words_behind_a_bare_number_is_no_au(tmp_path: Path) -> None:
    first, second = read(tmp_path, BORIS7_AGGREGATED.replace("blink", "2 hands"))
    assert first.ignored == {"2 hands": 1}
    assert second.aus == (6, 12)


# ELAN

ELAN_MEDIA = (
    '"#file:///D:/my%20films/p1.mp4 -- offset: 0, duration: 00:00:05.000 / 5.000 / 5000, ms per sample: 40.0"\n\n'
)
ELAN = sample("elan.txt")
COLUMNS = {"hh:mm:ss.ms": (2, 5, 8), "ss.msec": (3, 6, 9), "msec": (4, 7, 10)}


def elan(kinds: tuple[str, ...] = tuple(COLUMNS), spans: int = 3, participant: bool = True) -> str:
    """ELAN's rows with these formats; spans 2: without duration."""
    lines = []
    for line in ELAN.splitlines():
        cells = line.split("\t")
        times = [cells[COLUMNS[kind][span]] for span in range(spans) for kind in kinds]
        lines.append("\t".join([*cells[: 1 + participant], *times, cells[-1]]))
    return "\n".join(lines) + "\n"


def check_elan(coding: VideoCoding) -> None:
    assert coding.aus == (4, 6, 12)
    assert coding.ignored == {"speech": 1, "AU51": 1}
    assert [seen(coding, time, 12)[0] for time in (0.9, 1.0, 2.0, 3.2, 3.7, 4.2, 4.5)] == [0, 2, 0, 2, 4, 4, 0]
    same(seen(coding, 3.2, 4), NAN, 1)
    same(seen(coding, 3.2, 6), NAN, 1)


def test_elan_as_its_source_code_writes_it() -> None:
    assert elan() == ELAN


@pytest.mark.parametrize("participant", [True, False], ids=["participant", "plain"])
@pytest.mark.parametrize("spans", [3, 2], ids=["duration", "no duration"])
@pytest.mark.parametrize(
    "kinds",
    [("hh:mm:ss.ms", "ss.msec", "msec"), ("hh:mm:ss.ms",), ("ss.msec",), ("msec",), ("ss.msec", "msec")],
    ids="+".join,
)
def test_elan_in_every_time_format(tmp_path: Path, kinds: tuple[str, ...], spans: int, participant: bool) -> None:
    (coding,) = read(tmp_path, elan(kinds, spans, participant), "p1.txt")
    assert (coding.video, coding.subject) == ("", "anna" if participant else "p1")
    assert coding.source == tmp_path / "p1.txt"
    check_elan(coding)


def test_elan_media_lines_name_the_video(tmp_path: Path) -> None:
    side = '"#file:///D:/side.mp4 -- offset: 0"\n'
    (coding,) = read(tmp_path, ELAN_MEDIA.rstrip("\n") + "\n" + side + "\n" + ELAN, "export.txt")
    assert coding.video == "D:/my films/p1.mp4"
    check_elan(coding)


def test_elan_with_a_header_and_commas(tmp_path: Path) -> None:
    header = "Tier,Participant,Begin Time - ss.msec,End Time - ss.msec,Annotation\n"
    text = header + elan(("ss.msec",), 2).replace('"a lot', "a lot").replace("\t", ",")
    (coding,) = read(tmp_path, text, "p1.csv")
    check_elan(coding)


def test_elan_saved_by_german_excel(tmp_path: Path) -> None:
    text = elan(("ss.msec",), 2).replace('"a lot', "a lot").replace(".0", "").replace(".", ",").replace("\t", ";")
    (coding,) = read(tmp_path, text, "p1.csv")
    check_elan(coding)


ELAN_COLUMNS = sample("elan_columns.csv")


def test_elan_with_a_column_for_each_tier(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, ELAN_COLUMNS)
    assert (coding.video, coding.aus) == ("D:/p1.mp4", (4, 9, 12))
    assert coding.ignored == {"speech": 1}
    same(seen(coding, 1.6, 12), 3, 1)
    same(seen(coding, 1.2, 4), 0, 0)
    same(seen(coding, 1.6, 4), 2, 1)
    same(seen(coding, 1.6, 9), 0, 0)


def test_elan_of_several_files(tmp_path: Path) -> None:
    row = "AU12\t\t1.0\t2.0\tB\t{0}.eaf\tC:\\codings\\{0}.eaf\n"
    first, second = read(tmp_path, row.format("p1") + row.format("p2"), "all.txt")
    assert (first.video, first.subject, second.video) == ("p1", "p1", "p2")
    section = '"#{0}.eaf"\n"#file:///D:/{0}.mp4 -- offset: 0"\nAU12\t\t1.0\t2.0\tB\n\n'
    first, second = read(tmp_path, section.format("p1") + section.format("p2"), "all.txt")
    assert (first.video, second.video) == ("D:/p1.mp4", "D:/p2.mp4")


def test_an_elan_annotation_may_repeat_the_au(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "AU12\t1.0\t2.0\t12C\nAU12\t3.0\t4.0\tNA\nAU12\t5.0\t6.0\t6D\n", "p1.txt")
    same(seen(coding, 1.5, 12), 3, 1)
    same(seen(coding, 3.5, 12), NAN, NAN)
    same(seen(coding, 5.5, 12), NAN, 1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (ELAN_MEDIA.replace("offset: 0", "offset: 1200") + ELAN, "offset of 1200 ms"),
        (ELAN.replace("\t2\n", "\t7\n"), "the annotation 7 is beyond 0-5"),
        ("AU12\tanna\t00:00:01.000\tB\n", "no begin and end"),
        ("AU12\tanna\t00:00:01:05\t00:00:02:05\tB\n", "no begin and end"),
        ("AU12\t7\t1000\t2000\tB\n", "not clear which columns"),
        ("AU12\tanna\t2.5\t1.5\tB\n", "no begin and end"),
        (ELAN_MEDIA + "1.0\t2.0\tB\n", "names of the tiers are missing"),
        (ELAN + "AU12\tbea" + ELAN[9:].split("\n")[0] + "\n", "'bea' and for 'anna'"),
        ("AU12@anna\t1.0\t2.0\tB\nAU12@bea\t1.0\t2.0\tB\n", "'bea' and for 'anna'"),
    ],
)
def test_elan_exports_that_cannot_be_read_right_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=r"p1\.txt") as caught:
        read(tmp_path, text, "p1.txt")
    assert problem in str(caught.value)


# Sets of files


def test_a_folder_is_one_set(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "p1.TXT").write_text(ELAN)
    (tmp_path / "events.csv").write_text("video,au,onset,offset\np2.mp4,15,0,1\n")
    (tmp_path / "frames.csv").write_text("video,frame,AU17\np3.mp4,1,2\n")
    (tmp_path / ".hidden.csv").write_text("nothing")
    (tmp_path / "p1.mp4").write_bytes(b"film")
    codings = {coding.subject: coding for coding in read_codings(tmp_path)}
    assert {coding.aus for coding in codings.values()} == {(4, 6, 12, 15, 17)}
    same(seen(codings["anna"], 0, 15), 0, 0)
    same(seen(codings["anna"], 0, 17), NAN, NAN)
    same(seen(codings["p3"], 0, 17, frame=1), 2, 1)
    same(seen(codings["p3"], 0, 15, frame=1), NAN, NAN)


def test_a_video_coded_in_two_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("video,au,onset,offset\nFilms\\P1.mp4,12,0,1\n")
    (tmp_path / "b.csv").write_text("video,frame,AU12\nfilms/p1.mp4,1,1\n")
    with pytest.raises(RecipeError, match=r"b\.csv, line 2: films/p1\.mp4 is coded in a\.csv already"):
        read_codings(tmp_path)


def test_videos_of_one_name_in_two_folders_are_two_videos(tmp_path: Path) -> None:
    text = "video,au,onset,offset\nP1/smile.mp4,12,0,1\nP2/smile.mp4,12,2,3\n"
    assert [coding.video for coding in read(tmp_path, text)] == ["P1/smile.mp4", "P2/smile.mp4"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "hello\n",
        "name,age\nanna,23\n",
        "a.mp4,1,0,2\na.mp4,2,0,3\n",
        "1\t2\t3\n2\t3\t4\n",
        "video,frame\na,1\n",
    ],
    ids=["empty", "blank", "prose", "other table", "no header", "numbers", "no AU"],
)
def test_a_file_that_is_no_coding_is_refused_with_what_is_understood(tmp_path: Path, text: str) -> None:
    with pytest.raises(RecipeError, match=r"coding\.csv is no coding that is understood.*BORIS.*ELAN.*docs/coding\.md"):
        read(tmp_path, text)


def test_a_spreadsheet_renamed_to_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coding.csv").write_bytes(b'PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xff\xfe\x81\n"')
    with pytest.raises(RecipeError, match=r"coding\.csv is no"):
        read_codings(tmp_path / "coding.csv")


def test_a_lone_quotation_mark_does_not_swallow_the_rest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"coding\.csv is no table, line 4 cannot be read"):
        read(tmp_path, 'video,au,onset,offset,note\na.mp4,12,0,1,"odd\na.mp4,12,5,6,\na.mp4,12,7,8,\n')


def test_a_number_too_long_for_a_time_is_none(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no begin and end of annotations"):
        read(tmp_path, f"AU12\t\t0.5\t{'9' * 400}.5\tC\n")


def test_codings_without_any_au_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="only smiles, talks; name behaviours and tiers AU12"):
        read(tmp_path, BORIS7_AGGREGATED.replace("AU12", "smiles").replace("AU6+12", "talks").replace("blink", "talks"))


def test_a_path_without_codings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"holds no coding file \(\.csv, \.tsv, \.txt\)"):
        read_codings(tmp_path)
    with pytest.raises(RecipeError, match=r"missing\.csv cannot be read"):
        read_codings(tmp_path / "missing.csv")
