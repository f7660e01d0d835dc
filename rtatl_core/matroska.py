"""Whether a Matroska or WebM file is whole, or breaks off. Its header tells the length of the longest track, which may
be the sound; pictures that end before it have not been cut off then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_INFO, _TRACKS, _TRACK, _GROUP = 0x1549A966, 0x1654AE6B, 0xAE, 0xA0
_SCALE, _NUMBER, _TYPE, _TIME, _BLOCKS = 0x2AD7B1, 0xD7, 0x83, 0xE7, (0xA3, 0xA1)
_PICTURES = 1
"""Type of a track."""


def is_whole(path: Path) -> bool:
    """True of a file that announces its size and holds all its parts, one after the other up to the end; False of
    others, also of other formats. Raises OSError.

    Source: RFC 8794 (EBML), sections 4 to 6; RFC 9559 (Matroska).
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        for kind in (_EBML, _SEGMENT):
            head = _head(file)
            if head is None or head[0] != kind:
                return False
            begins, length = file.tell(), head[1]
            if kind == _EBML:
                _pass_over(file, length, size)
        end = begins + length
        while file.tell() < end <= size:
            head = _head(file)
            if head is None:
                return False
            _pass_over(file, head[1], size)
        return file.tell() == end <= size


def breaks_off(path: Path) -> bool:
    """True of a file that ends within one of its parts; False of other formats. For those that tell no length, as
    browsers record them: it is read from block to block. Raises OSError."""
    with path.open("rb") as file:
        end = _size_past_header(file)
        if end is None:
            return False
        while file.tell() < end:
            kind, length = _kind(file), _length(file)
            if kind in (_SEGMENT, _CLUSTER) and file.tell() < end:
                continue  # what it holds follows; its size may be unknown
            if kind is None or length is None:
                return file.tell() >= end
            _pass_over(file, length, end)
        return file.tell() > end


def first_picture_s(path: Path) -> float | None:
    """Time of the first picture in the file. None of other formats, and where there is none. Raises OSError.

    Source: RFC 9559, sections 5.1 and 10.
    """
    inside = (_SEGMENT, _INFO, _TRACKS, _TRACK, _CLUSTER, _GROUP)
    last = {_SCALE: 1_000_000, _NUMBER: 0, _TYPE: 0, _TIME: 0}
    """What each of these elements said last."""
    pictures = None
    with path.open("rb") as file:
        end = _size_past_header(file)
        if end is None:
            return None
        while True:
            kind, length = _kind(file), _length(file)
            if kind in inside:
                continue  # what it holds follows; its size may be unknown
            if kind is None or length is None:
                return None
            begins = file.tell()
            if kind in _BLOCKS and pictures == _length(file):  # a track is numbered as sizes are written
                later = int.from_bytes(file.read(2), "big", signed=True)
                return (last[_TIME] + later) * last[_SCALE] / 1e9
            if kind in last:
                file.seek(begins)
                last[kind] = int.from_bytes(file.read(min(length, 8)), "big")
            if kind == _TYPE and last[_TYPE] == _PICTURES and pictures is None:
                pictures = last[_NUMBER]
            file.seek(begins)
            _pass_over(file, length, end)


def _size_past_header(file: BinaryIO) -> int | None:
    """Bytes of the file, which then stands behind its EBML header; None of other formats."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = _head(file)
    if head is None or head[0] != _EBML:
        return None
    _pass_over(file, head[1], end)
    return end


def _pass_over(file: BinaryIO, length: int, end: int) -> None:
    """``length`` bytes on, or one past the end of the file: a damaged length leads where no file can be read."""
    file.seek(min(file.tell() + length, end + 1))


def _head(file: BinaryIO) -> tuple[int, int] | None:
    """The kind of the element that begins here and the bytes that follow; None where there is none, or no size."""
    kind, length = _kind(file), _length(file)
    return None if kind is None or length is None else (kind, length)


def _kind(file: BinaryIO) -> int | None:
    """Of the element that begins here."""
    return _number(file, most=4, marked=True)


def _length(file: BinaryIO) -> int | None:
    """Of the element whose kind was just read, in bytes; None where it is unknown."""
    return _number(file, most=8, marked=False)


def _number(file: BinaryIO, most: int, *, marked: bool) -> int | None:
    """A whole number of up to so many bytes. Its leading zeros tell how many, and the 1 after them, the marker, belongs
    to an element's kind, but not to a size. A size of nothing but ones is unknown."""
    first = file.read(1)
    count = 9 - first[0].bit_length() if first else 0
    rest = file.read(count - 1) if 0 < count <= most else b""
    if not 0 < count <= most or len(rest) < count - 1:
        return None
    number, marker = int.from_bytes(first + rest, "big"), 1 << 7 * count
    if marked:
        return number
    return number - marker if number < 2 * marker - 1 else None
