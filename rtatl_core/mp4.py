"""What an MP4 or MOV says and OpenCV does not: how much of its pictures is shown, and whether it breaks off."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_FIRST = (b"ftyp", b"styp", b"moov", b"sidx", b"moof", b"free", b"skip", b"wide")
"""What a file begins with that may be fragmented."""


def shown_s(path: Path) -> float | None:
    """Seconds for which the pictures are shown, where an edit list says it: a file that was trimmed without being coded
    anew holds more. None of other files. Raises OSError."""
    with path.open("rb") as file:
        header = _header(file)
    clock = _inside(header, b"mvhd")
    ticks_per_s = int.from_bytes(clock[20:24] if clock[:1] == b"\1" else clock[12:16], "big")
    for kind, track in _boxes(header):
        if ticks_per_s and kind == b"trak" and _inside(track, b"mdia", b"hdlr")[8:12] == b"vide":
            return sum(_edits(_inside(track, b"edts", b"elst"))) / ticks_per_s or None
    return None


def lists_pictures(path: Path) -> bool:
    """True of a file whose beginning or end lists every picture, so that their number is known, and not only a length;
    False of a fragmented one, and of other formats. Raises OSError."""
    with path.open("rb") as file:
        header = _header(file)
    return bool(header) and not _inside(header, b"mvex")


def breaks_off(path: Path) -> bool:
    """True of a fragmented file, as browsers and OBS record, that ends within a fragment. Its beginning tells no length
    that its end could fall short of. False of other files. Raises OSError.

    Source: ISO/IEC 14496-12, sections 4.2 and 8.8.
    """
    with path.open("rb") as file:
        end, at, kind, is_fragmented = file.seek(0, os.SEEK_END), 0, b"", False
        while at < end:
            file.seek(at)
            head = file.read(16)
            if len(head) < 8:
                return is_fragmented
            size, kind = struct.unpack_from(">I4s", head)
            if size == 0 or (at == 0 and kind not in _FIRST):  # up to the end; of another format
                return False
            is_fragmented |= kind == b"moof"
            at += max(int.from_bytes(head[8:], "big") if size == 1 else size, 8)
    return is_fragmented and (kind == b"moof" or (kind == b"mdat" and at > end))


def _edits(table: bytes) -> Iterator[int]:
    """How long each part of the pictures is shown; not what is empty before them."""
    entry = struct.Struct(">QqI" if table[:1] == b"\1" else ">IiI")
    for at in range(8, len(table) - entry.size + 1, entry.size):
        ticks, begins, _ = entry.unpack_from(table, at)
        if begins >= 0:
            yield ticks


def _header(file: BinaryIO) -> bytes:
    """The box moov, wherever it lies; empty of a file without."""
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    while len(head := file.read(16)) == 16:
        size, kind = struct.unpack_from(">I4s", head)
        begins = 16 if size == 1 else 8
        size = int.from_bytes(head[8:], "big") if size == 1 else size
        if not begins <= size <= end:
            break
        file.seek((begins if kind == b"moov" else size) - len(head), 1)
        if kind == b"moov":
            return file.read(size - begins)
    return b""


def _inside(data: bytes, *path: bytes) -> bytes:
    """The box that lies so deep; empty where there is none."""
    for name in path:
        data = next((body for kind, body in _boxes(data) if kind == name), b"")
    return data


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What each box is called and holds."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += max(size, 8)
