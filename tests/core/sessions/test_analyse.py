"""Every picture has its row and its word, whatever could not be read or analysed."""

from __future__ import annotations

import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.engine import IN_FLIGHT, Engine
from rtatl_core.errors import InputError, PredictionError
from rtatl_core.handoffs import ObservedFrame
from rtatl_core.sessions.analyse import analyse_photos
from rtatl_core.sessions.session import read_session
from tests.desktop.fakes import FakeEngine, picture
from tests.tables import csv_rows


class Offline(FakeEngine):
    ahead = Engine.ahead


def pictures(folder: Path, count: int, damaged: set[int]) -> list[Path]:
    files = [folder / f"{number}.png" for number in range(1, count + 1)]
    for number, file in enumerate(files, 1):
        cv2.imwrite(str(file), picture((32, 24), number))
        if number in damaged:
            file.write_bytes(b"no picture")
    return files


def test_frames_that_cannot_be_read_or_analysed_keep_their_rows(tmp_path: Path) -> None:
    engine = Offline(fails={3: PredictionError("no number (NaN)"), 5: PredictionError("none either")})
    files = pictures(tmp_path, 6, {2, 4, 6})
    done = analyse_photos(files, tmp_path / "out", engine, fps=25)  # type: ignore[arg-type]
    facts, columns = read_session(done.folder)
    assert columns["frame"].tolist() == [1, 2, 3, 4, 5, 6]
    assert columns["analysed"].tolist() == [1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(columns["timestamp"], np.arange(6) / 25)
    assert done.frames == 6
    assert facts["counts"] == {"captured": 6, "analysed": 1, "dropped": 5, "rows": 6, "faces": 1}
    told = [(event["frame"], event["label"].split(",")[0][:24]) for event in csv_rows(done.folder / "events.csv")]
    expected = ["2.png cannot be read as ", "no number (NaN)", "4.png cannot be read as ", "none either"]
    assert told == list(zip("23456", [*expected, "6.png cannot be read as "], strict=True))
    assert done.warning is not None
    assert done.warning.startswith(f"2.png, 4.png, 6.png of {tmp_path} cannot be decoded, so their rows are empty")
    assert f"2 frames of {tmp_path} could not be analysed (no number (NaN)), so their rows are empty." in done.warning
    assert facts["warning"] == done.warning


@pytest.mark.parametrize(
    ("blind", "damaged", "told"),
    [
        ({1, 2, 4}, {3}, "No face was found in any of the 4 frames of "),
        ({1, 2}, {3}, "3.png of "),  # a face in one will do for a video
    ],
)
def test_faces_are_missed_only_in_frames_that_were_seen(
    tmp_path: Path, blind: set[int], damaged: set[int], told: str
) -> None:
    engine = Offline(blind=lambda packet: packet.number in blind)
    done = analyse_photos(pictures(tmp_path, 4, damaged), tmp_path / "out", engine, fps=25)  # type: ignore[arg-type]
    assert done.warning is not None
    assert done.warning.startswith(told)


def test_a_network_that_answers_nothing_leaves_no_whole_session(tmp_path: Path) -> None:
    """It had a face to look at; analysed again, perhaps with another model or device, there may be numbers."""
    fault = PredictionError("no number (NaN)")
    engine = Offline(fails={1: fault, 2: fault}, blind=lambda packet: packet.number == 3)
    engine.tracking = False
    files = pictures(tmp_path, 3, set())
    with pytest.raises(PredictionError, match=r"No photo of .* gave numbers \(no number \(NaN\)\)\.$") as caught:
        analyse_photos(files, tmp_path / "out", engine)  # type: ignore[arg-type]
    (folder,) = (tmp_path / "out").iterdir()
    facts, columns = read_session(folder)
    assert facts["status"] == f"stopped: {caught.value}"
    assert columns["analysed"].tolist() == [0, 0, 1]


def test_frames_without_numbers_and_a_device_that_was_given_up_are_told(tmp_path: Path) -> None:
    engine = Offline(fails={2: PredictionError("no number (NaN)")})
    engine.warning = "The memory of cuda:0 is full."
    done = analyse_photos(pictures(tmp_path, 3, set()), tmp_path / "out", engine, fps=25)  # type: ignore[arg-type]
    told = f"1 frame of {tmp_path} could not be analysed (no number (NaN)), so its row is empty."
    assert done.warning == f"{told} The memory of cuda:0 is full."
    facts, _ = read_session(done.folder)
    assert (facts["status"], facts["warning"]) == ("complete", done.warning)


def test_pictures_without_numbers_do_not_stay_in_memory(tmp_path: Path) -> None:
    engine, seen, most = Offline(), list[weakref.ref[np.ndarray]](), 0

    def fail(observed: ObservedFrame, dropped: tuple[tuple[int, float], ...] = ()) -> None:
        nonlocal most
        seen.append(weakref.ref(observed.packet.image))
        most = max(most, sum(one() is not None for one in seen))
        raise PredictionError("no number (NaN)")

    engine.analyse = fail  # type: ignore[method-assign, assignment]
    with pytest.raises(PredictionError):
        analyse_photos(pictures(tmp_path, 30, set()), tmp_path / "out", engine, fps=25)  # type: ignore[arg-type]
    assert 0 < most <= 2 * IN_FLIGHT


def test_photos_are_not_followed_from_one_to_the_next(tmp_path: Path) -> None:
    files, engine = pictures(tmp_path, 2, set()), Offline()
    with pytest.raises(InputError, match=r"make it with Engine\(tracking=False\), or give fps"):
        analyse_photos(files, tmp_path / "out", engine)  # type: ignore[arg-type]
    engine.tracking = False
    with pytest.raises(InputError, match=r"No picture was named; name one or more\."):
        analyse_photos([], tmp_path / "out", engine)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()
    assert analyse_photos(files, tmp_path / "out", engine).frames == 2  # type: ignore[arg-type]
