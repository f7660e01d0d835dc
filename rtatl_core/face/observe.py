"""Image -> faces with landmarks, head pose and a stable id, by MediaPipe FaceMesh (bundled in its wheel, no
download).

FaceMesh follows faces from frame to frame by itself but gives them no identity; ``FaceTracker`` adds one by
matching each face with the nearest face of the last second. Faces that are too small for it are found by another one
(far.py), which is loaded when it is needed first.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.face.far import far_face_mesh
from rtatl_core.face.pose import head_pose
from rtatl_core.handoffs import LANDMARKS, FaceObservation, Float32, FramePacket, HeadPose, UInt8

BACKEND = "mediapipe-facemesh-refined"
"""Stored with every model and session: landmarks of different backends differ by 1-2 % of the eye
distance."""

os.environ.setdefault("GLOG_minloglevel", "2")  # MediaPipe's start-up chatter is not the user's concern


@contextlib.contextmanager
def _no_plots() -> Iterator[None]:
    """MediaPipe's drawing helpers, which nobody here calls, import matplotlib.pyplot: a second at every start, and a
    package of its own in every build."""
    absent = [name for name in ("matplotlib", "matplotlib.pyplot") if name not in sys.modules]
    sys.modules.update({name: ModuleType(name) for name in absent})
    try:
        yield
    finally:
        for name in absent:
            sys.modules.pop(name, None)


_LANDMARK = np.dtype([("", "V3"), ("x", "<f4"), ("", "V1"), ("y", "<f4"), ("", "V1"), ("z", "<f4")])
"""A landmark in the bytes of MediaPipe's message: its length, then three floats, each behind its tag."""


def _as_array(landmarks: Any) -> NDArray[np.void]:
    """(478,) of _LANDMARK. Read in one go: 1,434 numbers one by one would take 0.3 ms of a frame."""
    return np.frombuffer(landmarks.SerializeToString(), _LANDMARK, count=LANDMARKS)


class FaceMesh:
    """MediaPipe FaceMesh, one per thread. ``tracking`` False treats each image on its own (photos, shuffled
    frames). It hardly finds faces narrower than a ninth of the picture."""

    def __init__(self, max_faces: int = 1, *, tracking: bool = True, min_confidence: float = 0.5) -> None:
        self._mesh = self._load(max_faces, tracking, min_confidence)
        self.forget()  # and the first picture would take four times as long as others

    def _load(self, max_faces: int, tracking: bool, min_confidence: float) -> Any:
        with _no_plots():
            from mediapipe.python.solutions.face_mesh import FaceMesh as MediaPipeFaceMesh

        return MediaPipeFaceMesh(
            static_image_mode=not tracking,
            max_num_faces=max_faces,
            refine_landmarks=True,
            min_detection_confidence=min_confidence,
            min_tracking_confidence=min_confidence,
        )

    def forget(self) -> None:
        """No face is followed any more: in a black picture all are lost."""
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))
        self.follows = False
        """Whether the last picture showed a face."""

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

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _FarFaceMesh(FaceMesh):
    """The same for faces down to a twenty-fifth of the picture; it follows what it found."""

    def _load(self, max_faces: int, tracking: bool, min_confidence: float) -> Any:
        with _no_plots():
            return far_face_mesh(max_faces, min_confidence)


LOOK_S = 0.25
"""How long nobody looks for further faces after a look that found none: it takes twice as long as FaceMesh's own."""


class _FarFaces:
    """The faces that FaceMesh leaves out because they are small. Nothing is loaded before one is wanted."""

    def __init__(self, max_faces: int) -> None:
        self.followed: list[Float32] = []
        """Those of the last picture."""
        self._max_faces = max_faces
        self._mesh: _FarFaceMesh | None = None
        self._looked_at = -math.inf

    def __call__(self, image: UInt8, timestamp: float, near: list[Float32]) -> list[Float32]:
        """At most as many as are wanted besides ``near``. Those that are followed are looked for in every picture,
        others every LOOK_S, or at once where all were lost."""
        wanted = self._max_faces - len(near)
        faces: list[Float32] = []
        if wanted > 0 and self.followed and self._mesh is not None:
            faces = _besides(near, self._mesh(image))[:wanted]
        if wanted > 0 and not faces and (self.followed or not 0 <= timestamp - self._looked_at < LOOK_S):
            self._looked_at = timestamp
            faces = self._look(image, near)[:wanted]
        if not faces:
            self.forget()
        self.followed = faces
        return faces

    def _look(self, image: UInt8, near: list[Float32]) -> list[Float32]:
        """Twice where somebody is: the detector's places are rough, and landmarks settle with the second look."""
        if self._mesh is None:
            self._mesh = _FarFaceMesh(self._max_faces)
        return _besides(near, self._mesh(image)) and _besides(near, self._mesh(image))

    def forget(self) -> None:
        """None is followed any more."""
        if self._mesh is not None and self._mesh.follows:
            self._mesh.forget()
        self.followed = []

    def reset(self) -> None:
        """Looks at the next picture as if it were the first."""
        self.forget()
        self._looked_at = -math.inf

    def close(self) -> None:
        if self._mesh is not None:
            self._mesh.close()


LONGEST_STEP_S = 0.25
"""What the time between two frames counts for at most when a face is waited for."""


@dataclass(slots=True)
class _Track:
    face_id: int
    centre: Float32
    size: float
    last_seen: float
    """In seconds watched."""


class FaceTracker:
    """Gives faces ids that stay. A face belongs to the track whose last place is nearest, if that is within
    ``reach`` face widths and the track was seen in the last ``patience`` seconds; otherwise it is a new face
    with a new id. Time without frames (a pause, another model is loaded) hardly counts: nobody left in it that
    anybody saw leave."""

    def __init__(self, *, reach: float = 0.7, patience: float = 1.0) -> None:
        self._reach, self._patience = reach, patience
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._last = self._watched = 0.0
        """Timestamp of the last frame, and the seconds watched until then."""

    def assign(self, boxes: Float32, timestamp: float) -> list[int]:
        """boxes: (n, 4) x0, y0, x1, y1 of every frame, n may be 0 -> n ids. Nearest pairs are matched first; no id is
        given twice in a frame."""
        self._watched += min(max(timestamp - self._last, 0.0), LONGEST_STEP_S)
        self._last, now = timestamp, self._watched
        self._tracks = [t for t in self._tracks if now - t.last_seen <= self._patience]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        sizes = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)
        pairs = sorted(
            (float(np.linalg.norm(centres[i] - track.centre)) / max(float(sizes[i]), track.size), i, k)
            for i in range(len(boxes))
            for k, track in enumerate(self._tracks)
        )
        ids: dict[int, int] = {}
        taken: set[int] = set()
        for distance, i, k in pairs:
            if distance > self._reach or i in ids or k in taken:
                continue
            track = self._tracks[k]
            track.centre, track.size, track.last_seen = centres[i], float(sizes[i]), now
            ids[i] = track.face_id
            taken.add(k)
        for i in range(len(boxes)):
            if i not in ids:
                self._tracks.append(_Track(self._next_id, centres[i], float(sizes[i]), now))
                ids[i] = self._next_id
                self._next_id += 1
        return [ids[i] for i in range(len(boxes))]

    def forget(self, *, new_ids: bool = False) -> None:
        """Start anew with a new source; ids go on, unless ``new_ids`` begins at 0 again."""
        self._tracks.clear()
        if new_ids:
            self._next_id = 0


class Observer:
    """FramePacket -> observations, largest face first. ``tracking`` False: every picture by itself, ids from 0 in
    each."""

    def __init__(self, max_faces: int = 1, *, tracking: bool = True) -> None:
        self._mesh = FaceMesh(max_faces, tracking=tracking)
        self._far = _FarFaces(max_faces)
        self._max_faces, self._tracking = max_faces, tracking
        self.tracker = FaceTracker()
        """Another observer of the same source may go on with it."""
        self._used = False

    def __call__(self, packet: FramePacket) -> tuple[FaceObservation, ...]:
        self._used = True
        if not self._tracking:
            self._far.reset()
        near = self._near(packet.image)
        if len(_besides(self._far.followed, near)) < len(near):  # handed over: a first look is rougher than a followed
            near = self._near(packet.image)
        faces = [*near, *self._far(packet.image, packet.timestamp, near)]
        faces.sort(key=_extent, reverse=True)
        boxes = np.array([box_of(face) for face in faces], np.float32).reshape(-1, 4)
        ids = self.tracker.assign(boxes, packet.timestamp) if self._tracking else list(range(len(faces)))
        height, width = packet.image.shape[:2]
        observations = []
        for face, box, face_id in zip(faces, boxes, ids, strict=True):
            pose = head_pose(face, width, height)
            observations.append(
                FaceObservation(
                    face_id=face_id,
                    landmarks=face,
                    box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
                    pose=pose,
                    confidence=confidence_of(face, pose, width, height),
                )
            )
        return tuple(observations)

    def _near(self, image: UInt8) -> list[Float32]:
        return [face for face in self._mesh(image) if _extent(face) > 1.0]

    def reset(self, *, new_ids: bool = False) -> None:
        """Forget the followed faces, in MediaPipe too: results depend only on the frames after this call."""
        self.tracker.forget(new_ids=new_ids)
        if not self._used or not self._tracking:
            return
        self._used = False
        self._far.reset()
        self._mesh.close()
        self._mesh = FaceMesh(self._max_faces, tracking=self._tracking)

    def close(self) -> None:
        self._mesh.close()
        self._far.close()


def _besides(known: list[Float32], faces: list[Float32]) -> list[Float32]:
    """``faces`` that are neither known nor found twice: the middle of the box lies in no other one's."""
    boxes, others = [box_of(face) for face in known], []
    for face in faces:
        x0, y0, x1, y1 = box_of(face)
        x, y = (x0 + x1) / 2, (y0 + y1) / 2
        if min(x1 - x0, y1 - y0) > 1.0 and not any(a < x < c and b < y < d for a, b, c, d in boxes):
            boxes.append((x0, y0, x1, y1))
            others.append(face)
    return others


def _extent(landmarks: Float32) -> float:
    x0, y0, x1, y1 = box_of(landmarks)
    return math.sqrt((x1 - x0) * (y1 - y0))


def box_of(landmarks: Float32) -> tuple[float, float, float, float]:
    """Hull of the landmarks: x0, y0, x1, y1 in pixels."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def confidence_of(landmarks: Float32, pose: HeadPose, width: int, height: int) -> float:
    """0-1: share of landmarks inside the frame times cos(yaw) cos(pitch). FaceMesh gives no score of its own;
    this one says how much of the face can be seen, and from how far aside."""
    inside = (landmarks[:, :2] >= 0) & (landmarks[:, :2] <= (width - 1, height - 1))
    pitch, yaw, _ = pose.rotation_rad
    return float(inside.all(axis=1).mean() * max(0.0, np.cos(yaw)) * max(0.0, np.cos(pitch)))
