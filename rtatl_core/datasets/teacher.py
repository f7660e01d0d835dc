"""MediaPipe's 52 blendshapes as a reference on unlabelled real faces: for choosing checkpoints, for reports, and, for
the AUs where they are informative, as weak labels (tasks/weak_teacher.py). They are computed from landmarks, so they
agree with landmarks; cheekSquint and noseSneer are near constant and are not used.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import RecipeError
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32, UInt8

TEACHER_SHAPES: dict[int, tuple[str, ...]] = {
    1: ("browInnerUp",),
    2: ("browOuterUpLeft", "browOuterUpRight"),
    4: ("browDownLeft", "browDownRight"),
    5: ("eyeWideLeft", "eyeWideRight"),
    7: ("eyeSquintLeft", "eyeSquintRight"),
    10: ("mouthUpperUpLeft", "mouthUpperUpRight"),
    12: ("mouthSmileLeft", "mouthSmileRight"),
    15: ("mouthFrownLeft", "mouthFrownRight"),
    16: ("mouthLowerDownLeft", "mouthLowerDownRight"),
    17: ("mouthShrugLower",),
    18: ("mouthPucker",),
    20: ("mouthStretchLeft", "mouthStretchRight"),
    22: ("mouthFunnel",),
    25: ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight"),
    26: ("jawOpen",),
    27: ("jawOpen",),
    28: ("mouthRollLower", "mouthRollUpper"),
    43: ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""AU -> blendshapes whose mean is its stand-in."""
_COLUMN = {au: column for column, au in enumerate(TEACHER_SHAPES)}
"""AU -> place of its stand-in."""


class Teacher:
    """Face Landmarker with blendshapes from a ``face_landmarker.task`` file (Google, Apache-2.0; not
    shipped)."""

    def __init__(self, task_file: Path) -> None:
        if not task_file.is_file():
            raise RecipeError(
                f"{task_file} is missing; download face_landmarker.task from MediaPipe's page of the Face Landmarker "
                "(docs/training.md), or leave --teacher out"
            )
        from mediapipe import Image, ImageFormat
        from mediapipe.tasks.python import BaseOptions
        from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

        self._image, self._format = Image, ImageFormat.SRGB
        wanted = FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(task_file)), output_face_blendshapes=True
        )
        try:
            self._landmarker = FaceLandmarker.create_from_options(wanted)
        except RuntimeError as error:
            raise RecipeError(
                f"{task_file} is no task file of MediaPipe; name its face_landmarker.task with blendshapes"
            ) from error

    def __call__(self, image: UInt8) -> Float32:
        """BGR image -> (n,) stand-ins in the order of ``TEACHER_SHAPES``, 0-1; NaN when no face is found."""
        rgb = np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        result = self._landmarker.detect(self._image(image_format=self._format, data=rgb))
        if not result.face_blendshapes:
            return np.full(len(TEACHER_SHAPES), np.nan, np.float32)
        scores = {shape.category_name: shape.score for shape in result.face_blendshapes[0]}
        return np.array([np.mean([scores[s] for s in shapes]) for shapes in TEACHER_SHAPES.values()], np.float32)

    def __enter__(self) -> Teacher:
        return self

    def __exit__(self, *_: object) -> None:
        self._landmarker.close()


AT_REST = {1: 0.3, 2: 0.55, 4: 0.3, 10: 0.05, 12: 0.1, 15: 0.1, 18: 0.3, 25: 0.02, 26: 0.03, 43: 0.35}
"""AU -> the stand-in's value up to which the AU is taken to be at rest."""
CLEAR = {1: 0.6, 2: 0.75, 5: 0.12, 10: 0.5, 12: 0.7, 17: 0.45, 18: 0.9, 20: 0.25, 26: 0.35, 27: 0.6, 43: 0.55}
"""AU -> the lowest value of its stand-in at which the AU is clearly shown."""
SMILING = 0.3
"""Lowest value of AU12's stand-in at which a smile bares teeth, narrows eyes and widens the mouth."""
HIDDEN_BY_SMILES = frozenset({7, 10, 20})
"""AUs whose stand-ins a smile raises by itself."""
EXCLUDED_BY_SMILES = frozenset({9, 15, 18, 22})
"""AUs that a smiling face is taken not to show."""
_UPPER = frozenset({1, 2, 4, 5, 43})
"""AUs of brows and lids."""


def at_rest(values: Float32, au: int | None = None) -> NDArray[np.bool_]:
    """(N, n) stand-ins -> (N,) faces at rest; with an AU: at rest where that AU shows, brows and lids for those of
    brows and lids, the whole face for the others."""
    watched = [other for other in AT_REST if other in _UPPER or au not in _UPPER]
    calm: NDArray[np.bool_] = np.all([values[:, _COLUMN[other]] <= AT_REST[other] for other in watched], axis=0)
    return calm


def stand_in(values: Float32, au: int) -> Float32:
    """(N, n) stand-ins -> (N,) that of one AU; NaN on faces where a smile hides it."""
    own = values[:, _COLUMN[au]]
    if au in HIDDEN_BY_SMILES:
        own = np.where(values[:, _COLUMN[12]] < SMILING, own, np.float32(np.nan))
    return own


def clearly_shown(values: Float32, au: int) -> NDArray[np.bool_]:
    """(N, n) stand-ins -> (N,) faces that clearly show an AU of ``CLEAR``."""
    shown: NDArray[np.bool_] = stand_in(values, au) >= CLEAR[au]
    return shown


WEAK_LABELS: dict[int, tuple[float, float]] = {
    1: (0.30, 0.75),
    2: (0.55, 0.85),
    5: (0.02, 0.35),
    7: (0.35, 0.80),
    10: (0.05, 0.65),
    12: (0.10, 0.85),
    17: (0.05, 0.60),
    18: (0.30, 0.95),
    20: (0.03, 0.35),
    22: (0.02, 0.40),
    26: (0.03, 0.42),
    27: (0.25, 0.70),
    43: (0.35, 0.65),
}
"""AU -> the stand-in's highest value at rest, and that at FACS 5. Read off renders, where both are known, and off
photographs: people at rest differ, and what is within their range must not be taught as an AU. The other stand-ins
hardly follow their AU."""
assert all(WEAK_LABELS[au][0] >= AT_REST[au] for au in WEAK_LABELS.keys() & AT_REST.keys())


def as_intensity(values: Float32, aus: tuple[int, ...]) -> Float32:
    """(n,) stand-ins -> (n_aus,) intensity on 0-1 as a weak label; NaN where the teacher does not know. A face that is
    at rest by all it knows shows nothing, not even the AUs that it does not know; one that smiles shows none of
    ``EXCLUDED_BY_SMILES``."""
    calm = bool(at_rest(values[None])[0])
    result = np.full(len(aus), 0.0 if calm else np.nan, np.float32)
    smiling = values[_COLUMN[12]] >= SMILING
    for row, au in enumerate(aus):
        if smiling and au in EXCLUDED_BY_SMILES:
            result[row] = 0.0
        elif au in WEAK_LABELS and np.isfinite(value := stand_in(values[None], au)[0]):
            rest, full = WEAK_LABELS[au]
            result[row] = np.clip((value - rest) / (full - rest), 0, 1)
    return result


def weak_labels(stand_ins: Float32 | None, rated: Float32 | None, aus: tuple[int, ...]) -> Float32:
    """stand_ins (n,) of a face and rated (n_aus,) on 0-5, where there are any -> (n_aus,) weak labels on 0-1.

    Raters go first. Where they cannot tell, the AU's own stand-in speaks, but not the calm of the whole face: a brow
    that may be low by nature is no proof of absence.
    """
    by_shapes = np.full(len(aus), np.nan, np.float32) if stand_ins is None else as_intensity(stand_ins, aus)
    if rated is None or not np.isfinite(rated).any():
        return by_shapes
    taught = np.isin(aus, list(WEAK_LABELS))
    labels: Float32 = np.where(np.isnan(rated) & taught, by_shapes, rated / np.float32(MAX_INTENSITY))
    return labels
