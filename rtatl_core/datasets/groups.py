"""Groups of people for whom a model is measured separately: by skin tone and head turn, which are read off a chip, and
by the columns of a table (age, sex, glasses, ...).

A table has a heading, then a row for each photo: its file's name, and the group in each column or nothing where it is
not known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.augment import centre_crop
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.codings.table import read_rows
from rtatl_core.datasets.loader import Source
from rtatl_core.errors import InputError
from rtatl_core.handoffs import UInt8

GroupTable = Mapping[str, Mapping[str, str]]
"""A file's name -> column -> group."""

TONES = ((28.0, "light"), (10.0, "medium"), (-180.0, "dark"))
"""The lowest individual typology angle (degrees) of each skin tone."""
YAW_BINS = ((10.0, "frontal"), (25.0, "turned"), (180.0, "far turned"))
"""The largest head yaw (degrees, to either side) of each group."""
_CHEEKS = (50, 280)
"""Mesh points in the middle of the cheeks."""


def read_groups(path: Path) -> GroupTable:
    """Raises InputError for a file that is no such table, or names a photo twice."""
    rows = read_rows(path, "a table of photos: a heading, then the file's name and its groups")
    if len(rows) < 2:
        raise InputError(f"{path} is no table of photos; it needs a heading, then the file's name and its groups")
    table: dict[str, dict[str, str]] = {}
    for row in rows[1:]:
        name, *groups = row.cells
        if name in table:
            raise row.error(f"{name} has two rows; keep one")
        table[name] = dict(zip(rows[0].cells[1:], groups, strict=False))
    return table


def divisions(faces: Sequence[Source], table: GroupTable) -> dict[str, NDArray[np.str_]]:
    """Division -> (N,) group of each of these faces, one source after the other; "" = not known."""
    rows = [(one.store, row) for one in faces for row in one.rows.tolist()]
    found = {
        "skin tone": [skin_tone(store, row) for store, row in rows],
        "head turn": [head_turn(float(store.yaw[row])) for store, row in rows],
    }
    for column in sorted({column for groups in table.values() for column in groups}):
        found[column] = [table.get(str(store.subjects[row]), {}).get(column, "") for store, row in rows]
    return {division: np.array(groups, np.str_) for division, groups in found.items()}


def head_turn(yaw: float) -> str:
    """yaw: degrees."""
    return next(name for most, name in YAW_BINS if abs(yaw) <= most)


def skin_tone(store: ChipStore, row: int) -> str:
    """By the individual typology angle of the cheeks (Chardon et al. 1991), as the picture's light shows them."""
    chip = centre_crop(store.chips[row], store.layout)
    side, reach = store.layout.side, max(2, store.layout.side // 28)
    patches = []
    for point in _CHEEKS:
        x, y = (store.landmarks[row][point].astype(np.float32) * side).astype(int).clip(reach, side - reach - 1)
        patches.append(chip[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3))
    angle = typology_angle(np.concatenate(patches))
    return next(name for least, name in TONES if angle >= least)


def typology_angle(pixels: UInt8) -> float:
    """(n, 3) RGB of skin -> individual typology angle in degrees: arctan((L* - 50) / b*); light skins are positive."""
    lab = cv2.cvtColor((pixels.reshape(1, -1, 3) / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    lightness, yellow = np.median(lab[:, 0]), np.median(lab[:, 2])
    return float(np.degrees(np.arctan2(lightness - 50, max(float(yellow), 1.0))))
