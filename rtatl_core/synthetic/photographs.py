"""Photographs of real people, moved by rendered expressions: labelled faces with real skin.

    photos at rest + (a rendered person's expression - that person at rest) -> warped chips, landmarks, codes

What a render's landmarks moved is added to those of a photograph, turned to its head pose, and the picture between
them is warped along. That gives shapes, not folds of the skin, and no inside of a mouth, so expressions that part the
lips or close the eyes are left out. Where only brows and lids of a photo are at rest, only what moves these is used,
and the codes of all other AUs are unknown. Ours; not of the paper.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import ChipStore, declare_incomplete, is_complete, part_folder, write_meta
from rtatl_core.datasets.parts import Frame, PartWriter, Plan
from rtatl_core.datasets.resting import resting_by_codes
from rtatl_core.datasets.teacher import at_rest
from rtatl_core.errors import InputError, RecipeError
from rtatl_core.face.align import ChipLayout
from rtatl_core.face.mesh import EYE_INNER, MESH_POINTS, OUTER_EYE_MM, mean_face
from rtatl_core.handoffs import AlignedFace, Float32, UInt8
from rtatl_core.progress import progress

OF_A_FACE, OF_BROWS = 60, 25
"""Pictures made of each photo at rest, and of each whose brows and lids alone are."""
_SLACK_FACE, _SLACK_BROWS = 1.35, 1.1
"""How far from usual rest a photo may be (teacher.at_rest)."""
_MOST_YAW = 35.0
_INSIDE_MOUTH, _LIDS = (22, 25, 26, 27, 28), (43,)
"""AUs that uncover or hide what a warped photo cannot show, and from which intensity on they do."""
_LITTLE_OPEN, _LITTLE_CLOSED = 0.4, 1.2
_BROWS = (1, 2, 4, 5)
_ALSO_MOVES_BROWS, _LITTLE = (6, 7, 9, 43), 0.8
_SHOWS = 0.5
_FADE_MM = 6.0
"""Below the eyes the movement of the brows' half fades over this distance."""


@dataclass(frozen=True, slots=True)
class Moved:
    chip: UInt8
    landmarks: Float32
    """As ``ChipStore.landmarks``."""
    geometry: Float32


def move_face(canvas: UInt8, landmarks: Float32, geometry: Float32, movement: Float32, layout: ChipLayout) -> Moved:
    """canvas: (C, C, 3) chip with margin. landmarks: (478, 2) fractions of the chip. geometry: (468, 3). movement:
    (468, 3) what the expression adds to the geometry."""
    from scipy.interpolate import LinearNDInterpolator

    points = landmarks[:MESH_POINTS] * layout.side + layout.margin
    solid = np.c_[mean_face() + geometry * OUTER_EYE_MM, np.ones(MESH_POINTS, np.float32)]
    onto_chip = np.linalg.lstsq(solid, points, rcond=None)[0][:3]  # weak perspective: an affine map of the frontal head
    shift = movement * OUTER_EYE_MM @ onto_chip
    side = layout.canvas
    ticks = np.linspace(0, side - 1, 9)
    border = np.array([(x, y) for x in ticks for y in ticks if {x, y} & {0, side - 1}])
    back = LinearNDInterpolator(np.r_[points + shift, border], np.r_[-shift, np.zeros_like(border)], fill_value=0)
    down, right = np.mgrid[:side, :side].astype(np.float32)
    source = cv2.GaussianBlur(back(right, down).astype(np.float32), (0, 0), 0.8)
    source = source + np.stack([right, down], axis=2)
    chip = cv2.remap(
        np.ascontiguousarray(canvas), source, np.empty(0), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    moved = landmarks.copy()
    moved[:MESH_POINTS] = (points + shift - layout.margin) / layout.side
    return Moved(np.asarray(chip, np.uint8), moved, geometry + movement)


def move_photographs(photos: ChipStore, renders: ChipStore, out: Path, seed: int = 0) -> int:
    """Write a prepared folder of moved photographs, coded like ``renders``. Returns how many.

    Raises InputError when scipy is not installed; RecipeError when the photos have no teacher values, none of them or
    of the rendered people is at rest, no expression can be moved, or ``out`` holds something else.
    """
    if find_spec("scipy") is None:
        raise InputError("moving photographs needs the package scipy; install it with: pip install 'au-desktop[synth]'")
    if photos.teacher is None:
        raise RecipeError(f"{photos.folder} has no teacher values; prepare it with --teacher face_landmarker.task")
    if renders.intensity is None or renders.occurrence is None:
        raise RecipeError(f"{renders.folder} has no codes; name folders of rtatl synth --chips with --renders")
    if out.exists() and not is_complete(out) and any(out.iterdir()) and not part_folder(out, "").is_dir():
        raise RecipeError(f"{out} is not empty and not a prepared folder; name an empty or a new one")
    rng = np.random.default_rng(seed)
    pairs = _pairs(photos, renders, rng)
    if not pairs:
        raise RecipeError(f"no expression of {renders.folder} leaves lips and eyes as they are; take more renders")
    layout = photos.layout
    plan = Plan(
        kind="moved",
        aus=renders.aus,
        occurrence_rule=renders.occurrence_rule,
        side=layout.side,
        margin=layout.margin,
    )
    declare_incomplete(out)
    final = part_folder(out, "photographs")
    unfinished = final.with_name(f"{final.name}.unfinished")
    for stale in (final, unfinished):
        shutil.rmtree(stale, ignore_errors=True)
    with PartWriter(unfinished, plan) as writer:
        faces = _faces(photos, renders, pairs)
        for frame, face, row in progress(faces, desc="moving photographs", unit="face", total=len(pairs)):
            writer.count(frame)
            writer.add_aligned(frame, face, float(photos.yaw[row]), float(photos.pitch[row]))
    os.replace(unfinished, final)
    origin = {**plan.to_json(), "faces": len(pairs)}
    write_meta(out, layout=layout, aus=plan.aus, occurrence_rule=plan.occurrence_rule, origin=origin)
    return len(pairs)


@dataclass(frozen=True, slots=True)
class _Pair:
    photo: int
    render: int
    movement: Float32
    """(468, 3), see ``move_face``."""
    brows_only: bool


def _pairs(photos: ChipStore, renders: ChipStore, rng: np.random.Generator) -> list[_Pair]:
    """Photos with the rows of ``renders`` whose expressions they are given."""
    assert photos.teacher is not None
    turned = np.abs(photos.yaw) > _MOST_YAW
    calm = at_rest(photos.teacher, slack=_SLACK_FACE) & ~turned
    calm_brows = at_rest(photos.teacher, _BROWS[0], slack=_SLACK_BROWS) & ~turned & ~calm
    own = resting_by_codes(renders, np.arange(len(renders)))
    usable = np.isin(renders.subjects, list(own))
    if not calm.any() or not usable.any():
        whose = f"photo of {photos.folder}" if usable.any() else f"rendered person of {renders.folder}"
        raise RecipeError(f"no {whose} is at rest, so there is nothing to move; take more of them")
    shown = _strongest(renders)
    uncovers = _any(shown, renders.aus, _INSIDE_MOUTH, _LITTLE_OPEN) | _any(shown, renders.aus, _LIDS, _LITTLE_CLOSED)
    whole = np.flatnonzero(usable & ~uncovers & (shown >= _SHOWS).any(axis=1))
    mixed = _any(shown, renders.aus, _ALSO_MOVES_BROWS, _LITTLE)
    brows = np.flatnonzero(usable & ~mixed & _any(shown, renders.aus, _BROWS, _SHOWS))
    pairs = []
    for faces, expressions, count, only in ((calm, whole, OF_A_FACE, False), (calm_brows, brows, OF_BROWS, True)):
        for photo in np.flatnonzero(faces) if len(expressions) else ():
            for render in rng.choice(expressions, count):
                movement = renders.geometry[int(render)].astype(np.float32) - own[str(renders.subjects[render])]
                pairs.append(_Pair(int(photo), int(render), movement * _upper_half() if only else movement, only))
    return pairs


def _strongest(renders: ChipStore) -> Float32:
    """(N, n_aus) intensity of the stronger side; unknown = 0."""
    codes = renders.intensity if renders.sides is None else renders.sides.max(axis=2)
    assert codes is not None
    return np.nan_to_num(codes)


def _any(shown: Float32, aus: tuple[int, ...], which: tuple[int, ...], least: float) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (shown[:, [aus.index(au) for au in which if au in aus]] > least).any(axis=1)
    return found


def _upper_half() -> Float32:
    """(468, 1) 1 above the eyes, 0 well below them."""
    height = mean_face()[:, 1]
    eyes = height[list(EYE_INNER)].mean()
    half: Float32 = np.clip((eyes + _FADE_MM - height) / _FADE_MM, 0, 1)[:, None].astype(np.float32)
    return half


def _faces(photos: ChipStore, renders: ChipStore, pairs: list[_Pair]) -> Iterator[tuple[Frame, AlignedFace, int]]:
    assert renders.intensity is not None
    assert renders.occurrence is not None
    unknown = np.array([au not in _BROWS for au in renders.aus])
    for number, pair in enumerate(pairs):
        landmarks, geometry = (rows[pair.photo].astype(np.float32) for rows in (photos.landmarks, photos.geometry))
        moved = move_face(photos.chips[pair.photo], landmarks, geometry, pair.movement, photos.layout)
        codes = [renders.intensity, renders.occurrence, *(() if renders.sides is None else (renders.sides,))]
        told = [values[pair.render].copy() for values in codes]
        for values in told if pair.brows_only else ():
            values[unknown] = np.nan
        sides = told[2] if len(told) > 2 else None
        subject = str(photos.subjects[pair.photo])
        frame = Frame(f"{number}", subject, None, intensity=told[0], occurrence=told[1], sides=sides)
        yield frame, AlignedFace(moved.chip, np.eye(2, 3), moved.landmarks, moved.geometry), pair.photo
