"""Files and folders of codings: which format it is, what people and spreadsheets do to it, and what is no coding."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.datasets.codings.read import read_codings
from rtatl_core.errors import RecipeError
from tests.core.datasets.codings.conftest import NAN, read, same, sample, seen


def test_the_examples_of_the_documentation_are_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[4] / "docs" / "coding.md"
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


def test_a_lone_quotation_mark_does_not_swallow_the_rest(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"coding\.csv is no table, line 4 cannot be read"):
        read(tmp_path, 'video,au,onset,offset,note\na.mp4,12,0,1,"odd\na.mp4,12,5,6,\na.mp4,12,7,8,\n')


def test_a_spreadsheet_renamed_to_csv_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coding.csv").write_bytes(b'PK\x03\x04\x14\x00\x06\x00\x08\x00\x00\x00!\x00\xff\xfe\x81\n"')
    with pytest.raises(RecipeError, match=r"coding\.csv is no"):
        read_codings(tmp_path / "coding.csv")


def test_aus_that_are_not_known_are_counted_and_ignored(tmp_path: Path) -> None:
    (events,) = read(tmp_path, "video,au,onset,offset\na.mp4,12,0,1\na.mp4,AU55,0,1\na.mp4,55,1,2\n")
    assert events.aus == (12,)
    assert events.ignored == {"AU55": 2}
    (frames,) = read(tmp_path, "video,frame,AU12,AU55,AU12_L\na.mp4,1,1,2,3\na.mp4,2,1,,\n")
    assert frames.aus == (12,)
    assert frames.ignored == {"AU55": 1, "AU12_L": 1}


def test_a_folder_is_one_set(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "p1.TXT").write_text(sample("elan.txt"))
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


@pytest.mark.parametrize(("first", "second"), [("p1.mp4", "p1.mov"), ("p1\np1.mp4", "P1.AVI"), ("P01.pre", "P01.post")])
def test_codings_of_videos_that_differ_in_their_ending_are_not_one(tmp_path: Path, first: str, second: str) -> None:
    rows = "".join(f"{video},12,0,1\n" for video in (*first.split(), second))
    with pytest.raises(RecipeError, match=rf"'{second}' and '{first.split()[-1]}' differ only in what follows"):
        read(tmp_path, "video,au,onset,offset\n" + rows)
    (tmp_path / "coding.csv").unlink()
    (tmp_path / "events.csv").write_text(f"video,au,onset,offset\n{first.split()[-1]},12,0,1\n")
    (tmp_path / "list.csv").write_text(f"video,coded\n{second},12\n*,12\n")
    with pytest.raises(RecipeError, match=rf"list\.csv, line 2: '{second}' and"):
        read_codings(tmp_path)


def test_a_video_may_be_written_with_and_without_its_ending(tmp_path: Path) -> None:
    (coding,) = read(tmp_path, "video,au,onset,offset\np1,12,0,1\nP1.MP4,12,2,3\np1.mp4,4,2,3\n")
    assert coding.video == "P1.MP4"
    assert coding.last() == (0, 3)


def test_videos_of_one_name_in_two_folders_are_two_videos(tmp_path: Path) -> None:
    text = "video,au,onset,offset\nP1/smile.mp4,12,0,1\nP2/smile.mp4,12,2,3\n"
    assert [coding.video for coding in read(tmp_path, text)] == ["P1/smile.mp4", "P2/smile.mp4"]


@pytest.mark.parametrize("again", ["p01", "P1", "P 01", "p001"])
def test_one_person_written_in_two_ways_is_refused(tmp_path: Path, again: str) -> None:
    text = f"video,subject,au,onset,offset\na.mp4,P01,12,0,1\n\nb.mp4,{again},12,0,1\n"
    with pytest.raises(RecipeError, match=rf"line 4: subject '{again}' is written 'P01' in coding\.csv, line 2; write"):
        read(tmp_path, text)


def test_people_whose_names_differ_by_more_are_several(tmp_path: Path) -> None:
    text = "video,subject,frame,AU12\na.mp4,P1,1,1\nb.mp4,P10,1,1\nc.mp4,P100,1,1\nd.mp4,P1 0,1,1\ne.mp4,00-1,1,1\n"
    assert [coding.subject for coding in read(tmp_path, text)] == ["P1", "P10", "P100", "P1 0", "00-1"]


def test_videos_of_one_name_are_of_a_person_each_unless_it_is_said(tmp_path: Path) -> None:
    text = "video,subject,frame,AU12\nP1/pre.mp4,,1,1\nP2\\pre.mp4,,1,1\nP3/pre.mp4,anna,1,1\npost.mp4,,1,1\n"
    assert [coding.subject for coding in read(tmp_path, text)] == ["p1/pre", "p2/pre", "anna", "post"]


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


def test_a_path_without_codings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"holds no coding file \(\.csv, \.tsv, \.txt\)"):
        read_codings(tmp_path)
    with pytest.raises(RecipeError, match=r"missing\.csv cannot be read"):
        read_codings(tmp_path / "missing.csv")
