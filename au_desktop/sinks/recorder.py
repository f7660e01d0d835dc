"""The recorder thread: frames of one source in, one session folder out. It never makes a live picture wait.

What waits in its queue are records of a few hundred bytes, not pictures, so a disk that hangs for minutes
costs no rows.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from au_desktop.sinks.film import Film
from rtatl_core.errors import AUError, SessionError
from rtatl_core.handoffs import UInt8
from rtatl_core.machine.meter import STAGE_SAMPLES, Recent
from rtatl_core.sessions.rows import FrameRecord
from rtatl_core.sessions.session import ClockPair, SessionWriter

ROOM = 20_000
"""Frames that may wait for the disk: eleven minutes at 30 per second, about 30 MB. What happens beside them is rare and
small, and always has room."""
EMPTY = "empty: no frame came"
CUT_OFF = "cut off"
"""Of a file whose end is missing."""
STOP_S = 5.0
CLOCK_STEP_S = 0.5
_TICK_S = 0.5


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    folder: Path
    elapsed_s: float
    """Without pauses."""
    bytes: int
    rows: int
    paused: bool = False
    film: bool = False
    """It keeps the picture, too, as long as that can be written."""


class _Rows(NamedTuple):
    records: tuple[FrameRecord, ...]
    captured_at: float
    """Of the last record."""


class _Engine(NamedTuple):
    model: Mapping[str, Any]
    settings: Mapping[str, Any]


class _Event(NamedTuple):
    kind: str
    label: str
    at: float


class Recorder:
    """Writes one session in a thread of its own.

    The files are made by `open_writer` when the first frame comes, because only then all columns and the
    clock are known. Recordings of a live source begin at frame 1 and 0 s; those of a file keep the file's
    numbers and times, unless it is not `timed`: photos have no times. `on_fault(text)` is called in the
    recorder's thread when the recording had to stop.
    """

    def __init__(
        self,
        folder: Path,
        open_writer: Callable[[ClockPair], SessionWriter],
        on_fault: Callable[[str], None],
        *,
        live: bool,
        timed: bool = True,
        length_s: Callable[[], float | None] | None = None,
        film: Film | None = None,
        warn: Callable[[str], object] = lambda text: None,
        room: int = ROOM,
    ) -> None:
        """`length_s`: how long the source is, of one that has an end; None when it does not say. `film`: for the
        pictures of a live source, which it closes; `warn(text)` is called in the recorder's thread when no more of them
        can be kept."""
        self.folder = folder
        self.film = film
        self.live = live
        self.timed = timed
        self.took_ms = Recent(STAGE_SAMPLES)
        """To write each frame's rows."""
        self.got_frames = False
        """Whether any frame was taken."""
        self._open_writer = open_writer
        self._on_fault = on_fault
        self._length_s = length_s
        self._warn = warn
        self._queue: queue.SimpleQueue[_Rows | _Event | _Engine | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(room)
        self._lock = threading.Lock()  # around `active` and the queue: what is taken while it is active is written
        self._markers = 0
        self._started_at = time.perf_counter()
        self._paused_at: float | None = None
        self._paused_s = 0.0
        self.active = True
        """False once it was told to finish or had to stop."""
        self.failure = ""
        """Why it had to stop by itself."""
        self._fault = ""
        """Status of a session that ends for a fault."""
        self._at_end = False
        """It ends with its source."""
        self._finished_at: float | None = None
        self._filmed_from: float | None = None
        """Timestamp of the first record, from which the pictures' times count like those of the rows."""
        self._parts_told = 0
        self._film_fault_told = False
        self._writer: SessionWriter | None = None
        self._early: list[_Event] = []
        self._coming: _Engine | None = None
        """Of the next rows."""
        self._first: FrameRecord | None = None
        self._last: FrameRecord | None = None
        self._last_at = 0.0
        self._wall_ahead = _wall_ahead()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def status(self) -> RecordingStatus:
        writer, paused_at = self._writer, self._paused_at
        elapsed_s = (time.perf_counter() if paused_at is None else paused_at) - self._started_at - self._paused_s
        size, rows = (writer.bytes, writer.rows) if writer else (0, 0)
        size += self.film.bytes if self.film is not None else 0
        films = self.film is not None and not self.film.fault
        return RecordingStatus(self.folder, elapsed_s, size, rows, paused_at is not None, films)

    def put(
        self,
        records: tuple[FrameRecord, ...],
        captured_at: float,
        picture: UInt8 | None = None,
        *,
        wait: bool = True,
    ) -> None:
        """Hands over the records of one frame; `captured_at` and `picture` are those of the last of them.

        A file's frame waits for room. A live one never does: should the disk hang until the queue is full, the
        recording ends with what was written and says so. Without `wait` no room is needed: for the last few frames.
        """
        while self.active:
            if not wait or self._room.acquire(timeout=0 if self.live else _TICK_S):
                self.got_frames |= self._take(_Rows(records, captured_at))
                self._film(records, picture)
                return
            if self.live:
                self._fail(f"{self.folder} takes no more data; record to a disk that answers.")
                self._on_fault(self.failure)

    def _film(self, records: tuple[FrameRecord, ...], picture: UInt8 | None) -> None:
        if self._filmed_from is None:
            self._filmed_from = records[0].timestamp
        if self.film is not None and picture is not None:
            self.film.put(records[-1].timestamp - self._filmed_from, picture)

    def pause(self) -> None:
        """The source stands still, and the clock with it."""
        self._paused_at = self._paused_at or time.perf_counter()

    def resume(self) -> None:
        if self._paused_at is not None:
            self._paused_s += time.perf_counter() - self._paused_at
            self._paused_at = None

    def event(self, kind: str, label: str, at: float | None = None) -> bool:
        """Notes something that happens now, or happened `at` that moment of ``time.perf_counter``. False: the recording
        has just ended, it is not noted."""
        return self._take(_Event(kind, label, time.perf_counter() if at is None else at))

    def mark(self) -> int | None:
        """Notes a marker at this moment; returns its number, from 1 on, None when the recording has just ended. Raises
        SessionError before the first frame, because there is no row yet that it could stand beside."""
        if not self.got_frames:
            raise SessionError("No frame has come yet; set it once the picture runs.")
        if not self.event("marker", str(self._markers + 1)):
            return None
        self._markers += 1
        return self._markers

    def engine(self, model: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        """What is handed over from now on comes from another engine with the same AUs."""
        self._take(_Engine(model, settings))

    def finish(self, fault: str = "", *, at_end: bool = False) -> None:
        """Writes what waits, then closes the files; returns at once. `fault`, if given, becomes the session's status.
        Otherwise `at_end` says whether the source had ended; if not, the user stopped, and the status says that a file
        was recorded only in part."""
        with self._lock:
            if self.active:
                self._finished_at = time.perf_counter()
                self._fault, self._at_end = fault, at_end
                self.active = False
                self._queue.put(None)

    def join(self, timeout: float = STOP_S) -> bool:
        """Waits until the files are closed; False when the disk has not answered by then."""
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _take(self, item: _Rows | _Event | _Engine) -> bool:
        with self._lock:
            if self.active:
                self._queue.put(item)
            return self.active

    def _run(self) -> None:
        try:
            while self.active or not self._queue.empty():
                self._serve()
            self._close()
        except AUError as error:
            self._stop_because(str(error))
        except Exception as error:  # the top of the loop
            self._stop_because(f"{self.folder} cannot be written ({type(error).__name__}: {error}); record elsewhere.")

    def _serve(self) -> None:
        try:
            item = self._queue.get(timeout=_TICK_S)
        except queue.Empty:
            item = None
        match item:
            case _Rows():
                self._room.release()
                began = time.perf_counter()
                self._write(item)
                self.took_ms.append(1000 * (time.perf_counter() - began))
            case _Event():
                self._note(item)
            case _Engine() if self._writer is not None:  # else it is the one that the files will begin with
                self._coming = item
        if self._writer is not None:
            self._watch_clock()
            self._tell_film(self._writer)
            self._writer.tick()

    def _watch_clock(self) -> None:
        """Timestamps come from a clock that nobody sets. When the wall clock departs from it, the recording says so."""
        before, self._wall_ahead = self._wall_ahead, _wall_ahead()
        moved = self._wall_ahead - before
        if abs(moved) >= CLOCK_STEP_S:
            label = f"the time of day moved by {moved:+.1f} s against the timestamps (sleep, or the clock was set)"
            self._note(_Event("clock", label, time.perf_counter()))

    def _tell_film(self, writer: SessionWriter) -> None:
        """Which video files have begun, and why no more of them do."""
        if (film := self.film) is None:
            return
        parts = film.parts
        for part in parts[self._parts_told :]:
            writer.video(part.to_json(), f"{part.file} begins", part.begins_s)
        self._parts_told = len(parts)
        if film.fault and not self._film_fault_told:
            self._film_fault_told = True
            self._note(_Event("notice", film.fault, time.perf_counter()))
            self._warn(film.fault)

    def _write(self, rows: _Rows) -> None:
        first = self._first or rows.records[0]
        self._first, self._last, self._last_at = first, rows.records[-1], rows.captured_at
        # Wall time of a live row = utc + timestamp. A file plays when one likes: there the pair tells when it
        # began.
        zero_at = rows.captured_at - (self._last.timestamp - first.timestamp if self.live else 0.0)
        writer = self._writer or self._open(zero_at)
        if coming := self._coming:
            self._coming, now = None, self._rebased(rows.records[0])
            writer.engine(coming.model, coming.settings, now.timestamp, now.number)
        for record in rows.records:
            writer.write(self._rebased(record))

    def _open(self, zero_at: float) -> SessionWriter:
        self._writer = writer = self._open_writer(ClockPair.at(zero_at))
        writer.event("recording_start", "started", self._rebased(self._first).timestamp if self._first else 0.0, None)
        for event in self._early:
            self._note(event)
        return writer

    def _note(self, event: _Event) -> None:
        if self._writer is None:
            self._early.append(event)
            return
        timestamp, frame = 0.0, None
        if self._last is not None:
            last = self._rebased(self._last)
            timestamp, frame = last.timestamp, last.number
            if self.live:
                timestamp += event.at - self._last_at  # before the first frame: less than 0
        elif self.live:  # no frame ever came
            timestamp = event.at - self._started_at
        self._writer.event(event.kind, event.label, timestamp, frame)

    def _rebased(self, record: FrameRecord) -> FrameRecord:
        if not self.timed:
            return replace(record, timestamp=math.nan)
        if not self.live or self._first is None:
            return record
        number, timestamp = record.number - self._first.number + 1, record.timestamp - self._first.timestamp
        return replace(record, number=number, timestamp=timestamp)

    def _close(self) -> None:
        writer = self._writer or self._open(self._started_at)  # no frame ever came: leave a valid, empty session
        status = self._status()
        if self.film is not None:
            self.film.close()
            self._tell_film(writer)
            if self.film.left_out:
                label = f"{self.film.left_out} pictures are missing in the video, because encoding them took too long"
                self._note(_Event("notice", label, time.perf_counter()))
        if self._finished_at is not None:
            self._note(_Event("recording_stop", status, self._finished_at))
        writer.close(status)

    def _status(self) -> str:
        """What is told of the end; of a file that was not recorded from its beginning to its end, which part was."""
        first, last = self._first, self._last
        begun = f"begun at {first.timestamp:.1f} s" if self._length_s and first and first.number > 1 else ""
        if self._fault:
            return f"{begun}, {CUT_OFF}" if begun and self._fault == CUT_OFF else self._fault
        if first is None or last is None:
            return EMPTY
        if self._length_s is None:
            return "complete"
        part = [begun] if begun else []
        part += [] if self._at_end else [f"stopped at {last.timestamp:.1f} s"]
        length_s = self._length_s()
        of = f" of {length_s:.1f} s" if length_s else ""
        return f"{', '.join(part)}{of}" if part else "complete"

    def _stop_because(self, text: str) -> None:
        self._fail(text)
        if self.film is not None:
            self.film.close()
        if self._writer is not None:
            with contextlib.suppress(SessionError):
                self._writer.close(self._fault)
        else:
            with contextlib.suppress(OSError):  # unless it holds something else
                for part in self.film.parts if self.film is not None else ():
                    (self.folder / part.file).unlink(missing_ok=True)
                self.folder.rmdir()
        self._on_fault(text)

    def _fail(self, text: str) -> None:
        with self._lock:
            self.failure = text
            if self._fault in ("", CUT_OFF):  # a video that was cut off has all its rows
                self._fault = f"stopped: {text}"
            self.active = False


def _wall_ahead() -> float:
    """Seconds by which the time of day is ahead of the clock that stamps frames."""
    return time.time() - time.perf_counter()
