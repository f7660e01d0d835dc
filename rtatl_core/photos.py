"""Photos, and pictures that are the frames of a video: files in, FramePackets out, as from a video."""

from __future__ import annotations

import math
import os
import re
import time
from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from rtatl_core.errors import SourceError
from rtatl_core.files import is_text
from rtatl_core.handoffs import FramePacket, UInt8
from rtatl_core.reader import Reader

PHOTO_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff"),
        *(".heic", ".heif", ".avif", ".jxl"),  # most builds of OpenCV read none of these: then they are told, not lost
    )
)
"""Endings by which photos are found in folders."""
_LARGEST = 32_766
"""Pixels a side. OpenCV warps no larger picture, and in MediaPipe one ends the whole process."""
_ORIENTATION = 0x112
"""Its number in EXIF."""
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}
"""Orientation -> how cv2.flip makes it upright, from 5 on once rows and columns are exchanged."""
_FEW = 0.1
"""Share of pictures whose names are not numbered as the others are, where these still count as numbered."""
_NAMED = 3
"""How many series of numbers a sentence names."""
SAVE_AS = f"JPEG or PNG of at most {_LARGEST:,} pixels a side"


def read_photo(path: Path) -> UInt8 | None:
    """(height, width, 3) BGR, upright as the EXIF of the file says; of several pictures in a file the first. None for a
    file that cannot be read or is no picture, or too large a one."""
    try:
        data = np.fromfile(path, np.uint8)  # not by its name: OpenCV knows no Unicode in names on Windows
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    except (OSError, cv2.error):
        return None
    if image is None or max(image.shape) > _LARGEST:
        return None
    turned = _turned_webp(data.tobytes()) if data[:4].tobytes() == b"RIFF" else 1
    image = cv2.transpose(image) if turned >= 5 else image
    return np.asarray(cv2.flip(image, _FLIPS[turned]) if turned in _FLIPS else image, np.uint8)


def _turned_webp(data: bytes) -> int:
    """Orientation by the EXIF of a WebP, which OpenCV does not obey; 1 is upright."""
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            exif = data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0")
            order: Literal["little", "big"] = "little" if exif[:2] == b"II" else "big"
            first = int.from_bytes(exif[4:8], order) + 2
            for entry in range(first, first + 12 * int.from_bytes(exif[first - 2 : first], order), 12):
                if int.from_bytes(exif[entry : entry + 2], order) == _ORIENTATION:
                    return int.from_bytes(exif[entry + 8 : entry + 10], order)
        at += 8 + size + size % 2
    return 1


def in_order(paths: Iterable[Path]) -> list[Path]:
    """By name, numbers in it by their value: 2.jpg before 10.jpg."""

    def parts(path: Path) -> tuple[list[tuple[float, str]], str]:
        found = re.findall(r"(\D+)|(\d+)", str(path))
        return [(int(number) if number else math.inf, text.casefold()) for text, number in found], str(path)

    return sorted(paths, key=parts)


def is_photo(file: Path) -> bool:
    """By its ending; without one, by its first bytes."""
    by_content = not file.suffix and is_text(file) and file.is_file()
    return file.suffix.lower() in PHOTO_SUFFIXES or (by_content and cv2.haveImageReader(str(file)))


def files_below(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """Files with one of the endings, to the bottom; without hidden ones and those in hidden folders: thumbnails, the
    trash, and what macOS puts beside every file on a disk that is not its own. Linked folders are searched too, each
    once. Links that lead nowhere and folders that may not be searched are among the files: whoever opens them says so.
    """
    found: list[Path] = []
    tops, searched = [folder], set[str]()

    def may_not(error: OSError) -> None:
        found.append(Path(error.filename))

    for top in tops:  # grows by the links, which come last, so that a file is found in its own place
        for place, folders, names in os.walk(top, onerror=may_not):
            if (real := os.path.realpath(place)) in searched:
                folders.clear()
                continue
            searched.add(real)
            folders[:] = [name for name in folders if not name.startswith(".")]
            tops += [link for name in folders if (link := Path(place, name)).is_symlink()]
            files = (Path(place, name) for name in names if not name.startswith("."))
            found += [file for file in files if file.suffix.lower() in suffixes]
    return sorted(found)


class PhotoReader(Reader):
    """Pictures one by one. With ``fps`` they are the frames of a video at that rate; without, photos that have no time:
    their ``timestamp`` is NaN. Raises SourceError when none can be read, or there is none."""

    def __init__(self, files: Sequence[Path], fps: float | None = None) -> None:
        self.files = tuple(files)
        if not self.files:
            raise SourceError("No picture was named; name one or more.")
        self.path = self.files[0].parent if len(self.files) > 1 else self.files[0]
        self.fps = fps
        self.frame_count = len(self.files)
        self.warning = _gaps([file.stem for file in self.files]) if fps else None
        """That the numbers of the frames of a video are of several series, are there twice or missing, or that some
        have none."""
        self._packets = self._read()
        self._first = next(self._packets, None)
        if self._first is None:
            what = f"{self.path} is no picture" if len(self.files) == 1 else f"no file in {self.path} is a picture"
            raise SourceError(f"{what} that can be read; open it elsewhere, or save it as {SAVE_AS}.")
        self.size = self._first.image.shape[1], self._first.image.shape[0]

    def read(self) -> FramePacket | None:
        packet, self._first = self._first, None
        return packet or next(self._packets, None)

    def describe_lost(self, lost: Sequence[tuple[int, float]]) -> str:
        names = ", ".join(self.files[number - 1].name for number, _ in lost)
        return f"{names} cannot be read as a picture; open it elsewhere, or save it as {SAVE_AS}."

    def close(self) -> None:
        self._packets.close()

    def _read(self) -> Generator[FramePacket]:
        lost: tuple[tuple[int, float], ...] = ()
        for number, file in enumerate(self.files, 1):
            timestamp = (number - 1) / self.fps if self.fps else math.nan
            image = read_photo(file)
            if image is None:
                lost += ((number, timestamp),)
            else:
                yield FramePacket(image, number, timestamp, time.perf_counter(), lost, still=not self.fps)
                lost = ()
        self.lost_at_end = lost


def _gaps(names: Sequence[str]) -> str | None:
    """A sentence or more where names are numbered, but in several series, or numbers are there twice or left out, or a
    few names are none of them."""
    parts = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    head, _ = Counter(part and part[1] for part in parts).most_common(1)[0]
    others = [name for name, part in zip(names, parts, strict=True) if part is None or part[1] != head]
    if head is None or len(others) > len(names) * _FEW:
        return _several([(part[1], part[0]) for part in parts if part])
    said = []
    if others:
        count = "is not numbered as the others are, but counts as a frame; move it elsewhere if it is none."
        several = "are not numbered as the others are, but count as frames; move those elsewhere that are none."
        said.append(f"{', '.join(others)} {count if len(others) == 1 else several}")
    numbers: dict[int, str] = {}
    again: list[str] = []
    for part in parts:
        if part and part[1] == head:
            if int(part[2]) in numbers:
                again.append(part[0])
            numbers.setdefault(int(part[2]), part[0])
    if again:
        several = f"{len(again)} pictures, {again[0]} first, have the numbers of others"
        these = f"{again[0]} has the number of another picture" if len(again) == 1 else several
        said.append(f"{these}, but each counts as a frame; keep one for each number.")
    if (missing := max(numbers) - min(numbers) + 1 - len(numbers)) > 0:
        what = "A number is" if missing == 1 else f"{missing} numbers are"
        between = f"{numbers[min(numbers)]} and {numbers[max(numbers)]}"
        said.append(f"{what} missing between {between}; times count the pictures that are there.")
    return " ".join(said) or None


def _several(numbered: Sequence[tuple[str, str]]) -> str | None:
    """A sentence where there is more than one series. numbered: what stands before the number, and the whole name."""
    counts = Counter(head for head, _ in numbered)
    firsts = dict(reversed(numbered))
    series = [firsts[head] for head, count in counts.items() if count > 1]
    if len(series) < 2:
        return None
    named = ", ".join(series[:_NAMED]) + (f" and {len(series) - _NAMED} more" if len(series) > _NAMED else "")
    count = f"The pictures are numbered in {len(series)} series, from {named} on, but count as one video"
    return f"{count}; if they are not one, put each series into a folder of its own."
