"""The session folder, and what becomes of it when the disk is full, the folder goes or the program is killed."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from rtatl_core.errors import SessionError
from rtatl_core.handoffs import FramePacket
from rtatl_core.sessions import session
from rtatl_core.sessions.rows import FrameRecord
from rtatl_core.sessions.session import ClockPair, SessionWriter, make_folder, read_session
from tests.desktop.fakes import AUS, FakeEngine, picture

ROOT = Path(__file__).parents[3]
MODEL = {"name": "fake-1", "sha256": "0" * 64, "trained_on": "nothing"}
SOURCE = {"kind": "file", "name": "clip.mp4", "size": (320, 240), "fps": 25.0}


def open_writer(root: Path, stem: str | None = "clip", aus: tuple[int, ...] = AUS) -> SessionWriter:
    return SessionWriter(root, stem, aus, SOURCE, MODEL, {"smoothing_s": 0.06}, ClockPair.at(time.perf_counter()))


def packet(number: int) -> FramePacket:
    return FramePacket(picture((32, 24), number), number, (number - 1) / 25, time.perf_counter())


def test_frames_faces_losses_and_drops_are_all_there(tmp_path: Path) -> None:
    engine = FakeEngine(faces=2, blind=lambda p: p.number == 4)
    with open_writer(tmp_path) as writer:
        for number in (1, 4, 5):
            dropped = ((2, 0.04), (3, 0.08)) if number == 4 else ()
            writer.append(engine.process(packet(number), dropped))
        writer.event("notice", 'says "so", twice', 0.16, 5)
    meta, columns = read_session(writer.folder)
    assert columns["frame"].tolist() == [1, 1, 2, 3, 4, 5, 5]
    assert columns["success"].tolist() == [1, 1, 0, 0, 0, 1, 1]
    assert columns["analysed"].tolist() == [1, 1, 0, 0, 1, 1, 1]
    np.testing.assert_array_equal(columns["face_id"], [0, 1, np.nan, np.nan, np.nan, 0, 1])
    expected = engine.process(packet(5)).faces[0].result.intensity
    written = [columns[f"AU{number:02d}_r"][-2] for number in AUS]
    np.testing.assert_allclose(written, expected, atol=5e-4)
    assert meta["counts"] == {"captured": 5, "analysed": 3, "dropped": 2, "rows": 7, "faces": 2}
    assert meta["rows_cut"] == 0
    events = (writer.folder / "events.csv").read_text().splitlines()
    assert events == ["timestamp,frame,kind,label", '0.160000,5,notice,"says ""so"", twice"']


def test_summary_names_everything_a_reader_needs(tmp_path: Path) -> None:
    before = datetime.now().astimezone()
    writer = open_writer(tmp_path, aus=(1, 12))
    running = json.loads((writer.folder / "session.json").read_text())
    writer.close()
    done = json.loads((writer.folder / "session.json").read_text())
    assert running["status"] == "recording"
    assert done["status"] == "complete"
    assert done["model"] == MODEL
    assert done["source"]["size"] == [320, 240]
    assert done["settings"] == {"smoothing_s": 0.06}
    assert {"python", "numpy", "opencv-contrib-python", "rtatl_core"} <= done["versions"].keys()
    assert list(done["columns"]) == (writer.folder / "frames.csv").read_text().splitlines()[0].split(",")
    assert abs(datetime.fromisoformat(done["clock"]["utc"]) - before) < timedelta(seconds=5)
    assert not list(writer.folder.glob("*.tmp"))


def test_a_summary_that_is_no_json_is_never_written(tmp_path: Path) -> None:
    clock = ClockPair.at(time.perf_counter())
    with pytest.raises(ValueError, match="JSON"):
        SessionWriter(tmp_path, "clip", AUS, SOURCE, MODEL, {"smoothing_s": float("nan")}, clock)


def test_clock_pair_of_a_past_moment_is_that_moment_on_both_clocks() -> None:
    now = time.perf_counter()
    earlier, later = ClockPair.at(now - 60), ClockPair.at(now)
    difference = datetime.fromisoformat(later.utc) - datetime.fromisoformat(earlier.utc)
    assert difference.total_seconds() == pytest.approx(60, abs=0.01)


def test_an_exception_is_the_status_of_the_session_it_ended(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    with pytest.raises(RuntimeError), writer:
        raise RuntimeError("the engine broke")
    assert read_session(writer.folder)[0]["status"] == "stopped: the engine broke"


@pytest.mark.parametrize(
    ("stem", "begins"),
    [
        ("Logitech: C920/HD?", "Logitech- C920-HD_20"),
        ("...", "session_20"),
        ("Größe 日本", "Größe 日本_20"),
        ("日" * 200, "日" * 40 + "_20"),
    ],
)
def test_folder_names_are_allowed_on_every_system(tmp_path: Path, stem: str, begins: str) -> None:
    folder = make_folder(tmp_path / "new" / "root", stem)
    assert folder.name.startswith(begins)
    assert not set(folder.name) & set('<>:"/\\|?*')
    assert folder.name.isprintable()


def test_two_sessions_in_one_second_get_two_folders(tmp_path: Path) -> None:
    names = {make_folder(tmp_path, "clip").name for _ in range(5)}
    assert len(names) == 5
    assert any(name.endswith("-2") for name in names)


def test_summary_is_renewed_while_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SUMMARY_S", 0.0)
    with open_writer(tmp_path) as writer:
        writer.write(FrameRecord(1, 0.0))
        assert read_session(writer.folder)[0]["counts"]["rows"] == 1


def test_a_summary_that_another_program_is_reading_ends_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = [0]
    replace = Path.replace

    def busy(path: Path, target: Path) -> Path:  # as Windows answers
        reads[0] -= 1
        if reads[0] >= 0:
            raise PermissionError(errno.EACCES, "used by another process")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(session.time, "sleep", lambda _: None)
    monkeypatch.setattr(session, "SUMMARY_S", 0.0)
    with open_writer(tmp_path) as writer:
        reads[0] = 100
        writer.write(FrameRecord(1, 0.0))
        assert json.loads((writer.folder / "session.json").read_text())["counts"]["rows"] == 0
        writer.write(FrameRecord(2, 0.1))
        reads[0] = 3  # and once more at the very end
    facts, columns = read_session(writer.folder)
    assert (facts["status"], facts["counts"]["rows"]) == ("complete", 2)
    assert columns["frame"].tolist() == [1, 2]


def test_names_that_are_no_text_are_written_all_the_same(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")  # Latin 1, as old disks have it
    with open_writer(tmp_path, name) as writer:
        writer.event("warning", f"{name} is damaged", 0.0, 1)
    assert "caf\\udce9.mp4 is damaged" in (writer.folder / "events.csv").read_text()


def test_rows_are_synced_every_second_also_when_none_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[float] = []
    clock = [0.0]
    monkeypatch.setattr(session.time, "perf_counter", lambda: clock[0])
    with open_writer(tmp_path) as writer:
        monkeypatch.setattr(session.os, "fsync", lambda _: synced.append(clock[0]))
        for tenth in range(1, 31):
            clock[0] = tenth / 10
            writer.tick()
        assert synced == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]  # frames.csv and events.csv


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "is full; make room"),
        (errno.EACCES, "no permission to write to .*; choose another folder"),
        (errno.EROFS, "no permission to write to .*; choose another folder"),
    ],
)
def test_a_folder_that_cannot_be_made_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(SessionError, match=says) as caught:
        open_writer(tmp_path / "root")
    assert str(tmp_path / "root") in str(caught.value)


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SessionError, match="choose another folder"):
        open_writer(tmp_path / "file")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not let a folder with open files go")
def test_a_folder_that_is_removed_while_recording_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "SYNC_S", 0.0)
    writer = open_writer(tmp_path)
    writer.write(FrameRecord(1, 0.0))
    shutil.rmtree(writer.folder)
    with pytest.raises(SessionError, match="was removed"):
        writer.write(FrameRecord(2, 0.04))
    with pytest.raises(SessionError, match="was removed"):
        writer.close()


def child(code: str, *arguments: str) -> list[str]:
    start = "import sys\nfrom pathlib import Path\nfrom rtatl_core.sessions.rows import FrameRecord\n"
    start += "from tests.core.sessions.test_session import open_writer\nwriter = open_writer(Path(sys.argv[1]), None)\n"
    return [sys.executable, "-c", start + code, *arguments]


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on file sizes is POSIX")
def test_on_a_full_disk_the_rows_so_far_are_whole(tmp_path: Path) -> None:
    """The system itself refuses to let frames.csv grow over 10 kB, in the middle of a row."""
    code = """
import resource, signal
from rtatl_core.errors import SessionError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
try:
    for number in range(1, 1000):
        writer.write(FrameRecord(number, number / 25))
except SessionError as error:
    print(number - 1, error)
writer.close("stopped: disk full")
"""
    command = child(code, str(tmp_path))
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    written, text = run.stdout.split(" ", 1)
    assert text.startswith(f"The disk with {tmp_path} is full"), run.stderr
    meta, columns = read_session(tmp_path)
    assert columns["frame"].tolist() == list(range(1, int(written) + 1))
    assert (tmp_path / "frames.csv").stat().st_size <= 10_000
    assert meta["rows_cut"] == 0


@pytest.mark.parametrize("full_at", ["frames.csv", "events.csv", "session.json"])
def test_a_session_that_cannot_begin_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: str
) -> None:
    sync = session._Table.write

    def refuse(table: session._Table, text: str) -> None:
        if table._path.name == full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(table, text)

    def refuse_summary(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(session._Table, "write", refuse)
    monkeypatch.setattr(session, "replace_file", refuse_summary)
    with pytest.raises(SessionError, match="is full; make room"):
        open_writer(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_session_that_cannot_begin_leaves_what_was_there(tmp_path: Path) -> None:
    first = open_writer(tmp_path)
    first.close()
    (first.folder / "frames.csv").unlink()
    before = (first.folder / "events.csv").read_bytes()
    with pytest.raises(SessionError):
        open_writer(first.folder, None)
    assert sorted(file.name for file in first.folder.iterdir()) == ["events.csv", "session.json"]
    assert (first.folder / "events.csv").read_bytes() == before


def test_on_a_full_disk_the_summary_still_tells_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_writer(tmp_path)
    writer.write(FrameRecord(1, 0.0))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "replace", refuse)  # there is no room for a second session.json
    writer.close("stopped: disk full")
    meta, _ = read_session(writer.folder)
    assert (meta["status"], meta["counts"]["rows"]) == ("stopped: disk full", 1)
    assert not list(writer.folder.glob("*.tmp"))


def test_rows_that_the_disk_refuses_at_the_end_leave_no_complete_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(tmp_path)
    writer.write(FrameRecord(1, 0.0))
    refuse_to_sync(monkeypatch)
    with pytest.raises(SessionError, match="is full; make room"):
        writer.close()
    said = read_session(writer.folder)[0]["status"]
    assert said == f"stopped: The disk with {writer.folder} is full; make room, or choose another folder."
    writer.close("stopped: known already")
    assert read_session(writer.folder)[0]["status"] == "stopped: known already"


def refuse_to_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a network disk finds only then that somebody's share of it is used up."""

    def refuse(file: IO[bytes]) -> None:
        file.flush()
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(session, "to_disk", refuse)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_program_loses_no_row_it_had_written(tmp_path: Path) -> None:
    code = """
import time
for number in range(1, 100_000):
    writer.write(FrameRecord(number, number / 1000))
    print(number, flush=True)
    time.sleep(0.001)
"""
    command = child(code, str(tmp_path))
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        for line in running.stdout:
            if int(line) == 200:
                running.send_signal(signal.SIGKILL)
                break
        running.stdout.read()
    meta, columns = read_session(tmp_path)
    assert len(columns["frame"]) >= 200
    assert meta["status"] == "recording"


def damage(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes())) and None


def test_an_interrupted_recording_is_read_up_to_its_last_whole_row(tmp_path: Path) -> None:
    with open_writer(tmp_path) as writer:
        for number in range(1, 11):
            writer.write(FrameRecord(number, number / 25))
    damage("frames.csv", lambda data: data[:-30])(writer.folder)
    damage("session.json", lambda data: data[:50])(writer.folder)
    meta, columns = read_session(writer.folder)
    assert columns["frame"].tolist() == list(range(1, 10))
    assert meta == {"status": "unknown", "rows_cut": 1}


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda folder: (folder / "frames.csv").unlink(), "no session folder"),
        (damage("frames.csv", lambda data: b""), "no header"),
        (damage("frames.csv", lambda data: data + b"1,2\n" + data.splitlines()[-1] + b"\n"), "line 3 is damaged"),
    ],
    ids=["no rows", "no header", "bad row in the middle"],
)
def test_what_is_no_session_is_named(tmp_path: Path, break_it: Callable[[Path], None], says: str) -> None:
    with open_writer(tmp_path) as writer:
        writer.write(FrameRecord(1, 0.0))
    break_it(writer.folder)
    with pytest.raises(SessionError, match=says) as caught:
        read_session(writer.folder)
    assert str(writer.folder) in str(caught.value)


def test_the_time_of_day_is_exact_where_its_clock_is_coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where it moves every 15.6 ms."""
    true_s = [100.0]

    def read() -> float:
        true_s[0] += 1e-4
        return true_s[0]

    monkeypatch.setattr(session.time, "perf_counter", read)
    monkeypatch.setattr(session.time, "time", lambda: 1e9 + read() // 0.015625 * 0.015625)
    for wait_s in (0.0, 0.007, 0.005):
        true_s[0] += wait_s
        at = read()
        assert datetime.fromisoformat(ClockPair.at(at).utc).timestamp() == pytest.approx(1e9 + at, abs=5e-4)


def test_a_clock_that_stands_still_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    assert ClockPair.at(time.perf_counter()).utc.startswith("2001-09-09T01:46:")


def test_a_session_that_is_read_beside_other_threads_lets_them_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{number},{number / 10}\n" for number in range(1000))
    (tmp_path / "frames.csv").write_text(f"frame,timestamp\n{rows}")
    rests: list[float] = []
    monkeypatch.setattr(session, "_REST_S", 0.001)
    monkeypatch.setattr(session.time, "sleep", rests.append)
    alone = read_session(tmp_path)[1]
    assert not rests
    read: list[object] = []
    thread = threading.Thread(target=lambda: read.append(read_session(tmp_path)[1]))
    thread.start()
    thread.join()
    assert len(rests) == 11
    np.testing.assert_equal(read, [alone])
