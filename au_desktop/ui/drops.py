"""What was dropped on the window -> the one file it opens, and a sentence for the person where that is not all.

The window shows one file at a time; ``rtatl analyze`` takes folders and many files at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QMimeData

from rtatl_core.photos import PHOTO_SUFFIXES, in_order
from rtatl_core.video import VIDEO_SUFFIXES

_KNOWN = VIDEO_SUFFIXES | PHOTO_SUFFIXES


class Drop(NamedTuple):
    file: Path | None
    told: str = ""


def local_paths(data: QMimeData) -> list[Path]:
    """Without what lies on the web."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


def understood(paths: Sequence[Path]) -> Drop:
    """Of several files the first video or photo by its name, of folders none: which of their files is meant?"""
    files = in_order(path for path in paths if not path.is_dir())
    first = next((file for file in files if file.suffix.lower() in _KNOWN), files[0] if files else None)
    if first is None:
        folder = paths[0]
        return Drop(
            None,
            f"{folder.name} is a folder, and the window shows one file at a time; drop one of its files, or have all "
            f"of them analysed with: rtatl analyze {_quoted(folder)} --out sessions",
        )
    if len(paths) == 1:
        return Drop(first)
    where = Path(os.path.commonpath([file.parent for file in paths]))
    return Drop(
        first,
        f"Of the {len(paths)} that you dropped, {first.name} is open, for the window shows one file at a time; have "
        f"all of a folder analysed with: rtatl analyze {_quoted(where)} --out sessions",
    )


def _quoted(path: Path) -> str:
    """As a shell takes it."""
    return f'"{path}"' if " " in str(path) else str(path)
