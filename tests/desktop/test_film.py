"""The picture of a recording: which one a player shows when, and what cannot stop the numbers."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt

from au_desktop.__main__ import _parser
from au_desktop.launch import Flagged, Launch
from au_desktop.settings import Settings
from au_desktop.sinks import film as films
from au_desktop.sinks.film import JUDGE_S, ROOM, USUAL_FPS, Film
from au_desktop.sources import FrameSource, SourceSpec
from rtatl_core.errors import SessionError
from rtatl_core.sessions.session import read_session
from tests.desktop.conftest import MakeDesk, until, wait_until
from tests.desktop.fakes import CAMERA, FILE, FakeEngine, camera_opener
from tests.desktop.hands import live, press
from tests.tables import csv_rows

SIZE = 64, 48


def shade(level: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.full((size[1], size[0], 3), level, np.uint8)


@pytest.fixture
def film(tmp_path: Path) -> Iterator[Film]:
    film = Film(tmp_path, lambda: 25.0)
    yield film
    film.close()


def put_all(film: Film, pictures: list[tuple[float, np.ndarray]]) -> None:
    """One after the other, as a camera would."""
    for timestamp, picture in pictures:
        until_there_is_room(film)
        film.put(timestamp, picture)


def until_there_is_room(film: Film) -> None:
    deadline = time.monotonic() + 10
    while film._room._value < ROOM and time.monotonic() < deadline:
        time.sleep(0.001)


def shown(file: Path) -> list[float]:
    """Mean grey of each picture."""
    video = cv2.VideoCapture(str(file))
    levels = []
    while (read := video.read())[0]:
        levels.append(float(read[1].mean()))
    video.release()
    return levels


def test_a_player_shows_what_came_last(film: Film, tmp_path: Path) -> None:
    """Pictures come a little early and late, one is lost, two come in one fiftieth of a second."""
    times = np.arange(50) / 25 + np.random.default_rng(0).uniform(-0.015, 0.015, 50)
    times[0], times[31] = 0, times[30] + 0.004
    times = np.delete(times, [20, 21, 22])
    levels = 20 + 37 * np.arange(len(times)) % 200
    put_all(film, [(float(t), shade(int(level))) for t, level in zip(times, levels, strict=True)])
    film.close()
    told = shown(tmp_path / "video.mkv")
    assert len(told) == round(times[-1] * 25) + 1
    for slot, level in enumerate(told):
        about = [k for k, t in enumerate(times * 25) if abs(t - slot) < 1]
        about = about or [int(np.flatnonzero(times * 25 < slot)[-1])]
        assert any(level == pytest.approx(levels[k], abs=6) for k in about), slot
    assert film.left_out == 0
    assert film.fault == ""
    (part,) = film.parts
    assert (part.file, part.begins_s, part.fps, part.size) == ("video.mkv", 0, 25, SIZE)
    assert film.bytes > 0


def test_after_a_gap_or_in_another_size_another_file_goes_on(film: Film, tmp_path: Path) -> None:
    large = (97, 65)  # of odd sides MPEG-4 loses the last pixel
    steps = [(k / 25, shade(50)) for k in range(10)]
    steps += [(60 + k / 25, shade(100)) for k in range(10)]
    steps += [(60.4 + k / 25, shade(150, large)) for k in range(10)]
    put_all(film, steps)
    film.close()
    assert [(part.file, part.begins_s, part.size) for part in film.parts] == [
        ("video.mkv", 0, SIZE),
        ("video-2.mkv", 60, SIZE),
        ("video-3.mkv", 60.4, (96, 64)),
    ]
    for part, level in zip(film.parts, (50, 100, 150), strict=True):
        told = shown(tmp_path / part.file)
        assert len(told) == 10
        assert np.mean(told) == pytest.approx(level, abs=4)
        video = cv2.VideoCapture(str(tmp_path / part.file))
        assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == part.size
        video.release()


def test_what_was_never_closed_can_be_played(film: Film, tmp_path: Path) -> None:
    """As after a crash, a few seconds may lack."""
    rng = np.random.default_rng(0)
    put_all(film, [(k / 25, rng.integers(0, 255, (240, 320, 3), np.uint8)) for k in range(250)])
    until_there_is_room(film)
    left = tmp_path / "left.mkv"
    left.write_bytes((tmp_path / "video.mkv").read_bytes())
    assert len(shown(left)) > 125


@pytest.mark.parametrize("off", [0.0, 0.5])
def test_a_tremor_costs_no_picture(film: Film, tmp_path: Path, off: float) -> None:
    """Even where each picture but the first comes just between two of the file's."""
    times = np.arange(60) / 25 + np.random.default_rng(0).uniform(-0.008, 0.008, 60) + off / 25
    times[0] = 0
    levels = [20 + 100 * (k % 3) for k in range(60)]
    put_all(film, [(float(t), shade(level)) for t, level in zip(times, levels, strict=True)])
    film.close()
    told = shown(tmp_path / "video.mkv")
    assert len(told) == pytest.approx(60, abs=1)
    assert told[5:55] == pytest.approx(levels[5:55], abs=6)


@pytest.mark.parametrize(("told", "comes"), [(30.0, 60.0), (25.0, 30.0)])
def test_a_camera_may_be_faster_than_it_tells(tmp_path: Path, told: float, comes: float) -> None:
    """As network cameras are, of which FFmpeg says 25."""
    film = Film(tmp_path, lambda: told)
    put_all(film, [(k / comes, shade(20 + 100 * (k % 2))) for k in range(round(7 * comes))])
    film.close()
    first, second = film.parts
    assert (first.fps, second.fps) == (told, pytest.approx(comes, abs=0.1))
    assert second.begins_s == pytest.approx(JUDGE_S, abs=0.1)
    assert len(shown(tmp_path / second.file)) == pytest.approx(2 * comes, abs=2)


def test_a_slow_camera_gets_no_file_for_each_picture(film: Film) -> None:
    put_all(film, [(2.0 * k, shade(50)) for k in range(6)])
    film.close()
    assert [part.begins_s for part in film.parts] == [0, 2]


def test_pictures_too_large_to_be_encoded_in_time_get_a_lower_rate(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of a rate that cannot be reached would be written ever slower: each picture that is left out costs the
    repetition of another."""
    monkeypatch.setattr(films.cv2, "VideoWriter", Lazy)
    monkeypatch.setattr(film, "_weigh", lambda: None)
    began = time.perf_counter()
    while (t := time.perf_counter() - began) < 3:
        film.put(t, shade(0))
        time.sleep(0.01)
    film.close()
    assert not film._thread.is_alive()
    *_, last = film.parts
    assert 5 < last.fps < 10
    assert last.begins_s < 2
    assert len(film.parts) < 4


@pytest.mark.parametrize(
    ("told", "taken"),
    [(None, USUAL_FPS), (0.0, USUAL_FPS), (1000.0, USUAL_FPS), (math.nan, USUAL_FPS), (15.0, 15), (29.97003, 29.97)],
)
def test_the_rate_is_the_cameras_where_it_tells_one(tmp_path: Path, told: float | None, taken: float) -> None:
    film = Film(tmp_path, lambda: told)
    film.put(0, shade(0))
    film.close()
    assert film.parts[0].fps == taken


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_folder_whose_name_is_no_text_is_told(tmp_path: Path) -> None:
    """OpenCV would end the whole program."""
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    film = Film(folder, lambda: 25.0)
    film.put(0, shade(0))
    film.close()
    assert film.fault == (
        "No more video of this recording can be kept (the folder's name is not UTF-8); its numbers go on."
    )


class Slow:
    """An encoder that takes no more pictures."""

    gate = threading.Event()

    def __init__(self, *about: object) -> None: ...

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def write(self, picture: np.ndarray) -> None:
        self.gate.wait(10)

    def release(self) -> None: ...


class Lazy(Slow):
    """An encoder that needs a tenth of a second."""

    fourcc = staticmethod(lambda *letters: 0)

    def write(self, picture: np.ndarray) -> None:
        time.sleep(0.1)


class Broken(Slow):
    def isOpened(self) -> bool:  # noqa: N802
        return False


def test_no_live_picture_waits_for_the_encoder(film: Film, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films.cv2, "VideoWriter", Slow)
    monkeypatch.setattr(Slow, "fourcc", staticmethod(lambda *letters: 0), raising=False)
    monkeypatch.setattr(film, "_weighed_at", 1e9)
    began = time.perf_counter()
    for k in range(50):
        film.put(k / 25, shade(0))
    assert time.perf_counter() - began < 0.5
    assert film.left_out == 50 - ROOM
    Slow.gate.set()


def test_a_video_that_cannot_be_written_is_told_and_costs_no_numbers(
    make_pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films.cv2, "VideoWriter", Broken)
    monkeypatch.setattr(Broken, "fourcc", staticmethod(lambda *letters: 0), raising=False)
    pipeline = make_pipeline(FakeEngine, open_source=camera_opener(fps=100))
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path, film=True)
    until(pipeline, lambda status: status.recording and status.recording.rows > 30)
    notice = pipeline.status().notice
    assert notice.severity == "warning"
    assert "No more video of this recording can be kept (video.mkv cannot be written)" in notice.text
    assert pipeline.film_fault == notice.text
    assert not pipeline.status().recording.film, "the button no longer says video"
    pipeline.stop_recording()
    meta, columns = read_session(folder)
    assert meta["status"] == "complete"
    told = [row["label"] for row in csv_rows(folder / "events.csv") if row["kind"] == "notice"]
    assert told == [notice.text], "nor does it say that encoding took too long"
    assert len(columns["frame"]) > 30
    assert "videos" not in meta


def test_a_disk_that_is_nearly_full_is_left_to_the_numbers(film: Film, tmp_path: Path, monkeypatch: Any) -> None:
    put_all(film, [(k / 25, shade(0)) for k in range(10)])
    monkeypatch.setattr(films, "LEAST_FREE", 10**18)
    monkeypatch.setattr(film, "_weighed_at", 0.0)
    put_all(film, [(k / 25, shade(0)) for k in range(10, 20)])
    film.close()
    assert film.fault == "No more video of this recording can be kept (the disk is nearly full); its numbers go on."
    assert 10 <= len(shown(tmp_path / "video.mkv")) <= 11, "closed, and whole so far"
    assert film.left_out == 0
    another = Film(tmp_path / "another", lambda: 25.0)
    another.put(0, shade(0))
    another.close()
    assert another.parts == ()


def test_a_file_does_not_outgrow_its_disk(film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as memory cards, where none may hold 4 GB."""
    monkeypatch.setattr(films, "MOST_BYTES", -1)
    monkeypatch.setattr(films, "WEIGH_S", 0.0)
    put_all(film, [(k / 25, shade(50)) for k in range(10)])
    film.close()
    assert len(film.parts) > 1
    assert sum(len(shown(tmp_path / part.file)) for part in film.parts) == 10


def test_what_fails_keeps_no_pictures(film: Film, tmp_path: Path) -> None:
    (tmp_path / "video.mkv").mkdir()
    pictures = [shade(0) for _ in range(30)]
    kept = [weakref.ref(picture) for picture in pictures]
    put_all(film, [(k / 25, pictures.pop()) for k in range(30)])
    film.close()
    assert film.fault
    assert film.left_out == 0
    assert not any(ref() is not None for ref in kept)


def test_where_no_numbers_can_be_written_no_video_is_left(
    make_pipeline: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*about: object) -> None:
        time.sleep(0.3)  # meanwhile pictures come
        raise SessionError("The disk is full; make room.")

    monkeypatch.setattr("au_desktop.runtime.recordings.SessionWriter", refuse)
    pipeline = make_pipeline(FakeEngine, open_source=camera_opener(fps=100))
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path, film=True)
    until(pipeline, lambda status: status.notice and "The disk is full" in status.notice.text)
    assert not folder.exists()


def test_a_recording_of_a_camera_keeps_its_picture_if_asked_to(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(FakeEngine, open_source=camera_opener(fps=50))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, lambda status: status.analysed >= 3)
    folder = pipeline.start_recording(tmp_path, film=True)
    status = until(pipeline, lambda status: status.recording and status.recording.rows > 60)
    assert status.recording.film
    pipeline.stop_recording()
    meta, columns = read_session(folder)
    (video,) = meta["videos"]
    assert video["file"] == "video.mkv"
    assert video["begins_s"] == pytest.approx(0, abs=0.1)
    told = shown(folder / "video.mkv")
    assert len(told) / video["fps"] == pytest.approx(columns["timestamp"][-1], abs=0.2)
    events = (folder / "events.csv").read_text()
    assert "video,video.mkv begins" in events
    plain = pipeline.start_recording(tmp_path / "plain")
    until(pipeline, lambda status: status.recording and status.recording.rows > 5)
    assert not pipeline.status().recording.film
    pipeline.stop_recording()
    assert sorted(file.name for file in plain.iterdir()) == ["events.csv", "frames.csv", "session.json"]


def test_a_flag_films_this_run_only() -> None:
    flagged = Flagged(Settings(), Launch(film=_parser().parse_args(["--film"]).film), None)
    assert flagged.settings().film
    assert not flagged.to_keep(flagged.settings(), (1280, 800)).film


def test_a_camera_that_opens_after_the_recording_began_is_filmed_at_its_rate(
    make_pipeline: Any, tmp_path: Path
) -> None:
    def late(spec: SourceSpec) -> FrameSource:
        time.sleep(0.3)
        return camera_opener(fps=60)(spec)

    pipeline = make_pipeline(FakeEngine, open_source=late)
    pipeline.start()
    pipeline.set_source(CAMERA)
    folder = pipeline.start_recording(tmp_path, film=True)
    until(pipeline, lambda status: status.recording and status.recording.rows > 10)
    pipeline.stop_recording()
    assert [video["fps"] for video in read_session(folder)[0]["videos"]] == [60]


def test_a_file_needs_no_second_video(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(FakeEngine, open_source=camera_opener(frames=20, fps=100))
    pipeline.set_source(FILE)
    folder = pipeline.start_recording(tmp_path, film=True)
    pipeline.start()
    until(pipeline, lambda status: status.recording is None)
    pipeline.close()
    assert not list(folder.glob("*.mkv"))


def test_who_is_filmed_can_read_it(make_desk: MakeDesk) -> None:
    desk = live(make_desk(Settings(film=True), open_source=camera_opener(fps=60.0)))
    button, switch = desk.window.top.record, desk.window.options.film
    assert switch.isChecked()
    press(desk, Qt.Key.Key_R)
    wait_until(lambda: button.accessibleName().endswith("video"))
    assert not switch.isEnabled(), "a recording goes on as it began"
    assert switch.accessibleDescription() == switch.toolTip() != "", "who sees no tip hears why"
    press(desk, Qt.Key.Key_R)
    wait_until(switch.isEnabled)
    assert switch.accessibleDescription() == switch.toolTip() == ""
