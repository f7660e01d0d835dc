"""Little videos for tests. The grey of each picture tells its number, so order and content can be checked."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from rtatl_core.assets import asset

_DARKEST, _STEP, _CYCLE = 30, 8, 25


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float = 20.0, codec: str = "mp4v") -> Path:
    first, *more = frames
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (first.shape[1], first.shape[0]))
    assert writer.isOpened(), f"this OpenCV cannot write {codec}"
    for frame in (first, *more):
        writer.write(frame)
    writer.release()
    return path


def write_clip(
    path: Path, frames: int = 20, fps: float = 25.0, size: tuple[int, int] = (96, 64), codec: str = "mp4v"
) -> Path:
    greys = [_DARKEST + _STEP * (number % _CYCLE) for number in range(1, frames + 1)]
    return write_video(path, [np.full((size[1], size[0], 3), grey, np.uint8) for grey in greys], fps, codec)


def write_picture(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def demo_frames(count: int, *, skip: int = 0, every: int = 1) -> list[np.ndarray]:
    """Pictures of the demo clip, 640x480, with a face in each."""
    source = cv2.VideoCapture(str(asset("demo.mp4")))
    found = []
    for number in range(skip + (count - 1) * every + 1):
        source.grab()
        if number >= skip and (number - skip) % every == 0:
            found.append(source.retrieve()[1])
    source.release()
    return found


def cut_from_demo(
    path: Path,
    frames: int,
    size: tuple[int, int] = (640, 480),
    *,
    skip: int = 0,
    onto: tuple[int, int] | None = None,
) -> Path:
    """Frames with a face, from the beginning of the demo clip; ``onto``: in the middle of a grey picture of that size,
    so that the face is far away."""
    width, height = onto or size
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    pictures = np.full((frames, height, width, 3), 90, np.uint8)
    for picture, frame in zip(pictures, demo_frames(frames, skip=skip), strict=True):
        picture[top : top + size[1], left : left + size[0]] = cv2.resize(frame, size)
    return write_video(path.with_suffix(".mp4"), list(pictures), 25).rename(path)


def damage_frame(path: Path, number: int) -> None:
    """Makes one frame of an MP4 of write_clip or cut_from_demo undecodable."""
    data = bytearray(path.read_bytes())
    at = -1
    for _ in range(number):
        at = data.index(b"\0\0\1\xb6", at + 1)  # begins every picture of MPEG-4
    data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)


def number_of(image: np.ndarray) -> int:
    """The number (modulo 25) of a picture of write_clip, whatever the codec did to it."""
    return int((float(image.mean()) - _DARKEST + 5) // _STEP)  # mp4v comes out up to 4 levels darker


def rotate_in_header(path: Path) -> None:
    """Marks an MP4 as recorded upright by a phone held sideways: a matrix of 90 degrees in the track header."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    values = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(data)


def squeeze_in_header(path: Path, width: int, height: int) -> None:
    """Marks the pixels of an MP4 of write_clip or cut_from_demo as that wide by that high, as camcorders do."""
    data = bytearray(path.read_bytes())
    start = data.index(b"mp4v", data.index(b"stsd")) - 4
    end = start + int.from_bytes(data[start : start + 4], "big")
    data[end:end] = (16).to_bytes(4, "big") + b"pasp" + width.to_bytes(4, "big") + height.to_bytes(4, "big")
    for at in (start, *(data.index(box) - 4 for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"))):
        size = int.from_bytes(data[at : at + 4], "big")
        data[at : at + 4] = (size + 16).to_bytes(4, "big")
    path.write_bytes(data)


def begin_later(path: Path, seconds: float) -> None:
    """Makes the pictures of an MP4 begin later than the file does, as where its sound begins first: an empty edit."""
    data = bytearray(path.read_bytes())
    mvhd, elst = data.index(b"mvhd"), data.index(b"elst")
    timescale = int.from_bytes(data[mvhd + 16 : mvhd + 20], "big")
    edits = int.from_bytes(data[elst + 8 : elst + 12], "big")
    nothing = (round(seconds * timescale), -1, 0x10000)
    data[elst + 8 : elst + 12] = (edits + 1).to_bytes(4, "big") + b"".join(
        value.to_bytes(4, "big", signed=True) for value in nothing
    )
    for box in (b"moov", b"trak", b"edts", b"elst"):
        size = data.index(box) - 4
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "big") + 12).to_bytes(4, "big")
    path.write_bytes(data)


def begin_with_header(path: Path) -> None:
    """Moves what an MP4 of write_clip tells of its pictures before them, as files for the web have it: it can be read
    where the end is missing."""
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    header, first = bytearray(data[at:]), data.index(b"mdat") - 8  # after "free"
    table = header.index(b"stco") + 8
    for entry in range(table + 4, table + 4 + 4 * int.from_bytes(header[table : table + 4], "big"), 4):
        place = int.from_bytes(header[entry : entry + 4], "big") + len(header)
        header[entry : entry + 4] = place.to_bytes(4, "big")
    path.write_bytes(data[: first - 4] + header + data[first - 4 : at])


def trim_in_header(path: Path, begins_s: float, seconds: float) -> None:
    """Trims an MP4 as phones and cutters do that code nothing anew: its edit list shows a part, all frames stay."""
    data = bytearray(path.read_bytes())
    mvhd, mdhd, elst = data.index(b"mvhd"), data.index(b"mdhd"), data.index(b"elst")
    movie, media = (int.from_bytes(data[at + 16 : at + 20], "big") for at in (mvhd, mdhd))
    data[elst + 12 : elst + 16] = round(seconds * movie).to_bytes(4, "big")
    data[elst + 16 : elst + 20] = round(begins_s * media).to_bytes(4, "big")
    path.write_bytes(data)


def announce_more(path: Path, seconds: float) -> Path:
    """Makes a Matroska file of write_clip tell that it is longer than its pictures, as where its sound is."""
    data = bytearray(path.read_bytes())
    duration = data.index(b"\x44\x89\x88") + 3
    struct.pack_into(">d", data, duration, struct.unpack_from(">d", data, duration)[0] + 1000 * seconds)
    path.write_bytes(data)
    return path


def shorten_first_durations(path: Path, count: int, times: int = 2) -> None:
    """Makes an MP4 of constant frame rate a variable one: the first `count` frames are shown so many times shorter."""
    data = bytearray(path.read_bytes())
    stts = data.index(b"stts")
    entries = int.from_bytes(data[stts + 8 : stts + 12], "big")
    frames = int.from_bytes(data[stts + 12 : stts + 16], "big")
    delta = int.from_bytes(data[stts + 16 : stts + 20], "big")
    assert entries == 1
    table = (2, count, delta // times, frames - count, delta)
    data[stts + 8 : stts + 20] = b"".join(value.to_bytes(4, "big") for value in table)
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stts"):  # each has grown by one entry
        size = data.index(box) - 4
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "big") + 8).to_bytes(4, "big")
    path.write_bytes(data)
