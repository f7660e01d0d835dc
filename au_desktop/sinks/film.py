"""The picture of a live recording, beside its numbers: video.mkv, on the clock of their timestamps.

Enters: pictures and their times. Leaves: video files of a constant rate, in which a picture stands until the next one
came, so that a player shows at t seconds what the row of t seconds was told of. After a gap, as of a pause, and when
pictures change their size, another file goes on. Matroska, because a file that was never closed can still be played.
A thread of its own encodes; where it cannot keep up, pictures are left out, and no live picture waits.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from rtatl_core.files import is_text
from rtatl_core.handoffs import UInt8

CODEC = "mp4v"
"""MPEG-4, which all of OpenCV's packages can write, and players and coding programs read."""
USUAL_FPS, MOST_FPS = 30.0, 120.0
"""Of cameras that do not tell their rate, and of files."""
LONGEST_GAP_S = 1.0
"""After a longer one another file goes on."""
ROOM = 8
"""Pictures that may wait; of 4K, 200 MB."""
STOP_S = 5.0
WEIGH_S = 1.0
"""Seconds between two looks at how large the files are."""


@dataclass(frozen=True, slots=True)
class Part:
    """A video file of a recording."""

    file: str
    begins_s: float
    """Timestamp of its first picture: that of a row is this plus the player's time."""
    fps: float
    size: tuple[int, int]
    """Width, height."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Film:
    """Writes the pictures of one recording into `folder`."""

    def __init__(self, folder: Path, fps: float | None, on_fault: Callable[[str], None]) -> None:
        """`fps`: the camera's, None where it does not tell. `on_fault(text)` is called in the film's thread when no
        more pictures can be written; the numbers go on."""
        self.parts: tuple[Part, ...] = ()
        self.left_out = 0
        """Pictures that came while too many waited."""
        self.bytes = 0
        """On the disk, as of the last second."""
        self._folder = folder
        self._fps = min(fps, MOST_FPS) if fps and fps >= 1 else USUAL_FPS
        self._on_fault = on_fault
        self._queue: queue.SimpleQueue[tuple[float, UInt8] | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(ROOM)
        self._writer: cv2.VideoWriter | None = None
        self._written = 0
        """Pictures of the present file."""
        self._before: tuple[float, UInt8] | None = None
        self._weighed_at = 0.0
        self._thread = threading.Thread(target=self._run, name="film", daemon=True)
        self._thread.start()

    def put(self, timestamp: float, picture: UInt8) -> None:
        """`timestamp` in seconds of the recording, `picture` BGR; it must not be written to any more."""
        if self._room.acquire(blocking=False):
            self._queue.put((timestamp, picture))
        else:
            self.left_out += 1

    def close(self, timeout: float = STOP_S) -> None:
        """Writes what waits; returns when the file is closed, or the time has passed."""
        self._queue.put(None)
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                self._add(*item)
                self._room.release()
        except Exception as error:  # the top of the loop; from now on all are left out
            self._on_fault(f"No more video of this recording can be kept ({error}); its numbers go on.")
        finally:
            if self._writer is not None:
                self._writer.release()
            with contextlib.suppress(OSError):
                self._weigh()

    def _add(self, timestamp: float, picture: UInt8) -> None:
        size = (picture.shape[1], picture.shape[0])
        if self._goes_on(timestamp, size):
            due = round((timestamp - self.parts[-1].begins_s) * self._fps)
        else:
            self._begin(timestamp, size)
            due = 0
        while self._before is not None and self._written < due:
            self._write(self._before[1])
        if self._written == due:  # else it came sooner than the rate: the one before stands for both
            self._write(picture)
        self._before = timestamp, picture

    def _goes_on(self, timestamp: float, size: tuple[int, int]) -> bool:
        if self._before is None or size != self.parts[-1].size:
            return False
        return timestamp - self._before[0] <= LONGEST_GAP_S

    def _begin(self, timestamp: float, size: tuple[int, int]) -> None:
        if self._writer is not None:
            self._writer.release()
        number = len(self.parts) + 1
        part = Part(f"video{f'-{number}' if number > 1 else ''}.mkv", round(timestamp, 6), self._fps, size)
        file = self._folder / part.file
        if not is_text(file):
            raise OSError("the folder's name is not UTF-8")
        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*CODEC), self._fps, size)
        if not writer.isOpened():
            raise OSError(f"{part.file} cannot be written")
        self._writer, self._written, self._before = writer, 0, None
        self.parts += (part,)

    def _write(self, picture: UInt8) -> None:
        assert self._writer is not None
        self._writer.write(picture)
        self._written += 1
        if time.monotonic() - self._weighed_at >= WEIGH_S:
            self._weigh()

    def _weigh(self) -> None:
        self._weighed_at = time.monotonic()
        self.bytes = sum((self._folder / part.file).stat().st_size for part in self.parts)
