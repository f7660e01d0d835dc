"""The program in scripts: what its flags leave behind, and how it refuses."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QRect
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from au_desktop import BEGAN
from au_desktop import app as program
from au_desktop import settings as settings_file
from au_desktop.faults import Hooks
from au_desktop.launch import Launch
from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import Notice, State, Status
from au_desktop.samples import SampleLog, SamplesError
from au_desktop.settings import Settings
from rtatl_core.errors import SessionError, WeightsError
from rtatl_core.handoffs import AnalysedFrame
from rtatl_core.sessions.session import SessionWriter, read_session
from tests.clips import write_clip
from tests.desktop.conftest import wait_until
from tests.desktop.fakes import FakeEngine
from tests.desktop.running import fake, is_live, once, run

pytestmark = pytest.mark.usefixtures("no_camera")


def test_a_scripted_run_leaves_all_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch = Launch(
        source="demo",
        duration=1.5,
        record=tmp_path / "sessions",
        screenshot=tmp_path / "window.png",
        stats=tmp_path / "stats.json",
        theme="light",
        size=(1024, 700),
    )
    begun = time.perf_counter() - BEGAN
    assert run(launch) == 0
    image = QImage(str(launch.screenshot))
    assert (image.width(), image.height()) == (1024, 700)

    stats = json.loads(launch.stats.read_text())
    assert set(stats) == {
        "frames_captured",
        "frames_analysed",
        "frames_dropped",
        "fps",
        "delay_ms",
        "first_painted_s",
        "stages",
        "rss_mb",
        "cpu_percent",
        "model",
        "device",
        "source",
        "duration_s",
    }
    assert set(stats["delay_ms"]) == {"median", "p95", "max"}
    assert {"capture", "observe", "predict", "record", "paint_video", "paint_curves", "paint_panel"} <= set(
        stats["stages"]
    )
    assert 0 < stats["stages"]["record"]["median_ms"] < 50
    assert 0 < stats["stages"]["capture"]["median_ms"] < 50
    assert {"median_ms", "p95_ms"} == set(stats["stages"]["paint_video"])
    assert {"start", "end", "max"} == set(stats["rss_mb"])
    assert stats["frames_analysed"] > 10
    assert stats["frames_dropped"] == 0
    assert (stats["model"], stats["source"]) == ("fake-1", "Demo clip")
    assert 1.4 < stats["duration_s"] < 8  # a busy machine closes late
    assert begun < stats["first_painted_s"] < time.perf_counter() - BEGAN - 1

    (folder,) = (tmp_path / "sessions").iterdir()
    facts, columns = read_session(folder)
    assert facts["status"] == "complete"
    assert len(columns["frame"]) > 10
    printed = capsys.readouterr().out
    assert f"Session: {folder}" in printed
    assert f"Screenshot: {launch.screenshot}" in printed
    assert not (settings_file.folder() / "settings.json").exists(), "a script leaves the person's settings alone"


def test_a_scripted_file_ends_the_program_at_its_end(tmp_path: Path, short_clip: Path) -> None:
    assert run(Launch(source=str(short_clip), stats=tmp_path / "stats.json")) == 0
    assert json.loads((tmp_path / "stats.json").read_text())["frames_analysed"] == 10


@pytest.fixture
def short_clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "short.mp4", 10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has such a disk")
def test_a_disk_without_room_for_samples_is_told() -> None:
    with pytest.raises(SamplesError, match=r"/dev/full cannot be written .No space left on device.; choose another"):
        SampleLog(Path("/dev/full"), None, None)  # type: ignore[arg-type]


def test_a_disk_that_becomes_full_of_samples_costs_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    note = SampleLog.note

    class Full:
        def writerow(self, line: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def on_a_full_disk(log: SampleLog, status: Status) -> None:
        if status.recording is not None and status.recording.rows:
            log._writer, log._last_s = Full(), -math.inf  # type: ignore[assignment]
            note(log, status)

    monkeypatch.setattr(SampleLog, "note", on_a_full_disk)
    launch = Launch(source="demo", duration=30, record=tmp_path / "out", samples=tmp_path / "samples.csv")
    assert run(launch) == 2
    assert "samples.csv cannot be written (No space left on device)" in capsys.readouterr().err
    assert read_session(next((tmp_path / "out").iterdir()))[0]["status"] == "complete"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no nohup")
def test_nohup_keeps_the_program_running() -> None:
    asked: list[str] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Hooks(lambda: asked.append("to close"), asked.append):
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert asked == []


@pytest.mark.parametrize(
    "end",
    [
        lambda window: window.close(),
        lambda window: signal.raise_signal(signal.SIGINT),
        lambda window: signal.raise_signal(signal.SIGTERM),
        pytest.param(
            lambda window: signal.raise_signal(signal.SIGHUP),
            marks=pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none"),
        ),
        pytest.param(
            lambda window: signal.raise_signal(signal.SIGBREAK),
            marks=pytest.mark.skipif(not hasattr(signal, "SIGBREAK"), reason="Windows only"),
        ),
    ],
    ids=["by hand", "Ctrl-C", "SIGTERM", "terminal closed", "Ctrl-Break"],
)
def test_a_run_that_ends_early_leaves_what_was_asked_for_too(
    tmp_path: Path, end: Callable[[program.MainWindow], object]
) -> None:
    launch = Launch(source="demo", duration=60, screenshot=tmp_path / "a.png", stats=tmp_path / "a.json")
    shown: list[QImage] = []

    def act(window: program.MainWindow) -> None:
        QApplication.sendPostedEvents()  # what is to be laid out anew, is
        shown.append(window.grab().toImage())
        end(window)

    once(lambda window: is_live(window) and window._bridge.latest is not None, act)
    assert run(launch) == 0
    assert json.loads(launch.stats.read_text())["frames_analysed"] > 0
    bar = QRect(0, 0, shown[0].width(), 50)  # what does not change from frame to frame
    left = QImage(str(launch.screenshot)).copy(bar).convertToFormat(QImage.Format.Format_RGB32)
    assert left == shown[0].copy(bar).convertToFormat(QImage.Format.Format_RGB32), "as it was seen last"


def test_a_signal_in_the_middle_of_painting_waits_until_it_is_painted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    launch = Launch(source="demo", duration=60, screenshot=tmp_path / "a.png")
    stays: list[bool] = []

    def act(window: program.MainWindow) -> None:
        video = window.stage.video
        painted = video._painted

        def ask_to_end(frame: AnalysedFrame, milliseconds: float) -> None:
            video._painted = painted
            painted(frame, milliseconds)
            signal.raise_signal(signal.SIGTERM)
            stays.append(window.isVisible() and not launch.screenshot.exists())

        video._painted = ask_to_end

    once(is_live, act)
    assert run(launch) == 0
    assert stays == [True]
    assert launch.screenshot.exists()
    assert "ecursive" not in capfd.readouterr().err


def test_a_missing_file_is_refused_before_any_window(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(Launch(source=str(tmp_path / "nothing.mp4"), duration=5)) == 2
    told = capsys.readouterr().err
    assert told.startswith("au-desktop: ")
    assert "nothing.mp4" in told


@pytest.mark.parametrize("record", [False, True])
def test_an_unusable_file_ends_a_script_with_its_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, record: bool
) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    launch = Launch(source=str(empty), duration=10, record=tmp_path / "sessions" if record else None)
    assert run(launch) == 2
    assert capsys.readouterr().err == f"au-desktop: {empty} is empty (0 bytes); copy or record it again.\n"


def test_a_source_that_fails_before_its_recording_begins_ends_a_script_with_its_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Pipeline.start_recording

    def late(pipeline: Pipeline, root: Path, **kept: bool) -> Path:
        wait_until(lambda: pipeline.status().state is State.FAILED)
        return begin(pipeline, root, **kept)

    monkeypatch.setattr(Pipeline, "start_recording", late)
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    assert run(Launch(source=str(empty), duration=10, record=tmp_path / "sessions")) == 2
    assert capsys.readouterr().err == f"au-desktop: {empty} is empty (0 bytes); copy or record it again.\n"


def test_a_script_says_its_first_fault_once(capsys: pytest.CaptureFixture[str]) -> None:
    """However often the status changes before the window has closed."""

    def act(window: program.MainWindow) -> None:
        failed = replace(window._bridge.status, state=State.FAILED, notice=Notice("error", "It is broken; mend it.", 1))
        for captured in range(3):
            window._bridge.status_changed.emit(replace(failed, captured=captured))

    once(is_live, act)
    assert run(Launch(source="demo", duration=30)) == 2
    assert capsys.readouterr().err == "au-desktop: It is broken; mend it.\n"


@pytest.mark.parametrize("when", ["begins", "goes on"])
def test_a_recording_that_cannot_be_written_ends_a_script_with_its_reason(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    def full(*_: object) -> None:
        raise SessionError("The disk is full; make room.")

    monkeypatch.setattr(SessionWriter, {"begins": "__init__", "goes on": "write"}[when], full)
    assert run(Launch(source="demo", record=tmp_path / "sessions", duration=2)) == 2
    said = capsys.readouterr()
    assert said.err == "au-desktop: the recording stopped: The disk is full; make room.\n"
    assert ("Session:" in said.out) == bool(list((tmp_path / "sessions").iterdir())) == (when == "goes on")


def test_a_video_that_cannot_be_kept_is_told_by_a_script(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("au_desktop.sinks.film.LEAST_FREE", 10**18)
    root = tmp_path / "sessions"
    assert run(Launch(source="demo", camera_fps=30, film=True, record=root, duration=2)) == 2
    told = "No more video of this recording can be kept (the disk is nearly full); its numbers go on."
    assert capsys.readouterr().err == f"au-desktop: {told}\n"
    (folder,) = root.iterdir()
    assert read_session(folder)[0]["status"] == "complete"


def test_what_cannot_be_left_is_said_with_one_remedy_and_keeps_nothing_else_back(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    odd, folder, stats = tmp_path / "window.xyz", tmp_path / "window.png", tmp_path / "stats.json"
    odd.write_text("mine")
    folder.mkdir()
    for screenshot, told in (
        (odd, "does not name a picture; choose a name for --screenshot that ends in .png."),
        (folder, "; choose another place for --screenshot."),
    ):
        assert run(Launch(source="demo", duration=0.5, screenshot=screenshot, stats=stats)) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"au-desktop: {screenshot} ")
        assert said.endswith(told)
        assert said.count("choose") == 1
        assert json.loads(stats.read_text())
        stats.unlink()
    assert odd.read_text() == "mine"
    assert run(Launch(source="demo", duration=0.5, stats=folder)) == 2
    assert capsys.readouterr().err.endswith("choose another place for --stats.\n")


def test_unusable_weights_end_a_script_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(settings: Settings) -> FakeEngine:
        raise WeightsError("The weights nowhere.safetensors are missing; install the program again.")

    assert run(Launch(source="demo", duration=10), refuse) == 2
    assert "nowhere.safetensors are missing" in capsys.readouterr().err


def test_a_recording_folder_that_cannot_be_made_ends_a_script(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(Launch(source="demo", duration=10, record=tmp_path / "file")) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_script_that_records_without_a_camera_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(Launch(record=tmp_path / "sessions", duration=10)) == 2
    assert capsys.readouterr().err == (
        "au-desktop: No camera was found, so nothing is recorded; name a source, for example: --source demo.\n"
    )
    assert not (tmp_path / "sessions").exists()


def test_a_script_that_recorded_no_frame_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def slow(settings: Settings) -> FakeEngine:
        time.sleep(1.5)
        return fake(settings)

    assert run(Launch(source="demo", record=tmp_path, duration=0.3), slow) == 2
    (folder,) = tmp_path.glob("demo_*")
    assert capsys.readouterr().err == f"au-desktop: no frame came while it recorded; {folder} holds no rows.\n"
