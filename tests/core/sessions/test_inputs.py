"""What a person names -> what becomes a session each."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from rtatl_core.errors import InputError
from rtatl_core.sessions.inputs import find_inputs
from tests.clips import write_clip


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """A folder with two clips, one of them deeper down, and a text."""
    folder = tmp_path / "study"
    (folder / "day 2").mkdir(parents=True)
    write_clip(folder / "anna.mp4", 2)
    write_clip(folder / "ben.mp4", 2).rename(folder / "day 2" / "ben.MP4")
    (folder / "notes.txt").write_text("no video")
    return folder


def test_folders_are_searched_and_files_taken_as_they_are(videos: Path, tmp_path: Path) -> None:
    notes = videos / "notes.txt"
    found = find_inputs([videos, notes, Path(os.path.relpath(videos / "anna.mp4"))])
    assert [one.path.name for one in found] == ["anna.mp4", "ben.MP4", "notes.txt"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no video or photo; name such files"):
        find_inputs([tmp_path / "empty"])


def test_hidden_files_are_no_videos(videos: Path, tmp_path: Path) -> None:
    shutil.copytree(videos, tmp_path / "disk")
    (tmp_path / "disk" / "._anna.mp4").write_bytes(b"\0\5\x16\7")  # what macOS leaves on other systems' disks
    assert [one.path.name for one in find_inputs([tmp_path / "disk"])] == ["anna.mp4", "ben.MP4"]
