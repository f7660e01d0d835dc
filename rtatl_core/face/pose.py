"""Head pose in millimetres and radians from landmarks and an assumed camera.

The camera is a pinhole with the focal length of a common webcam (``focal = max(width, height)``, about 53
degrees of horizontal view) and its centre in the middle of the picture; distances are therefore right up to
the factor by which the true focal length differs, and up to the size of the head against an average one.
Angles hardly depend on either.
"""

from __future__ import annotations

import cv2
import numpy as np

from rtatl_core.face.mesh import RIGID, mean_face
from rtatl_core.handoffs import Float32, Float64, HeadPose


def camera_matrix(width: int, height: int) -> Float64:
    """(3, 3) pinhole camera assumed for a picture of that size, in pixels."""
    focal = float(max(width, height))
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], np.float64)


def head_pose(landmarks: Float32, width: int, height: int) -> HeadPose:
    """Pose of the mean face that projects best onto the rigid landmarks ((478, 3) pixels).

    The points lie nearly in a plane, so a head seen from behind can project almost as well, and on a face or two of a
    thousand SQPnP settles on it. Such a face is solved again by EPnP and least squares of the projection.

    Raises ValueError when no pose can be found (coinciding points).
    """
    rigid = list(RIGID)
    model = mean_face()[rigid].astype(np.float64)
    image = landmarks[rigid, :2].astype(np.float64)
    camera = camera_matrix(width, height)
    try:
        _, rotation, translation = cv2.solvePnP(model, image, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    except cv2.error as error:
        raise ValueError("no head pose fits these landmarks") from error
    matrix, _ = cv2.Rodrigues(rotation)
    if matrix[2, 2] <= 0:
        _, rotation, translation = cv2.solvePnP(model, image, camera, None, flags=cv2.SOLVEPNP_EPNP)
        rotation, translation = cv2.solvePnPRefineLM(model, image, camera, None, rotation, translation)
        matrix, _ = cv2.Rodrigues(rotation)
    return HeadPose(translation_mm=translation.reshape(3), rotation_rad=euler_from_matrix(matrix))


def matrix_from_euler(rotation_rad: Float64) -> Float64:
    """(3,) Rx, Ry, Rz in radians -> (3, 3) rotation Rx @ Ry @ Rz."""
    cx, cy, cz = np.cos(rotation_rad)
    sx, sy, sz = np.sin(rotation_rad)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    product: Float64 = about_x @ about_y @ about_z
    return product


def euler_from_matrix(matrix: Float64) -> Float64:
    """Inverse of ``matrix_from_euler`` for |Ry| < 90 degrees."""
    return np.array(
        [
            np.arctan2(-matrix[1, 2], matrix[2, 2]),
            np.arcsin(np.clip(matrix[0, 2], -1.0, 1.0)),
            np.arctan2(-matrix[0, 1], matrix[0, 0]),
        ],
        np.float64,
    )
