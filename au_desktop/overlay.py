"""AnalysedFrame + chosen layers -> a draw list in image coordinates, so that the video view has nothing to
do but paint.

Enters: one ``AnalysedFrame``, the names of the visible layers, the face that is selected. Leaves: a tuple
of primitives, back to front, whose points are image pixels (x right, y down, unmirrored) and whose colours
are *inks*, names that the theme resolves. No Qt. Widths and text sizes are screen matters and belong to the
painter; where a distance must hold on the screen (labels that may not touch), ``scale`` (screen pixels per
image pixel) converts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtatl_core.face.align import to_image
from rtatl_core.face.mesh import MESH_POINTS, NOSE_TIP
from rtatl_core.face.pose import matrix_from_euler
from rtatl_core.handoffs import AnalysedFace, AnalysedFrame, Float32, Float64, UInt8

Ink = str
"""``face``, ``selected``, ``mesh``, ``flow``, ``axis-x``, ``axis-y``, ``axis-z``, ``au<number>`` or ``label``, the dark
ground of labels."""


@dataclass(frozen=True, slots=True)
class Strokes:
    """Open or closed thin lines of one ink; each array is (n, 2)."""

    lines: tuple[Float32, ...]
    ink: Ink
    width: float = 1.0
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Segments:
    """Separate straight pieces, (n, 4) as x0, y0, x1, y1."""

    ends: Float32
    ink: Ink
    width: float = 1.0
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Dots:
    """Small round points, (n, 2); ``size`` is their diameter on the screen."""

    points: Float32
    ink: Ink
    size: float = 1.5
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Patches:
    """Soft round spots, faintest first."""

    centres: Float32
    """(n, 2)"""
    radius: float
    """In image pixels."""
    inks: tuple[Ink, ...]
    strengths: tuple[float, ...]
    """0-1: how strongly each is tinted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture laid into the image."""

    pixels: UInt8
    """(h, w, 3) RGB."""
    matrix: Float64
    """(2, 3) affine: (0, 0) is the outer corner of its first pixel and (w, h) that of its last -> image pixels."""


@dataclass(frozen=True, slots=True)
class Label:
    """Text that begins at ``at`` (``side`` "right": it runs to larger x of the unmirrored picture, "left":
    to smaller)."""

    at: tuple[float, float]
    text: str
    ink: Ink
    side: Literal["left", "right"] = "right"


Primitive = Strokes | Segments | Dots | Patches | Picture | Label

SAME_AREA = 1.128
"""Radius of the circle that covers as much as a square of half side 1; a circle needs no turning with the face."""
REGION_FLOOR = 0.5
"""Intensity (0-5) below which a region is not tinted: under it everything is noise, and 46 faint patches
are mud."""
LABEL_FLOOR = 0.8
LABELS = 4
SHADE = 0.6
"""Of the dark ground under box and axes, which would be lost before a white wall or on fair skin."""
LABEL_STEP_PX = 26.0
"""Screen pixels between two region labels."""
LABEL_EDGE_PX = 16.0
"""From the middle of a region label to the upper or lower edge of the picture, at least."""
TAG_PX = 108.0
"""Width on the screen of a box's tag, with air."""
TAG_HEIGHT_PX = 22.0
"""Its height, with air."""
TAG_ROOM_PX = 32.0
"""What it takes of the screen between a box and the edge of the picture."""
FLOW_CELLS = 13
FLOW_GAIN = 4.0
"""Arrows are drawn that many times longer than the motion, which is a few percent of the face."""
FLOW_LONGEST = 0.13
"""Arrows are cut at that fraction of the chip's side, so that they stay beside each other."""
FLOW_FLOOR = 0.003
"""Motions below that fraction of the chip's side stay dots."""


def draw_list(
    frame: AnalysedFrame, layers: Collection[str], *, selected: int | None = None, scale: float = 1.0
) -> tuple[Primitive, ...]:
    """What to paint over ``frame.packet.image``, back to front.

    layers: names out of ``settings.LAYERS``. selected: a face id, which need not be in the frame; None: the largest.
    Only the selected face has its regions labelled, so that two faces side by side stay readable; labels lie on top.
    """
    chosen = pick_face(frame, selected)
    drawing: list[Primitive] = []
    labels: list[Primitive] = []
    for face in frame.faces:
        is_chosen = face is chosen
        if "regions" in layers:
            drawing += _regions(face, frame.aus)
        if "recovered" in layers:
            drawing += _recovered(face)
        if "landmarks" in layers:
            drawing += _landmarks(face)
        if "flow" in layers:
            drawing += _flow(face)
        if "pose" in layers:
            drawing += _pose(face)
        if "box" in layers:
            drawing += _box(face, is_chosen, _tag(face, frame, scale), scale)
        if "regions" in layers and is_chosen:
            labels = _region_labels(face, frame.aus, frame.packet.image.shape, scale)
    return (*drawing, *labels)


def pick_face(frame: AnalysedFrame, wanted: int | None) -> AnalysedFace | None:
    """The face of that id, of None the largest; None if it is not in the frame."""
    return next((face for face in frame.faces if wanted in (None, face.observation.face_id)), None)


def face_at(frame: AnalysedFrame, x: float, y: float) -> int | None:
    """Id of the face whose box holds that image point; the smallest box where several do."""
    hits: list[tuple[float, int]] = []
    for face in frame.faces:
        x0, y0, x1, y1 = _padded(face)
        if x0 <= x <= x1 and y0 <= y <= y1:
            hits.append(((x1 - x0) * (y1 - y0), face.observation.face_id))
    return min(hits)[1] if hits else None


# -- box -------------------------------------------------------------------------------------------------


def _padded(face: AnalysedFace) -> tuple[float, float, float, float]:
    """The hull of the landmarks ends at the hair line and the chin; a little air makes it a frame."""
    x0, y0, x1, y1 = face.observation.box
    pad = 0.07 * max(x1 - x0, y1 - y0)
    return x0 - pad, y0 - 1.6 * pad, x1 + pad, y1 + pad


def _tag(face: AnalysedFace, frame: AnalysedFrame, scale: float) -> str:
    """Its name and how sure it is; the bare number where the tag of another face would lie over it."""
    x, y, *_ = _padded(face)
    seen = face.observation
    for other in frame.faces:
        other_x, other_y, *_ = _padded(other)
        if other is not face and abs(x - other_x) * scale < TAG_PX and abs(y - other_y) * scale < TAG_HEIGHT_PX:
            return f"{seen.face_id}"
    return f"Face {seen.face_id}  {seen.confidence:.0%}"


def _box(face: AnalysedFace, chosen: bool, tag: str, scale: float) -> list[Primitive]:
    """Four corners, and a tag above them. Where there is no room above, the tag lies within the box; of a small face it
    would hide much, and lies below."""
    x0, y0, x1, y1 = _padded(face)
    is_below = y0 * scale < TAG_ROOM_PX and (y1 - y0) * scale < 4 * TAG_ROOM_PX
    foot = y1 + TAG_ROOM_PX / scale if is_below else y0
    arm = 0.13 * min(x1 - x0, y1 - y0)
    corners = tuple(
        np.array([(cx + sx * arm, cy), (cx, cy), (cx, cy + sy * arm)], np.float32)
        for cx, sx in ((x0, 1), (x1, -1))
        for cy, sy in ((y0, 1), (y1, -1))
    )
    ink = "selected" if chosen else "face"
    shade = Strokes(corners, "label", width=4.0, opacity=SHADE)
    return [shade, Strokes(corners, ink, width=2.0), Label((x0, foot), tag, ink)]


# -- landmarks -------------------------------------------------------------------------------------------

# Mesh points joined by lines, one line each: the oval's left half as seen from the subject and its right half, eyes,
# brows (closed), lips (outer, inner), the ridge of the nose and its base.
_CONTOURS = """
10 338 297 332 284 251 389 356 454 323 361 288 397 365 379 378 400 377 152
152 148 176 149 150 136 172 58 132 93 234 127 162 21 54 103 67 109 10
33 7 163 144 145 153 154 155 133 173 157 158 159 160 161 246 33
263 249 390 373 374 380 381 382 362 398 384 385 386 387 388 466 263
46 53 52 65 55 107 66 105 63 70 46
276 283 282 295 285 336 296 334 293 300 276
61 146 91 181 84 17 314 405 321 375 291 409 270 269 267 0 37 39 40 185 61
78 95 88 178 87 14 317 402 318 324 308 415 310 311 312 13 82 81 80 191 78
168 6 197 195 5 4
48 64 98 97 2 326 327 294 278
"""
_CONTOUR_INDICES = tuple(np.array(line.split(), int) for line in _CONTOURS.split("\n") if line)
_OVAL = np.concatenate([_CONTOUR_INDICES[0], _CONTOUR_INDICES[1][1:]])
_IRISES = ((468, 469), (473, 474))
"""Centre and one rim point of each iris."""
_CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 17)), np.sin(np.linspace(0, 2 * np.pi, 17))], axis=1)


def _landmarks(face: AnalysedFace) -> list[Primitive]:
    points = face.observation.landmarks[:, :2]
    lines = [points[index] for index in _CONTOUR_INDICES]
    for centre, rim in _IRISES:
        radius = float(np.linalg.norm(points[rim] - points[centre]))
        lines.append((points[centre] + radius * _CIRCLE).astype(np.float32))
    return [
        Dots(points[:MESH_POINTS], "mesh", size=1.0, opacity=0.6),
        Strokes(tuple(lines), "mesh", opacity=0.75),
    ]


# -- regions ---------------------------------------------------------------------------------------------


def _regions(face: AnalysedFace, aus: Sequence[int]) -> list[Primitive]:
    """Weak ones first, so that the strong ones lie on top. Spots as large as the square windows the network pools."""
    intensity = face.result.intensity
    shown = [int(i) for i in np.argsort(intensity) if intensity[i] >= REGION_FLOOR]
    if not shown:
        return []
    return [
        Patches(
            centres=face.regions[shown].reshape(-1, 2),
            radius=face.region_radius * SAME_AREA,
            inks=tuple(f"au{aus[i]}" for i in shown for _side in range(2)),
            strengths=tuple(min(1.0, float(intensity[i]) / 4.0) for i in shown for _side in range(2)),
        )
    ]


def _region_labels(face: AnalysedFace, aus: Sequence[int], shape: tuple[int, ...], scale: float) -> list[Primitive]:
    """The strongest AUs named beside the face, each joined to its region by a thin line, as in an
    anatomical plate."""
    intensity = face.result.intensity
    strongest = [int(i) for i in np.argsort(intensity)[::-1][:LABELS] if intensity[i] >= LABEL_FLOOR]
    if not strongest:
        return []
    height, width = shape[:2]
    x0, _, x1, _ = _padded(face)
    gap = 14.0 / scale
    room = 64.0 / scale
    right = max(x1 + gap, x0 + TAG_PX / scale)  # a face that is far away is narrower than its own tag
    on_right = right + room <= width or x0 - gap - room < 0
    column = right if on_right else x0 - gap
    side: Literal["left", "right"] = "right" if on_right else "left"
    # The region nearest to the column is the one the line goes to.
    anchors = [max(face.regions[i], key=lambda xy: float(xy[0]) * (1 if on_right else -1)) for i in strongest]
    order = sorted(range(len(strongest)), key=lambda k: float(anchors[k][1]))
    edge = LABEL_EDGE_PX / scale
    heights = _spread([float(anchors[k][1]) for k in order], LABEL_STEP_PX / scale, edge, height - edge)
    drawing: list[Primitive] = []
    for k, y in zip(order, heights, strict=True):
        i = strongest[k]
        line = np.array([anchors[k], (column - (gap if on_right else -gap) / 2, y), (column, y)], np.float32)
        ink = f"au{aus[i]}"
        drawing.append(Strokes((line,), ink, width=1.0, opacity=0.9))
        drawing.append(Dots(anchors[k][None], ink, size=4.0))
        drawing.append(Label((column, y), f"AU{aus[i]}  {float(intensity[i]):.1f}", ink, side))
    return drawing


def _spread(heights: list[float], step: float, least: float, most: float) -> list[float]:
    """Ascending heights moved apart until neighbours are at least ``step`` away, their middle kept where it
    was unless one would lie outside ``least`` and ``most``."""
    spread = list(heights)
    for i in range(1, len(spread)):
        spread[i] = max(spread[i], spread[i - 1] + step)
    shift = (sum(spread) - sum(heights)) / len(heights)
    shift = min(max(shift, spread[-1] - most), spread[0] - least)
    return [y - shift for y in spread]


# -- recovered patches -----------------------------------------------------------------------------------


def _recovered(face: AnalysedFace) -> list[Primitive]:
    """What the network painted where regions were erased, in place, each framed in the colour of its AU."""
    patches = face.prediction.patches
    if patches is None:
        return []
    chip_side, matrix = face.aligned.chip.shape[0], face.aligned.matrix
    drawing: list[Primitive] = []
    for au, both, centres in zip(patches.aus, patches.pixels, patches.centres, strict=True):
        frames = []
        for pixels, centre in zip(both, centres, strict=True):
            side = len(pixels)
            # The corners in chip pixels; the half because a fraction counts from the edge, a pixel from its centre.
            low = (centre.astype(np.float64) - patches.window / 2) * chip_side - 0.5
            high = low + patches.window * chip_side
            corners = to_image(np.array([low, (high[0], low[1]), high, (low[0], high[1]), low]), matrix)
            start, right, down = (corners[i].astype(np.float64) for i in (0, 1, 3))
            drawing.append(Picture(pixels, np.stack([(right - start) / side, (down - start) / side, start], axis=1)))
            frames.append(corners)
        drawing.append(Strokes(tuple(frames), f"au{au}"))
    return drawing


# -- flow ------------------------------------------------------------------------------------------------


_TICKS = (np.arange(FLOW_CELLS) + 0.5) / FLOW_CELLS
_FLOW_GRID = np.stack(np.meshgrid(_TICKS, _TICKS), axis=-1).reshape(-1, 2)
"""(n, 2) places in the chip where arrows begin, as fractions of its side."""


def _flow(face: AnalysedFace) -> list[Primitive]:
    """The motion that the network tells from this single picture, carried back from the chip; arrows only inside
    the face."""
    flow = face.prediction.flow
    if flow is None:
        return []
    height, width = flow.shape[:2]
    at = _FLOW_GRID
    motion = flow[(at[:, 1] * height).astype(int), (at[:, 0] * width).astype(int)]
    inside = _inside(at, face.aligned.landmarks[_OVAL])
    at, motion = at[inside], motion[inside]
    length = np.linalg.norm(motion, axis=1)
    chip_side, matrix = face.aligned.chip.shape[0], face.aligned.matrix
    dots = Dots(to_image(at * chip_side, matrix), "flow", size=1.0, opacity=0.8)
    moves = length > FLOW_FLOOR
    at, length = at[moves], length[moves] * FLOW_GAIN
    motion = motion[moves] * (FLOW_GAIN * np.minimum(1.0, FLOW_LONGEST / length))[:, None]
    tip = at + motion
    across = motion[:, ::-1] * (-1, 1)
    pieces = [
        np.hstack([at, tip]),
        np.hstack([tip, tip - 0.3 * motion + 0.15 * across]),
        np.hstack([tip, tip - 0.3 * motion - 0.15 * across]),
    ]
    ends = to_image(np.concatenate(pieces).reshape(-1, 2) * chip_side, matrix).reshape(-1, 4)
    return [dots, Segments(ends, "flow")]


def _inside(points: Float64, polygon: Float32) -> NDArray[np.bool_]:
    """(n,) whether each point lies in the closed polygon (m, 2): a ray to the right crosses its border an
    odd number of times."""
    x, y = points[:, :1], points[:, 1:]
    x0, y0 = polygon[:-1, 0], polygon[:-1, 1]
    x1, y1 = polygon[1:, 0], polygon[1:, 1]
    crosses = (y0 > y) != (y1 > y)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    left_of = x < x0 + (y - y0) / rise * (x1 - x0)
    inside: NDArray[np.bool_] = (crosses & left_of).sum(axis=1) % 2 == 1
    return inside


# -- head pose -------------------------------------------------------------------------------------------


def _pose(face: AnalysedFace) -> list[Primitive]:
    """Three axes from the tip of the nose: x to the subject's left, y up, z towards where the head looks."""
    x0, y0, x1, y1 = face.observation.box
    length = 0.42 * max(x1 - x0, y1 - y0)
    turn = matrix_from_euler(face.observation.pose.rotation_rad)
    nose = face.observation.landmarks[NOSE_TIP, :2]
    tips = nose + length * np.stack([turn[:, 0], -turn[:, 1], -turn[:, 2]])[:, :2]
    ends = np.hstack([np.tile(nose, (3, 1)), tips]).astype(np.float32)
    drawing: list[Primitive] = [
        Segments(ends, "label", width=4.4, opacity=SHADE),
        Dots(ends[:, 2:], "label", size=8.0, opacity=SHADE),
    ]
    for i, axis in enumerate("xyz"):
        drawing.append(Segments(ends[i : i + 1], f"axis-{axis}", width=2.4))
        drawing.append(Dots(ends[i : i + 1, 2:], f"axis-{axis}", size=6.0))
    return drawing
