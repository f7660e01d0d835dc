"""What a crash leaves of a file that is being replaced: the old one, whole; and who writes that way."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.calibration import Calibration
from rtatl_core.datasets.chips import write_meta
from rtatl_core.datasets.claim import claim
from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout
from rtatl_core.files import replace_file
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.weights import save_model


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def fill() -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("rtatl_core.files.os.fsync", refuse)

    return fill


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, full_disk: Callable[[], None]) -> None:
    file = tmp_path / "a.json"
    replace_file(file, "old\n")
    replace_file(file, "ü\n")
    assert file.read_text(encoding="utf-8") == "ü\n"
    full_disk()
    with pytest.raises(OSError, match="No space left"):
        replace_file(file, "new\n")
    assert file.read_text(encoding="utf-8") == "ü\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_is_being_read_is_waited_for(tmp_path: Path, busy_files: list[Path]) -> None:
    replace_file(tmp_path / "a.json", "new\n")
    assert (tmp_path / "a.json").read_text() == "new\n"
    assert len(busy_files) == 4


def save_card(folder: Path, words: str) -> None:
    network = RTATL(RTATLConfig(aus=(1, 12), width=8, token=16, geometry=16))
    plain = Calibration(np.ones(2, np.float32), np.zeros(2, np.float32))
    save_model(folder / "tiny", network, plain, {"name": words, "trained_on": "nothing", "trust": {}})


def declare(folder: Path, words: str) -> None:
    write_meta(folder, parts=[words], layout=ChipLayout(), aus=(), occurrence_rule="", origin={})


def begin(folder: Path, words: str) -> None:
    claim(folder / words, {"kind": "test"}, "prepare")


@pytest.mark.parametrize(
    ("write", "name"),
    [(save_card, "tiny.json"), (declare, "meta.json"), (begin, "second/plan.json")],
    ids=["a model's card", "a prepared folder", "a folder being prepared"],
)
def test_no_file_that_others_go_by_is_left_half_written(
    write: Callable[[Path, str], None], name: str, tmp_path: Path, full_disk: Callable[[], None]
) -> None:
    write(tmp_path, "first")
    before = (tmp_path / name).read_text() if (tmp_path / name).exists() else None
    full_disk()
    with pytest.raises((OSError, RecipeError), match=r"No space left|the disk of .* is full; make room"):
        write(tmp_path, "second")
    assert ((tmp_path / name).read_text() if (tmp_path / name).exists() else None) == before


@pytest.mark.parametrize("can", [True, False], ids=["disk", "network disk"])
def test_on_macos_the_disk_itself_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, can: bool) -> None:
    """There fsync is no protection from a power cut."""
    fcntl = pytest.importorskip("fcntl")
    asked: list[object] = []

    def ask(number: int, what: int) -> int:
        asked.append(what)
        if not can:
            raise OSError(errno.ENOTSUP, "Operation not supported")
        return 0

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", ask)
    monkeypatch.setattr("rtatl_core.files.os.fsync", lambda number: asked.append("fsync"))
    replace_file(tmp_path / "a.json", "new\n")
    assert asked == [51] if can else [51, "fsync"]
