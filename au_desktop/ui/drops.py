"""What was dropped on the window -> the one file it opens, and a sentence for the person where that is not all.

The window shows one file at a time; ``rtatl analyze`` takes folders and many files at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QMimeData

from rtatl_core.photos import in_order
from rtatl_core.sessions.inputs import INPUT_SUFFIXES
from rtatl_core.system import FOLDERS_ELSEWHERE, rtatl_command

MOST_FOLDERS = 2
"""A command that names more of them is not read in a message."""
_RECORDING = ("frames.csv", "events.csv", "session.json")


class Drop(NamedTuple):
    file: Path | None
    told: str = ""


def local_paths(data: QMimeData) -> list[Path]:
    """Without what lies on the web."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


def understood(paths: Sequence[Path]) -> Drop:
    """Of several files the first video or photo by its name, of folders none: which of their files is meant?"""
    folders = [path for path in paths if path.is_dir()]
    files = in_order(path for path in paths if path not in folders)
    first = next((file for file in files if file.suffix.lower() in INPUT_SUFFIXES), files[0] if files else None)
    if (first is None or first.name in _RECORDING) and any(
        path.name in _RECORDING or (path / "session.json").is_file() for path in paths
    ):
        told = "A recording holds numbers, no pictures: open its frames.csv in a spreadsheet, and here its video."
        return Drop(None, told)
    if first is None:
        return Drop(
            None,
            f"{folders[0].name} is a folder, and the window shows one file at a time; drop one of its files"
            f"{_with_command(', or analyse all of them', folders)}",
        )
    if len(paths) == 1:
        return Drop(first)
    return Drop(
        first,
        f"Of the {len(paths)} that you dropped, {first.name} is open, because the window shows one file at a time"
        f"{_with_command('; analyse all of a folder', [*folders, *(file.parent for file in files)])}",
    )


def _with_command(have: str, folders: Iterable[Path]) -> str:
    """The end of a sentence: the command for them, unless it would be long."""
    told = [str(folder) for folder in dict.fromkeys(folders)]
    if len(told) > MOST_FOLDERS:
        command = rtatl_command("analyze")
        return f"; use {command}, which takes files and folders." if command else f"; {FOLDERS_ELSEWHERE}"
    command = rtatl_command("analyze", *told, "--out", "sessions")
    return f"{have} with: {command}" if command else f"; {FOLDERS_ELSEWHERE}"
