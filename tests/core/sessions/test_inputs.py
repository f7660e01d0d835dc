"""What a person names -> what becomes a session each."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from rtatl_core.errors import InputError, SourceError
from rtatl_core.sessions.inputs import find_inputs
from rtatl_core.video import VideoReader
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


@pytest.mark.skipif(sys.platform == "win32", reason="devices are no files there")
@pytest.mark.parametrize("name", ["odd", "odd.mp4", "odd.jpg"])
def test_a_device_is_not_read_for_ever(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cv2.haveImageReader", lambda _path: pytest.fail("a pipe would be waited for"))
    (tmp_path / name).symlink_to(os.devnull)
    (one,) = find_inputs([tmp_path / name])
    with pytest.raises(InputError, match=f"{name} is a pipe or a device, not a file; save what it delivers"):
        one.content_hash()


def test_linked_folders_are_searched_once_and_dead_links_named(videos: Path, tmp_path: Path) -> None:
    study = tmp_path / "linked"
    study.mkdir()
    try:
        (study / "P01").symlink_to(videos)
    except OSError:
        pytest.skip("this system lets nobody make links")
    shutil.copytree(videos / "day 2", study / "P02")
    (study / "P02" / "again").symlink_to(study / "P02")
    (study / "P02" / "up").symlink_to(study)
    (study / "A").symlink_to(study / "P02")
    (study / "annex.mp4").symlink_to(tmp_path / "gone.mp4")
    found = [one.path.relative_to(study).as_posix() for one in find_inputs([study])]
    assert found == ["annex.mp4", "P01/anna.mp4", "P01/day 2/ben.MP4", "P02/ben.MP4"]
    with pytest.raises(InputError, match=r"annex\.mp4 cannot be read \(No such file"):
        find_inputs([study])[0].content_hash()


def test_a_folder_that_may_not_be_searched_is_named(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may = os.scandir

    def may_not(folder: Path) -> object:
        if Path(folder).name == "day 2":
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return may(folder)

    monkeypatch.setattr(os, "scandir", may_not)
    found = find_inputs([videos])
    assert [one.path.name for one in found] == ["anna.mp4", "day 2"]
    with pytest.raises(InputError, match="day 2 cannot be read"):
        found[1].content_hash()


@pytest.mark.skipif(sys.platform != "linux", reason="names are text elsewhere")
def test_names_that_are_no_text_are_no_crash(videos: Path) -> None:
    """OpenCV ends the process over such a name."""
    odd = Path(os.fsdecode(os.fsencode(videos) + b"/caf\xe9"))
    shutil.copy(videos / "anna.mp4", odd)
    (found,) = find_inputs([odd])
    with pytest.raises(SourceError, match=r"The name of .*caf.* is not valid text \(UTF-8\); rename it"):
        VideoReader(found.path)
