"""What was dropped on the window -> the one file it opens, of a recording its frames.csv, and a sentence for the person
if that is not all.

The window shows one file at a time; ``rtatl analyze`` takes folders and many files at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from PySide6.QtCore import QMimeData, Qt
from PySide6.QtGui import QDropEvent

from rtatl_core.photos import in_order
from rtatl_core.sessions.inputs import INPUT_SUFFIXES
from rtatl_core.sessions.recorded import FILES, is_session
from rtatl_core.system import FOLDERS_ELSEWHERE, rtatl_command

MOST_FOLDERS = 2
"""A command that names more of them is too long for a message."""

FILE_KINDS = (
    f"Videos and photos ({' '.join(f'*{suffix}' for suffix in sorted(INPUT_SUFFIXES))});;"
    "Recordings (frames.csv);;All files (*)"
)
"""For a dialog that chooses a file to open."""


class Drop(NamedTuple):
    file: Path | None
    message: str = ""


def accept_as_copy(event: QDropEvent) -> None:
    """Whatever keys are held: a file manager may delete a file that was accepted as moved."""
    event.setDropAction(Qt.DropAction.CopyAction)
    event.accept()


def local_paths(data: QMimeData) -> list[Path]:
    """The files and folders on this computer; web addresses are left out."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]


def file_to_open(paths: Sequence[Path]) -> Drop:
    """Of several files the first video or photo by name; of folders none, since any of their files may be meant."""
    folders = [path for path in paths if path.is_dir()]
    files = in_order(path for path in paths if path not in folders)
    first = next((file for file in files if file.suffix.lower() in INPUT_SUFFIXES), files[0] if files else None)
    if first is None or session_of(first) is not None:
        session = next((one for one in map(session_of, paths) if one is not None), None)
        if session is not None:
            return Drop(session / FILES[0])
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


def session_of(path: Path) -> Path | None:
    """The session folder that this is, or a file of; None: something else."""
    if path.name in FILES:
        return path.parent
    return path if is_session(path) else None


def _with_command(lead: str, folders: Iterable[Path]) -> str:
    """The end of a sentence: ``lead`` and the command that analyses these folders, unless that is too long."""
    names = [str(folder) for folder in dict.fromkeys(folders)]
    if len(names) > MOST_FOLDERS:
        command = rtatl_command("analyze")
        return f"; use {command}, which takes files and folders." if command else f"; {FOLDERS_ELSEWHERE}"
    command = rtatl_command("analyze", *names, "--out", "sessions")
    return f"{lead} with: {command}" if command else f"; {FOLDERS_ELSEWHERE}"
