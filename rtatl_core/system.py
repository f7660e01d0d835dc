"""This machine and this installation: what is missing and how to install it, how to call ``rtatl``, how many cores
there are and what they can do."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import locale
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# By the Debian and Ubuntu package that brings it. Qt ends the whole process when one is missing, with a message that
# names none of them, so they are tried first.
XCB_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
"""Variables that say where a window is shown."""
APT_LINE = (
    "sudo apt-get update && sudo apt-get install -y --no-install-recommends "
    "libgl1 libglib2.0-0 libxkbcommon0 libdbus-1-3 libfontconfig1 " + " ".join(XCB_LIBRARIES.values())
)
PIP = r".venv\Scripts\pip" if sys.platform == "win32" else ".venv/bin/pip"
"""Relative to the project's folder, since the environment made there is not on the search path."""
FOLDERS_ELSEWHERE = "folders are for rtatl analyze, which comes with an installation from source (README, Start)."
"""Said where ``rtatl_command`` gives None."""


def how_to_install(extra: str = "") -> str:
    """How to install an extra of pyproject.toml, or without one the program again; the end of a message."""
    if getattr(sys, "frozen", False):
        return "the packaged program does not contain it and has no pip; install from source (README, Start)"
    what = f"'.[{extra}]'" if extra else "."
    return f"run in the project's folder: {PIP} install -c constraints.txt -e {what}"


def rtatl_command(*arguments: str) -> str | None:
    """A command line that runs ``rtatl`` from the current folder, quoted for this system's shell; None where ``rtatl``
    is not installed, as in the packaged program."""
    windows = sys.platform == "win32"
    program = Path(sys.executable).with_name("rtatl.exe" if windows else "rtatl")
    if getattr(sys, "frozen", False) or not program.is_file():
        return None
    with contextlib.suppress(ValueError, OSError):
        below = program.relative_to(Path.cwd())
        if len(below.parts) > 1:  # a shell looks for a bare name on the search path only
            program = below
    line = [str(program), *arguments]
    return subprocess.list2cmdline(line) if windows else shlex.join(line)


def parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line (of this process without ``arguments``). Words that are empty are refused: they come from
    variables that were never set, and as a path they mean the folder one stands in."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "" in arguments:
        before = arguments[: arguments.index("")]
        where = f"after {before[-1]}" if before else "at the beginning"
        parser.error(f"the word {where} is empty; is a variable in your command not set?")
    return parser.parse_args(arguments)


def print_any_text() -> None:
    """From now on, characters that the terminal (on Windows also a redirected file) cannot show are printed as escapes
    instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def read_as_c_does() -> None:
    """From now on numbers and letters are read by C's rules, whatever the person's language. By others MediaPipe cannot
    read its own files: not where 0.5 is written 0,5, nor where the small letter of I is no i, as in Turkish, nor where
    a text is not UTF-8. PySide finds no property then, OpenVINO no operation."""
    locale.setlocale(locale.LC_NUMERIC, "C")
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    except locale.Error:  # an older system, where that is C
        locale.setlocale(locale.LC_CTYPE, "C")


def drop_unread() -> None:
    """Before the end: what stdout and stderr still hold goes out, or nowhere if nobody reads on or a disk is full:
    Python would complain, and change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as in a packaged program, which has no console
                stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def folder_is_gone() -> str:
    """A sentence where the folder that the program was started in was removed, so that no path from there leads
    anywhere; else empty."""
    try:
        os.getcwd()
    except OSError:
        return "the folder in which this was started is gone; change to another one (cd), and start again."
    return ""


def has_screen() -> bool:
    """False on a Linux that cannot show a window. Whoever sets QT_QPA_PLATFORM has chosen how to show it: True."""
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in SCREENS)


def missing_libraries() -> list[str]:
    """Libraries that an X11 window needs and this machine lacks; empty on other platforms."""
    if not sys.platform.startswith("linux"):
        return []
    platform = os.environ.get("QT_QPA_PLATFORM", "")
    on_wayland = bool(os.environ.get("WAYLAND_DISPLAY")) and platform != "xcb"
    if on_wayland or platform not in ("", "xcb"):
        return []
    return [name for name in XCB_LIBRARIES if not _can_load(name)]


def _can_load(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def cores() -> int:
    """How many CPU cores this process may use: fewer than the machine has where taskset or SLURM limits them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_bfloat16() -> bool:
    """Whether this CPU calculates in bfloat16, in tiles (AMX) or vectors. Known on Linux only; False elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.is_file():
        return False
    words = cpuinfo.read_text(encoding="utf-8").split()
    return "amx_bf16" in words or "avx512_bf16" in words
