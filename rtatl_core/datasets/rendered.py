"""Rendered faces with exact AU intensities, stills and clips -> frames.

Reads a folder with ``images/`` and ``labels.csv``: columns image, identity, ``AUnn_L`` and ``AUnn_R`` on 0-1 (= FACS
0-5), and for clips also clip and time (s). ``flow/<image stem>.npz``, where it exists, holds the exact motion: ``flow``
(h/step, w/step, 2) in pixels of the image, x right, y down, NaN where there is no face; ``to`` the image it leads to,
or itself: to the same face at rest; ``step`` its cell in pixels. Landmarks are found by FaceMesh as in the live
program, because its errors belong to the input; a file's own are not used.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from rtatl_core.datasets.codings.table import decode
from rtatl_core.datasets.parts import Frame
from rtatl_core.errors import RecipeError
from rtatl_core.facs import ACTION_UNITS, MAX_INTENSITY, au_label
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.photos import read_photo

OCCURRENCE_RULE = "intensity 1 (FACS A) or more"
ROWS_PER_UNIT = 500
_LABEL = re.compile(r"AU(\d{1,9})_[LR]", re.ASCII)


def rendered_frame(
    name: str,
    subject: str,
    image: UInt8 | None,
    labels: Float32,
    *,
    clip: str,
    time: float,
    flow: Float32 | None,
    flow_to: str,
) -> Frame:
    """labels: (n_aus, 2) intensity of the subject's left and right on 0-1, NaN = unknown."""
    sides = labels * np.float32(MAX_INTENSITY)
    intensity = sides.mean(axis=1)
    occurrence = np.where(np.isnan(intensity), intensity, intensity >= 1).astype(np.float32)
    return Frame(name, subject, image, clip, time, intensity, occurrence, sides, flow, flow_to)


@dataclass(frozen=True, slots=True)
class Renders:
    """Rows of one labels.csv that belong together: a clip, or a batch of stills."""

    name: str
    root: Path
    aus: tuple[int, ...]
    rows: tuple[dict[str, str], ...]
    tracking: ClassVar[bool] = False

    def frames(self) -> Iterator[Frame]:
        for row in self.rows:
            image = read_photo(self.root / "images" / row["image"])
            flow, to = _read_flow(self.root, row["image"], image) if image is not None else (None, "")
            labels = np.array([[float(row[column]) for column in _columns(au)] for au in self.aus], np.float32)
            yield rendered_frame(
                row["image"],
                row["identity"],
                image,
                labels,
                clip=row.get("clip", ""),
                time=float(row.get("time") or 0),
                flow=flow,
                flow_to=to,
            )


def find_renders(root: Path) -> tuple[tuple[int, ...], list[Renders]]:
    """(AUs, units). Raises RecipeError when the folder is not of that kind or a row cannot be used, naming its line."""
    labels = root / "labels.csv"
    if not labels.is_file():
        raise RecipeError(f"{root} holds no labels.csv; name a folder of rendered faces (images/ and labels.csv)")
    reader = csv.DictReader(io.StringIO(decode(labels.read_bytes()), newline=""), strict=True)
    try:
        aus = _aus(labels, list(reader.fieldnames or ()))
        rows: dict[str, dict[str, str]] = {}
        for row in reader:
            if problem := "its image has a row already" if row["image"] in rows else _problem(row, aus):
                raise RecipeError(f"{labels}, line {reader.line_num}: {problem}; render it again, or correct the row")
            rows[row["image"]] = row
    except csv.Error as error:
        raise RecipeError(f"{labels} is no table ({error}); name a folder of rendered faces") from None
    clips: dict[str, list[dict[str, str]]] = {}
    stills = [row for row in rows.values() if not row.get("clip")]
    for row in rows.values():
        if row.get("clip"):
            clips.setdefault(row["clip"], []).append(row)
    units = [
        Renders(f"stills-{start:06d}", root, aus, tuple(stills[start : start + ROWS_PER_UNIT]))
        for start in range(0, len(stills), ROWS_PER_UNIT)
    ]
    return aus, units + [Renders(f"clip-{name}", root, aus, tuple(part)) for name, part in sorted(clips.items())]


def _columns(au: int) -> tuple[str, str]:
    return f"{au_label(au)}_L", f"{au_label(au)}_R"


def _aus(labels: Path, columns: list[str]) -> tuple[int, ...]:
    """Those of a heading. Raises RecipeError for one that cannot be used."""
    aus = sorted({int(match[1]) for column in columns if (match := _LABEL.fullmatch(column))})
    wanted = ["image", "identity", *(column for au in aus or [12] for column in _columns(au))]
    if missing := [column for column in wanted if column not in columns]:
        raise RecipeError(f"{labels} has no column {missing[0]!r}; name a folder of rendered faces")
    if twice := [column for column in wanted if columns.count(column) > 1]:
        raise RecipeError(f"{labels} has two columns {twice[0]!r}; keep one")
    if unknown := [au for au in aus if au not in ACTION_UNITS]:
        raise RecipeError(f"{labels} has a column of AU{unknown[0]}; known are {', '.join(map(str, ACTION_UNITS))}")
    return tuple(aus)


def _problem(row: dict[str, str], aus: tuple[int, ...]) -> str:
    """Why a row cannot be used; empty where it can."""
    if None in row or None in row.values():
        return "it has more or fewer cells than the heading"
    for column in ("image", "identity"):
        if not row[column] or "\0" in row[column]:
            return f"{column} is {row[column]!r}"
    for column in (column for au in aus for column in _columns(au)):
        if not 0 <= _number(row[column]) <= 1:
            return f"{column} is {row[column]!r}, where 0 to 1 is expected"
    time = row.get("time", "")
    if (row.get("clip") or time) and not 0 <= _number(time) < math.inf:
        return f"time is {time!r}, where seconds are expected"
    return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _read_flow(root: Path, image: str, picture: UInt8) -> tuple[Float32 | None, str]:
    path = root / "flow" / f"{Path(image).stem}.npz"
    if not path.is_file():
        return None, ""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            flow, step = stored["flow"].astype(np.float32), int(stored.get("step", 1))
            to = str(stored["to"])
        if flow.ndim != 3 or flow.shape[2] != 2:
            raise ValueError(f"flow of shape {flow.shape}")
        height, width = picture.shape[:2]
        if any(abs(cells * step - side) >= step for cells, side in zip(flow.shape, (height, width), strict=False)):
            cells = f"{flow.shape[1]} x {flow.shape[0]} cells of {step}"
            raise ValueError(f"{cells} pixels, where the picture has {width} x {height}")
    except Exception as error:  # numpy and zipfile raise whatever the bytes lead them to
        raise RecipeError(f"{path} holds no flow ({type(error).__name__}: {error}); render it again") from error
    if step != 1:
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_NEAREST)
    return flow, to
