"""Image -> faces with landmarks, head pose and a stable id.

FaceMesh follows faces from frame to frame by itself but gives them no identity; ``FaceTracker`` adds one by
matching each face with the nearest face of the last seconds. Faces that are too small for FaceMesh are found by
another one (far.py), which is loaded when it is needed first.
"""

from __future__ import annotations

import numpy as np

from rtatl_core.face.far import FarFaces
from rtatl_core.face.find import FaceMesh, besides, box_of, extent
from rtatl_core.face.pose import head_pose
from rtatl_core.face.track import FaceTracker
from rtatl_core.handoffs import FaceObservation, Float32, FramePacket, HeadPose, UInt8


class Observer:
    """FramePacket -> observations, largest face first. ``tracking`` False: every picture by itself, ids from 0 in
    each."""

    def __init__(self, max_faces: int = 1, *, tracking: bool = True) -> None:
        self._mesh = FaceMesh(max_faces, tracking=tracking)
        self._far = FarFaces(max_faces)
        self._tracking = tracking
        self.tracker = FaceTracker()
        """Public, since another observer of the same source may go on with it."""
        self._used = False

    def __call__(self, packet: FramePacket) -> tuple[FaceObservation, ...]:
        self._used = True
        if not self._tracking:
            self._far.reset()
        near = self._near(packet.image)
        followed = self._far.followed
        if followed and len(besides(followed, near)) < len(near):
            near = self._near(packet.image)  # a far face has come near: a second look at it is finer
        faces = [*near, *self._far(packet.image, packet.timestamp, near)]
        faces.sort(key=extent, reverse=True)
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
        return [face for face in self._mesh(image) if extent(face) > 1.0]

    def reset(self, *, new_ids: bool = False) -> None:
        """Forget the followed faces, in MediaPipe too: results depend only on the frames after this call."""
        self.tracker.forget(new_ids=new_ids)
        if not self._used or not self._tracking:
            return
        self._used = False
        self._far.reset()
        self._mesh.forget()

    def close(self) -> None:
        self._mesh.close()
        self._far.close()


def confidence_of(landmarks: Float32, pose: HeadPose, width: int, height: int) -> float:
    """0-1: share of landmarks inside the frame times cos(yaw) cos(pitch). FaceMesh gives no score of its own;
    this one says how much of the face can be seen, and from how far aside."""
    inside = (landmarks[:, :2] >= 0) & (landmarks[:, :2] <= (width - 1, height - 1))
    pitch, yaw, _ = pose.rotation_rad
    return float(inside.all(axis=1).mean() * max(0.0, np.cos(yaw)) * max(0.0, np.cos(pitch)))
