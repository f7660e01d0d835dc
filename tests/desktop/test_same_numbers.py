"""The window and ``rtatl analyze`` give identical AU values for the same video or photo, because they call the same
engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.assets import asset
from rtatl_core.sessions.session import read_session
from tests.clips import cut_from_demo, damage_frame

SECONDS = 3
DAMAGED = 70


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of the demo, with brows that go up in them and a damaged frame."""
    path = cut_from_demo(tmp_path_factory.mktemp("clip") / "smile.mp4", SECONDS * 25)
    damage_frame(path, DAMAGED)
    return path


def run(folder: Path, *command: str) -> Path:
    """Run in a process of its own, as a person does; the session folder it left."""
    environment = os.environ | {
        "QT_QPA_PLATFORM": "offscreen",
        "AU_DESKTOP_HOME": str(folder / "home"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-m", *command], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    (session,) = (path for path in folder.iterdir() if path.name.startswith("smile_"))
    return session


@pytest.mark.slow
def test_window_and_command_line_give_identical_values(clip: Path, tmp_path: Path) -> None:
    window, line = tmp_path / "window", tmp_path / "line"
    window.mkdir()
    line.mkdir()
    stats = str(window / "stats.json")
    live = run(
        window, "au_desktop", "--source", str(clip), "--record", str(window), "--stats", stats, "--device", "cpu"
    )
    batch = run(line, "rtatl_core", "analyze", str(clip), "--out", str(line), "--device", "cpu")
    meta, seen = read_session(live)
    other, analysed = read_session(batch)
    assert meta["counts"] == other["counts"]
    assert np.flatnonzero(seen["analysed"] == 0).tolist() == [DAMAGED - 1]
    assert meta["source"]["target"] == other["source"]["target"] == str(clip)
    assert meta["model"] == other["model"]
    assert meta["settings"] == other["settings"]
    assert list(seen) == list(analysed)
    assert len(seen["frame"]) == SECONDS * 25
    for name, values in seen.items():
        np.testing.assert_array_equal(values, analysed[name], err_msg=name)
    assert np.nanmax(seen["AU01_r"]) > 0


@pytest.mark.slow
def test_of_photos_too(tmp_path: Path) -> None:
    source = cv2.VideoCapture(str(asset("demo.mp4")))
    source.set(cv2.CAP_PROP_POS_FRAMES, 400)
    photo = tmp_path / "smile.png"
    assert cv2.imwrite(str(photo), source.read()[1])
    source.release()
    window, line = tmp_path / "window", tmp_path / "line"
    window.mkdir()
    line.mkdir()
    stats = str(window / "stats.json")  # a script, which ends with its source
    live = run(window, "au_desktop", "--source", str(photo), "--record", str(window), "--stats", stats)
    batch = run(line, "rtatl_core", "analyze", str(photo), "--out", str(line))
    (meta, seen), (other, analysed) = read_session(live), read_session(batch)
    for told in ("source", "model", "settings", "status", "counts", "columns"):
        assert meta[told] == other[told], told
    assert (live / "frames.csv").read_text() == (batch / "frames.csv").read_text()
    assert list(seen) == list(analysed)
    assert np.isnan(seen["timestamp"]).all(), "a photo has none"
    assert max(values[0] for name, values in seen.items() if name.endswith("_r")) > 1.1
