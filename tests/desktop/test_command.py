"""The command line of the window."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from au_desktop import __main__ as command
from au_desktop import app as program
from au_desktop import settings as settings_file
from au_desktop.launch import Launch
from rtatl_core import system

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "wide"],
        ["--duration", "-1"],
        ["--faces", "0"],
        ["--theme", "pink"],
        ["--unknown"],
        ["--settings", ""],
        ["--size", "99999x9"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert "au-desktop: error" in capsys.readouterr().err


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    launches: list[Launch] = []
    monkeypatch.setattr(program, "run", lambda launch: launches.append(launch) or 0)
    return launches


def test_flags_reach_the_program(launched: list[Launch], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AU_DESKTOP_HOME", "elsewhere")
    flags = ["--source", "demo", "--faces", "3", "--size", "1280x800", "--duration", "2", "--settings", str(tmp_path)]
    assert command.main(flags) == 0
    assert launched == [Launch(source="demo", faces=3, size=(1280, 800), duration=2.0)]
    assert settings_file.folder() == tmp_path


def test_without_a_screen_the_demo_is_recorded_offscreen(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "")
    assert command.main([]) == 0
    assert os.environ["QT_QPA_PLATFORM"] == "offscreen"
    (launch,) = launched
    assert (launch.source, launch.duration, launch.record) == ("demo", 20.0, Path("sessions"))
    assert launch.screenshot == Path("sessions/au-desktop.png")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_missing_library_is_named_with_its_package(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.setattr(system, "_can_load", lambda name: name != "libxcb-icccm.so.4")
    assert command.main([]) == 2
    told = capsys.readouterr().err
    assert "lacks libxcb-icccm.so.4;" in told
    assert "apt-get install" in told
    assert "libxcb-icccm4" in told
    assert launched == []


def test_a_folder_that_the_output_cannot_show_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that output goes to has the code page of Windows."""
    page = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", page)
    monkeypatch.setattr(program, "run", lambda launch: print("Session: \N{CYRILLIC CAPITAL LETTER DE}") or 0)
    assert command.main(["--source", "demo"]) == 0
    page.flush()
    assert page.buffer.getvalue().split() == [b"Session:", rb"\u0414"]


def test_a_program_without_a_console_leaves_past_a_thread_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    answers = threading.Event()
    hanging = threading.Thread(target=answers.wait, args=(10,), daemon=True)
    hanging.start()
    monkeypatch.setattr(command, "main", lambda: 3)
    monkeypatch.setattr(os, "_exit", left.append)
    with monkeypatch.context() as packaged:
        packaged.setattr(sys, "stdout", None)
        packaged.setattr(sys, "stderr", None)
        with pytest.raises(SystemExit):  # for this one exit does not exit
            command.start()
    answers.set()
    hanging.join()
    assert left == [3]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows says so by another error")
def test_nobody_reads_what_a_program_says_at_its_end() -> None:
    script = """
from au_desktop import __main__ as command, app
command.main = lambda: app._tell("Session: there") or 3
command.start()
"""
    run = [sys.executable, "-c", script]
    with subprocess.Popen(run, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 3


def test_a_folder_that_is_gone_is_told(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone() -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("os.getcwd", gone)
    assert command.main(["--source", "demo"]) == 2
    assert "the folder in which this was started is gone; change to another one" in capsys.readouterr().err
    assert launched == []


def test_a_screen_that_does_not_answer_is_told(tmp_path: Path) -> None:
    environment = os.environ | {
        "DISPLAY": "",
        "WAYLAND_DISPLAY": "",
        "QT_QPA_PLATFORM": "nowhere",
        "AU_DESKTOP_HOME": str(tmp_path),
    }
    run = [sys.executable, "-m", "au_desktop", "--source", "demo"]
    done = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    said = "au-desktop: no window can be shown on QT_QPA_PLATFORM=nowhere; start it on a desktop that is there.\n"
    assert (done.returncode, done.stderr) == (2, said)
