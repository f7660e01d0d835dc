"""The cameras of this machine: their numbers and names, and whether one may be opened. Opens none."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import cv2

BACKEND = {"linux": cv2.CAP_V4L2, "win32": cv2.CAP_MSMF, "darwin": cv2.CAP_AVFOUNDATION}.get(sys.platform, cv2.CAP_ANY)
"""By which cameras are listed and opened, so that their numbers mean the same."""
TO_BE_ALLOWED = "sudo usermod -aG video $USER, then log in again"
"""On Linux, what opens devices to a person."""
PRIVACY = {
    "darwin": "System Settings > Privacy & Security > Camera",
    "win32": "Settings > Privacy & security > Camera (desktop apps)",
}
"""Where a person can forbid cameras to programs; to them one that is forbidden looks like one in use."""


class Camera(NamedTuple):
    number: int
    name: str


def connected() -> tuple[Camera, ...]:
    """By number; () when there are none. Namesakes get " (2)", " (3)", ..."""
    # Imported here: on Windows and macOS it loads system frameworks, which the window need not wait for.
    from cv2_enumerate_cameras import enumerate_cameras, supported_backends

    if BACKEND not in supported_backends:
        return ()
    seen: Counter[str] = Counter()
    cameras = []
    for info in sorted(enumerate_cameras(BACKEND), key=lambda info: info.index):
        name = info.name or f"Camera {info.index}"
        seen[name] += 1
        cameras.append(Camera(info.index, name if seen[name] == 1 else f"{name} ({seen[name]})"))
    return tuple(cameras)


def device_file(number: int) -> Path:
    """On Linux; elsewhere cameras are no files."""
    return Path(f"/dev/video{number}")


def number_of(device: Path) -> str | None:
    """Of the camera that this file is, or a link to it leads to; None if it is none."""
    found = re.fullmatch(r"/dev/video(\d+)", os.path.realpath(device))
    return found[1] if found else None


def may_open(device: Path) -> bool:
    return os.access(device, os.R_OK | os.W_OK)


def awaits_permission() -> bool:
    """On macOS: the person has not yet answered whether this program may use cameras. Opening one asks, and fails."""
    if sys.platform != "darwin":
        return False
    import AVFoundation  # as the names of cameras come from it, too

    media = AVFoundation.AVMediaTypeVideo
    undecided = AVFoundation.AVAuthorizationStatusNotDetermined
    return bool(AVFoundation.AVCaptureDevice.authorizationStatusForMediaType_(media) == undecided)
