"""A rig's motion on a photographed face.

A resting head of a rig is laid over the photo's face: a similarity of the 51 inner landmarks in space, then a
thin-plate map in the picture. What its skin does when it moves is turned and scaled likewise, and the picture is drawn
along.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.face.similarity import fit_similarity
from rtatl_core.handoffs import Float32, Float64, UInt8
from rtatl_core.synthetic.rig import LANDMARKS, Action, Head, Material, neutral_action
from rtatl_core.synthetic.surface import Surface

_INNER = slice(17, LANDMARKS)
"""Of the 68 points; the jaw line is a matter of view."""
_MESH_POINTS = (
    *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
"""Face Mesh's points for these."""
_TO_MESH = np.diag([1.0, -1.0, -1.0])
"""Head space (y up, z towards the camera) -> Face Mesh's axes."""
_MOST_POINTS = 2000
_FACING = 0.15
"""Cosine between skin and view under which skin is seen too flat to lead the picture."""
_STEP = 3
"""Pixels between the places at which the motion is found."""
_SOFT_CM, _FADE_CM = 0.08, 0.5
"""Over how much of a face motions are smoothed, and how far from its edge they end."""


class Motion:
    """How the skin of one head moves."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._rest = head.vertices(neutral_action())
        mesh = head.mesh
        skin = (mesh.material == Material.SKIN) & np.isfinite(mesh.face_uv[:, 0])
        self._skin = np.flatnonzero(skin)
        self._normals = Surface(mesh, self._rest).normals(self._rest)[self._skin]

    def on(self, landmarks: Float32) -> Laid:
        """landmarks: (478, 3) pixels, as Face Mesh finds them."""
        from scipy.interpolate import RBFInterpolator

        marks = landmarks[list(_MESH_POINTS)].astype(np.float64)
        own = self._rest[self._head.mesh.landmarks[_INNER]] @ _TO_MESH
        scale, turn, shift = fit_similarity(own, marks)
        to_picture = _TO_MESH @ (scale * turn.T)
        seen = self._rest[self._skin] @ to_picture + shift
        facing = np.flatnonzero((self._normals @ _TO_MESH @ turn.T)[:, 2] < -_FACING)
        facing = facing[:: max(1, len(facing) // _MOST_POINTS)]
        rough = (own @ (scale * turn.T) + shift)[:, :2]
        fit = RBFInterpolator(rough, marks[:, :2] - rough, kernel="thin_plate_spline", smoothing=1.0)
        places = seen[facing, :2]
        return Laid(self, self._skin[facing], places + fit(places), to_picture[:, :2], float(scale))

    def of(self, action: Action, vertices: NDArray[np.int64]) -> Float64:
        """(len(vertices), 3) cm from rest."""
        moved: Float64 = (self._head.vertices(action)[vertices] - self._rest[vertices]).astype(np.float64)
        return moved


@dataclass(frozen=True, slots=True)
class Laid:
    """A head's motion laid over a face in a picture."""

    motion: Motion
    vertices: NDArray[np.int64]
    """(n,) those of the skin that is seen."""
    places: Float64
    """(n, 2) where they lie, pixels."""
    to_picture: Float64
    """(3, 2) centimetres of head space -> pixels."""
    scale: float
    """Pixels in a centimetre."""

    def move(self, image: UInt8, action: Action) -> Moved:
        """The picture (h, w, 3) with that action added; what leaves it is made up by its edge."""
        from scipy.interpolate import LinearNDInterpolator

        height, width = image.shape[:2]
        shift = self.motion.of(action, self.vertices) @ self.to_picture
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        coarse = rows[::_STEP, ::_STEP], columns[::_STEP, ::_STEP]
        found = LinearNDInterpolator(self.places + shift, -shift)(coarse[1], coarse[0]).astype(np.float32)
        known = np.isfinite(found[..., :1])
        back = self._softened(np.where(known, found, np.float32(0)), known)
        fine = (columns / _STEP, rows / _STEP)
        back = cv2.remap(back, *fine, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = cv2.remap(known.astype(np.uint8), *fine, cv2.INTER_NEAREST)[..., None] > 0
        drawn = cv2.remap(
            image, columns + back[..., 0], rows + back[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return Moved(drawn.astype(np.uint8), np.where(seen, back, np.nan).astype(np.float32))

    def _softened(self, back: Float32, known: NDArray[np.bool_]) -> Float32:
        """back (h, w, 2) with what is unknown (h, w, 1) fading out from the edge of what is known."""
        fade = self.scale * _FADE_CM / 2 / _STEP
        share = cv2.GaussianBlur(known.astype(np.float32), (0, 0), fade)[..., None]
        near = cv2.GaussianBlur(back, (0, 0), fade) / np.maximum(share, 1e-3) * np.minimum(1, 2 * share)
        soft = cv2.GaussianBlur(np.where(known, back, near), (0, 0), max(0.6, self.scale * _SOFT_CM / 2 / _STEP))
        return np.asarray(soft, np.float32)


@dataclass(frozen=True, slots=True)
class Moved:
    image: UInt8
    """(h, w, 3)."""
    back: Float32
    """(h, w, 2) pixels from where a thing is to where it was before the motion; NaN off the face."""
