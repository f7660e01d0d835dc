"""The one alignment: landmarks -> similarity -> chip. Training, analysis and tests all go through
``align_face``.

The eye corners and the nose are carried onto fixed places of the chip; mouth and brows are not used, because
they are what moves. At ``UNIT`` the outer eye corners are 48 % of the chip's side apart and stand at 36 % of
its height.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtatl_core.face.mesh import MESH_POINTS, OUTER_EYE_MM, RIGID, mean_face
from rtatl_core.face.similarity import fit_similarity
from rtatl_core.handoffs import CHIP_SIDE, AlignedFace, Float32, Float64, UInt8

ANCHORS = (33, 133, 362, 263, 168, 1, 2)
_ANCHOR_PLACES = np.array(  # cm on an average face, origin between the eyes, x right, y down
    [(-4.45, 0.0), (-1.85, 0.15), (1.85, 0.15), (4.45, 0.0), (0.0, 0.05), (0.0, 4.0), (0.0, 4.9)], np.float64
)
UNIT = 0.054
"""Chip side per centimetre of an average face."""
EYE_LINE = 0.36
"""Height of the eyes in the chip, as a fraction of its side."""


@dataclass(frozen=True, slots=True)
class ChipLayout:
    """How large a chip is cut. ``margin`` pixels of further surroundings are added on each side for
    augmentation; without it the chip is exactly the central part of the chip with it."""

    side: int = CHIP_SIDE
    margin: int = 0

    @classmethod
    def with_room(cls, side: int) -> ChipLayout:
        """As chips are kept for training."""
        return cls(side, side // 7)

    @property
    def canvas(self) -> int:
        return self.side + 2 * self.margin

    def places(self) -> Float64:
        """(7, 2) where the anchors go, in canvas pixels."""
        fraction = np.array([0.5, EYE_LINE]) + _ANCHOR_PLACES * UNIT
        places: Float64 = fraction * self.side + self.margin
        return places


def align_face(image: UInt8, landmarks: Float32, layout: ChipLayout) -> AlignedFace:
    """Cut the chip of one face.

    image: (h, w, 3) uint8 BGR. landmarks: (478, 3) pixels. Raises ValueError when
    the landmarks coincide. Pixels outside the image repeat its border.
    """
    points = landmarks[list(ANCHORS), :2].astype(np.float64)
    scale, rotation, shift = fit_similarity(points, layout.places())
    matrix: Float64 = np.concatenate([scale * rotation, shift[:, None]], axis=1)
    chip = _warp(image, matrix, scale, layout.canvas)
    chip = cv2.cvtColor(chip, cv2.COLOR_BGR2RGB)
    in_chip = (landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2] - layout.margin) / layout.side
    return AlignedFace(
        chip=chip, matrix=matrix, landmarks=in_chip.astype(np.float32), geometry=frontal_geometry(landmarks)
    )


def to_image(points: Float32 | Float64, matrix: Float64) -> Float32:
    """(..., 2) chip pixels -> image pixels: the way back of ``AlignedFace.matrix``."""
    inverse = cv2.invertAffineTransform(matrix)
    image: Float32 = (points @ inverse[:, :2].T + inverse[:, 2]).astype(np.float32)
    return image


def _warp(image: UInt8, matrix: Float64, scale: float, side: int) -> UInt8:
    """Warp with enough blur beforehand that shrinking does not alias. The face is cut out first, so that a 4K
    frame costs no more than a small one."""
    if scale < 0.5:
        inverse = cv2.invertAffineTransform(matrix)
        corners = np.array([(0, 0), (side, 0), (0, side), (side, side)], np.float64) @ inverse[:, :2].T + inverse[:, 2]
        sigma = 0.35 / scale
        x0, y0 = np.floor(corners.min(axis=0) - 3 * sigma).astype(int)
        x1, y1 = np.ceil(corners.max(axis=0) + 3 * sigma).astype(int) + 1
        height, width = image.shape[:2]
        x0, x1 = max(0, min(x0, width - 1)), max(1, min(x1, width))
        y0, y1 = max(0, min(y0, height - 1)), max(1, min(y1, height))
        image = image[y0:y1, x0:x1]
        matrix = matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ np.array([x0, y0], np.float64)
        if scale < 0.25:  # of a 4K frame: averaging whole blocks first is ten times faster than a wide blur
            image, matrix = _averaged(image, matrix, int(0.5 / scale))
            sigma /= int(0.5 / scale)
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    warped: UInt8 = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return warped


def _averaged(image: UInt8, matrix: Float64, block: int) -> tuple[UInt8, Float64]:
    """Blocks of that many pixels a side become one; the matrix is the one that then leads to the same chip."""
    height, width = (max(1, side // block) for side in image.shape[:2])
    smaller: UInt8 = cv2.resize(image[: height * block, : width * block], (width, height), interpolation=cv2.INTER_AREA)
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ np.full(2, (block - 1) / 2)  # the centre of the first block
    matrix[:, :2] *= block
    return smaller, matrix


def frontal_geometry(landmarks: Float32) -> Float32:
    """(478, 3) landmarks in pixels -> (468, 3) offset from the mean face after the head was turned to the
    front, in units of the mean face's outer eye corner distance. Position, size and rotation of the head are
    removed by a similarity fitted to the points that expressions hardly move."""
    mean = mean_face()
    rigid = list(RIGID)
    mesh = landmarks[:MESH_POINTS].astype(np.float64)
    scale, rotation, shift = fit_similarity(mesh[rigid], mean[rigid].astype(np.float64))
    frontal = scale * mesh @ rotation.T + shift
    return ((frontal - mean) / OUTER_EYE_MM).astype(np.float32)
