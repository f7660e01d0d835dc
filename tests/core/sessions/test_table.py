"""Means of sessions, faces and trials, against numbers worked out by hand."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.errors import InputError, SessionError
from rtatl_core.sessions import table
from rtatl_core.sessions.recorded import read_events
from rtatl_core.sessions.session import read_session
from rtatl_core.sessions.table import Cut, find_sessions, read, rows, tabulate
from tests.clips import cut_from_demo
from tests.tables import csv_rows

HEADER = "frame,face_id,timestamp,success,AU12_r,AU12_c,AU12_left,AU12_right"
CALM_THEN_SMILES = [f"{n},0,{n - 1}.0,1,{r},{int(r >= 1)},{r},{r / 2}" for n, r in enumerate([0.5, 0.5, 2, 3, 4, 1], 1)]
"""A frame a second, the first two at rest."""


def session(
    folder: Path,
    lines: Iterable[str] = CALM_THEN_SMILES,
    events: Iterable[tuple[float | str, str, str]] = (),
    **about: Any,
) -> Path:
    """``about``: what session.json says otherwise. ``events``: timestamp, kind, label."""
    folder.mkdir(parents=True)
    facts = {
        "status": "complete",
        "source": {"kind": "camera"},
        "model": {"sha256": "0" * 64, "trust": {"12": "good", "9": "experimental"}},
        "settings": {"max_faces": 1, "smoothing_s": 0.1, "personal": True},
    }
    (folder / "session.json").write_text(json.dumps(facts | about), encoding="utf-8")
    (folder / "frames.csv").write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["timestamp", "frame", "kind", "label"])
    writer.writerows([at, 1, kind, label] for at, kind, label in events)
    (folder / "events.csv").write_text(text.getvalue(), encoding="utf-8")
    return folder


def test_a_session_is_a_row_with_the_name_of_its_person(tmp_path: Path) -> None:
    (row,) = rows(read(session(tmp_path / "P_01_2026-11-30T10-00-00-2")))
    assert (row["session"], row["name"], row["status"]) == ("P_01_2026-11-30T10-00-00-2", "P_01", "complete")
    assert (row["begins"], row["ends"], row["frames"], row["success"]) == (0, 5, 6, 1)
    assert row["AU12_mean"] == pytest.approx(11 / 6)
    assert row["AU12_max"] == 4
    assert row["AU12_present"] == pytest.approx(4 / 6)
    assert (row["AU12_left"], row["AU12_right"]) == pytest.approx((11 / 6, 11 / 12))


def test_a_rest_is_subtracted_from_intensities_and_counts_in_no_part(tmp_path: Path) -> None:
    later = [line.replace(f",{n}.0,", f",{n + 100}.0,") for n, line in enumerate(CALM_THEN_SMILES)]  # part of a video
    for folder, begins in ((session(tmp_path / "a"), 0), (session(tmp_path / "b", later), 100)):
        (row,) = rows(read(folder), rest=(0, 2))
        assert (row["begins"], row["frames"]) == (begins, 4)
        assert (row["AU12_mean"], row["AU12_max"], row["AU12_right"]) == (2.0, 3.5, 1.0)
        assert row["AU12_present"] == 1
    with pytest.raises(SessionError, match=r"no face between 7 and 9 s; say where one rests"):
        rows(read(folder), rest=(7, 9))


def test_trials_begin_at_events_and_may_count_from_what_came_before(tmp_path: Path) -> None:
    events = [(4.0, "marker", "2"), (2.0, "marker", "1"), (3.0, "lsl:Task", "go"), ("", "notice", "no time")]
    one = read(session(tmp_path / "P01", events=events))
    assert [(row["part"], row["begins"], row["ends"], row["AU12_mean"]) for row in rows(one, Cut("marker"))] == [
        ("1", 2, 4, 2.5),
        ("2", 4, 5, 2.5),
    ]
    first, second = rows(one, Cut("marker", length_s=1, before_s=2))
    assert (first["frames"], first["AU12_mean"], first["AU12_present"]) == (1, 1.5, 1)
    assert (second["ends"], second["AU12_mean"]) == (5, 4 - 2.5)
    unseen = rows(read(session(tmp_path / "P02", CALM_THEN_SMILES[2:], events)), Cut("marker", before_s=1))
    assert np.isnan([unseen[0]["AU12_mean"], unseen[0]["AU12_max"]]).all()  # nothing to count from
    assert (unseen[0]["AU12_present"], unseen[1]["AU12_mean"]) == (1, -0.5)
    (row,) = rows(one, Cut("lsl:Task"), rest=(0, 2))
    assert (row["part"], row["AU12_mean"]) == ("go", pytest.approx(8 / 3 - 0.5))
    with pytest.raises(SessionError, match=r"no event of kind lsl:X \(but: lsl:Task, marker\)"):
        rows(one, Cut("lsl:X"))


def test_a_part_in_which_nothing_was_recorded_ends_where_it_begins(tmp_path: Path) -> None:
    events = [(-1.0, "marker", "1"), (9.0, "marker", "2")]
    early, late = rows(read(session(tmp_path / "P01", events=events)), Cut("marker", length_s=2))
    assert (early["begins"], early["ends"], early["frames"]) == (-1, 1, 1)
    assert (late["begins"], late["ends"], late["frames"], late["face_id"]) == (9, 9, 0, "")


def test_events_that_a_spreadsheet_wrote_are_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = session(tmp_path / "P01")
    file = folder / "events.csv"

    def write(*lines: str, first: str = "timestamp,frame,kind,label") -> None:
        file.write_bytes("\r\n".join([first, *lines, ""]).encode("utf-8-sig"))

    write("2,,trial,z\u00e4h", "3,, trial,b", "3,,trial,a", ",,,", "4,,rest")
    events = [("trial", "z\u00e4h"), ("trial", "b"), ("trial", "a"), ("rest", "")]
    assert [(event.kind, event.label) for event in read_events(folder)] == events
    refused = {
        "first line should be timestamp,frame,kind,label": "2;;trial;a",
        "field larger": f"2,,trial,{'a' * 200_000}",
    }
    for sentence, line in refused.items():
        write(line, first="timestamp;frame;kind;label" if ";" in line else "timestamp,frame,kind,label")
        with pytest.raises(SessionError, match=f"events.csv cannot be read .*{sentence}"):
            read_events(folder)


@pytest.mark.parametrize(
    "text", ["{}", '{"status": null, "source": "x", "settings": [], "model": 1, "engines": 2}', "["]
)
def test_a_session_that_tells_nothing_of_itself_is_counted_in(text: str, tmp_path: Path) -> None:
    folder = session(tmp_path / "P01")
    (folder / "session.json").write_text(text)
    (row,) = tabulate([folder]).rows
    assert (row["status"], row["AU12_max"]) == ("unknown", 4)


def test_frames_without_the_face_lower_success_alone(tmp_path: Path) -> None:
    lines = [*CALM_THEN_SMILES[:2], "3,,2.0,0,,,,", "4,7,3.0,1,3.5,1,3.5,3.5"]
    (row,) = rows(read(session(tmp_path / "lost", lines)))  # found again under another number: one person was followed
    assert (row["face_id"], row["frames"], row["success"], row["AU12_mean"]) == ("0 7", 4, 0.75, 1.5)
    after_it = session(tmp_path / "after", CALM_THEN_SMILES, [(9.0, "marker", "too late")])
    (row,) = rows(read(after_it), Cut("marker"))
    assert (row["frames"], row["face_id"]) == (0, "")
    assert np.isnan([row["success"], row["AU12_mean"], row["AU12_max"]]).all()
    with pytest.raises(SessionError, match=r"holds no frame \(stopped: no model\); record it again"):
        read(session(tmp_path / "empty", [], status="stopped: no model"))


def test_faces_side_by_side_have_a_row_each(tmp_path: Path) -> None:
    lines = ["1,0,0.0,1,1,1,1,1", "1,1,0.0,1,3,1,3,3", "2,1,1.0,1,5,1,5,5", "3,,2.0,0,,,,"]
    for settings in ({"settings": {"max_faces": 2}}, {"engines": [{"settings": {"max_faces": n}} for n in (1, 2)]}):
        first, second = rows(read(session(tmp_path / next(iter(settings)), lines, **settings)))
        assert (first["face_id"], first["frames"], first["success"], first["AU12_mean"]) == ("0", 3, 1 / 3, 1)
        assert (second["face_id"], second["frames"], second["success"], second["AU12_mean"]) == ("1", 3, 2 / 3, 4)


def test_photos_are_one_row_without_time(tmp_path: Path) -> None:
    folder = session(tmp_path / "faces", ["1,0,,1,1,1,1,1", "2,0,,1,3,1,3,3"], source={"kind": "photos"})
    (row,) = rows(read(folder))
    assert (row["frames"], row["AU12_mean"], row["face_id"]) == (2, 2, "")
    assert np.isnan([row["begins"], row["ends"]]).all()
    with pytest.raises(SessionError, match="photos have no time"):
        rows(read(folder), rest=(0, 2))


def test_what_will_be_analysed_again_is_left_out_and_a_lost_camera_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = tmp_path / "study"
    session(study / "P01")
    session(study / "P02", status="interrupted: the program ended before the recording did")
    session(study / "P03", status="interrupted: ...", source={"kind": "file"})
    session(study / "part", status="stopped at 5.0 s of 9.0 s", source={"kind": "file"})  # as somebody chose
    session(study / "P04", status="recording")
    (study / "notes").mkdir()
    out = tmp_path / "study.csv"
    assert main(["table", str(study), str(study / "P01"), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out == f"{out}\n"
    assert [row["session"] for row in csv_rows(out)] == ["P01", "P02", "part"]
    assert "P03 is left out (interrupted: ...); analyse it again" in said.err
    assert "P04 is left out, since it is still being recorded" in said.err
    assert "experimental, so not to be trusted alone: AU09" in said.err
    foreign = tmp_path / "openface"
    foreign.mkdir()
    (foreign / "frames.csv").write_text("frame,face_id,success,AU12_r\n1,0,1,2\n")
    with pytest.raises(SessionError, match=r"frames.csv has no timestamp"):
        read(foreign)
    assert main(["table", str(study / "P04"), "--out", str(out)]) == 2
    assert len(csv_rows(out)) == 3  # as it was


def test_what_makes_sessions_hard_to_compare_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session(tmp_path / "P01_2026-11-30T10-00-00")
    others = {"max_faces": 1, "smoothing_s": 0.5, "personal": True, "rest": {"subtracted": {}}}
    session(tmp_path / "P01_2026-11-30T11-00-00", model={"sha256": "1" * 64, "trust": {}}, settings=others)
    assert main(["table", str(tmp_path), "--out", str(tmp_path / "t.csv")]) == 0
    said = capsys.readouterr().err
    for sentence in (
        "are of 2 models (00000000, 11111111)",
        "differ in smoothing",
        "some of these",
        "sessions of P01:",
    ):
        assert sentence in said


RESTS = "face 0: subtracted AU12 0.3"


def test_that_some_count_from_a_rest_taken_in_the_window_is_said(tmp_path: Path) -> None:
    folders = [session(tmp_path / name, events=[(0.0, "rest", RESTS)]) for name in ("P01", "P02")]
    assert tabulate(folders).doubts == []
    said = ["some of these sessions count from a person's rest, but not P03"]
    assert tabulate([*folders, session(tmp_path / "P03")]).doubts == said


@pytest.mark.parametrize(
    ("lines", "events", "kinds"),
    [
        (CALM_THEN_SMILES, [(3.0, "rest", RESTS)], "rest"),
        (CALM_THEN_SMILES, [(0.0, "rest", RESTS), (3.0, "rest", "face 0: read like others again")], "rest"),
        ([*CALM_THEN_SMILES, "7,1,6.0,1,1,1,1,1"], [(0.0, "rest", RESTS)], "rest"),  # found again, as another
        (CALM_THEN_SMILES, [(3.0, "setting", "smoothing_s = 0.5")], "setting"),
        (CALM_THEN_SMILES, [(-1.0, "setting", "smoothing_s = 0.5"), (0.2, "rest", RESTS)], ""),
        ([], [(0.0, "setting", "personal = False")], ""),
    ],
    ids=["later", "given up", "another face", "smoothing", "before", "nobody"],
)
def test_a_session_whose_numbers_change_their_meaning_is_told(
    lines: list[str], events: list[tuple[float | str, str, str]], kinds: str, tmp_path: Path
) -> None:
    folder = session(tmp_path / "P01", lines, events)
    told = [sentence for sentence in tabulate([folder]).doubts if "changes while it is recorded" in sentence]
    assert len(told) == bool(kinds)
    assert f"{folder} changes while it is recorded (kind {kinds} in events.csv)" in "".join(told) or not kinds


def test_a_session_is_named_and_counted_once_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = session(tmp_path / "P01")
    monkeypatch.chdir(folder)
    (found,) = find_sessions([Path(), Path("..", "P01"), tmp_path])
    assert found.name == "P01"


def test_a_table_that_is_open_elsewhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def is_open(path: Path, text: str) -> None:  # as Windows does
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), f"{path}.tmp")

    (tmp_path / "t.csv").touch()
    monkeypatch.setattr(table, "replace_file", is_open)
    with pytest.raises(InputError, match=r"t.csv cannot be replaced \(Permission denied\); close it in other programs"):
        tabulate([session(tmp_path / "P01")]).write(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "t.csv", "--before", "1"], "name their kind, e.g. --by marker"),
        (["--out", "t.csv", "--by", "marker", "--rest", "0-1", "--before", "1"], "leave one of them out"),
        (["--out", "t.csv", "--rest", "calm.jpg"], "calm.jpg are no seconds"),
        (["--out", "t.csv", "--rest", "3-1"], "write the earlier second first"),
        (["--out", "P01/frames.csv"], "belongs to a session; give the table another name"),
        (["--out", "P01/Frames.csv"], "belongs to a session; give the table another name"),  # the same on Windows
        (["--out", "P01"], "P01 is a folder; name a file in it"),
        (["--out", "tables/t.csv"], "there is no folder tables; make it"),
        (["nothing", "--out", "t.csv"], "nothing holds no session"),
    ],
)
def test_wrong_usage_is_one_sentence(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = (session(tmp_path / "P01") / "frames.csv").read_text()
    assert main(["table", "P01", *arguments]) == 2
    assert sentence in (said := capsys.readouterr().err)
    assert len(said.splitlines()) == 1
    assert (tmp_path / "P01" / "frames.csv").read_text() == before


def test_a_real_session_in_the_table(tmp_path: Path) -> None:
    clip = cut_from_demo(tmp_path / "smile.mp4", 25)
    assert main(["analyze", str(clip), "--out", str(tmp_path / "sessions"), "--device", "cpu"]) == 0
    assert main(["table", str(tmp_path / "sessions"), "--out", str(tmp_path / "t.csv"), "--rest", "0-0.2"]) == 0
    (row,) = csv_rows(tmp_path / "t.csv")
    (folder,) = (tmp_path / "sessions").iterdir()
    columns = read_session(folder)[1]
    assert (row["name"], row["frames"], row["success"]) == ("smile", "20", "1")
    assert len([name for name in row if name.endswith("_mean")]) == 23
    for measure, column in (("mean", "r"), ("left", "left"), ("right", "right")):
        read_there = columns[f"AU26_{column}"]
        assert float(row[f"AU26_{measure}"]) == pytest.approx(read_there[5:].mean() - read_there[:5].mean(), abs=6e-4)
    assert list(row)[8] == "AU01_mean"
