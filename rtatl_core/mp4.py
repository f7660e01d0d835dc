"""What the header of an MP4 or MOV says and OpenCV does not: how much of its pictures is shown."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


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
