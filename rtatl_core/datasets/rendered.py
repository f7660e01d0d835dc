"""Rendered faces with exact AU intensities, stills and clips -> frames.

Reads a folder with ``images/`` and ``labels.csv``: columns image, identity, ``AUnn_L`` and ``AUnn_R`` on 0-1 (= FACS
0-5), and for clips also clip and time (s). ``flow/<image stem>.npz``, where it exists, holds the exact motion: ``flow``
(h/step, w/step, 2) in pixels of the image, x right, y down, NaN where there is no face; ``to`` the image it leads to;
``step`` its cell in pixels. Landmarks are found by FaceMesh as in the live program, because its errors belong to the
input; a file's own are not used.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtatl_core.datasets.parts import Frame
from rtatl_core.errors import RecipeError
from rtatl_core.facs import MAX_INTENSITY, action_unit, au_label, parse_label
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.photos import read_photo

OCCURRENCE_RULE = "intensity 1 (FACS A) or more"
ROWS_PER_UNIT = 500


@dataclass(frozen=True, slots=True)
class Renders:
    """Rows of one labels.csv that belong together: a clip, or a batch of stills."""

    name: str
    root: Path
    aus: tuple[int, ...]
    rows: tuple[dict[str, str], ...]

    @property
    def tracking(self) -> bool:
        return False

    def frames(self) -> Iterator[Frame]:
        for row in self.rows:
            image = read_photo(self.root / "images" / row["image"])
            told = np.array([[float(row[f"{au_label(au)}_{side}"]) for side in "LR"] for au in self.aus], np.float32)
            sides = (told * MAX_INTENSITY).clip(0, MAX_INTENSITY)
            intensity = sides.mean(axis=1)
            flow, to = _read_flow(self.root, row["image"], image) if image is not None else (None, "")
            yield Frame(
                name=row["image"],
                subject=row["identity"],
                image=image,
                clip=row.get("clip", ""),
                time=float(row.get("time") or 0),
                intensity=intensity,
                sides=sides,
                occurrence=(intensity >= 1).astype(np.float32),
                flow=flow,
                flow_to=to,
            )


def find_renders(root: Path) -> tuple[tuple[int, ...], list[Renders]]:
    """(AUs, units). Raises RecipeError when the folder is not of that kind."""
    labels = root / "labels.csv"
    if not labels.is_file():
        raise RecipeError(f"{root} holds no labels.csv; name a folder of rendered faces (images/ and labels.csv)")
    with labels.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or "identity" not in rows[0]:
        raise RecipeError(f"{labels} has no column 'identity'; name a folder of rendered faces")
    aus = tuple(sorted({parse_label(column) for column in rows[0] if column.endswith(("_L", "_R"))}))
    for au in aus:
        action_unit(au)
    clips: dict[str, list[dict[str, str]]] = {}
    stills = [row for row in rows if not row.get("clip")]
    for row in rows:
        if row.get("clip"):
            clips.setdefault(row["clip"], []).append(row)
    units = [
        Renders(f"stills-{start:06d}", root, aus, tuple(stills[start : start + ROWS_PER_UNIT]))
        for start in range(0, len(stills), ROWS_PER_UNIT)
    ]
    return aus, units + [Renders(f"clip-{name}", root, aus, tuple(part)) for name, part in sorted(clips.items())]


def _read_flow(root: Path, image: str, picture: UInt8) -> tuple[Float32 | None, str]:
    path = root / "flow" / f"{Path(image).stem}.npz"
    if not path.is_file():
        return None, ""
    with np.load(path) as stored:
        flow, step = stored["flow"].astype(np.float32), int(stored.get("step", 1))
        to = str(stored["to"])
    if step != 1:
        height, width = picture.shape[:2]
        flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_NEAREST)
    return flow, to
