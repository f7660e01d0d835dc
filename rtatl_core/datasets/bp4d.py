"""BP4D-Spontaneous (Zhang et al., Image and Vision Computing 2014) as its holders have it on disk.

    <root>/.../F001/T1/2440.jpg            2D pictures; the number's zeros differ between copies, any will do
    <root>/.../AU_OCC/F001_T1.csv          occurrence; older releases keep the files directly in AUCoding
    <root>/.../AU-Intensity-Codes*/AU06/*F001_T1*.csv   optional intensity of AU 6 10 12 14 17

Occurrence: a header row, then per coded frame its number and a column per AU number; 0 absent, 1 present, 9 not
codable. Only coded frames are listed. Intensity: rows ``frame,code`` without header, 0-5, 9 not codable.
The FERA 2015 reader also drops frames whose last column is 1 (occlusion); we keep them, like the 3-fold protocols.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rtatl_core.datasets.codings.table import Row, read_codes, read_rows
from rtatl_core.datasets.parts import UNREADABLE, Frame
from rtatl_core.errors import RecipeError
from rtatl_core.facs import BP4D_AUS
from rtatl_core.handoffs import Float32
from rtatl_core.photos import read_photo

OCCURRENCE_RULE = "coded present in BP4D (code 1)"
FPS = 25.0
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})
_SUBJECT, _TASK = re.compile(r"[FM]\d{3}$"), re.compile(r"T\d+$")
_NUMBER = re.compile(r"\d{1,9}")
_SEQUENCE = re.compile(r"([FM]\d{3})_?(T\d+)")
SHORT_ROW = "label row too short"


@dataclass(frozen=True, slots=True)
class Sequence:
    """One subject in one task."""

    name: str
    """F001_T1."""
    pictures: Path | None
    """Folder of the pictures; None when it is missing."""
    numbers: tuple[int, ...]
    """Coded frames, in order."""
    short: frozenset[int]
    """Those whose label row ended early."""
    occurrence: Float32
    """(n, 12) 0, 1 or NaN."""
    intensity: Float32
    """(n, 12) 0-5 or NaN."""
    tracking: ClassVar[bool] = True

    def frames(self) -> Iterator[Frame]:
        subject = self.name.split("_")[0]
        files = _numbered_pictures(self.pictures) if self.pictures else {}
        for i, number in enumerate(self.numbers):
            path, short = files.get(number), number in self.short
            image = read_photo(path) if path and not short else None
            yield Frame(
                name=f"{self.name}/{number}",
                subject=subject,
                image=image,
                clip=self.name,
                time=number / FPS,
                intensity=self.intensity[i],
                occurrence=self.occurrence[i],
                lost=SHORT_ROW if short else UNREADABLE,
            )


def find_sequences(root: Path) -> list[Sequence]:
    """All coded sequences below ``root``, in order. Raises RecipeError when this is not BP4D or a label file has codes
    that do not exist, naming file and line."""
    pictures, occurrence, intensity = _survey(root)
    if not occurrence:
        raise RecipeError(
            f"{root} holds no BP4D label files like AU_OCC/F001_T1.csv; name the folder of AUCoding and pictures"
        )
    if not pictures:
        raise RecipeError(
            f"{root} holds no BP4D pictures like F001/T1/2440.jpg; name the folder of pictures and AUCoding"
        )
    return [
        _read_sequence(name, pictures.get(name), path, intensity.get(name, {}))
        for name, path in sorted(occurrence.items())
    ]


def _survey(root: Path) -> tuple[dict[str, Path], dict[str, Path], dict[str, dict[int, Path]]]:
    """Sequence -> picture folder; -> occurrence file; -> AU -> intensity file."""
    pictures: dict[str, Path] = {}
    occurrence: dict[str, Path] = {}
    intensity: dict[str, dict[int, Path]] = {}
    if not root.is_dir():
        raise RecipeError(f"{root} is no folder; name the one that holds BP4D")
    for place, folders, files in os.walk(root):
        folder = Path(place)
        if _TASK.match(folder.name) and _SUBJECT.match(folder.parent.name):
            folders.clear()
            if any(Path(file).suffix.lower() in PICTURES for file in files):
                pictures[f"{folder.parent.name}_{folder.name}"] = folder
            continue
        for file in files:
            found = _SEQUENCE.search(file)
            # macOS puts ._F001_T1.csv beside F001_T1.csv
            if not found or not file.lower().endswith(".csv") or file.startswith("."):
                continue
            name = f"{found[1]}_{found[2]}"
            au = re.fullmatch(r"AU(\d+)", folder.name, re.IGNORECASE)
            if au:
                intensity.setdefault(name, {})[int(au[1])] = folder / file
            elif name not in occurrence or folder.name == "AU_OCC":
                occurrence[name] = folder / file
    return pictures, occurrence, intensity


def _read_sequence(name: str, pictures: Path | None, path: Path, intensity_files: dict[int, Path]) -> Sequence:
    header, *rows = read_rows(path) or [Row(path, 1, ())]
    places = _au_places(header)
    occurrence: dict[int, Float32] = {}
    short: set[int] = set()
    for row in rows:
        number = row.whole(0)
        if number in occurrence:
            raise row.error(f"frame {number} has two rows; keep one")
        if any(row.cells[len(header.cells) :]):
            raise row.error(f"{len(row.cells)} cells under {len(header.cells)} headings; is the file damaged?")
        occurrence[number] = _occurrence(row, places)
        if len(row.cells) <= max(places):
            short.add(number)
    intensity = np.full((len(occurrence), len(BP4D_AUS)), np.nan, np.float32)
    for au, file in intensity_files.items():
        if au in BP4D_AUS:
            codes = read_codes(file)
            intensity[:, BP4D_AUS.index(au)] = [codes.get(number, np.nan) for number in occurrence]
    return Sequence(
        name=name,
        pictures=pictures,
        numbers=tuple(occurrence),
        short=frozenset(short),
        occurrence=np.array([*occurrence.values()], np.float32).reshape(-1, len(BP4D_AUS)),
        intensity=intensity,
    )


def _au_places(header: Row) -> tuple[int, ...]:
    """The column of each of ``BP4D_AUS``."""
    places: dict[int, int] = {}
    for place, cell in enumerate(header.cells[1:], start=1):
        if _NUMBER.fullmatch(cell) and places.setdefault(int(cell), place) != place:
            raise header.error(f"AU{int(cell)} has two columns; is the file damaged?")
    if missing := [au for au in BP4D_AUS if au not in places]:
        raise RecipeError(f"{header.path} has no column for AU{missing[0]} in its first row; it is no occurrence file")
    return tuple(places[au] for au in BP4D_AUS)


def _occurrence(row: Row, places: tuple[int, ...]) -> Float32:
    """(12,) 0, 1 or NaN; NaN too where the row ends before."""
    codes = np.full(len(places), np.nan, np.float32)
    for j, (au, place) in enumerate(zip(BP4D_AUS, places, strict=True)):
        if place >= len(row.cells):
            continue
        code = row.whole(place)
        if code not in (0, 1, 9):
            raise row.error(f"AU{au} is {code}, but occurrence codes are 0, 1 and 9")
        codes[j] = np.nan if code == 9 else code
    return codes


def _numbered_pictures(folder: Path) -> dict[int, Path]:
    """Frame number -> file, however the numbers are padded."""
    return {
        int(path.stem): path
        for path in sorted(folder.iterdir())
        if path.stem.isdecimal() and path.suffix.lower() in PICTURES
    }
