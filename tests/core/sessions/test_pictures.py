"""The pictures of a recorded session are those that its rows were read from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtatl_core.assets import asset
from rtatl_core.cli import main
from rtatl_core.sessions.pictures import SessionPictures
from rtatl_core.sessions.recorded import Recorded
from rtatl_core.video import VideoPictures, VideoReader
from tests.clips import (
    cut_from_demo,
    demo_frames,
    number_of,
    rotate_in_header,
    shorten_first_durations,
    write_clip,
    write_picture,
)

HEADER = "frame,face_id,timestamp,success,AU12_r"


def recorded(folder: Path, **about: Any) -> Recorded:
    folder.mkdir()
    (folder / "frames.csv").write_text(f"{HEADER}\n1,0,0.0,1,2\n")
    (folder / "session.json").write_text(json.dumps({"status": "complete"} | about))
    return Recorded.read(folder)


@pytest.mark.parametrize(
    ("name", "codec"), [("clip.mp4", "mp4v"), ("clip.avi", "MJPG"), ("clip.mkv", "mp4v"), ("clip.webm", "VP80")]
)
def test_any_frame_is_found_by_its_time(name: str, codec: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, 100, codec=codec)
    with VideoReader(path) as reader:
        frames = list(reader)
    with VideoPictures(path) as pictures:
        for i in (0, 99, 3, 57, 58, 12, 98, 0):
            image = pictures.at(frames[i].timestamp)
            assert image is not None
            np.testing.assert_array_equal(image, frames[i].image)
        assert pictures.at(60.0) is None
        assert pictures.at(frames[5].timestamp) is not None


def test_frames_of_a_phone_are_upright_and_found_at_any_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "phone.mp4", 100)
    rotate_in_header(path)
    shorten_first_durations(path, 20, 4)  # less than half as long as a frame is in the mean
    with VideoReader(path) as reader:
        frames = list(reader)
    with VideoPictures(path) as pictures:
        for i in (0, 3, 8, 19, 20, 99):
            image = pictures.at(frames[i].timestamp)
            assert image is not None
            np.testing.assert_array_equal(image, frames[i].image)


def test_pictures_far_from_key_frames_are_exact_too() -> None:
    wanted = demo_frames(3, skip=333, every=30)  # H.264
    with VideoPictures(asset("demo.mp4")) as pictures:
        for i in (2, 0, 1):
            image = pictures.at((333 + 30 * i) / 25)
            assert image is not None
            np.testing.assert_array_equal(image, wanted[i])


def test_an_analysed_video_shows_its_frames_as_long_as_it_is_there(tmp_path: Path) -> None:
    clip = cut_from_demo(tmp_path / "smile.mp4", 25)
    assert main(["analyze", str(clip), "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    session = Recorded.read(folder)
    pictures = SessionPictures.of(session)
    assert pictures is not None
    with VideoReader(clip) as reader:
        for packet in reader:
            image = pictures.at(packet.number, float(session.columns["timestamp"][packet.number - 1]))
            assert image is not None
            np.testing.assert_array_equal(image, packet.image)
    pictures.close()
    for another in (write_clip(clip, 25), cut_from_demo(clip, 50)):  # of another size, or length
        assert SessionPictures.of(session) is None, another
    clip.unlink()
    assert SessionPictures.of(session) is None


def test_the_demo_is_shown_however_often_it_began_again(tmp_path: Path) -> None:
    session = recorded(tmp_path / "demo", source={"kind": "demo", "target": "demo"})
    length_s = 973 / 25
    (session.folder / "frames.csv").write_text(f"{HEADER}\n1,0,{2 * length_s + 3},1,2\n")
    pictures = SessionPictures.of(Recorded.read(session.folder))
    assert pictures is not None
    for loop in range(3):
        for number in (0, 10):
            image = pictures.at(1, round(loop * length_s + number / 25, 6))
            np.testing.assert_array_equal(image, demo_frames(1, skip=number)[0])


def test_a_camera_shows_what_was_kept_of_it(tmp_path: Path) -> None:
    videos = [{"file": "video.mkv", "begins_s": 1.0}, {"file": "video-2.mkv", "begins_s": 5.0}]
    session = recorded(tmp_path / "camera", source={"kind": "camera", "target": "Webcam"}, videos=videos)
    assert SessionPictures.of(session) is None
    for name in ("video.mkv", "video-2.mkv"):
        write_clip(session.folder / name, 50)
    pictures = SessionPictures.of(session)
    assert pictures is not None
    for timestamp, number in ((1.0, 1), (1.4, 11), (5.4, 11), (2.2, 6)):
        image = pictures.at(99, timestamp)
        assert image is not None
        assert number_of(image) == number
    assert pictures.at(1, 0.5) is None, "it was kept later only"
    (session.folder / "video-2.mkv").write_bytes(b"damaged")
    pictures.close()
    assert pictures.at(1, 5.4) is None


def test_damage_that_opencv_cannot_hold_is_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = recorded(tmp_path / "camera", source={"kind": "camera"}, videos=[{"file": "video.mkv", "begins_s": 0.0}])
    write_clip(session.folder / "video.mkv", 5)
    pictures = SessionPictures.of(session)
    assert pictures is not None

    def fail(*_: object) -> None:
        raise cv2.error("a negative size")

    monkeypatch.setattr(VideoPictures, "at", fail)
    assert pictures.at(1, 0.0) is None


def test_photos_are_shown_by_their_names(tmp_path: Path) -> None:
    for grey, name in ((40, "a, b.png"), (80, "c.png"), (120, "d.png")):
        write_picture(tmp_path / "photos" / name, np.full((20, 30, 3), grey, np.uint8))
    folder = tmp_path / "session"
    session = recorded(folder, source={"kind": "photos", "target": str(tmp_path / "photos")})
    rows = ['1,0,,1,2,"a, b.png"', '1,1,,1,0,"a, b.png"', "2,,,0,,c.png", "3,0,,1,2,gone.png"]
    (folder / "frames.csv").write_text("\n".join([HEADER + ",file", *rows]) + "\n")
    pictures = SessionPictures.of(session)
    assert pictures is not None
    told = [pictures.at(number, float("nan")) for number in (1, 2, 3)]
    assert [None if image is None else int(image[0, 0, 0]) for image in told] == [40, 80, None]
    one = tmp_path / "photos" / "d.png"
    alone_there = recorded(tmp_path / "one", source={"kind": "photos", "target": str(one)})
    (alone_there.folder / "frames.csv").write_text(f"{HEADER},file\n1,0,,1,2,d.png\n")
    alone = SessionPictures.of(alone_there)
    assert alone is not None
    np.testing.assert_array_equal(alone.at(1, float("nan")), cv2.imread(str(one)))


def test_what_has_no_pictures_shows_none(tmp_path: Path) -> None:
    for i, about in enumerate(({}, {"source": {"kind": "stream", "target": "studio"}}, {"source": {"kind": "file"}})):
        assert SessionPictures.of(recorded(tmp_path / str(i), **about)) is None
