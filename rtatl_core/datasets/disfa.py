"""DISFA (Mavadati et al., IEEE TAC 2013) as its holders have it on disk.

    <root>/.../LeftVideoSN001_comp.avi     also RightVideo...; the folder's spelling differs between copies
    <root>/.../SN001/SN001_au1.txt         one file per AU (1 2 4 5 6 9 12 15 17 20 25 26): rows ``frame,intensity``

Intensity is 0-5. The benchmark counts an AU as present from intensity 2 on. Frames are counted from 1; copies whose
label files begin at 0 are read as such. The two usually differ in length by a frame: labels without a picture and
pictures without a label are counted as lost.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from rtatl_core.datasets.codings.table import read_codes
from rtatl_core.datasets.parts import UNREADABLE, Frame
from rtatl_core.errors import RecipeError, SourceError
from rtatl_core.facs import DISFA_INTENSITY_AUS
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.video import VideoReader

PRESENT_FROM = 2
OCCURRENCE_RULE = "intensity 2 or more, as the DISFA benchmark counts"
NO_PICTURE = "label without a picture"
NO_LABEL = "picture without a label"
_VIDEO = re.compile(r"(Left|Right)Video(SN\d{3})", re.IGNORECASE)
_LABELS = re.compile(r"(SN\d{3})_au(\d+)\.txt$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Subject:
    """One person's video with its codes."""

    name: str
    video: Path | None
    first: int
    """Number of the first picture in the label files: 1, in some copies 0."""
    intensity: Float32
    """(n, 12) on 0-5, row 0 belongs to the first picture; NaN where a file or a row is missing."""
    tracking: ClassVar[bool] = True

    def frames(self) -> Iterator[Frame]:
        read = 0
        unreadable = UNREADABLE
        if self.video is not None:
            try:
                with VideoReader(self.video) as reader:
                    for packet in reader:
                        index = packet.number - 1
                        yield from self._without_picture(read, index, UNREADABLE)  # damaged ones
                        read = packet.number
                        if index >= len(self.intensity) or not np.isfinite(self.intensity[index]).any():
                            yield Frame(f"{self.name}/{index + self.first}", self.name, None, lost=NO_LABEL)
                            continue
                        yield self._frame(index, packet.image, packet.timestamp)
                unreadable = NO_PICTURE
            except SourceError:
                pass  # the rest cannot be read
        yield from self._without_picture(read, len(self.intensity), unreadable)

    def _without_picture(self, first: int, end: int, lost: str) -> Iterator[Frame]:
        for index in range(first, min(end, len(self.intensity))):
            if np.isfinite(self.intensity[index]).any():
                yield self._frame(index, None, 0.0, lost)

    def _frame(self, index: int, image: UInt8 | None, time: float, lost: str = NO_PICTURE) -> Frame:
        codes = self.intensity[index]
        return Frame(
            name=f"{self.name}/{index + self.first}",
            subject=self.name,
            image=image,
            clip=self.name,
            time=time,
            intensity=codes,
            occurrence=np.where(np.isfinite(codes), codes >= PRESENT_FROM, np.nan).astype(np.float32),
            lost=lost,
        )


def find_subjects(root: Path, camera: str = "left") -> list[Subject]:
    """All coded subjects below ``root``, in order. Raises RecipeError when this is not DISFA, an AU has two label files
    or one has codes that do not exist, naming file and line."""
    if not root.is_dir():
        raise RecipeError(f"{root} is no folder; name the one that holds DISFA")
    videos: dict[str, Path] = {}
    labels: dict[str, dict[int, Path]] = {}
    for place, _, files in os.walk(root):
        for file in sorted(files):
            if (found := _VIDEO.match(file)) and found[1].lower() == camera:
                videos.setdefault(found[2].upper(), Path(place) / file)
            elif found := _LABELS.match(file):
                path, name = Path(place) / file, found[1].upper()
                if (other := labels.setdefault(name, {}).setdefault(int(found[2]), path)) != path:
                    raise RecipeError(f"{other} and {path} both code AU{int(found[2])} of {name}; keep one of them")
    if not labels:
        raise RecipeError(
            f"{root} holds no DISFA label files like SN001/SN001_au1.txt; name the folder that holds "
            "ActionUnit_Labels and the videos"
        )
    if not videos:
        raise RecipeError(
            f"{root} holds no DISFA videos like {camera.title()}VideoSN001_comp.avi; name the folder that holds both "
            "videos and ActionUnit_Labels, or the other --camera"
        )
    return [_read_subject(name, videos.get(name), files) for name, files in sorted(labels.items())]


def missing_files(root: Path, subjects: list[Subject]) -> list[str]:
    """One sentence for each AU file and each video that is not there."""
    sentences = [f"{root}: no video of {subject.name}" for subject in subjects if subject.video is None]
    for subject in subjects:
        gone = [au for j, au in enumerate(DISFA_INTENSITY_AUS) if not np.isfinite(subject.intensity[:, j]).any()]
        sentences += [f"{root}: no codes of AU{au} for {subject.name}; it counts as not coded there" for au in gone]
    return sentences


def _read_subject(name: str, video: Path | None, files: dict[int, Path]) -> Subject:
    codes = {au: read_codes(path) for au, path in files.items() if au in DISFA_INTENSITY_AUS}
    numbers = [number for rows in codes.values() for number in rows]
    if not numbers:
        raise RecipeError(f"{next(iter(files.values())).parent} holds label files without rows; copy them again")
    first = min(1, *numbers)
    intensity = np.full((max(numbers) - first + 1, len(DISFA_INTENSITY_AUS)), np.nan, np.float32)
    for au, rows in codes.items():
        column = DISFA_INTENSITY_AUS.index(au)
        for number, code in rows.items():
            intensity[number - first, column] = code
    return Subject(name, video, first, intensity)
