"""A picture -> landmarks, by MediaPipe's FaceMesh (bundled in its wheel, no download)."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.assets import asset
from rtatl_core.errors import InputError
from rtatl_core.handoffs import LANDMARKS, Float32, UInt8
from rtatl_core.photos import read_photo

BACKEND = "mediapipe-facemesh-refined"
"""Stored with every model and session: landmarks of different backends differ by 1-2 % of the eye
distance."""


@contextlib.contextmanager
def no_plots() -> Iterator[None]:
    """MediaPipe's drawing helpers, which nobody here calls, import matplotlib.pyplot: a second at every start, and a
    package of its own in every build."""
    absent = [name for name in ("matplotlib", "matplotlib.pyplot") if name not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


_stderr = threading.Lock()
_HEARD_AFTER_S = 10.0
"""How long a message for the person waits for a face finder that is being loaded."""


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """What is printed to stderr meanwhile is not swallowed while another thread loads a face finder (``_silence``)."""
    held = _stderr.acquire(timeout=_HEARD_AFTER_S)
    try:
        yield
    finally:
        if held:
            _stderr.release()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """MediaPipe's native code logs to stderr, whatever it is set to: four lines for every video, among which those for
    the person are lost. What other threads print in that tenth of a second is lost too, unless it is ``heard``; if
    loading fails, all of it is printed."""
    with _stderr, contextlib.ExitStack() as stack:
        try:
            aside = stack.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except OSError:  # a full disk has no room for it, and programs without a console have no stderr
            yield
            return
        stack.callback(os.close, kept)
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        finally:
            os.dup2(kept, 2)


_LANDMARK = np.dtype([("", "V3"), ("x", "<f4"), ("", "V1"), ("y", "<f4"), ("", "V1"), ("z", "<f4")])
"""A landmark in the bytes of MediaPipe's message: its length, then three floats, each behind its tag."""


def _as_array(landmarks: Any) -> NDArray[np.void]:
    """(478,) of _LANDMARK. Read in one go: 1,434 numbers one by one would take 0.3 ms of a frame."""
    return np.frombuffer(landmarks.SerializeToString(), _LANDMARK, count=LANDMARKS)


def _somebody() -> UInt8:
    """(224, 224, 3) a rendered face."""
    picture = read_photo(asset("atlas/AU12.jpg"))
    assert picture is not None
    return picture[:, :224]


@contextlib.contextmanager
def _in_a_readable_place() -> Iterator[None]:
    """On Windows MediaPipe finds its own files only if the names of all folders are ASCII. Raises InputError if that is
    why it found none."""
    try:
        yield
    except FileNotFoundError as error:
        if __file__.isascii():
            raise
        raise InputError(
            f"MediaPipe cannot read its files below {os.path.dirname(__file__)}; move the program to a folder whose "
            r"path has no other letters than a to z, such as C:\au-desktop."
        ) from error


CONFIDENCE = 0.5
"""From which on MediaPipe takes something for a face, and goes on following it."""


class FaceMesh:
    """MediaPipe FaceMesh, one per thread. ``tracking`` False treats each image on its own (photos, shuffled
    frames). It hardly finds faces narrower than a ninth of the picture."""

    def __init__(self, max_faces: int = 1, *, tracking: bool = True) -> None:
        self.follows = False
        """Whether the last picture showed a face."""
        with _in_a_readable_place(), _silence():
            self._mesh = self._load(max_faces, tracking)
            self(_somebody())  # or the first picture would take four times as long as others
            self.forget()

    def _load(self, max_faces: int, tracking: bool) -> Any:
        with no_plots():
            from mediapipe.python.solutions.face_mesh import FaceMesh as MediaPipeFaceMesh

        return MediaPipeFaceMesh(
            static_image_mode=not tracking,
            max_num_faces=max_faces,
            refine_landmarks=True,
            min_detection_confidence=CONFIDENCE,
            min_tracking_confidence=CONFIDENCE,
        )

    def forget(self) -> None:
        """No face is followed any more: in a black picture all are lost."""
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        self.follows = False

    def __call__(self, image: UInt8) -> list[Float32]:
        """BGR image -> one (478, 3) array of pixels per face, z on the scale of x."""
        height, width = image.shape[:2]
        found = self._mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).multi_face_landmarks or []
        self.follows = bool(found)
        scale = np.array([width, height, width], np.float32)
        return [np.stack([read[axis] for axis in "xyz"], axis=1) * scale for read in map(_as_array, found)]

    def close(self) -> None:
        self._mesh.close()

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def extent(landmarks: Float32) -> float:
    x0, y0, x1, y1 = box_of(landmarks)
    return math.sqrt((x1 - x0) * (y1 - y0))


def box_of(landmarks: Float32) -> tuple[float, float, float, float]:
    """Hull of the landmarks: x0, y0, x1, y1 in pixels."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def besides(known: list[Float32], faces: list[Float32]) -> list[Float32]:
    """``faces`` that are neither known nor found twice: the middle of the box lies in no other one's."""
    boxes, others = [box_of(face) for face in known], []
    for face in faces:
        x0, y0, x1, y1 = box_of(face)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        if min(x1 - x0, y1 - y0) > 1.0 and not any(a < x < c and b < y < d for a, b, c, d in boxes):
            boxes.append((x0, y0, x1, y1))
            others.append(face)
    return others
