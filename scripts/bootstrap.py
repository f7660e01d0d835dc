"""Make `.venv` ready to run or to test AU Desktop: find a Python, install what is missing, remember that it was done.

    python3 scripts/bootstrap.py [--dev]

run.sh, test.sh and their PowerShell twins start with this. In: pyproject.toml, constraints.txt and pip's own
configuration. Out: `.venv` with this project installed in place, and a stamp in it that makes the next start quick.
Exit code 0: ready; 2: not, after a sentence on stderr that names the remedy.

Uses the standard library alone and the syntax of Python 3.8, so that an old Python gets a sentence, not a SyntaxError.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[1]
WINDOWS = sys.platform == "win32"

# What pyproject.toml allows, newest first; test_setup.py compares the two.
PYTHONS = ("3.12", "3.11")
# mediapipe 0.10.21 has no wheel for Linux on ARM, torch 2.6 and later none for Macs with Intel chips.
MACHINES = {"Linux": "x86_64", "Windows": "AMD64", "Darwin": "arm64"}

# What the dynamic loader must find on Linux, and the Debian package that has it. Ubuntu 24.04 and Debian 13 renamed
# libglib2.0-0 to libglib2.0-0t64, which provides the old name, so apt-get takes this list there too.
SYSTEM_LIBRARIES = {
    # cv2, mediapipe, PySide6
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    # windows on X11; without one of them Qt says only that its xcb plugin could not be loaded
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
APT_INSTALL = ["apt-get", "install", "-y", "--no-install-recommends"]
APT_PACKAGES = ["python3-venv", *SYSTEM_LIBRARIES.values()]

# Makes an interpreter print its own path if it will do, else nothing.
_FITS = f"""
import sys
if "%d.%d" % sys.version_info[:2] in {PYTHONS} and sys.maxsize > 2**32: print(sys.executable)
"""


def fail(sentence: str) -> NoReturn:
    print(f"AU Desktop: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def _prints(command: list[str]) -> str:
    """What a command prints, stripped; empty when it cannot be started or fails."""
    # Windows itself, asked for python3.12, takes .12 for the ending of a file and does not find python3.12.exe.
    program = shutil.which(command[0])
    if program is None:
        return ""
    # Otherwise a Python on Windows cannot print a path of its own with letters of another code page.
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    line = [program, *command[1:]]
    try:
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=False)
    except OSError:  # a file that this system cannot run
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def find_python() -> str:
    """Path of a 64-bit Python that all dependencies support, this very one first; empty when there is none."""
    candidates = [[sys.executable], *([f"python{version}"] for version in PYTHONS)]
    if WINDOWS:
        candidates += [["py", f"-{version}"] for version in PYTHONS]
    return next(filter(None, (_prints([*command, "-c", _FITS]) for command in candidates)), "")


def missing_libraries(load: Callable[[str], object] = ctypes.CDLL) -> list[str]:
    """The shared libraries that the dynamic loader does not find."""

    def loads(name: str) -> bool:
        try:
            load(name)
        except OSError:
            return False
        return True

    return [name for name in SYSTEM_LIBRARIES if not loads(name)]


def install_system_packages(why: str, packages: list[str]) -> None:
    """apt-get install the packages as root or by a sudo that asks nothing; otherwise print the exact line and stop."""
    if shutil.which("apt-get") is None:
        fail(f"{why}; install what is missing with the package manager (Debian's names: {' '.join(packages)}).")
    line = f"sudo apt-get update && sudo {' '.join(APT_INSTALL + packages)}"
    by_hand = f"{why}; install what is missing with this line, then start again:\n\n  {line}\n"
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if prefix and not _prints([*prefix, "echo", "may"]):
        fail(by_hand)
    print(f"AU Desktop: {why}; installing what is missing with apt-get.", flush=True)
    # An update can fail for one stale third-party list alone; whether that matters, the installation shows.
    subprocess.run([*prefix, "apt-get", "update", "-q"], check=False)
    if subprocess.run([*prefix, *APT_INSTALL, "-q", *packages], check=False).returncode != 0:
        fail(by_hand)


def venv_python(root: Path) -> Path:
    return root / ".venv" / ("Scripts/python.exe" if WINDOWS else "bin/python")


def has_base(root: Path) -> bool:
    """Whether the Python that `.venv` was made of is still there. On Windows `.venv` holds no link to it but a program
    that starts it, from the folder that pyvenv.cfg names."""
    if not os.path.exists(venv_python(root)):
        return False
    if not WINDOWS:
        return True
    try:
        lines = (root / ".venv" / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return False
    homes = [value.strip() for name, _, value in (line.partition("=") for line in lines) if name.strip() == "home"]
    return any(os.path.lexists(os.path.join(home, "python.exe")) for home in homes)


def fingerprint(root: Path) -> str:
    """Changes when the dependencies, the place of the project or the Python behind `.venv` change."""
    files = [(root / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    places = f"{root}\n{os.path.realpath(venv_python(root))}\n".encode()
    return hashlib.sha256(b"\n".join([places, *files])).hexdigest()


def is_ready(root: Path, dev: bool) -> bool:
    """Whether the stamp says that just this was installed, with the development tools if `dev`, and the Python that it
    was installed for is still there."""
    try:
        stamp, extras = (root / ".venv" / "stamp").read_text(encoding="utf-8").split(",")
    except (OSError, ValueError):
        return False
    return has_base(root) and stamp == fingerprint(root) and extras in ("dev", "dev" if dev else "run")


def write_stamp(root: Path, dev: bool) -> None:
    (root / ".venv" / "stamp").write_text(f"{fingerprint(root)},{'dev' if dev else 'run'}", encoding="utf-8")


def make_venv(root: Path) -> None:
    """`.venv` with pip in it, on a Python that will do, and the system packages that it needs; kept if it works."""
    python = find_python()
    uv = "" if python else shutil.which("uv")
    if not python and not uv:
        fail(
            f"Python {' or '.join(PYTHONS)} (64-bit) is needed and this is {platform.python_version()}; install one of "
            "them beside it, or install uv (https://docs.astral.sh/uv), which this script then lets fetch Python 3.12."
        )
    if platform.system() == "Linux":
        has_venv = bool(uv or _prints([python, "-c", "import ensurepip; print(True)"]))
        missing = missing_libraries() + ([] if has_venv else ["Python's venv"])
        if missing:
            # A second Python's venv is a package of its own: python3.12-venv.
            own = [] if has_venv or Path(python).name == "python3" else [f"{Path(python).name}-venv"]
            install_system_packages(f"this system lacks {', '.join(missing)}", [*APT_PACKAGES, *own])

    inside = str(venv_python(root))
    if _prints([inside, "-c", f"import pip\n{_FITS}"]):
        return
    folder = str(root / ".venv")
    make = [uv, "venv", "--seed", "--clear", "--python", PYTHONS[0]] if uv else [python, "-m", "venv", "--clear"]
    if subprocess.run([*make, folder], check=False).returncode != 0:
        fail(f"{folder} could not be made; the lines above say why.")


def install(root: Path, dev: bool) -> None:
    """pip install the project in place, at the versions of constraints.txt, from wherever pip is set up to look."""
    print(f"AU Desktop: installing into {root / '.venv'}; the first time this takes minutes.", flush=True)
    try:
        (root / ".venv" / "stamp").unlink(missing_ok=True)
    except OSError as error:
        fail(f"{error.filename} cannot be changed ({error.strerror}); whoever installed it must start this once.")
    # -I: what PYTHONPATH names is not in .venv, so pip must not count it as installed; --no-user: nor must pip put
    # anything outside, whatever its configuration says.
    pip = [str(venv_python(root)), "-I", "-m", "pip", "install", "--no-user", "--disable-pip-version-check"]
    command = [*pip, "--no-input", "-c", "constraints.txt", "-e", ".[dev]" if dev else "."]
    if subprocess.run(command, cwd=root, check=False).returncode != 0:
        fail("pip could not install everything; its last lines above say why; mend that and start again.")
    write_stamp(root, dev)


def main(arguments: list[str]) -> None:
    dev = arguments == ["--dev"]
    if is_ready(ROOT, dev):
        return
    if platform.system() == "Darwin" and _prints(["sysctl", "-n", "sysctl.proc_translated"]) == "1":
        fail(
            f"this Mac has Apple silicon, but {sys.executable} is a Python for Intel chips; install Python "
            f"{PYTHONS[0]} from python.org, leave conda if you are in it (conda deactivate), and start again."
        )
    if MACHINES.get(platform.system()) != platform.machine():
        fail(
            "this runs on Linux x86-64, 64-bit Windows and Macs with Apple silicon only; its dependencies mediapipe "
            f"and torch have no builds for {platform.system()} {platform.machine()}."
        )
    if WINDOWS and not str(ROOT).isascii():
        fail(
            f"MediaPipe cannot read its files below {ROOT}, since on Windows it knows no other letters than a to z in "
            r"the names of folders; move the project, for example to C:\au-desktop."
        )
    make_venv(ROOT)
    install(ROOT, dev)


if __name__ == "__main__":
    main(sys.argv[1:])
