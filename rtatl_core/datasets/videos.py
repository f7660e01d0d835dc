"""Unlabelled videos and photos -> frames, for the self-supervised tasks and as real data to choose by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rtatl_core.datasets.parts import Frame
from rtatl_core.errors import RecipeError, SourceError
from rtatl_core.photos import PHOTO_SUFFIXES, files_below, read_photo
from rtatl_core.video import VIDEO_SUFFIXES, VideoReader

PHOTOS_PER_UNIT = 256


@dataclass(frozen=True, slots=True)
class Video:
    """One file; it counts as one subject."""

    name: str
    path: Path
    tracking: ClassVar[bool] = True

    def frames(self) -> Iterator[Frame]:
        """Their times are those of the file, as players tell them, also where the pictures begin later."""
        try:
            reader = VideoReader(self.path)
        except SourceError:
            yield Frame(self.name, self.name, None)
            return
        with reader:
            start_s = reader.start_s or 0.0
            for packet in reader:
                shown = [(start_s + time, None) for _, time in packet.lost]  # damaged ones count, too
                for time, image in (*shown, (start_s + packet.timestamp, packet.image)):
                    yield Frame(f"{self.name}@{time:.3f}", self.name, image, clip=self.name, time=time)


@dataclass(frozen=True, slots=True)
class Photos:
    """A batch of pictures; each counts as one subject."""

    name: str
    root: Path
    paths: tuple[Path, ...]
    tracking: ClassVar[bool] = False

    def frames(self) -> Iterator[Frame]:
        for path in self.paths:
            name = path.relative_to(self.root).as_posix() if path != self.root else path.name
            yield Frame(name, name, read_photo(path))


def find_videos(root: Path) -> list[Video]:
    """Every video below ``root``, or the one file ``root``. Raises RecipeError when there is none."""
    return [Video(unit_name(path, root), path) for path in find_files(root, VIDEO_SUFFIXES, "video")]


def find_photos(root: Path) -> list[Photos]:
    """Every picture below ``root``, or the one file ``root``. Raises RecipeError when there is none."""
    paths = find_files(root, PHOTO_SUFFIXES, "photo")
    starts = range(0, len(paths), PHOTOS_PER_UNIT)
    return [Photos(f"{start:06d}", root, tuple(paths[start : start + PHOTOS_PER_UNIT])) for start in starts]


def find_files(root: Path, suffixes: frozenset[str], what: str) -> list[Path]:
    if not root.exists():
        raise RecipeError(f"{root} does not exist; name the folder of the {what}s")
    paths = [root] if root.is_file() else files_below(root, suffixes)
    if not paths:
        raise RecipeError(f"{root} holds no {what} ({', '.join(sorted(suffixes))})")
    return paths


def unit_name(path: Path, root: Path) -> str:
    """A file's place below ``root`` as the name of one folder: ``day1/anna.mp4`` -> ``day1--anna.mp4``. The suffix
    stays, so that ``a.mp4`` and ``a.avi`` differ."""
    return "--".join(path.relative_to(root).parts) if path != root else path.name
