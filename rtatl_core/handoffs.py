"""What one stage hands to the next. Read this file first.

    source -> FramePacket -> [observe] -> FaceObservation -> [align] -> AlignedFace -> [predict] -> AUPrediction
           -> [temporal] -> AUResult -> AnalysedFrame -> view | history | recorder

Conventions, everywhere:

* Images are ``uint8`` arrays of shape (height, width, 3). Camera frames are BGR (as OpenCV reads them), chips are
  RGB (as the network reads them).
* Image coordinates are pixels, x to the right, y down, (0, 0) the centre of the first pixel. "Left" and "right" in
  names are the *subject's*, so the subject's right eye is at small x in an unmirrored picture.
* Camera coordinates are millimetres, x right, y down, z away from the camera (right-handed).
* Times are seconds. ``captured_at`` is on the monotonic clock of ``time.perf_counter``; ``timestamp`` starts at 0
  with the source's first frame.
* AU intensities are on 0-5 (FACS: 1 = A trace ... 5 = E maximum), occurrences are probabilities 0-1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
UInt8 = NDArray[np.uint8]

LANDMARKS = 478
"""Points of MediaPipe's face mesh with refined irises; the first 468 are the mesh."""
CHIP_SIDE = 144
"""Pixels of a chip's side where nothing else is asked for. The trunk of Face Mesh then sees faces as large as Face Mesh
does, which has 192 pixels for one and a half times the face's extent; a chip shows one and an eighth."""

OF_PHOTOS: Mapping[str, Any] = {"smoothing_s": 0.0, "personal": False, "tracking": False}
"""What session.json says of photos, whatever the engine is set to: each is looked at by itself."""


@dataclass(frozen=True, slots=True)
class FramePacket:
    """One captured frame, stamped once, at the read."""

    image: UInt8
    """(height, width, 3) BGR."""
    number: int
    """1 for the first frame the source captured; counts captured frames, so a dropped one leaves a gap."""
    timestamp: float
    """Seconds since the source's first frame: the capture clock of a camera, the media time of a file; NaN of a photo,
    which has none (0 in the window, which plays it as a video of one frame)."""
    captured_at: float
    """``time.perf_counter()`` at the moment the frame was available to the program."""
    lost: tuple[tuple[int, float], ...] = ()
    """(number, timestamp) of a file's frames just before this one that could not be decoded, oldest first."""
    still: bool = False
    """A photo: nothing is known of the people on it but this picture, so they are read as strangers."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"a frame is uint8 (height, width, 3), not {self.image.dtype} {self.image.shape}")
        if self.number < 1:
            raise ValueError("frame numbers start at 1")


@dataclass(frozen=True, slots=True)
class HeadPose:
    """Where the head is and where it points, from the landmarks and an assumed camera (see face/pose.py)."""

    translation_mm: Float64
    """(3,) midpoint between the eyes, in camera coordinates."""
    rotation_rad: Float64
    """(3,) Rx pitch (+ looks down), Ry yaw (+ turns to the subject's right, the left of the unmirrored
    picture), Rz roll (+ tilts clockwise as seen in the picture); R = Rx @ Ry @ Rz, as OpenFace defines
    pose_Rx, pose_Ry, pose_Rz."""


@dataclass(frozen=True, slots=True)
class FaceObservation:
    """One face as seen in one frame."""

    face_id: int
    """Stable while the face is followed; 0 for the first face, never reused within a session."""
    landmarks: Float32
    """(478, 3) pixels; z on the scale of x, smaller is nearer to the camera."""
    box: tuple[float, float, float, float]
    """x0, y0, x1, y1 in pixels: the hull of the landmarks, may reach outside the frame."""
    pose: HeadPose
    confidence: float
    """0-1: share of landmarks inside the frame times cos(yaw) cos(pitch), so a turned or cut-off face scores
    low."""

    def __post_init__(self) -> None:
        if self.landmarks.shape != (LANDMARKS, 3):
            raise ValueError(f"landmarks are ({LANDMARKS}, 3), not {self.landmarks.shape}")


@dataclass(frozen=True, slots=True)
class AlignedFace:
    """The network's view of a face."""

    chip: UInt8
    """(S, S, 3) RGB, S = the chip side of the model."""
    matrix: Float64
    """(2, 3) similarity: image pixels -> chip pixels."""
    landmarks: Float32
    """(478, 2) landmarks in the chip, as fractions of its side."""
    geometry: Float32
    """(468, 3) landmarks turned to the front by a 3D similarity and given as offset from the mean face, in
    units of its outer eye corner distance; head pose, position and size are removed."""


@dataclass(frozen=True, slots=True)
class RecoveredPatches:
    """AU regions that were erased from the chip and painted back by the network from what was left of the face."""

    aus: tuple[int, ...]
    """The k AUs that lost their regions."""
    pixels: UInt8
    """(k, 2, side, side, 3) RGB."""
    centres: Float32
    """(k, 2, 2) middle of each region, x then y, fractions of the chip's side; regions in the order of
    ``AnalysedFace.regions``."""
    window: float
    """Side of a region as a fraction of the chip's side; its pixels fill it from edge to edge."""

    def __post_init__(self) -> None:
        k, side = len(self.aus), self.pixels.shape[2]
        if self.pixels.shape != (k, 2, side, side, 3) or self.pixels.dtype != np.uint8:
            raise ValueError(f"patches are uint8 ({k}, 2, side, side, 3), not {self.pixels.dtype} {self.pixels.shape}")
        if self.centres.shape != (k, 2, 2):
            raise ValueError(f"centres are ({k}, 2, 2), not {self.centres.shape}")


@dataclass(frozen=True, slots=True)
class AUPrediction:
    """What the network says about one chip, untouched by time."""

    intensity: Float32
    """(n_aus,) on 0-5, in the order of the model's ``aus``."""
    occurrence: Float32
    """(n_aus,) probability 0-1 that the AU is present at all."""
    flow: Float32 | None = None
    """(h, w, 2) motion told from this single chip, in fractions of the chip's side, +x right, +y down in the chip: how
    the face has moved from rest to here, or how it will move within the model's flow gap (``NetworkConfig.flow_to``).
    None unless asked for, and if the model has no flow decoder."""
    patches: RecoveredPatches | None = None
    """None unless asked for, and if the model has no inpainting decoder."""
    sides: Float32 | None = None
    """(n_aus, 2) intensity 0-5 of the subject's left and right; None if the model does not tell them."""


@dataclass(frozen=True, slots=True)
class AUResult:
    """What is shown and written for one face in one frame."""

    intensity: Float32
    """(n_aus,) 0-5 after smoothing."""
    raw_intensity: Float32
    """(n_aus,) 0-5 as the network gave it."""
    occurrence: Float32
    """(n_aus,) probability 0-1."""
    sides: Float32 | None = None
    """(n_aus, 2) intensity 0-5 of the subject's left and right after smoothing; None if the model does not tell
    them."""


@dataclass(frozen=True, slots=True)
class AnalysedFace:
    """One face with everything known about it in this frame."""

    observation: FaceObservation
    aligned: AlignedFace
    regions: Float32
    """(n_aus, 2, 2) centre of each AU's two regions in image pixels, x then y: subject's right and left, or
    upper and lower lip for AUs of the midline."""
    region_radius: float
    """Half the side of a region in image pixels."""
    prediction: AUPrediction
    result: AUResult
    rest: Float32 | None = None
    """(n_aus,) what this person was said to read at rest, on 0-5 as of a stranger, less than 0 where that is less than
    strangers do; the intensities count from there. None: nobody said."""
    rest_difference: Float32 | None = None
    """(n_aus,) by how much more the left was said to read than the right, on the scale of ``rest``; the difference of
    the sides counts from there. None, too, if the model does not tell them."""


@dataclass(frozen=True, slots=True)
class ObservedFrame:
    """A frame between the two halves of the engine."""

    packet: FramePacket
    observations: tuple[FaceObservation, ...]
    """Largest face first."""
    stage_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class AnalysedFrame:
    """A frame together with its own results, so an overlay is never painted on another picture."""

    packet: FramePacket
    faces: tuple[AnalysedFace, ...]
    """Largest face first; empty when no face was found."""
    aus: tuple[int, ...]
    """AU numbers, the order of every (n_aus, ...) array."""
    dropped: tuple[tuple[int, float], ...] = ()
    """(number, timestamp) of captured frames that were given up or lost before this one, oldest first."""
    stage_ms: Mapping[str, float] = field(default_factory=dict)
    """Milliseconds spent in each stage of the engine for this frame."""
