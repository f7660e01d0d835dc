"""ELAN exports, in every format that it offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.datasets.codings.coding import VideoCoding
from rtatl_core.errors import RecipeError
from tests.core.datasets.codings.conftest import NAN, read, same, sample, seen

ELAN_MEDIA = (
    '"#file:///D:/my%20films/p1.mp4 -- offset: 0, duration: 00:00:05.000 / 5.000 / 5000, ms per sample: 40.0"\n\n'
)
ELAN = sample("elan.txt")
COLUMNS = {"hh:mm:ss.ms": (2, 5, 8), "ss.msec": (3, 6, 9), "msec": (4, 7, 10)}


def elan(kinds: tuple[str, ...], spans: int, participant: bool = True) -> str:
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


def test_an_elan_tier_called_time_is_no_heading(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "time\t1000\t2000\t3\nAU12\t1000\t2000\t3\n", "p1.txt")
    assert (coding.aus, coding.ignored) == ((12,), {"time": 1})


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


def test_a_number_too_long_for_a_time_is_not_taken_for_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no begin and end of annotations"):
        read(tmp_path, f"AU12\t\t0.5\t{'9' * 400}.5\tC\n")
