"""How what is missing is installed: packages of Python, and what a window on Linux needs beyond them; how the command
``rtatl`` is called; what the processor can."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import shlex
import subprocess
import sys
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
APT_LINE = (
    "sudo apt-get install -y --no-install-recommends libgl1 libegl1 libglib2.0-0 libxkbcommon0 libdbus-1-3 "
    "libfontconfig1 " + " ".join(name for name in XCB_LIBRARIES.values() if name != "libegl1")
)
PIP = r".venv\Scripts\pip" if sys.platform == "win32" else ".venv/bin/pip"
"""In the project's folder; what the scripts make is on nobody's path."""
FOLDERS_ELSEWHERE = "folders are for rtatl analyze, which comes with an installation from source (README, Start)."
"""Said where there is no ``rtatl_command``."""


def how_to_install(extra: str = "") -> str:
    """How to install an extra of pyproject.toml, or the program itself once more; the end of a message."""
    if getattr(sys, "frozen", False):
        return "the packaged program does not contain it and has no pip; install from source (README, Start)"
    what = f"'.[{extra}]'" if extra else "."
    return f"run in the project's folder: {PIP} install -c constraints.txt -e {what}"


def rtatl_command(*arguments: str) -> str | None:
    """A line that calls ``rtatl``, for the shell of this system in the current folder; None where there is none, as in
    the packaged program."""
    windows = sys.platform == "win32"
    program = Path(sys.executable).with_name("rtatl.exe" if windows else "rtatl")
    if getattr(sys, "frozen", False) or not program.is_file():
        return None
    with contextlib.suppress(ValueError, OSError):
        below = program.relative_to(Path.cwd())
        if len(below.parts) > 1:  # a name alone is looked for on the path
            program = below
    line = [str(program), *arguments]
    return subprocess.list2cmdline(line) if windows else shlex.join(line)


def print_any_text() -> None:
    """From now on a name that the terminal, or on Windows a file that output goes to, cannot show ends no work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def has_screen() -> bool:
    """False on a Linux where no window can be shown; QT_QPA_PLATFORM counts as a wish for a platform of one's own."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    return not sys.platform.startswith("linux") or any(os.environ.get(name) for name in screens)


def missing_libraries() -> list[str]:
    """Libraries an X11 window needs and this machine lacks; empty on other platforms."""
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
    """How many this process may use: where a cluster hands them out (taskset, SLURM), not all that the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_bfloat16() -> bool:
    """Whether this CPU calculates in bfloat16, in tiles (AMX) or vectors; as Linux tells, False elsewhere."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.is_file() and bool({"amx_bf16", "avx512_bf16"} & set(cpuinfo.read_text(encoding="utf-8").split()))
