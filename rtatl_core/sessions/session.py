"""The session folder: analysed frames in; frames.csv, events.csv, session.json out, and back again. Starts no thread.

Each row goes to the operating system at once and to the disk every second, so a killed program loses nothing
that was handed over, and a power cut at most a second. Numbers and words only: no picture is ever written.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import math
import os
import platform
import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

import rtatl_core
from rtatl_core.errors import SessionError
from rtatl_core.files import DISK_FULL, replace_file, to_disk
from rtatl_core.handoffs import AnalysedFrame, Float64
from rtatl_core.sessions.rows import FrameRecord, RowFormat, parse, records

FORMAT_VERSION = 1
SYNC_S = 1.0
"""Seconds between two writes to the disk itself."""
SUMMARY_S = 5.0
"""Seconds between two versions of session.json."""
_LONGEST_TICK_S = 0.05
_LINES_AT_ONCE, _REST_S = 100, 0.002
"""What a thread reads before it lets the others go on, and for how long."""
_LONGEST_NAME = 120
"""Bytes of a source's name in that of its folder; with date and number file systems allow 255."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PACKAGES = ("torch", "onnxruntime", "openvino", "mediapipe", "opencv-contrib-python", "numpy", "PySide6")
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class ClockPair:
    """One moment on both clocks: that of timestamp 0, so the wall time of a live row is utc + timestamp."""

    perf_counter: float
    """Seconds on the monotonic clock that stamps frames."""
    utc: str
    """ISO 8601 with microseconds."""

    @classmethod
    def at(cls, perf_counter: float) -> ClockPair:
        """The pair for a moment on the monotonic clock, now or a little while ago."""
        wall, now = _both_clocks()
        utc = datetime.fromtimestamp(wall - (now - perf_counter), UTC)
        return cls(perf_counter, utc.isoformat(timespec="microseconds"))


def _both_clocks() -> tuple[float, float]:
    """The time of day and the monotonic clock at one moment. On Windows the former stands still for up to 16 ms, so its
    next step is awaited."""
    before, until = time.time(), time.perf_counter() + _LONGEST_TICK_S
    while (wall := time.time()) == before and time.perf_counter() < until:
        pass
    return wall, time.perf_counter()


def process_mark(pid: int | None = None) -> dict[str, Any]:
    """Who writes a session (this process without a ``pid``): tells a running recording from one whose program is gone
    (interrupted.py). Under Linux the time at which a process began moves along when the time of day is set, so it is
    counted from when the computer did."""
    started, boot = psutil.Process(pid).create_time(), ""
    if _BOOT.exists():
        started, boot = started - psutil.boot_time(), _BOOT.read_text(encoding="ascii").strip()
    return {"host": platform.node(), "boot": boot, "pid": pid or os.getpid(), "started": started}


def check_root(root: Path) -> None:
    """Raises SessionError where ``root`` is no folder and none can be made there, before hours of work show it. One
    that cannot be written passes, because it may hold all that is asked for."""
    wanted = root.absolute()
    try:
        there = next((path for path in (wanted, *wanted.parents) if path.exists()), None)
        if there is None:  # a drive that is not there
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if not there.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if there != wanted and not os.access(there, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _refused(root, error) from error


def make_folder(root: Path, stem: str) -> Path:
    """Makes `<stem>_<local time>` in `root`, with -2, -3, ... if it exists. Raises SessionError."""
    short = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "-", stem).encode(errors="replace")[:_LONGEST_NAME]
    safe = short.decode(errors="ignore").strip(" .-") or "session"
    name = f"{safe}_{datetime.now():%Y-%m-%dT%H-%M-%S}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, 1000):
            folder = root / (name if attempt == 1 else f"{name}-{attempt}")
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                return folder
    except OSError as error:
        raise _refused(root, error) from error
    raise SessionError(f"{root} already holds 999 folders named {name}; choose another folder.")


class SessionWriter:
    """Writes one session folder; not thread-safe.

    Every method raises SessionError when the disk refuses. The rows written until then are complete and
    readable, and nothing but `close` may be called any more.
    """

    def __init__(
        self,
        root: str | Path,
        stem: str | None,
        aus: Sequence[int],
        source: Mapping[str, Any],
        model: Mapping[str, Any],
        settings: Mapping[str, Any],
        started: ClockPair,
        files: Sequence[str] = (),
    ) -> None:
        """Makes its folder in `root`; with `stem` None, `root` is the folder itself, made by make_folder before.
        `files`: names of the pictures, in the order of their frames, if these are files of their own."""
        self.folder = Path(root) if stem is None else make_folder(Path(root), stem)
        self.rows = 0
        self._first: int | None = None
        """Number of the first frame written."""
        self._captured = self._analysed = 0
        self._faces: set[tuple[int, int]] = set()
        """Their ids; those of photos, which have no time, are counted anew in each."""
        sides = bool(model.get("network", {}).get("sides", False))
        self._format = RowFormat(tuple(aus), sides, tuple(files))
        self._head: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "versions": versions(),
            "os": platform.platform(),
            "source": dict(source),
            "model": dict(model),
            "settings": dict(settings),
            "clock": asdict(started),
            "process": process_mark(),
        }
        self._synced_at = self._summed_up_at = time.perf_counter()
        try:
            with contextlib.ExitStack() as undo:
                undo.callback(_try, self.folder.rmdir)  # unless it holds something
                self._frames = _Table(self.folder / "frames.csv", self._format.columns, undo)
                self._events = _Table(self.folder / "events.csv", ("timestamp", "frame", "kind", "label"), undo)
                self._write_summary("recording")
                undo.pop_all()
        except OSError as error:
            raise _refused(self.folder, error) from error

    @property
    def bytes(self) -> int:
        """Size of the rows written so far."""
        return self._frames.bytes + self._events.bytes

    def append(self, frame: AnalysedFrame) -> None:
        """Writes the rows of a frame, after those of the frames that were dropped before it."""
        for record in records(frame):
            self.write(record)

    def write(self, record: FrameRecord) -> None:
        """Writes one captured frame: a row per face, or one without values."""
        rows = self._format.lines(record)
        self._guarded(lambda: self._frames.write("".join(rows)))
        self._first = self._first or record.number
        self.rows += len(rows)
        self._captured += 1
        self._analysed += record.analysed
        photo = record.number if math.isnan(record.timestamp) else 0
        self._faces.update((photo, face.face_id) for face in record.faces)
        self.tick()

    def event(self, kind: str, label: str, timestamp: float, frame: int | None) -> None:
        """Writes something that happened: `kind` is one word, `label` what a person reads."""
        line = io.StringIO()
        fields = ("" if math.isnan(timestamp) else f"{timestamp:z.6f}", "" if frame is None else frame, kind, label)
        csv.writer(line, lineterminator="\n").writerow(fields)
        self._guarded(lambda: self._events.write(line.getvalue()))

    def engine(self, model: Mapping[str, Any], settings: Mapping[str, Any], timestamp: float, frame: int) -> None:
        """From `frame` on, which is the next to be written, another model, device or number of faces analyses. Its AUs
        must be those of the session. Under "engines", session.json tells them in order."""
        if "engines" not in self._head:
            before = {name: self._head[name] for name in ("model", "settings")}
            self._head["engines"] = [{"from_frame": self._first or frame, **before}]
        self._head["engines"].append({"from_frame": frame, "model": dict(model), "settings": dict(settings)})
        label = f"{model.get('name')} on {settings.get('device')} analyses from frame {frame} on"
        self.event("engine", label, timestamp, frame)
        self._write_interim_summary()

    def video(self, part: Mapping[str, Any], label: str, timestamp: float) -> None:
        """A video file of the recording begins at ``timestamp``. Under "videos", session.json tells them in order."""
        self._head.setdefault("videos", []).append(dict(part))
        self.event("video", label, timestamp, None)
        self._write_interim_summary()

    def tick(self) -> None:
        """Puts on the disk what is due; to be called at least every second while no row comes."""
        now = time.perf_counter()
        if now - self._synced_at >= SYNC_S:
            self._synced_at = now
            self._guarded(self._sync)
        if now - self._summed_up_at >= SUMMARY_S:
            self._summed_up_at = now
            self._write_interim_summary()

    def close(self, status: str = "complete", warning: str | None = None) -> None:
        """Ends the session as "complete", "cut off" (a file that ends too early), "stopped: <reason>", or with the part
        of a file that was recorded; the files are closed whatever the disk says, and rows that it did not take make it
        "stopped". ``warning``: what session.json tells of the whole. May be called again, with another status."""
        if warning:
            self._head["warning"] = warning
        with self._events, self._frames:
            try:
                self._guarded(self._sync)
            except SessionError as error:
                status = f"stopped: {error}"
                raise
            finally:
                self._guarded(lambda: self._write_summary(status))

    def __enter__(self) -> SessionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close("complete" if error is None else f"stopped: {str(error) or type(error).__name__}")

    def _sync(self) -> None:
        self._frames.sync()
        self._events.sync()

    def _write_interim_summary(self) -> None:
        """It may fail: the next one comes in seconds, and rows that the disk refuses are noticed by themselves. On
        Windows no file can be replaced that another program is just reading."""
        with contextlib.suppress(OSError):
            self._write_summary("recording")

    def _write_summary(self, status: str) -> None:
        counts = {
            "captured": self._captured,
            "analysed": self._analysed,
            "dropped": self._captured - self._analysed,
            "rows": self.rows,
            "faces": len(self._faces),
        }
        summary = {**self._head, "status": status, "counts": counts, "columns": self._format.columns}
        text = json.dumps(summary, indent=2, default=str, allow_nan=False) + "\n"
        path = self.folder / "session.json"
        try:
            replace_file(path, text)
        except OSError as error:
            if status == "recording" or error.errno not in DISK_FULL:
                raise
            with path.open("r+", encoding="utf-8") as file:  # the last word fits where the version before lies
                file.write(text)
                file.truncate()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as error:
            raise _refused(self.folder, error) from error


def read_session(folder: str | Path, only: Collection[str] | None = None) -> tuple[dict[str, Any], dict[str, Float64]]:
    """Reads a session folder back: session.json, and the columns of numbers of frames.csv (``only`` these, if given)
    with NaN for empty fields.

    A recording that was interrupted may end within a row: such rows are left out, and the first dict says how
    many under "rows_cut". Without a usable session.json its "status" is "unknown". Raises SessionError when
    there are no rows to be read, or one in the middle is damaged.
    """
    path = Path(folder) / "frames.csv"
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            is_alone = threading.current_thread() is threading.main_thread()
            columns, cut = parse(lines if is_alone else _gently(lines), only)
    except FileNotFoundError:
        text = f"{folder} is no session folder (no frames.csv in it); name the folder of one recording."
        raise SessionError(text) from None
    except OSError as error:
        raise SessionError(f"{path} cannot be read ({error.strerror}); check that you may read it.") from error
    except ValueError as error:
        raise SessionError(f"{path} cannot be read ({error}); mend that place, or record again.") from error
    return {**_read_summary(Path(folder)), "rows_cut": cut}, columns


def _gently(lines: Iterable[str]) -> Iterator[str]:
    """Lets the other threads go on after every few lines: Python runs one at a time, and one that reads an hour without
    a rest holds up the window and the camera, so that frames are lost."""
    for number, line in enumerate(lines):
        if number % _LINES_AT_ONCE == 0:
            time.sleep(_REST_S)
        yield line


def _read_summary(folder: Path) -> dict[str, Any]:
    try:
        summary = json.loads((folder / "session.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        summary = None
    return summary if isinstance(summary, dict) else {"status": "unknown"}


class _Table:
    """An append-only CSV file that holds complete lines only, whatever the disk does."""

    def __init__(self, path: Path, columns: Iterable[str], undo: contextlib.ExitStack) -> None:
        """``undo`` closes and removes the file if the session cannot begin."""
        self._path = path
        self._file = path.open("xb", buffering=0)
        undo.callback(_try, path.unlink)
        undo.enter_context(self)
        self.bytes = 0
        self.write(",".join(columns) + "\n")

    def write(self, text: str) -> None:
        """All of `text` or nothing: what a full disk took of it is cut off again. Raises OSError."""
        data = text.encode(errors="backslashreplace")  # names of files on Linux may be no text
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            self._file.truncate(self.bytes)
            raise
        self.bytes += len(data)

    def sync(self) -> None:
        """To the disk itself, unless it was closed. Raises OSError, also when the file was removed: Linux would write
        on into nothing."""
        if not self._file.closed:
            to_disk(self._file)
            self._path.stat()

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _try(act: Callable[[], object]) -> None:
    with contextlib.suppress(OSError):
        act()


def versions() -> dict[str, str]:
    """Of this program, Python, and the packages that make or may change the numbers."""
    found = {"rtatl_core": rtatl_core.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def _refused(folder: Path, error: OSError) -> SessionError:
    """What the system said, as one sentence with the remedy."""
    if error.errno in DISK_FULL:
        text = f"The disk with {folder} is full; make room, or choose another folder"
    elif error.errno in _FORBIDDEN:
        text = f"There is no permission to write to {folder}; choose another folder"
    elif error.errno == errno.ENOENT:
        text = f"{folder} was removed or unplugged; choose another folder"
    else:
        text = f"{folder} cannot be written ({error.strerror}); choose another folder"
    return SessionError(f"{text}.")
