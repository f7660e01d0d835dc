"""What can be seen of a recorded session: the video or photos that it was made of, if they are still where they were,
or the camera's picture that was kept with it."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from rtatl_core.assets import asset
from rtatl_core.errors import AUError
from rtatl_core.handoffs import Float64, UInt8
from rtatl_core.photos import read_photo
from rtatl_core.sessions.recorded import FILES, Recorded
from rtatl_core.sessions.rows import FILE
from rtatl_core.video import VideoPictures

_SAME_S = 0.1
"""A length may be told so differently by another version of the libraries that read it."""

_ROUNDED_S = 1e-5
"""What timestamps may be off by in a file."""


class _Part(NamedTuple):
    begins_s: float
    """Timestamp of the session at which the video begins."""
    path: Path


class SessionPictures:
    """The picture of each frame. One thread at a time."""

    def __init__(self, videos: Sequence[_Part] = (), photos: dict[int, Path] | None = None) -> None:
        self._videos, self._photos = tuple(videos), photos or {}
        self._opened: tuple[Path, VideoPictures] | None = None

    @classmethod
    def of(cls, session: Recorded) -> SessionPictures | None:
        """None where none of its files is there."""
        source = session.about.get("source", {})
        kind, target = source.get("kind"), Path(str(source.get("target", "")))
        if kind in ("photos", "frames"):
            folder = target.parent if target.is_file() else target  # of a single photo the target is itself
            photos = {number: folder / name for number, name in _names(session.folder).items()}
            photos = {number: path for number, path in photos.items() if path.is_file()}
            return cls(photos=photos) if photos else None
        if kind == "file":
            videos = [_Part(0.0, target)]
        elif kind == "demo":
            videos = _loops(asset("demo.mp4"), session.columns["timestamp"])
        else:
            kept = session.about.get("videos", [])
            videos = [_Part(float(part["begins_s"]), session.folder / str(part["file"])) for part in kept]
        videos = [part for part in videos if part.path.is_file()]
        if kind == "file" and videos and not _is_that(videos[0].path, source):
            return None
        return cls(videos) if videos else None

    def at(self, frame: int, timestamp: float) -> UInt8 | None:
        """(height, width, 3) BGR of the frame with this number and timestamp; None where there is none."""
        if self._photos:
            return read_photo(self._photos[frame]) if frame in self._photos else None
        i = bisect_right([part.begins_s for part in self._videos], timestamp + _ROUNDED_S) - 1
        if i < 0:
            return None
        begins_s, path = self._videos[i]
        try:
            if self._opened is None or self._opened[0] != path:
                self.close()
                self._opened = path, VideoPictures(path)
            return self._opened[1].at(timestamp - begins_s)
        except (AUError, cv2.error):  # gone since, or damaged
            return None

    def close(self) -> None:
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None


def _is_that(path: Path, source: Mapping[str, Any]) -> bool:
    """Whether the video has pictures of the size that session.json tells of its source, and is as long; or another now
    lies under its name."""
    size, told_s = source.get("size"), source.get("duration_s")
    try:
        with closing(VideoPictures(path)) as video:
            length_s = video.duration_s
            is_as_long = told_s is None or length_s is None or abs(length_s - told_s) < _SAME_S
            return is_as_long and (size is None or video.size == tuple(size))
    except AUError:
        return False


def _loops(path: Path, timestamps: Float64) -> list[_Part]:
    """Of a clip that began again at its end, as far as the timestamps go."""
    last_s = float(timestamps.max(initial=0.0))
    with closing(VideoPictures(path)) as video:
        length_s = video.duration_s or last_s + 1
    return [_Part(loop * length_s, path) for loop in range(int(last_s / length_s + 1))]


def _names(folder: Path) -> dict[int, str]:
    """Of the photos, by the number of their frame."""
    with (folder / FILES[0]).open(newline="", encoding="utf-8", errors="replace") as file:
        return {int(row["frame"]): row[FILE] for row in csv.DictReader(file) if row.get(FILE)}
