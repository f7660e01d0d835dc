"""What a person names on the command line -> what becomes a session each: a video, or the photos of a folder."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtatl_core.card import file_hash
from rtatl_core.errors import InputError
from rtatl_core.files import check_ends
from rtatl_core.photos import PHOTO_SUFFIXES, files_below, in_order, is_photo
from rtatl_core.video import VIDEO_SUFFIXES, VideoReader

INPUT_SUFFIXES = VIDEO_SUFFIXES | PHOTO_SUFFIXES
"""Endings by which videos and photos are known; files that are named themselves may have any."""


@dataclass(frozen=True, slots=True)
class Input:
    """One session's worth."""

    path: Path
    """A video, one photo, or the folder of several."""
    photos: tuple[Path, ...] = ()
    """In order; () = a video."""

    def absolute(self) -> Input:
        """The same wherever it is read."""
        return Input(self.path.absolute(), tuple(photo.absolute() for photo in self.photos))

    @property
    def stem(self) -> str:
        return self.path.absolute().name if len(self.photos) > 1 else self.path.stem

    @property
    def length(self) -> int:
        """Frames, of a video as its container says; 0 where it does not."""
        if self.photos:
            return len(self.photos)
        try:
            with VideoReader(self.path) as reader:
                return reader.frame_count or 0
        except InputError:
            return 0

    def content_hash(self) -> str:
        """sha256 of the video, or of the photos and their names. Raises InputError."""
        if not self.photos:
            return _hash(self.path)
        together = "".join(f"{_hash(photo)} {photo.name}\n" for photo in self.photos)
        return hashlib.sha256(together.encode(errors="surrogateescape")).hexdigest()


def find_inputs(named: Iterable[Path]) -> list[Input]:
    """Files as they are named, folders searched to the bottom, in a fixed order; photos of one folder belong together.
    Raises InputError for a folder without a video or photo."""
    files: dict[str, Path] = {}
    """By their absolute paths: one that is named twice counts once."""
    for path in named:
        if not path.is_dir():
            files.setdefault(os.path.abspath(path), path)
            continue
        inside = in_order(files_below(path, INPUT_SUFFIXES))
        if not inside:
            known = ", ".join(sorted(INPUT_SUFFIXES))
            raise InputError(f"{path} holds no video or photo; name such files, or a folder with {known}")
        for file in inside:
            files.setdefault(os.path.abspath(file), file)
    videos: list[Input] = []
    photos: defaultdict[Path, list[Path]] = defaultdict(list)
    for file in files.values():
        if is_photo(file):
            photos[file.parent].append(file)
        else:
            videos.append(Input(file))
    return videos + [
        Input(folder if len(those) > 1 else those[0], tuple(in_order(those))) for folder, those in photos.items()
    ]


def session_names(inputs: Sequence[Input]) -> list[str]:
    """Each one's name without its ending. If names collide, just enough parent folder names are put in front to make
    them unique: P01-pre, P02-pre. Where only the ending differs, it stays: pre.mp4, pre.avi."""
    alike: defaultdict[str, list[Path]] = defaultdict(list)
    for one in inputs:
        alike[one.stem].append(one.path.absolute().parent)

    def named(folder: Path, stem: str, depth: int) -> str:
        return "-".join((*folder.parts[max(0, len(folder.parts) - depth) :], stem))

    def depth(stem: str) -> int:
        folders = alike[stem]
        longest = max(len(folder.parts) for folder in folders)
        return max(range(longest + 1), key=lambda depth: len({named(folder, stem, depth) for folder in folders}))

    depths = {stem: depth(stem) for stem in alike}
    names = [named(one.path.absolute().parent, one.stem, depths[one.stem]) for one in inputs]
    counts = Counter(names)
    return [name + one.path.suffix * (counts[name] > 1) for name, one in zip(names, inputs, strict=True)]


def _hash(path: Path) -> str:
    try:
        check_ends(path)
        return file_hash(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); check the name and that you may read it"
        ) from error
