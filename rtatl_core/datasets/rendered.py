"""Rendered faces with exact AU intensities -> chips.

Reads a folder with ``images/`` and ``labels.csv`` (columns image, identity, ``AUnn_L`` and ``AUnn_R`` on 0-1
= FACS 0-5). Landmarks are found by the same FaceMesh as in the live program, because its errors belong to the
input; the file's own are not used.
"""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

from rtatl_core.datasets.chips import ChipWriter
from rtatl_core.errors import RecipeError
from rtatl_core.face.observe import FaceMesh
from rtatl_core.facs import MAX_INTENSITY, parse_label
from rtatl_core.progress import progress


def prepare_rendered(root: Path, out: Path) -> dict[str, int]:
    """Returns counts of images used and lost, by reason. Raises RecipeError when the folder is not of that
    kind."""
    labels = root / "labels.csv"
    if not labels.is_file():
        raise RecipeError(f"{root} holds no labels.csv; name a folder of rendered faces (images/ and labels.csv)")
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "identity" not in rows[0]:
        raise RecipeError(f"{labels} has no column 'identity'; name a folder of rendered faces")
    aus = tuple(sorted({parse_label(column) for column in rows[0] if column.endswith(("_L", "_R"))}))
    writer = ChipWriter(aus=aus)
    report = {"used": 0, "no face found": 0, "unreadable image": 0}
    with FaceMesh(tracking=False) as mesh:
        for row in progress(rows, desc=f"preparing {root.name}", unit="face"):
            image = cv2.imread(str(root / "images" / row["image"]))
            if image is None:
                report["unreadable image"] += 1
                continue
            faces = mesh(image)
            if not faces:
                report["no face found"] += 1
                continue
            sides = np.array([[float(row[f"AU{au:02d}_{side}"]) for side in "LR"] for au in aus], np.float32)
            writer.add(
                image,
                faces[0],
                name=row["image"],
                subject=row["identity"],
                intensity=(sides.mean(axis=1) * MAX_INTENSITY).clip(0, MAX_INTENSITY),
            )
            report["used"] += 1
    if not len(writer):
        raise RecipeError(f"no face was found in any image of {root}")
    writer.write(out, {"kind": "rendered", "faces": report["used"]})
    return report
