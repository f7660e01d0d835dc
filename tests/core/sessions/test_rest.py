"""Sessions whose readings count from a person's stated rest: how it is named, what it changes, what is told of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtatl_core.cli import main
from rtatl_core.errors import InputError
from rtatl_core.sessions.batch import Outcome, Settings, _analyse_one, _own, analyse_all
from rtatl_core.sessions.inputs import Input, find_inputs
from rtatl_core.sessions.rest import RestWhere, describe_rest, far_from_rest, identity_of
from rtatl_core.video import VideoReader
from tests.clips import cut_from_demo, demo_frames, write_clip, write_video
from tests.tables import csv_rows

REST, SMILE = slice(20, 23), slice(30, 35)
"""Frames of the clip, from 0."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another AU, a moment of rest, then a smile, at 25 per second."""
    path = tmp_path_factory.mktemp("study") / "anna.mp4"
    cut_from_demo(path, 40, skip=243)
    return path


def analyse(path: Path, out: Path, rest: str | None, **options: object) -> Outcome:
    where = None if rest is None else RestWhere.parse(rest)
    settings = Settings(device="cpu", rest=where, faces=int(options.pop("faces", 1)))  # type: ignore[call-overload]
    (outcome,) = analyse_all(find_inputs([path]), out, settings, **options)  # type: ignore[arg-type]
    return outcome


def readings(outcome: Outcome, column: str = "AU12_raw") -> np.ndarray:
    assert outcome.folder is not None, outcome.error
    return np.array([float(row[column]) for row in csv_rows(outcome.folder / "frames.csv")])


def told(outcome: Outcome) -> dict[str, object]:
    assert outcome.folder is not None
    settings: dict[str, object] = json.loads((outcome.folder / "session.json").read_text())["settings"]
    return settings


def test_a_video_counts_from_its_seconds_of_rest_from_its_first_frame_on(video: Path, tmp_path: Path) -> None:
    plain, smiling = analyse(video, tmp_path, None), analyse(video, tmp_path, "1.2-1.4")
    assert "rest" not in told(plain)
    rest = told(smiling)["rest"]
    assert isinstance(rest, dict)
    assert rest["between_s"] == [1.2, 1.4]
    smile = readings(plain)[SMILE]
    assert smile.min() > 2
    assert rest["subtracted"]["AU12"] == pytest.approx(float(np.median(smile)), abs=0.3)
    assert readings(smiling)[SMILE].max() < 0.5
    assert readings(smiling).max() < 1, "the rest is known from the first frame on"
    assert rest["left_minus_right"].keys() == rest["subtracted"].keys()
    assert smiling.warning is not None
    assert "AU12" in smiling.warning, "nobody rests so"
    calm = analyse(video, tmp_path, "0.8-0.9")
    assert calm.warning is None
    assert readings(calm)[REST].max() < 0.5
    assert readings(calm)[SMILE].min() > 2


def test_a_session_is_skipped_only_if_it_counts_from_the_same_rest(video: Path, tmp_path: Path) -> None:
    neutral = tmp_path / "neutral.png"
    with VideoReader(video) as reader:
        picture = reader.read()
    assert picture is not None
    cv2.imwrite(str(neutral), picture.image)
    out = tmp_path / "out"
    for rest in (None, "0.8-0.9", "0.8-0.95", str(neutral)):
        assert not analyse(video, out, rest).skipped
        assert analyse(video, out, rest).skipped
    copy = tmp_path / "copy.png"
    copy.write_bytes(neutral.read_bytes())
    assert analyse(video, out, str(copy)).skipped, "the same picture"


def test_a_worker_that_stays_sees_that_the_photo_of_the_rest_is_another(video: Path, tmp_path: Path) -> None:
    """As those of a cluster do."""
    neutral, told_of = tmp_path / "neutral.png", []
    with VideoReader(video) as reader:
        pictures = [packet.image for packet in reader]
    try:
        for picture in (pictures[REST.start], pictures[SMILE.start]):
            cv2.imwrite(str(neutral), picture)
            where = RestWhere(file=neutral)
            settings, rest = Settings(device="cpu", rest=where), identity_of(where.to_json())
            outcome = _analyse_one((Input(video), "anna"), tmp_path / "out", settings, None, None, "model", rest, {})
            told_of.append(told(outcome)["rest"])
    finally:
        _own.close()
    first, second = told_of
    assert second["sha256"] == Input(neutral).content_hash() != first["sha256"]  # type: ignore[index]
    assert second["subtracted"]["AU12"] > 2 > first["subtracted"]["AU12"]  # type: ignore[index]


def test_photos_count_from_a_photo(video: Path, tmp_path: Path) -> None:
    for name, number in (("neutral", 1 + REST.start), ("smile", 1 + SMILE.start)):
        with VideoReader(video) as reader:
            picture = next(packet.image for packet in reader if packet.number == number)
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / f"{name}.png"), picture)
    neutral = tmp_path / "neutral" / "neutral.png"
    plain, counted = (analyse(tmp_path / "smile", tmp_path / "out", rest) for rest in (None, str(neutral)))
    itself = analyse(tmp_path / "neutral", tmp_path / "out", str(neutral))
    assert readings(plain)[0] > 2
    assert readings(counted)[0] > 2
    assert told(counted)["rest"]["file"] == "neutral.png"  # type: ignore[index]
    aus = [name for name in csv_rows(itself.folder / "frames.csv")[0] if name.endswith("_raw")]  # type: ignore[operator]
    assert max(float(readings(itself, name)[0]) for name in aus) < 0.1


def test_pictures_that_are_frames_count_from_a_photo_as_a_video_does(video: Path, tmp_path: Path) -> None:
    """They are compared with those before them, and so is the face of the photo."""
    with VideoReader(video) as reader:
        pictures = [packet.image for packet in reader]
    (tmp_path / "frames").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), pictures[number])
    neutral = tmp_path / "smile.png"
    cv2.imwrite(str(neutral), pictures[SMILE.start])
    of_video, of_frames = (
        told(analyse(path, tmp_path / "out", str(neutral), **options))["rest"]
        for path, options in ((video, {}), (tmp_path / "frames", {"fps": 25.0}))
    )
    assert of_frames == of_video


@pytest.mark.parametrize(
    ("rest", "options", "sentence"),
    [
        ("3-1", {}, "3-1 is no stretch of time"),
        ("nobody.png", {}, "neither seconds"),
        ("0-1", {"faces": 2}, "--rest is of one person"),
    ],
)
def test_a_rest_that_cannot_be_is_refused(
    video: Path, tmp_path: Path, rest: str, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        analyse(video, tmp_path, rest, **options)


def test_what_shows_no_face_at_rest_is_named(video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blank = write_clip(tmp_path / "blank.mp4", frames=20)
    assert main(["analyze", str(blank), "--out", str(tmp_path), "--rest", "0.2-0.4"]) == 2
    assert f"{blank} shows no face between 0.2 and 0.4 s" in capsys.readouterr().err
    assert main(["analyze", str(video), "--out", str(tmp_path), "--rest", "8-9"]) == 2
    assert f"{video} ends at 1.6 s, and its person should rest between 8 and 9 s;" in capsys.readouterr().err
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((64, 64, 3), np.uint8))
    assert main(["analyze", str(photo), "--out", str(tmp_path), "--rest", "0-1"]) == 2
    assert "photos have none; name a photo of the person at rest" in capsys.readouterr().err
    assert not list(tmp_path.glob("*/session.json"))


@pytest.mark.parametrize("in_time", [True, False])
def test_a_video_that_ends_before_its_rest_is_told(video: Path, tmp_path: Path, in_time: bool) -> None:
    warning = analyse(video, tmp_path, "0.8-2" if in_time else "0.8-800").warning or ""
    sentence = f"{video} ends at 1.6 s, and its person should rest between 0.8 and 800 s; what there is of it counts"
    assert (sentence in warning) is not in_time


def test_a_rest_up_to_the_end_of_a_slow_video_is_whole(tmp_path: Path) -> None:
    slow = write_video(tmp_path / "slow.mp4", demo_frames(3, skip=263), fps=1)
    assert "ends at" not in (analyse(slow, tmp_path, "1-3").warning or "")
    assert f"{slow} ends at 3.0 s, and its person should rest between 1 and 4 s" in (
        analyse(slow, tmp_path, "1-4").warning or ""
    )


def test_seconds_late_in_a_long_video_are_told_apart() -> None:
    near, far = (identity_of(RestWhere.parse(f"{late}-12400").to_json()) for late in ("12345.61", "12345.64"))
    assert near != far
    assert identity_of(json.loads(json.dumps(RestWhere.parse("0-3").to_json()))) == identity_of({"between_s": [0, 3]})


def test_what_is_subtracted_is_told_in_words() -> None:
    rest = np.array([2.04, -0.31, 0.04], np.float32)
    assert describe_rest((1, 12, 25), rest) == "subtracted AU01 2.0, AU12 -0.3"
    assert describe_rest((25,), rest[2:]) == "nothing to subtract"
    differ = np.array([0.02, 0.6, -0.4], np.float32)
    told = "subtracted AU01 2.0, AU12 -0.3; from left minus right AU12 0.6, AU25 -0.4"
    assert describe_rest((1, 12, 25), rest, differ) == told
    assert describe_rest((25,), rest[2:], differ[2:]) == "subtracted from left minus right AU25 -0.4"
    assert describe_rest((25,), rest[2:], differ[:1]) == "nothing to subtract"
    assert far_from_rest((1, 12, 25), rest) == "AU1 2.0"
    assert far_from_rest((25,), rest[2:]) == ""
