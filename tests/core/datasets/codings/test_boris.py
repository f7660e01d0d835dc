"""BORIS exports, in the layouts that its versions write."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.datasets.codings.coding import VideoCoding
from rtatl_core.errors import RecipeError
from tests.core.datasets.codings.conftest import read, same, sample, seen

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


def test_codings_without_rows_say_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"codes no action unit that is known, its tables have no rows$"):
        read(tmp_path, "video,au,onset,offset\n")


def test_codings_without_any_au_say_what_they_hold(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="only smiles, talks; name behaviours and tiers AU12"):
        read(tmp_path, BORIS7_AGGREGATED.replace("AU12", "smiles").replace("AU6+12", "talks").replace("blink", "talks"))
