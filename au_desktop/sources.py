"""Where frames come from: what a person typed in, a FrameSource out.

Four kinds: a camera (by name or number), a video file or photo, a network stream (http, rtsp), and the demo clip. All
faults are SourceError, or SourceLost when a live source that was working went away.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import urlsplit

import cv2
import numpy as np

from rtatl_core.assets import asset
from rtatl_core.cameras import (
    BACKEND,
    PRIVACY,
    TO_BE_ALLOWED,
    awaits_permission,
    connected,
    device_file,
    may_open,
    number_of,
)
from rtatl_core.errors import SourceAsked, SourceError, SourceLost
from rtatl_core.handoffs import FramePacket
from rtatl_core.photos import PhotoReader, is_photo
from rtatl_core.reader import Reader
from rtatl_core.video import VideoReader

Kind = Literal["camera", "file", "stream", "demo"]
MakeCapture = Callable[..., cv2.VideoCapture]
"""Opens a device or URL as cv2.VideoCapture does; tests pass their own."""

CAMERA_SIZE = (1280, 720)
"""Asked of a camera; it delivers the nearest it can."""
CAMERA_FPS = 30
_CAMERA_WISHES = (
    (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG")),  # raw, USB 2 carries 10 pictures of this size per second
    (cv2.CAP_PROP_FRAME_WIDTH, CAMERA_SIZE[0]),
    (cv2.CAP_PROP_FRAME_HEIGHT, CAMERA_SIZE[1]),
    (cv2.CAP_PROP_FPS, CAMERA_FPS),
    (cv2.CAP_PROP_BUFFERSIZE, 1),  # else a busy program analyses pictures that are several frames old
)
_STREAM_SCHEMES = ("http", "https", "rtsp")
_STREAM_TIMEOUTS_MS = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 5000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 3000)
_FAILED_READS = 3
"""Reads in a row that may fail before a live source counts as lost: a single broken JPEG is none."""


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """Which source, before it is opened."""

    kind: Kind
    target: str
    """Number of the camera, path, URL, or "demo"."""
    name: str
    """What a person reads; a camera is found again by it, because numbers move after a replug."""

    @property
    def live(self) -> bool:
        """Newest frame wins and a loss is waited out; otherwise every frame waits its turn."""
        return self.kind in ("camera", "stream")

    @property
    def still(self) -> bool:
        """A photo: one picture that has no time."""
        return self.kind == "file" and _is_photo(self.target)


@lru_cache(maxsize=8)
def _is_photo(target: str) -> bool:
    """Asked whenever the window shows its state; of a file without an ending its first bytes must be read."""
    return is_photo(Path(target))


DEMO = SourceSpec("demo", "demo", "Demo clip")
ListCameras = Callable[[], Sequence[SourceSpec]]


class FrameSource(Protocol):
    """An opened source. `read` may block; everything is called by one thread."""

    spec: SourceSpec
    live: bool
    size: tuple[int, int]
    """Width and height in pixels."""
    fps: float | None
    frame_count: int | None = None
    """None: unknown, or it never ends."""
    start_s: float | None = None
    """Of a video file: when its first frame is shown; see ``VideoReader``."""
    warning: str | None = None
    """After the end: that the file was cut off, or what else is odd about its end, for the person."""
    truncated: bool = False
    """After the end: the file was cut off."""

    def read(self) -> FramePacket | None:
        """The next frame, None at the end. Raises SourceLost (live sources only) or SourceError."""

    def close(self) -> None: ...


def list_cameras() -> tuple[SourceSpec, ...]:
    """The cameras of this machine by number; () when there are none."""
    return tuple(SourceSpec("camera", str(camera.number), camera.name) for camera in connected())


def parse_source(text: str) -> SourceSpec:
    """What a person typed -> the source they mean: "demo", a camera's number, (part of) its name, a path, a
    URL.

    Raises SourceError when nothing fits, or more than one camera does.
    """
    text = text.strip()
    scheme = text.partition("://")[0].lower() if "://" in text else ""
    if not text:
        raise SourceError("No source is named; write a camera's name or number, a video file, or demo.")
    if text.lower() == "demo":
        return DEMO
    if scheme in _STREAM_SCHEMES:
        return _stream(text)
    if scheme:
        raise SourceError(f"{scheme}:// addresses are not supported; use {', '.join(_STREAM_SCHEMES)}.")
    if text.isascii() and text.isdecimal():
        return _camera_by_number(text)
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # "~somebody" who has no account here
        path = path.expanduser()
    if number := number_of(path):
        return _camera_by_number(number)
    exists = os.path.exists(path)  # Path.exists() raises for names that are too long
    if exists or path.suffix or "/" in text or "\\" in text:
        found = None if exists else _camera_by_name(text)
        return found or _file(path)
    if camera := _camera_by_name(text):
        return camera
    names = ", ".join(camera.name for camera in list_cameras()) or "none"
    raise SourceError(f"There is no camera or file {text!r} (cameras found: {names}); plug it in or write demo.")


def as_camera(spec: SourceSpec) -> SourceSpec:
    """The demo or a file, to be opened with ``open_as_camera``. Raises SourceError for another source."""
    if spec.live:
        raise SourceError(f"{spec.name} has a rate of its own; give --camera-fps with the demo or a video file.")
    return SourceSpec("camera", spec.target, f"{spec.name} as a camera")


def open_as_camera(spec: SourceSpec, fps: float) -> FileAsCamera:
    """Opens what ``as_camera`` made. Raises SourceError."""
    path = asset("demo.mp4") if spec.target == DEMO.target else Path(spec.target)
    return FileAsCamera(spec, LoopedFile(spec, path), fps)


def open_source(spec: SourceSpec) -> FrameSource:
    """Opens what `spec` names. Raises SourceError with the remedy."""
    if spec.kind == "camera":
        return open_camera(spec)
    if spec.kind == "stream":
        return open_stream(spec)
    if spec.kind == "demo":
        clip = asset("demo.mp4")
        if not clip.exists():
            raise SourceError(f"The demo clip {clip} is missing; install the program again, or choose a video file.")
        return LoopedFile(spec, clip)
    return VideoFile(spec)


class VideoFile(FrameSource):
    """A video file, or a photo as one of a single frame, read as fast as it decodes; whoever shows it keeps to the
    timestamps."""

    live = False

    def __init__(self, spec: SourceSpec) -> None:
        self.spec = spec
        path = Path(spec.target)
        self._reader: Reader = PhotoReader([path], fps=CAMERA_FPS) if spec.still else VideoReader(path)
        self.size = self._reader.size
        self.fps = None if spec.still else self._reader.fps
        self.frame_count = self._reader.frame_count
        self.start_s = self._reader.start_s

    def read(self) -> FramePacket | None:
        packet = self._reader.read()
        self.warning, self.truncated = self._reader.warning, self._reader.truncated
        return replace(packet, still=True) if packet is not None and self.spec.still else packet

    def close(self) -> None:
        self._reader.close()


class LoopedFile(FrameSource):
    """A clip that begins again at its end; numbers and timestamps go on increasing."""

    live = False

    def __init__(self, spec: SourceSpec, path: Path) -> None:
        self.spec = spec
        self._reader = VideoReader(path)
        self.size = self._reader.size
        self.fps = self._reader.fps
        self._number = 0
        self._loop_starts_s = 0.0
        self._next_s = 0.0

    def read(self) -> FramePacket:
        packet = self._reader.read()
        if packet is None:
            self._reader.close()
            self._reader = VideoReader(self._reader.path)
            self._loop_starts_s = self._next_s
            packet = self._reader.read()
            if packet is None:  # the file was replaced while it played; VideoReader itself refuses an empty one
                remedy = "install the program again" if self.spec.target == DEMO.target else "choose another file"
                raise SourceError(f"{self._reader.path} holds no picture any more; {remedy}.")
        self._number += 1
        timestamp = self._loop_starts_s + packet.timestamp
        self._next_s = timestamp + 1 / (self.fps or 25)
        return replace(packet, number=self._number, timestamp=timestamp, lost=())

    def close(self) -> None:
        self._reader.close()


class FileAsCamera(FrameSource):
    """A clip that comes as from a camera: at a fixed rate whether somebody takes the frames or not, for ever. For
    measuring what a machine drops."""

    live = True

    def __init__(self, spec: SourceSpec, clip: LoopedFile, fps: float) -> None:
        self.spec = spec
        self.fps = fps
        self.size = clip.size
        self._clip = clip
        self._next = clip.read()
        self._first_at = time.perf_counter()
        self._number = 0

    def read(self) -> FramePacket:
        due = self._first_at + self._number / self.fps
        time.sleep(max(0.0, due - time.perf_counter()))
        captured_at = time.perf_counter()
        self._number += 1
        packet = replace(
            self._next, number=self._number, timestamp=captured_at - self._first_at, captured_at=captured_at
        )
        self._next = self._clip.read()
        return packet

    def close(self) -> None:
        self._clip.close()


class LiveSource(FrameSource):
    """A camera or stream behind a cv2.VideoCapture; frames are stamped the moment they arrive, before decoding."""

    live = True

    def __init__(self, spec: SourceSpec, capture: cv2.VideoCapture, size: tuple[int, int]) -> None:
        self.spec = spec
        self._capture = capture
        self.size = size
        said = capture.get(cv2.CAP_PROP_FPS)
        self.fps = said if 0 < said <= 1000 else None
        self._number = 0
        self._first_at = 0.0

    def read(self) -> FramePacket:
        for _ in range(_FAILED_READS):
            try:
                arrived = self._capture.grab()
                captured_at = time.perf_counter()
                decoded, image = self._capture.retrieve() if arrived else (False, None)
            except cv2.error:  # some drivers raise where others return False
                continue
            if decoded and image is not None and image.ndim == 3 and image.size:
                self._number += 1
                self._first_at = self._first_at or captured_at
                timestamp = captured_at - self._first_at
                return FramePacket(np.asarray(image, np.uint8), self._number, timestamp, captured_at)
        raise SourceLost(f"{self.spec.name} stopped delivering pictures; check its plug or connection.")

    def close(self) -> None:
        self._capture.release()


def open_camera(
    spec: SourceSpec,
    make_capture: MakeCapture = cv2.VideoCapture,
    cameras: ListCameras = list_cameras,
) -> LiveSource:
    """Opens a camera by its name, wherever it is plugged in now. Raises SourceError that tells missing from busy, and
    SourceAsked while macOS asks the person."""
    index = _index_now(spec, cameras())
    if index is None:
        raise SourceError(f"{spec.name} is not connected; plug it in, or choose another source.")
    source = _opened(spec, lambda: make_capture(index, BACKEND), _CAMERA_WISHES)
    if source is None and awaits_permission():
        raise SourceAsked(f"macOS asks whether {spec.name} may be used; it starts when you allow it.")
    if source is None:
        raise SourceError(_why_not(spec.name, index))
    return source


def open_stream(spec: SourceSpec, make_capture: MakeCapture = cv2.VideoCapture) -> LiveSource:
    """Opens a stream by its URL. Raises SourceError."""
    source = _opened(spec, lambda: make_capture(spec.target, cv2.CAP_FFMPEG, _STREAM_TIMEOUTS_MS))
    if source is None:
        raise SourceError(f"The stream {spec.name} does not answer; check the address and that it is switched on.")
    return source


def _opened(
    spec: SourceSpec, make_capture: Callable[[], cv2.VideoCapture], wishes: Sequence[tuple[int, float]] = ()
) -> LiveSource | None:
    """None when no picture comes; the device is closed then. ``wishes``: (property, value) asked of it."""
    capture = None
    with contextlib.suppress(cv2.error):  # some drivers raise where others return False
        capture = make_capture()
        if capture.isOpened():
            for wish in wishes:
                capture.set(*wish)
            if size := _first_size(capture):  # a busy camera may open and fail only here
                return LiveSource(spec, capture, size)
    if capture is not None:
        capture.release()
    return None


def _first_size(capture: cv2.VideoCapture) -> tuple[int, int] | None:
    for _ in range(_FAILED_READS):
        found, image = capture.read()
        if found and image is not None:
            return image.shape[1], image.shape[0]
    return None


def _index_now(spec: SourceSpec, cameras: Sequence[SourceSpec]) -> int | None:
    """The camera's number at this moment; None when it is not there."""
    for camera in cameras:
        if camera.name == spec.name:
            return int(camera.target)
    nameless = spec.name == _nameless(spec.target)
    if nameless and (not cameras or any(camera.target == spec.target for camera in cameras)):
        return int(spec.target)  # it never had a name here, so its number is all there is
    return None


def _why_not(name: str, index: int) -> str:
    """One sentence on why a camera could not be opened."""
    device = device_file(index)
    if sys.platform == "linux" and not device.exists():
        return f"{name} is not connected ({device} does not exist); plug it in, or choose another source."
    if sys.platform == "linux" and not may_open(device):
        return f"You have no permission to open {name}; run: {TO_BE_ALLOWED}."
    if where := PRIVACY.get(sys.platform):
        return f"{name} cannot be opened; close what uses it, and allow the camera in {where}."
    return f"{name} is in use by another program; close that program, or choose another source."


def _camera_by_number(number: str) -> SourceSpec:
    for camera in list_cameras():
        if int(camera.target) == int(number):
            return camera
    return SourceSpec("camera", str(int(number)), _nameless(number))


def _nameless(number: str) -> str:
    return f"Camera {int(number)}"


def _camera_by_name(text: str) -> SourceSpec | None:
    cameras = list_cameras()
    wanted = text.casefold()
    exact = [camera for camera in cameras if camera.name.casefold() == wanted]
    fitting = exact or [camera for camera in cameras if wanted in camera.name.casefold()]
    if len(fitting) > 1:
        names = ", ".join(camera.name for camera in fitting)
        raise SourceError(f"{text!r} fits several cameras ({names}); write more of the name, or the number.")
    return fitting[0] if fitting else None


def _file(path: Path) -> SourceSpec:
    if not os.path.exists(path):
        raise SourceError(f"There is no file {path}; check the name and the folder.")
    return SourceSpec("file", str(path.absolute()), path.name)


def _stream(url: str) -> SourceSpec:
    try:
        parts = urlsplit(url)
    except ValueError:  # such as a bracket that is not closed
        parts = urlsplit("")
    if not parts.hostname:
        raise SourceError(f"{url!r} names no computer; write it like rtsp://192.168.1.20/stream.")
    host = parts.netloc.rpartition("@")[2]  # a password in the address is for the camera, not for the screen or a file
    return SourceSpec("stream", url, re.sub(r"/$", "", f"{host}{parts.path}"))
