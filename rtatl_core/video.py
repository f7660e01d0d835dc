"""Video files: path in, FramePackets with their media time out. The window and the command line read by this one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from rtatl_core.errors import SourceError
from rtatl_core.handoffs import FramePacket

VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"),
        *(".3gp", ".mts", ".m2ts", ".ts", ".ogv", ".mjpeg"),
    )
)
"""Endings by which videos are found in folders; a file that is named itself may have any."""
_CUT_OFF_S = 0.25
"""How much earlier than announced a whole file may end: edit lists and estimated lengths are off by a few
frames (measured: 0.18 s)."""


class VideoReader:
    """Decodes one file from its first frame to its last; iterable, and a context manager.

    The rotation a phone writes into its files is obeyed. Timestamps come from the container, so files with a
    variable frame rate are right, and never go backwards; without any they are counted from the frame rate.

    Raises SourceError when there is not a single picture to be had from `path`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_file(self.path)
        # The path is made absolute so that a file named like a protocol ("rtsp:") is still a file; FFmpeg
        # only, so that a clip gives the same frames and times on every platform.
        self._capture = cv2.VideoCapture(str(self.path.resolve()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{self.path} cannot be read as a video: it is none, is damaged, or the program that wrote it did not "
                "finish; play it elsewhere, or convert it to MP4."
            )
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self.fps = _sensible(self._capture.get(cv2.CAP_PROP_FPS), 1000.0)
        """Frames per second as the container says; None when it does not, or says nonsense."""
        count = _sensible(self._capture.get(cv2.CAP_PROP_FRAME_COUNT), 1e9)
        self.frame_count = int(count) if count else None
        """Frames as the container says: exact for most MP4 files, an estimate in others, None when unknown."""
        self.truncated = False
        """True once the end was reached long before the announced length: the file was cut off."""
        self._read_frames = 0
        self._start_s = 0.0
        self._last_s = 0.0
        self._first = self._decode()
        if self._first is None:
            self._capture.release()
            raise SourceError(f"{self.path} holds no picture that can be decoded; copy or record it again.")
        self.size: tuple[int, int] = (self._first.image.shape[1], self._first.image.shape[0])
        """Width and height in pixels, upright."""

    @property
    def duration_s(self) -> float | None:
        """Length as the container says."""
        return self.frame_count / self.fps if self.frame_count and self.fps else None

    @property
    def warning(self) -> str | None:
        """After the end: one sentence for the person when the file was cut off."""
        if not self.truncated:
            return None
        return (
            f"{self.path.name} ends after {self._last_s:.1f} s of {self.duration_s:.1f} s, so it was cut off; all "
            "frames up to there are analysed, copy the file again for the rest."
        )

    def read(self) -> FramePacket | None:
        """The next frame, or None at the end. `captured_at` is the moment it was decoded."""
        packet, self._first = self._first, None
        packet = packet or self._decode()
        if packet is None and self._read_frames and self.duration_s:
            end_s = self._last_s + 1 / (self.fps or 25)
            self.truncated = end_s < self.duration_s - _CUT_OFF_S and self._read_frames < (self.frame_count or 0)
        return packet

    def __iter__(self) -> Iterator[FramePacket]:
        while (packet := self.read()) is not None:
            yield packet

    def close(self) -> None:
        self._capture.release()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _decode(self) -> FramePacket | None:
        found, image = self._capture.read()
        if not found:
            return None
        self._read_frames += 1
        self._last_s = self._media_time()
        return FramePacket(np.asarray(image, np.uint8), self._read_frames, self._last_s, time.perf_counter())

    def _media_time(self) -> float:
        """Seconds since the first frame, always later than the last one."""
        said = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if self._read_frames == 1:
            self._start_s = said
            return 0.0
        said -= self._start_s
        return said if said > self._last_s else self._last_s + 1 / (self.fps or 25)


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; name a video file in it.")
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceError(f"{path} is empty (0 bytes); copy or record it again.")
    except FileNotFoundError:
        raise SourceError(f"There is no file {path}; check the name and the folder.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}); check that you may read it.") from None


def _sensible(value: float, most: float) -> float | None:
    return value if np.isfinite(value) and 0 < value <= most else None
