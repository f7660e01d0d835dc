"""A recording that a killed program left behind is finished with what is whole; others are left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import psutil
import pytest

from rtatl_core.sessions.interrupted import recover_sessions
from rtatl_core.sessions.session import process_mark, read_session
from tests.tables import csv_rows


def interrupted(folder: Path, **changes: Any) -> Path:
    """A session as a killed program leaves it: half a row at its end."""
    facts, columns = {"status": "recording", "process": process_mark() | {"pid": 2**22 + 1}}, "frame,face_id,timestamp"
    (folder / "a").mkdir(parents=True)
    rows = f"{columns},analysed\n1,0,0.0,1\n1,1,0.0,1\n2,,0.04,0\n3,0,0.0"
    (folder / "a" / "frames.csv").write_text(rows)
    (folder / "a" / "events.csv").write_text("timestamp,frame,kind,label\n0.0,1,recording_start,started\n0.1,3,pau")
    (folder / "a" / "session.json").write_text(json.dumps(facts | changes, indent=2))
    return folder


def test_an_interrupted_session_is_finished_with_what_is_whole(tmp_path: Path) -> None:
    (found,) = recover_sessions(interrupted(tmp_path))
    assert (found.folder, found.rows, found.seconds) == (tmp_path / "a", 3, 0.04)
    facts, columns = read_session(tmp_path / "a")
    assert facts["counts"] == {"captured": 2, "analysed": 1, "dropped": 1, "rows": 3, "faces": 2}
    assert facts["rows_cut"] == 0
    assert len(columns["frame"]) == 3
    assert [event["kind"] for event in csv_rows(tmp_path / "a" / "events.csv")] == ["recording_start", "interrupted"]
    assert list(recover_sessions(tmp_path)) == []


def test_faces_of_interrupted_photos_are_counted_in_each(tmp_path: Path) -> None:
    frames = interrupted(tmp_path) / "a" / "frames.csv"
    frames.write_text("frame,face_id,timestamp,analysed\n1,0,,1\n2,0,,1\n3,,,1\n")
    assert len(list(recover_sessions(tmp_path))) == 1
    assert read_session(tmp_path / "a")[0]["counts"]["faces"] == 2


def test_hours_that_were_recorded_are_finished_in_little_memory(tmp_path: Path) -> None:
    frames = interrupted(tmp_path) / "a" / "frames.csv"
    rest = ",0.123" * 130
    head = "frame,face_id,timestamp,analysed" + "".join(f",AU{number:02}_r" for number in range(130))
    frames.write_text("\n".join([head, *(f"{number},0,{number / 25},1{rest}" for number in range(1, 3001)), "3001,"]))
    tracemalloc.start()
    try:
        (found,) = recover_sessions(tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.rows == 3000
    assert peak < frames.stat().st_size / 2


@pytest.mark.parametrize(
    "changes",
    [{"status": "complete"}, {"process": process_mark()}, {"process": {"host": "another", "pid": 1, "started": 0}}, {}],
    ids=["complete", "still running", "of another computer, just written", "of an older version, just written"],
)
def test_other_sessions_are_left_alone(tmp_path: Path, changes: dict[str, Any]) -> None:
    interrupted(tmp_path, **(changes or {"process": None}))
    before = {file: file.read_bytes() for file in (tmp_path / "a").iterdir()}
    assert list(recover_sessions(tmp_path)) == []
    assert {file: file.read_bytes() for file in (tmp_path / "a").iterdir()} == before


@pytest.mark.parametrize(
    "process",
    [process_mark() | {"started": 0}, {"host": "another", "pid": 1, "started": 0}, None],
    ids=["its number is another program's now", "of another computer, old", "of an older version, old"],
)
def test_what_nobody_writes_any_more_is_finished(tmp_path: Path, process: dict[str, Any] | None) -> None:
    folder = interrupted(tmp_path, process=process) / "a"
    long_ago = time.time() - 61
    for name in ("frames.csv", "session.json"):
        os.utime(folder / name, (long_ago, long_ago))
    assert [found.folder for found in recover_sessions(tmp_path)] == [folder]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such processes")
def test_a_dead_program_that_nobody_asked_about_does_not_write_any_more(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as dead:
        process = psutil.Process(dead.pid)
        folder = interrupted(tmp_path, process=process_mark(dead.pid))
        assert list(recover_sessions(folder)) == []
        dead.kill()
        until = time.monotonic() + 10
        while process.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until
            time.sleep(0.01)
        assert [found.folder.name for found in recover_sessions(folder)] == ["a"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the moment at which a process began is kept as it was")
def test_a_running_recording_is_left_alone_when_the_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(tmp_path, process=process_mark())
    booted = psutil.boot_time() + 3600
    monkeypatch.setattr("psutil.boot_time", lambda: booted)
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted)
    assert list(recover_sessions(tmp_path)) == []


def test_a_recording_from_before_the_computer_was_started_anew_is_finished(tmp_path: Path) -> None:
    interrupted(tmp_path, process=process_mark() | {"boot": "before"})
    assert len(list(recover_sessions(tmp_path))) == 1


def test_zeros_where_the_power_went_are_cut_off(tmp_path: Path) -> None:
    frames = interrupted(tmp_path) / "a" / "frames.csv"
    frames.write_text("frame,face_id,timestamp,analysed\n1,0,0.0,1\n2,0,0.0\0\0\0\0\n3,0,0.08,1\n")
    (found,) = recover_sessions(tmp_path)
    assert found.rows == 1
    assert read_session(tmp_path / "a")[1]["frame"].tolist() == [1]


def test_a_damaged_session_keeps_no_other_from_recovering(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "session.json").write_text('{"status": "recording", ')
    assert [found.folder.name for found in recover_sessions(tmp_path)] == ["a"]
