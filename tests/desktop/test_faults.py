"""Faults injected into the running pipeline: what a person sees, and what is on the disk afterwards.

Others are with their part: a camera pulled out and put back, weights that fail (test_pipeline*.py); disks that are
full, slow or gone (test_recorder.py, test_session.py); recordings that a killed program left (test_interrupted.py);
files that are cut off, turned or of variable frame rate (test_video.py).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au_desktop.runtime import pipeline as module
from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import State, Status
from au_desktop.sources import LiveSource, SourceSpec, open_source, parse_source
from rtatl_core.errors import PredictionError
from rtatl_core.handoffs import FramePacket
from rtatl_core.sessions.interrupted import STATUS, recover_sessions
from rtatl_core.sessions.session import read_session
from tests.clips import announce_more, write_clip
from tests.desktop.conftest import is_state, until
from tests.desktop.fakes import CAMERA, FakeEngine, FakeSource, camera_opener, picture
from tests.tables import csv_rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def make(make_pipeline: Any) -> Callable[..., Pipeline]:
    """A pipeline that runs, on a fake camera."""

    def build(*arguments: Any, **options: Any) -> Pipeline:
        pipeline: Pipeline = make_pipeline(*arguments, **options)
        pipeline.start()
        pipeline.set_source(CAMERA)
        return pipeline

    return build


def says(words: str) -> Callable[[Status], bool]:
    return lambda status: status.notice is not None and words in status.notice.text


def analysed(count: int) -> Callable[[Status], bool]:
    return lambda status: status.analysed >= count


def every_frame_is_accounted_for(folder: Path) -> dict[str, np.ndarray]:
    """Numbers without a gap, times that grow, and counts that are those of the rows."""
    facts, columns = read_session(folder)
    numbers, first = np.unique(columns["frame"], return_index=True)
    assert numbers.tolist() == list(range(1, len(numbers) + 1))
    assert (np.diff(columns["timestamp"][first]) > 0).all()
    counts = facts["counts"]
    assert counts["captured"] == len(numbers) == counts["analysed"] + counts["dropped"]
    assert counts["analysed"] == columns["analysed"][first].sum()
    return columns


def recorded(make_pipeline: Any, path: Path, root: Path) -> tuple[Path, str]:
    """Records a video from its first frame to its last; the session folder, and what the person is told."""
    pipeline: Pipeline = make_pipeline(open_source=open_source)
    pipeline.set_source(parse_source(str(path)))
    folder = pipeline.start_recording(root)
    pipeline.start()
    status = until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    return folder, status.notice.text


def test_a_recording_of_a_video_that_was_cut_off_is_not_called_complete(make_pipeline: Any, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "cut.avi", frames=60, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    folder, said = recorded(make_pipeline, path, tmp_path)
    assert "so it was cut off" in said
    every_frame_is_accounted_for(folder)
    assert read_session(folder)[0]["status"] == "cut off"  # as rtatl analyze calls it


def test_a_recording_that_begins_in_the_middle_of_a_video_that_was_cut_off_tells_both(
    make_pipeline: Any, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / "cut.avi", frames=160, codec="MJPG")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pipeline: Pipeline = make_pipeline(open_source=open_source)
    pipeline.set_source(parse_source(str(path)))
    pipeline.start()
    until(pipeline, lambda status: status.analysed > 5)
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    facts, columns = read_session(folder)
    assert facts["status"] == f"begun at {columns['timestamp'][0]:.1f} s, cut off", "no whole session"


def test_a_recording_of_a_whole_video_with_longer_sound_is_complete(make_pipeline: Any, tmp_path: Path) -> None:
    path = announce_more(write_clip(tmp_path / "longer sound.mkv", frames=20), 2.0)
    folder, said = recorded(make_pipeline, path, tmp_path)
    assert "is whole, so its sound is probably longer" in said
    every_frame_is_accounted_for(folder)
    assert read_session(folder)[0]["status"] == "complete"  # as rtatl analyze calls it


# -- the camera -----------------------------------------------------------------------------------------------


def test_a_camera_that_delivers_nothing_is_told_until_it_does(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    goes_on = threading.Event()
    goes_on.set()
    pipeline = make(open_source=camera_opener(fps=100, hang=goes_on))
    until(pipeline, analysed(5))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 3)
    goes_on.clear()
    status = until(pipeline, says("Fake camera delivers no pictures; check its plug"))
    assert status.notice.severity == "warning"
    goes_on.set()
    until(pipeline, lambda status: status.notice is None)
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    assert np.diff(columns["timestamp"]).max() > 0.3  # the gap is there, and no frame was made up for it
    assert sum("delivers no pictures" in event["label"] for event in csv_rows(folder / "events.csv")) == 1


def test_a_camera_that_never_answers_is_told_too(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    answers = threading.Event()

    def open_slowly(spec: SourceSpec) -> FakeSource:
        answers.wait()
        return FakeSource(spec, fps=100)

    pipeline = make(open_source=open_slowly)
    until(pipeline, says("delivers no pictures"))
    answers.set()
    until(pipeline, lambda status: status.state is State.LIVE and status.notice is None)


class Driver:
    """The parts of cv2.VideoCapture that a LiveSource uses; gives these pictures, one after the other, for ever."""

    def __init__(self, *pictures: np.ndarray | None) -> None:
        self._pictures = pictures
        self._count = 0

    def get(self, key: int) -> float:
        return 30.0

    def grab(self) -> bool:
        time.sleep(0.01)
        self._count += 1
        return True

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        image = self._pictures[self._count % len(self._pictures)]
        return image is not None, image

    def release(self) -> None:
        pass


def test_halves_of_pictures_are_no_frames(make: Any, tmp_path: Path) -> None:
    whole, nothing = picture((320, 240)), np.empty((0, 320, 3), np.uint8)
    driver = Driver(whole, nothing, whole, picture((320, 240))[:, :, 0], whole, None)
    pipeline = make(open_source=lambda spec: LiveSource(spec, driver, (320, 240)))
    until(pipeline, analysed(3))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 10)
    pipeline.stop_recording()
    assert pipeline.status().notice is None
    columns = every_frame_is_accounted_for(folder)
    assert columns["success"][columns["analysed"] == 1].min() == 1  # a busy machine may drop some


class Changed(FakeSource):
    """Every frame passes through ``change``."""

    def __init__(self, spec: SourceSpec, change: Callable[[FramePacket], FramePacket]) -> None:
        super().__init__(spec, fps=100)
        self._change = change

    def read(self) -> FramePacket | None:
        packet = super().read()
        return None if packet is None else self._change(packet)


def recorded_through(make: Any, folder: Path, change: Callable[[FramePacket], FramePacket]) -> tuple[Pipeline, Path]:
    pipeline = make(open_source=lambda spec: Changed(spec, change))
    until(pipeline, analysed(2))
    session = pipeline.start_recording(folder)
    until(pipeline, lambda status: status.recording and status.recording.rows > 30)
    return pipeline, session


def test_a_size_that_changes_is_followed(make: Any, tmp_path: Path) -> None:
    def shrink(packet: FramePacket) -> FramePacket:
        return packet if packet.number < 20 else replace(packet, image=picture((160, 121), packet.number))

    pipeline, folder = recorded_through(make, tmp_path, shrink)
    assert pipeline.status().source_size == (160, 121)
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    widths = columns["face_x1"] - columns["face_x0"]
    assert widths[0] > 1.5 * widths[-1]


def test_stamps_that_repeat_or_go_back_become_times_that_grow(make: Any, tmp_path: Path) -> None:
    def repeat(packet: FramePacket) -> FramePacket:
        return replace(packet, captured_at=packet.captured_at - 0.05 * (packet.number % 4))

    pipeline, folder = recorded_through(make, tmp_path, repeat)
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    assert np.isfinite(columns["AU12_r"][columns["analysed"] == 1]).all()


def test_a_rate_that_is_not_the_one_promised_is_measured(make: Any, tmp_path: Path) -> None:
    def promising(spec: SourceSpec) -> FakeSource:
        source = FakeSource(spec, fps=20)
        source.fps = 60.0
        return source

    pipeline = make(open_source=promising)
    until(pipeline, analysed(10))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 20)
    assert 5 < pipeline.status().fps < 25
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    assert np.median(np.diff(columns["timestamp"])) >= 0.045


def test_ten_faces_have_ten_rows(make: Any, tmp_path: Path) -> None:
    pipeline = make(lambda: FakeEngine(faces=10, max_faces=10))
    until(pipeline, analysed(2))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 100)
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    frames = columns["frame"][columns["analysed"] == 1]
    assert (np.unique(frames[np.isin(frames, columns["frame"])], return_counts=True)[1] == 10).all()
    assert read_session(folder)[0]["counts"]["faces"] == 10


# -- the network ----------------------------------------------------------------------------------------------


def test_a_frame_without_numbers_is_an_empty_row_and_the_next_ones_go_on(make: Any, tmp_path: Path) -> None:
    fails = {n: PredictionError("the network gave no number (NaN) for this frame") for n in (40, 41)}
    pipeline = make(lambda: FakeEngine(fails=fails), open_source=camera_opener(fps=50))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, says("the network gave no number (NaN)"))
    until(pipeline, analysed(60))
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    lost = columns["frame"][columns["analysed"] == 0]
    assert {40, 41} <= set(lost.tolist())
    assert np.isnan(columns["AU12_r"][np.isin(columns["frame"], (40, 41))]).all()
    assert np.isfinite(columns["AU12_r"][columns["analysed"] == 1]).all()


def test_a_full_gpu_hands_over_to_the_cpu_and_says_so(make: Any, tmp_path: Path) -> None:
    class Engine(FakeEngine):
        def process(self, packet: FramePacket, dropped: Any = ()) -> Any:
            if packet.number == 30:
                self.device, self.warning = "cpu", "The memory of cuda:0 is full, so the analysis moves to the CPU."
            return super().process(packet, dropped)

    pipeline = make(lambda: Engine(device="cuda:0"))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, says("The memory of cuda:0 is full"))
    until(pipeline, lambda status: status.device == "cpu" and status.recording and status.recording.rows > 50)
    pipeline.stop_recording()
    every_frame_is_accounted_for(folder)
    engines = read_session(folder)[0]["engines"]
    assert [engine["settings"]["device"] for engine in engines] == ["cuda:0", "cpu"]
    changed = engines[1]["from_frame"]
    (event,) = [event for event in csv_rows(folder / "events.csv") if event["kind"] == "engine"]
    assert int(event["frame"]) == changed
    assert 25 < changed <= 30  # frames before the one on which it happened may have been given up while it loaded


def test_another_model_while_recording_is_told_with_its_first_frame(make: Any, tmp_path: Path) -> None:
    def other() -> FakeEngine:
        time.sleep(0.2)  # live frames are dropped meanwhile
        engine = FakeEngine(faces=2, max_faces=2)
        engine.model = engine.model | {"name": "fake-2"}
        return engine

    pipeline = make()
    until(pipeline, analysed(5))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 20)
    pipeline.set_engine(other)
    until(pipeline, lambda status: status.model_name == "fake-2")
    rows = pipeline.status().recording.rows
    until(pipeline, lambda status: status.recording.rows > rows + 20)
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    facts = read_session(folder)[0]
    assert [engine["model"]["name"] for engine in facts["engines"]] == ["fake-1", "fake-2"]
    changed = facts["engines"][1]["from_frame"]
    faces = {n: int((columns["frame"] == n).sum()) for n in columns["frame"][columns["analysed"] == 1]}
    assert {count for n, count in faces.items() if n < changed} == {1}
    assert {count for n, count in faces.items() if n >= changed} == {2}
    (event,) = [event for event in csv_rows(folder / "events.csv") if event["kind"] == "engine"]
    assert event["label"] == f"fake-2 on cpu analyses from frame {changed} on"


def test_a_model_with_other_aus_goes_on_in_another_folder(make: Any, tmp_path: Path) -> None:
    pipeline = make()
    until(pipeline, analysed(5))
    first = pipeline.start_recording(tmp_path, name="P01")
    until(pipeline, lambda status: status.recording and status.recording.rows > 10)
    pipeline.set_engine(lambda: FakeEngine(aus=(4, 12)))
    until(pipeline, says("the recording goes on in"))
    until(pipeline, lambda status: status.recording and status.recording.rows > 10)
    second = pipeline.stop_recording()
    assert second not in (None, first)
    assert [folder.name[:4] for folder in (first, second)] == ["P01_", "P01_"]
    assert "AU25_r" in every_frame_is_accounted_for(first)
    columns = every_frame_is_accounted_for(second)
    assert "AU04_r" in columns
    assert "AU25_r" not in columns
    assert [read_session(folder)[0]["status"] for folder in (first, second)] == ["complete", "complete"]


# -- the computer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moved", [3600.0, -7200.0], ids=["sleep or forwards", "backwards"])
def test_a_clock_that_is_set_is_noted_and_changes_no_timestamp(
    make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: float
) -> None:
    pipeline = make()
    until(pipeline, analysed(2))
    folder = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 20)
    told = time.time
    monkeypatch.setattr(time, "time", lambda: told() + moved)
    rows = pipeline.status().recording.rows
    until(pipeline, lambda status: status.recording.rows > rows + 20)
    pipeline.stop_recording()
    columns = every_frame_is_accounted_for(folder)
    assert columns["timestamp"][-1] < 60
    (event,) = [event for event in csv_rows(folder / "events.csv") if event["kind"] == "clock"]
    assert f"moved by {moved:+.1f} s" in event["label"]
    assert 1 < int(event["frame"]) < len(columns["frame"])


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_a_killed_program_finds_its_recording_again(tmp_path: Path) -> None:
    """The whole program, with the demo; it is killed in the middle of recording and started again."""
    own, sessions = tmp_path / "settings", tmp_path / "sessions"
    command = [
        *(sys.executable, "-m", "au_desktop", "--source", "demo", "--settings", str(own)),
        *("--record", str(sessions), "--duration"),
    ]
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    with subprocess.Popen([*command, "120"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as running:
        limit = time.monotonic() + 60
        while sum(file.read_bytes().count(b"\n") for file in sessions.glob("*/frames.csv")) < 30:
            assert time.monotonic() < limit
            time.sleep(0.02)
        (folder,) = sessions.iterdir()
        assert list(recover_sessions(sessions)) == []  # it still runs
        time.sleep(1.5)
        running.send_signal(signal.SIGKILL)
        killed_at = time.time()
        running.wait()
    again = subprocess.run(
        [*command, "1"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert again.returncode == 0 or "no frame came" in again.stderr  # on a busy machine
    assert again.stdout.startswith("Session: ")
    facts, columns = read_session(folder)
    assert facts["status"] == STATUS
    assert facts["rows_cut"] == 0
    every_frame_is_accounted_for(folder)
    assert csv_rows(folder / "events.csv")[-1]["kind"] == "interrupted"
    lost_s = killed_at - (folder / "frames.csv").stat().st_mtime
    assert lost_s < 1
    assert len(columns["frame"]) >= 30
