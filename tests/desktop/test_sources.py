"""Sources: what a person may type, how frames are stamped, and what each failure tells them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from au_desktop import sources
from au_desktop.sources import (
    DEMO,
    SourceSpec,
    as_camera,
    list_cameras,
    open_as_camera,
    open_camera,
    open_source,
    open_stream,
    parse_source,
)
from rtatl_core.errors import SourceAsked, SourceError, SourceLost
from tests.clips import number_of, write_clip

LOGITECH = SourceSpec("camera", "2", "Logitech C920")
BUILT_IN = SourceSpec("camera", "0", "Integrated Camera")


@pytest.fixture
def two_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "list_cameras", lambda: (BUILT_IN, LOGITECH))


class FakeCapture:
    """A cv2.VideoCapture: `frames` good reads, then failing ones; `glitches` are reads that fail in between."""

    def __init__(self, *, opens: bool = True, frames: int = 1000, glitches: tuple[int, ...] = ()) -> None:
        self.opens = opens
        self.asked: dict[int, float] = {}
        self.released = False
        self._frames = frames
        self._glitches = glitches
        self._reads = 0

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def set(self, key: int, value: float) -> None:
        self.asked[key] = value

    def get(self, key: int) -> float:
        return 30.0 if key == cv2.CAP_PROP_FPS else 0.0

    def grab(self) -> bool:
        self._reads += 1
        return self._reads <= self._frames and self._reads not in self._glitches

    def retrieve(self) -> tuple[bool, np.ndarray]:
        time.sleep(0.01)  # decoding takes its time, and must not be in the stamp
        return True, np.zeros((720, 1280, 3), np.uint8)

    def read(self) -> tuple[bool, np.ndarray | None]:
        return self.retrieve() if self.grab() else (False, None)

    def release(self) -> None:
        self.released = True


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere cameras are no files")


@pytest.mark.usefixtures("two_cameras")
@pytest.mark.parametrize(
    ("text", "spec"),
    [
        (" Demo ", SourceSpec("demo", "demo", "Demo clip")),
        ("2", LOGITECH),
        ("7", SourceSpec("camera", "7", "Camera 7")),
        pytest.param("/dev/video2", LOGITECH, marks=LINUX),
        ("logitech c920", LOGITECH),
        ("integr", BUILT_IN),
        (
            "rtsp://me:secret@10.0.0.5:554/live/",
            SourceSpec("stream", "rtsp://me:secret@10.0.0.5:554/live/", "10.0.0.5:554/live"),
        ),
        ("HTTP://cam/feed", SourceSpec("stream", "HTTP://cam/feed", "cam/feed")),
    ],
)
def test_what_a_person_types_finds_its_source(text: str, spec: SourceSpec) -> None:
    assert parse_source(text) == spec


def test_a_path_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "2"
    path.touch()
    assert parse_source(str(path)) == SourceSpec("file", str(path), "2")


@pytest.mark.usefixtures("two_cameras")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("  ", "No source is named"),
        ("webcam", "There is no camera or file 'webcam' .*Integrated Camera, Logitech C920"),
        ("c", "fits several cameras .Integrated Camera, Logitech C920."),
        ("missing/clip.mp4", "There is no file missing/clip.mp4"),
        ("clip.mp4", "There is no file clip.mp4"),
        ("ftp://host/clip.mp4", "ftp:// addresses are not supported"),
        ("rtsp://", "names no computer"),
        ("http://[abc", r"'http://\[abc' names no computer"),
        ("~nobodyxyz/v.mp4", "There is no file ~nobodyxyz/v.mp4"),
        ("²", "There is no camera or file '²'"),
        ("٢", "There is no camera or file"),
        ("x" * 300 + ".mp4", "There is no file x"),
    ],
)
def test_what_fits_nothing_is_explained(text: str, says: str) -> None:
    with pytest.raises(SourceError, match=says):
        parse_source(text)


def test_listing_cameras_works_without_any() -> None:
    assert all(camera.kind == "camera" and camera.name for camera in list_cameras())


def test_namesakes_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2_enumerate_cameras as enumerator

    infos = [enumerator.CameraInfo(index, "Webcam", "", 0, 0, sources.BACKEND) for index in (3, 1)]
    monkeypatch.setattr(enumerator, "enumerate_cameras", lambda _: infos)
    found = [(camera.target, camera.name) for camera in list_cameras()]
    assert found == [("1", "Webcam"), ("3", "Webcam (2)")]


def test_a_camera_is_asked_for_a_compressed_picture_and_no_queue() -> None:
    capture = FakeCapture()
    source = open_camera(LOGITECH, lambda index, backend: capture, lambda: (LOGITECH,))
    assert capture.asked[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert capture.asked[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert source.live
    assert source.size == (1280, 720)
    assert source.fps == 30
    source.close()
    assert capture.released


def test_a_camera_is_found_by_name_after_its_number_moved() -> None:
    opened: list[int] = []

    def make(index: int, backend: int) -> Any:
        opened.append(index)
        return FakeCapture()

    open_camera(LOGITECH, make, lambda: (BUILT_IN, SourceSpec("camera", "4", "Logitech C920")))
    assert opened == [4]


def test_another_camera_at_the_old_number_is_not_taken_for_it() -> None:
    other = SourceSpec("camera", "2", "Somebody else's camera")
    with pytest.raises(SourceError, match="Logitech C920 is not connected"):
        open_camera(LOGITECH, lambda *_: FakeCapture(), lambda: (other,))


def test_a_camera_known_by_number_only_is_opened_by_it() -> None:
    nameless = SourceSpec("camera", "5", "Camera 5")
    assert open_camera(nameless, lambda *_: FakeCapture(), lambda: ()).size == (1280, 720)


@pytest.mark.skipif(sys.platform != "linux", reason="device files")
@pytest.mark.parametrize("busy", [FakeCapture(opens=False), FakeCapture(frames=0)], ids=["no open", "no picture"])
def test_a_busy_camera_is_told_from_a_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: FakeCapture
) -> None:
    device = tmp_path / "video2"
    monkeypatch.setattr(sources, "device_file", lambda number: device)
    with pytest.raises(SourceError, match=r"Logitech C920 is not connected .*video2 does not exist"):
        open_camera(LOGITECH, lambda *_: busy, lambda: (LOGITECH,))
    device.touch()
    with pytest.raises(SourceError, match="Logitech C920 is in use by another program; close that program"):
        open_camera(LOGITECH, lambda *_: busy, lambda: (LOGITECH,))
    monkeypatch.setattr(sources, "may_open", lambda device: False)
    with pytest.raises(SourceError, match="usermod -aG video"):
        open_camera(LOGITECH, lambda *_: busy, lambda: (LOGITECH,))
    assert busy.released


@pytest.mark.parametrize(
    ("system", "where"),
    [
        ("win32", r"Settings > Privacy & security > Camera \(desktop apps\)"),
        ("darwin", "System Settings > Privacy & Security > Camera"),
    ],
)
def test_where_cameras_can_be_forbidden_is_told(system: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(sources, "awaits_permission", lambda: False)
    with pytest.raises(SourceError, match=f"C920 cannot be opened; close what uses it, and allow .* in {where}"):
        open_camera(LOGITECH, lambda *_: FakeCapture(opens=False), lambda: (LOGITECH,))


@pytest.mark.parametrize("undecided", [True, False])
def test_macos_is_asking_the_person(undecided: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(authorizationStatusForMediaType_=lambda media: 0 if undecided else 2)
    framework = ModuleType("AVFoundation")
    framework.__dict__.update(AVMediaTypeVideo="vide", AVAuthorizationStatusNotDetermined=0, AVCaptureDevice=device)
    monkeypatch.setitem(sys.modules, "AVFoundation", framework)
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SourceError, match="C920") as told:
        open_camera(LOGITECH, lambda *_: FakeCapture(opens=False), lambda: (LOGITECH,))
    assert isinstance(told.value, SourceAsked) is undecided
    assert ("macOS asks whether" in str(told.value)) is undecided


@pytest.mark.parametrize("module", ["rtatl_core.cameras", "rtatl_core.video", "au_desktop.sources"])
def test_windows_cameras_are_told_to_open_fast_before_opencv_is_there(module: str) -> None:
    """It reads this once, when it is imported."""
    code = f"""
import os, sys
class Watch:
    def find_spec(name, path=None, target=None):
        if name == "cv2":
            print(os.environ.get("OPENCV_VIDEOIO_MSMF_ENABLE_HW_TRANSFORMS"))
            sys.exit()
sys.meta_path.insert(0, Watch)
import {module}
"""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run([sys.executable, "-c", code], env=bare, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"]


def test_live_frames_are_stamped_on_arrival_before_decoding() -> None:
    source = open_camera(LOGITECH, lambda *_: FakeCapture(), lambda: (LOGITECH,))
    for number in (1, 2, 3):
        before = time.perf_counter()
        packet = source.read()
        after = time.perf_counter()
        assert packet.number == number
        assert before <= packet.captured_at <= after - 0.01
    assert packet.timestamp > 0.02


def test_one_broken_picture_is_no_loss_but_several_are() -> None:
    capture = FakeCapture(frames=6, glitches=(3, 4))
    source = open_camera(LOGITECH, lambda *_: capture, lambda: (LOGITECH,))
    assert [source.read().number for _ in range(3)] == [1, 2, 3]
    with pytest.raises(SourceLost, match="Logitech C920 stopped delivering pictures"):
        source.read()


def test_a_driver_that_raises_is_a_loss_too() -> None:
    class Raising(FakeCapture):
        def grab(self) -> bool:
            if self._reads > 0:
                raise cv2.error("the device is gone")
            return super().grab()

    source = open_camera(LOGITECH, lambda *_: Raising(), lambda: (LOGITECH,))
    with pytest.raises(SourceLost):
        source.read()


@pytest.mark.parametrize("fails_in", ["isOpened", "set", "read", "get"])
@pytest.mark.parametrize("kind", ["camera", "stream"])
def test_a_driver_that_raises_while_it_opens_is_released_and_tried_again(kind: str, fails_in: str) -> None:
    """Reconnection goes on after a SourceError only."""
    capture = FakeCapture()

    def fail(*_: object) -> None:
        raise cv2.error("the device is gone")

    if (kind, fails_in) == ("stream", "set"):
        pytest.skip("nothing is asked of a stream")
    setattr(capture, fails_in, fail)
    opens = {
        "camera": lambda: open_camera(LOGITECH, lambda *_: capture, lambda: (LOGITECH,)),
        "stream": lambda: open_stream(SourceSpec("stream", "http://cam/feed", "cam/feed"), lambda *_: capture),
    }
    with pytest.raises(SourceError):
        opens[kind]()
    assert capture.released


def test_a_driver_that_raises_before_there_is_a_device_is_an_error_of_the_source() -> None:
    def fail(*_: object) -> Any:
        raise cv2.error("no such backend")

    with pytest.raises(SourceError):
        open_camera(LOGITECH, fail, lambda: (LOGITECH,))


def test_a_stream_that_does_not_answer_is_named_without_its_password() -> None:
    spec = parse_source("rtsp://me:secret@127.0.0.1:9/live")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9/live does not answer") as caught:
        open_stream(spec, lambda *_: FakeCapture(opens=False))
    assert "secret" not in str(caught.value)


def test_a_file_gives_its_frames_and_its_warning(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=30, codec="MJPG")
    whole = open_source(parse_source(str(path)))
    assert (whole.live, whole.size, whole.frame_count) == (False, (96, 64), 30)
    assert whole.fps == pytest.approx(25)
    while whole.read():
        pass
    assert whole.warning is None
    whole.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cut = open_source(parse_source(str(path)))
    while cut.read():
        pass
    assert cut.warning is not None
    assert "cut off" in cut.warning
    cut.close()


def test_a_photo_is_told_from_the_frame_of_a_video(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    assert cv2.imwrite(str(photo), np.zeros((48, 64, 3), np.uint8))
    for path, still in ((photo, True), (write_clip(tmp_path / "clip.mp4"), False)):
        source = open_source(parse_source(str(path)))
        packet = source.read()
        source.close()
        assert packet is not None
        assert packet.still is still


def test_the_demo_plays_for_ever_with_growing_numbers_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "demo.mp4", frames=5, fps=25)
    monkeypatch.setattr(sources, "asset", lambda name: tmp_path / name)
    source = open_source(parse_source("demo"))
    packets = [source.read() for _ in range(13)]
    source.close()
    assert clip.exists()
    assert source.frame_count is None
    assert [packet.number for packet in packets if packet] == list(range(1, 14))
    assert [packet.timestamp for packet in packets if packet] == pytest.approx([n / 25 for n in range(13)])
    assert [number_of(packet.image) for packet in packets if packet] == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3]


def test_a_missing_demo_clip_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "asset", lambda name: tmp_path / name)
    with pytest.raises(SourceError, match=r"demo\.mp4 is missing; install"):
        open_source(parse_source("demo"))


def test_a_file_as_a_camera_keeps_its_rate_whoever_is_late(tmp_path: Path) -> None:
    source = open_as_camera(as_camera(parse_source(str(write_clip(tmp_path / "a.mp4")))), 50)
    assert source.live
    assert source.spec.live
    packets = [source.read() for _ in range(5)]
    time.sleep(0.2)  # somebody is late: the frames of that time come at once
    packets += [source.read() for _ in range(25)]
    source.close()
    assert [packet.number for packet in packets] == list(range(1, 31))
    assert packets[-1].timestamp == pytest.approx(29 / 50, abs=0.05)
    with pytest.raises(SourceError, match="has a rate of its own"):
        as_camera(BUILT_IN)


def test_only_the_own_clip_is_mended_by_installing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were emptied while they played."""
    monkeypatch.setattr(sources.VideoReader, "read", lambda self: None)
    with pytest.raises(SourceError, match=r"a\.mp4 holds no picture any more; choose another file\."):
        open_as_camera(as_camera(parse_source(str(write_clip(tmp_path / "a.mp4")))), 50)
    with pytest.raises(SourceError, match=r"demo\.mp4 holds no picture any more; install the program again\."):
        open_as_camera(as_camera(DEMO), 50)
