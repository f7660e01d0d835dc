"""What docs/python.md shows works, and gives the numbers that it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.handoffs import OF_PHOTOS, AnalysedFace, AnalysedFrame
from rtatl_core.sessions.session import read_session
from tests.clips import cut_from_demo, demo_frames, write_picture

GUIDE = Path(__file__).parents[2] / "docs" / "python.md"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    cut_from_demo(folder / "interview.mp4", 25)
    for number, picture in enumerate(demo_frames(2, every=300)):
        write_picture(folder / "photos" / f"{number}.png", picture)
    return folder


def follow(place: int, study: Path, *changes: tuple[str, str]) -> str:
    recipe = GUIDE.read_text(encoding="utf-8").split("```python\n")[1 + place].split("```")[0]
    for shown, here in changes:
        assert shown in recipe
        recipe = recipe.replace(shown, here)
    command = [sys.executable, "-X", "utf8", "-c", recipe]
    done = subprocess.run(command, cwd=study, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_video_as_a_session_and_frame_by_frame_reads_the_same(study: Path) -> None:
    said = follow(0, study).split()
    meta, columns = read_session(study / said[0])
    assert (meta["status"], meta["settings"]["max_faces"], said[1:]) == ("complete", 2, ["25", "None"])
    of_photos, photos = read_session(next((study / "sessions").glob("photos_*")))
    assert {name: of_photos["settings"].get(name) for name in OF_PHOTOS} == OF_PHOTOS
    assert photos["success"].tolist() == [1, 1]
    rows = [
        re.findall(r"[\d.]+", line.replace("AU12", "").replace("AU6", "")) for line in follow(2, study).splitlines()
    ]
    assert [row[1] for row in rows] == ["0"] * 25
    seen = np.array(rows, float)
    np.testing.assert_allclose(seen[:, 0], columns["timestamp"], atol=6e-4)
    np.testing.assert_allclose(seen[:, 2:], np.stack([columns["AU12_r"], columns["AU06_r"]], 1), atol=0.051)


def test_readings_count_from_a_rest_that_was_named(study: Path) -> None:
    before = set((study / "sessions").glob("*"))
    follow(1, study)
    (folder,) = set((study / "sessions").glob("*")) - before
    assert read_session(folder)[0]["settings"]["rest"]["between_s"] == [0, 3]


def test_own_pictures_become_a_session_with_an_event(study: Path) -> None:
    camera = ("cv2.VideoCapture(0)", 'cv2.VideoCapture("interview.mp4")')
    folder = study / follow(3, study, camera, ("== 100", "== 10")).strip()
    meta, columns = read_session(folder)
    assert (meta["status"], columns["frame"].tolist()) == ("complete", list(range(1, 26)))
    assert (np.diff(columns["timestamp"]) > 0).all()
    assert re.search(
        r"^[\d.]+,10,marker,stimulus on$", (folder / "events.csv").read_text(encoding="utf-8"), re.MULTILINE
    )


def test_the_fields_that_it_names_exist() -> None:
    kinds = {
        "result": "AUResult",
        "prediction": "AUPrediction",
        "observation": "FaceObservation",
        "aligned": "AlignedFace",
    }
    named = re.findall(r"^\| `(\w+)\.(\w+)` \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 5
    handoffs = sys.modules[AnalysedFrame.__module__]
    for part, field in named:
        assert AnalysedFace.__annotations__[part] == kinds[part]
        assert field in getattr(handoffs, kinds[part]).__annotations__
