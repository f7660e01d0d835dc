"""Ratings: AUs that raters saw on faces without codes. They teach weakly, calibrate and test, like the blendshapes.

A table has a heading ``image,AU01,AU02,...`` and a row for each photo or frame: its name as ``rtatl prepare`` has it
(``ann.jpg``; ``talk.mp4@1.240``), and in each cell an intensity on 0-5 (0 = the AU is absent), or nothing where it
cannot be told. Spreadsheets' separators and encodings will do, also decimal commas between semicolons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtatl_core.datasets.codings.table import Row, read_rows
from rtatl_core.errors import RecipeError
from rtatl_core.facs import ACTION_UNITS, MAX_INTENSITY, parse_label
from rtatl_core.handoffs import Float32


@dataclass(frozen=True, slots=True)
class Ratings:
    aus: tuple[int, ...]
    of_image: Mapping[str, Float32]
    """Name of a photo or frame -> (n,) intensity on 0-5, NaN = it cannot be told."""

    def take(self, images: Iterable[str], aus: tuple[int, ...]) -> Float32:
        """(N, n_aus) ratings of these images and AUs; NaN where nobody rated."""
        names = [str(image) for image in images]
        rated = [au for au in aus if au in self.aus]
        here, there = [aus.index(au) for au in rated], [self.aus.index(au) for au in rated]
        taken = np.full((len(names), len(aus)), np.nan, np.float32)
        for row, name in enumerate(names):
            if name in self.of_image:
                taken[row, here] = self.of_image[name][there]
        return taken


def read_ratings(path: Path) -> Ratings:
    """Raises RecipeError for a file that is no such table, naming the line."""
    rows = read_rows(path, "a table of ratings: image,AU01,AU02,...")
    try:
        aus = tuple(map(parse_label, rows[0].cells[1:]))
    except (IndexError, ValueError):
        aus = ()
    if not aus or len(set(aus)) < len(aus) or rows[0].cells[0] != "image":
        raise RecipeError(f"{path} is no table of ratings; its heading must be image,AU01,AU02,..., each AU once")
    if unknown := set(aus) - ACTION_UNITS.keys():
        raise RecipeError(f"{path} rates AU{min(unknown)}; known are {', '.join(map(str, ACTION_UNITS))}")
    of_image: dict[str, Float32] = {}
    for row in rows[1:]:
        image = row.cells[0]
        if not image:
            raise row.error("the row names no photo or frame; write its name")
        if image in of_image:
            raise row.error(f"{image} is rated twice; keep one of the rows")
        of_image[image] = _values(row, len(aus))
    return Ratings(aus, of_image)


def _values(row: Row, count: int) -> Float32:
    """(count,)"""
    cells = row.cells[1:]
    try:
        values = np.array([float(cell.replace(",", ".")) if cell else np.nan for cell in cells], np.float64)
    except ValueError as error:
        raise row.error(f"{error}; write intensities from 0 to 5, or nothing") from error
    if len(values) != count:
        raise row.error(f"{len(values)} cells where the heading names {count} AUs; leave unknown ones empty")
    if ((values < 0) | (values > MAX_INTENSITY) | np.isinf(values)).any():
        raise row.error("a rating is beyond 0 to 5; write intensities of FACS, A = 1 to E = 5")
    return values.astype(np.float32)
