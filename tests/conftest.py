"""For all tests: no screen, no settings of the person who runs them, and nothing that outlives a test."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # a test may import ONNX Runtime before the program does


@pytest.fixture(autouse=True)
def _own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_DESKTOP_HOME", str(tmp_path / "au-desktop-home"))
    monkeypatch.setattr("platformdirs.user_documents_dir", lambda: str(tmp_path / "documents"))


@pytest.fixture(autouse=True)
def _same_runtime_on_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AU_DESKTOP_OPENVINO", "0")


@pytest.fixture(autouse=True)
def _nothing_outlives_a_test() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 2
    while threads := [
        t.name
        for t in threading.enumerate()
        if t not in before and t.is_alive() and not t.name.startswith("Dask-Offload")  # one for the whole process
    ]:
        assert time.monotonic() < until, f"threads outlive the test: {threads}"
        time.sleep(0.01)
    if widgets := sys.modules.get("PySide6.QtWidgets"):
        windows = [w for w in widgets.QApplication.topLevelWidgets() if w.isVisible()]
        for window in windows:
            window.close()
        assert not windows, f"windows outlive the test: {windows}"


@pytest.fixture
def busy_files(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What was to be put somewhere, in vain three times out of four, as on Windows while a scanner for viruses reads
    it."""
    tries: list[Path] = []
    replace = Path.replace

    def refuse(path: Path, target: Path) -> Path:
        tries.append(path)
        if len(tries) % 4:
            raise PermissionError(errno.EACCES, "used by another process")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr("rtatl_core.files.time.sleep", lambda _: None)
    return tries
