"""The picture of a live recording, beside its numbers: video.mkv, on the clock of their timestamps.

Enters: pictures and their times. Leaves: video files of a constant rate, in which a picture stands until the next one
came, so that a player shows at t seconds what the row of t seconds was told of. After a gap, as of a pause, and when
pictures change their size or their rate, another file goes on. Matroska, because a file that was never closed can still
be played. A thread of its own encodes; where it cannot keep up, pictures are left out, and no live picture waits.
"""

from __future__ import annotations

import contextlib
import queue
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtatl_core.files import is_text
from rtatl_core.handoffs import UInt8
from rtatl_core.machine.meter import Recent

CODEC = "mp4v"
"""MPEG-4, which all of OpenCV's packages can write, and players and coding programs read."""
USUAL_FPS, MOST_FPS = 30.0, 120.0
"""Of cameras that tell no rate that can be, and of files."""
SLACK = 0.75
"""Periods by which a picture may stand beside its time. Half of one would not do: where a camera's beat falls between
that of the file, each tremor would cost a picture."""
JUDGE_S = 5.0
"""Seconds after which a file's rate is checked."""
FASTER = 1.15
"""Times the file's rate, from which on pictures come too fast for it."""
EASE = 0.8
"""Share of its time that the thread encodes, where it could not keep up."""
LONGEST_GAP_S = 1.0
"""After a longer gap the video goes on in another file, unless such gaps are usual."""
USUAL = 15
"""Pictures that tell how long encoding takes."""
ROOM = 8
"""Pictures that may wait; of 4K, 200 MB."""
STOP_S = 3.0
"""Less than the recorder has (recorder.py)."""
WEIGH_S = 1.0
"""Seconds between two looks at how large the files are."""
LEAST_FREE = 100_000_000
"""Bytes that are left to the numbers; with video a disk is soon full."""
MOST_BYTES = 4_000_000_000
"""Of a file: memory cards and sticks (FAT32) take few more, and OpenCV does not tell."""


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

    def __init__(self, folder: Path, told_fps: Callable[[], float | None]) -> None:
        """`told_fps`: asked when the first picture is there, because a camera may be opened later than its recording
        begins; None where it does not tell."""
        self.parts: tuple[Part, ...] = ()
        self.fault = ""
        """Why no more pictures can be written, for the person."""
        self.left_out = 0
        """Pictures that came while too many waited."""
        self.bytes = 0
        """On the disk, as of the last second."""
        self._folder = folder
        self._told_fps = told_fps
        self._fps = USUAL_FPS
        self._most_fps = MOST_FPS
        """What can be encoded here, as far as is known."""
        self._queue: queue.SimpleQueue[tuple[float, UInt8] | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(ROOM)
        self._writer: cv2.VideoWriter | None = None
        self._written = 0
        """Pictures of the present file."""
        self._before: tuple[float, UInt8] | None = None
        self._gap = 0.0
        """Seconds between the last two pictures."""
        self._judged_at = 0.0
        self._came = self._left_out_then = 0
        """Pictures since then, and those left out until then."""
        self._took_s = Recent(USUAL)
        """To encode each of the last pictures."""
        self._weighed_at = 0.0
        self._is_large = False
        """The present file."""
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
        while (item := self._queue.get()) is not None:
            if not self.fault:
                self._try(*item)
            self._room.release()
        self._end()

    def _try(self, timestamp: float, picture: UInt8) -> None:
        try:
            self._add(timestamp, picture)
        except Exception as error:  # whatever OpenCV raises, too: the numbers are worth more
            why = (isinstance(error, OSError) and error.strerror) or str(error)  # not the error, which holds pictures
            self.fault = f"No more video of this recording can be kept ({why}); its numbers go on."
            self._end()

    def _end(self) -> None:
        if self._writer is not None:
            self._writer.release()
        self._writer = self._before = None
        with contextlib.suppress(OSError):
            self._weigh()

    def _add(self, timestamp: float, picture: UInt8) -> None:
        width, height = size = picture.shape[1] // 2 * 2, picture.shape[0] // 2 * 2  # MPEG-4 knows no odd ones
        picture = picture[:height, :width]
        if not self._goes_on(timestamp, size):
            self._begin(timestamp, size)
        self._came += 1
        due = (timestamp - self.parts[-1].begins_s) * self._fps
        place = self._written if abs(due - self._written) <= SLACK else round(due)
        while self._before is not None and self._written < place:
            self._write(self._before[1])
        if self._written == place:  # else it came sooner than the rate: the one before stands for both
            self._write(picture)
        self._before = timestamp, picture

    def _goes_on(self, timestamp: float, size: tuple[int, int]) -> bool:
        if self._before is None or size != self.parts[-1].size or self._is_large:
            return False
        usual, self._gap = self._gap, timestamp - self._before[0]
        right = self._is_right(timestamp)
        return right and self._gap <= max(LONGEST_GAP_S, 2 * usual)

    def _is_right(self, timestamp: float) -> bool:
        """Whether the file's rate is. Otherwise there is another one for the next file: what can be encoded, where that
        takes too long and pictures had to be left out; that of the pictures, where a camera is faster than it tells."""
        fps, seconds = self._fps, timestamp - self._judged_at
        took_s = float(np.median(self._took_s.values()))
        if fps * took_s > 1 and self.left_out - self._left_out_then >= ROOM:
            self._fps = self._most_fps = max(round(EASE / took_s, 2), 1.0)
        elif seconds >= JUDGE_S:
            comes = min(self._came / seconds, self._most_fps)
            self._fps = round(comes, 2) if comes > FASTER * fps else fps
            self._judge_anew(timestamp)
        return self._fps == fps

    def _judge_anew(self, timestamp: float) -> None:
        self._judged_at, self._came, self._left_out_then = timestamp, 0, self.left_out

    def _begin(self, timestamp: float, size: tuple[int, int]) -> None:
        if self._writer is not None:
            self._writer.release()
        if not self.parts and (fps := self._told_fps()) and 1 <= fps <= MOST_FPS:
            self._fps = round(fps, 2)  # as fine as OpenCV writes it
        number = len(self.parts) + 1
        part = Part(f"video{f'-{number}' if number > 1 else ''}.mkv", round(timestamp, 6), self._fps, size)
        file = self._folder / part.file
        if not is_text(file):
            raise OSError("the folder's name is not UTF-8")
        self._weigh()
        writer = cv2.VideoWriter(str(file), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*CODEC), self._fps, size)
        if not writer.isOpened():
            raise OSError(f"{part.file} cannot be written")
        self._writer, self._written, self._before, self._is_large = writer, 0, None, False
        self._judge_anew(timestamp)
        self.parts += (part,)

    def _write(self, picture: UInt8) -> None:
        assert self._writer is not None
        began = time.perf_counter()
        self._writer.write(picture)
        self._took_s.append(time.perf_counter() - began)
        self._written += 1
        if time.monotonic() - self._weighed_at >= WEIGH_S:
            self._weigh()

    def _weigh(self) -> None:
        self._weighed_at = time.monotonic()
        sizes = [(self._folder / part.file).stat().st_size for part in self.parts]
        self.bytes, self._is_large = sum(sizes), sizes[-1:] > [MOST_BYTES]
        if 0 < shutil.disk_usage(self._folder).free < LEAST_FREE:  # some network disks do not tell: 0
            raise OSError("the disk is nearly full")
