"""Make the program for machines without Python, say how large each part is, and try it out.

    .venv/bin/python scripts/package.py [--out dist] [--archive]

In: build.spec. Out: ``<out>/au-desktop`` (on macOS ``AU Desktop.app`` beside it), and with --archive one file of it to
give away. Trying out: the demo, offscreen, in an emptied environment and, where the system lets us, without network; a
session must come out. With --archive it is what the file unpacks to that is tried out. Exit code 0, or 1 when something
is wrong with it; a file that did not pass is deleted.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = "AU Desktop.app"
SECONDS = 8
PARTS = {
    "PySide6": "Qt",
    "libQt6": "Qt",
    "libicu": "Qt",
    "cv2": "OpenCV",
    "opencv_contrib_python.libs": "OpenCV",
    "mediapipe": "MediaPipe",
    "mediapipe.libs": "MediaPipe",
    "onnxruntime": "ONNX Runtime",
    "numpy": "NumPy",
    "numpy.libs": "NumPy",
    "assets": "weights, demo, atlas, icons, fonts",
    "python3": "Python",
    "libpython": "Python",
    "base_library": "Python",
}


def build(out: Path) -> Path:
    """The folder of the program. Raises CalledProcessError."""
    work = out.parent / "build"
    arguments = ["--noconfirm", "--log-level", "ERROR", "--distpath", str(out), "--workpath", str(work)]
    subprocess.run([sys.executable, "-m", "PyInstaller", *arguments, str(ROOT / "build.spec")], check=True, cwd=ROOT)
    return out / "au-desktop"


def sizes(folder: Path) -> dict[str, float]:
    """Megabytes by part, largest first; links count nothing."""
    megabytes: Counter[str] = Counter()
    for file in folder.rglob("*"):
        if file.is_file() and not file.is_symlink():
            inside = file.relative_to(folder).as_posix().removeprefix("_internal/")
            part = next((part for begins, part in PARTS.items() if inside.startswith(begins)), "the rest")
            megabytes[part] += file.stat().st_size / 1e6
    return dict(megabytes.most_common())


def pack(folder: Path) -> Path:
    """Packs the program into one file, a .zip or on Linux a .tar.gz; where a bundle lies beside the folder, that is
    packed. Raises CalledProcessError.

    Links stay links: bundles are held together by them, and Python's zip follows those to files and drops those to
    folders.
    """
    bundle = folder.parent / BUNDLE
    given = bundle if bundle.is_dir() else folder
    name = folder.parent / f"au-desktop-{sys.platform}"
    if sys.platform == "darwin":
        file = name.with_suffix(".zip")
        subprocess.run(["ditto", "-c", "-k", "--keepParent", str(given), str(file)], check=True)
        return file
    kind = "gztar" if sys.platform == "linux" else "zip"
    return Path(shutil.make_archive(str(name), kind, given.parent, given.name))


def unpack(file: Path, place: Path) -> Path:
    """The program as it is after unpacking the file into ``place``. Raises CalledProcessError."""
    if sys.platform == "darwin":
        subprocess.run(["ditto", "-x", "-k", str(file), str(place)], check=True)
    elif sys.platform == "linux":
        subprocess.run(["tar", "-xzf", str(file), "-C", str(place)], check=True)
    else:
        shutil.unpack_archive(file, place)
    (program,) = place.iterdir()
    return program


def try_out(folder: Path) -> list[str]:
    """What is wrong with the program in that folder or bundle; empty when all is well."""
    inside = folder / "Contents" / "MacOS" if folder.suffix == ".app" else folder
    program = inside / ("au-desktop.exe" if os.name == "nt" else "au-desktop")
    with _passing_folder() as place:
        sessions, picture = Path(place) / "sessions", Path(place) / "window.png"
        options = {
            "--source": "demo",
            "--duration": str(SECONDS),
            "--record": str(sessions),
            "--screenshot": str(picture),
            "--settings": str(Path(place) / "settings"),
        }
        done = subprocess.run(
            [*_without_network(), str(program), *chain.from_iterable(options.items())],
            cwd=place,
            env=_emptied(place),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            return [f"it ended with code {done.returncode}: {done.stderr[-2000:]}"]
        return _wrong_with_session(sessions) + ([] if picture.is_file() else ["it left no picture of its window"])


def _passing_folder() -> tempfile.TemporaryDirectory[str]:
    """What a scanner for viruses still reads, as Windows' own does with programs that have just run, may stay in it."""
    return tempfile.TemporaryDirectory(ignore_cleanup_errors=True)


def _emptied(home: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "TEMP", "TMP") if name in os.environ}
    return kept | {"HOME": home, "USERPROFILE": home, "QT_QPA_PLATFORM": "offscreen"}


def _without_network() -> list[str]:
    cut = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") and not subprocess.run([*cut, "true"], capture_output=True, check=False).returncode:
        return cut
    return []


def _wrong_with_session(sessions: Path) -> list[str]:
    (folder,) = sessions.iterdir()
    facts = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    with (folder / "frames.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    checks = {
        f"the recording is {facts['status']}": facts["status"] == "complete",
        f"only {len(rows)} rows were recorded": len(rows) > 10 * SECONDS / 2,
        "no face was found": sum(row["success"] == "1" for row in rows) > 0.8 * len(rows),
        "no AU moved": max(float(row["AU04_r"] or 0) for row in rows) > 1,
        f"it runs in {facts['settings']['runtime']}": facts["settings"]["runtime"] == "onnxruntime",
        "its packages are not named": {"numpy", "mediapipe", "onnxruntime", "PySide6"} <= facts["versions"].keys(),
    }
    return [complaint for complaint, good in checks.items() if not good]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--archive", action="store_true", help="make and try out a .tar.gz (Linux) or .zip of it")
    options = parser.parse_args()
    folder = build(options.out.resolve())
    parts = sizes(folder)
    for part, megabytes in (parts | {"together": sum(parts.values())}).items():
        print(f"{megabytes:7.1f} MB  {part}")
    made = pack(folder) if options.archive else folder
    with _passing_folder() as place:
        wrong = try_out(unpack(made, Path(place)) if options.archive else folder)
    for complaint in wrong:
        print(f"package: {complaint}", file=sys.stderr)
    if wrong:
        if options.archive:
            made.unlink()
        return 1
    print(f"{made} works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
