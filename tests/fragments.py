"""MP4s in fragments, as browsers and OBS record."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tests.clips import write_clip

_HOLD_BOXES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
_TABLES = {b"stts": 8, b"stsc": 8, b"stco": 8, b"stsz": 12}
"""Bytes of the tables of pictures where they are empty: fragments bring their own."""
_LEFT_OUT = (b"edts", b"udta", b"stss", b"ctts")


def write_fragments(path: Path, frames: int) -> Path:
    """A clip of write_clip, with five frames to a fragment."""
    data = write_clip(path, frames).read_bytes()
    parts = dict(_boxes(data))
    stsz, stts = data.index(b"stsz"), data.index(b"stts")
    (of_all,) = struct.unpack_from(">I", data, stsz + 8)
    sizes = (of_all,) * frames if of_all else struct.unpack_from(f">{frames}I", data, stsz + 16)
    (step,) = struct.unpack_from(">I", data, stts + 16)
    extends = _box(b"mvex", _box(b"trex", struct.pack(">6I", 0, 1, 1, step, 0, 0)))
    moov = _box(b"moov", _emptied(parts[b"moov"]), extends)
    written, at = _box(b"ftyp", parts[b"ftyp"]) + moov, 0
    for first in range(0, frames, 5):
        own = sizes[first : first + 5]
        written += _moof(first // 5 + 1, first * step, own) + _box(b"mdat", parts[b"mdat"][at : at + sum(own)])
        at += sum(own)
    path.write_bytes(written)
    return path


def _moof(number: int, time: int, sizes: tuple[int, ...], offset: int = 0) -> bytes:
    """``offset``: from here to the first picture."""
    run = struct.pack(f">III{len(sizes)}I", 0x201, len(sizes), offset, *sizes)
    track = _box(b"tfhd", struct.pack(">II", 0x20000, 1)) + _box(b"tfdt", struct.pack(">II", 0, time))
    head = _box(b"mfhd", struct.pack(">II", 0, number))
    moof = _box(b"moof", head, _box(b"traf", track, _box(b"trun", run)))
    return moof if offset else _moof(number, time, sizes, len(moof) + 8)


def _emptied(data: bytes) -> bytes:
    found = b""
    for kind, body in _boxes(data):
        if kind in _HOLD_BOXES:
            found += _box(kind, _emptied(body))
        elif kind not in _LEFT_OUT:
            found += _box(kind, bytes(_TABLES[kind]) if kind in _TABLES else body)
    return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body
