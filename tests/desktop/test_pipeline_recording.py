"""What the window records: a row for every frame from where the recording began, and what is said of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from au_desktop.runtime.status import State
from au_desktop.sources import open_source, parse_source
from rtatl_core.errors import SessionError
from rtatl_core.sessions.session import read_session
from tests.clips import begin_later, write_clip
from tests.desktop.conftest import is_state, until
from tests.desktop.fakes import AUS, CAMERA, FILE, FakeEngine, camera_opener, intensities
from tests.desktop.mjpeg import MjpegCamera


def test_every_frame_of_a_file_is_recorded_even_when_analysis_is_slow(make_pipeline: Any, tmp_path: Path) -> None:
    """A real file, recorded from before the engine is there, as `--record` does; the recording ends with the file."""
    clip = write_clip(tmp_path / "clip.mp4", frames=30, fps=100)
    begin_later(clip, 0.5)
    pipeline = make_pipeline(lambda: FakeEngine(work_s=0.015), open_source=open_source)
    pipeline.set_source(parse_source(str(clip)))
    folder = pipeline.start_recording(tmp_path / "sessions")
    pipeline.start()
    status = until(pipeline, is_state(State.FINISHED))
    assert status.recording is None
    assert status.notice.text == f"The recording is saved in {folder}."
    pipeline.close()
    meta, columns = read_session(folder)
    assert folder.name.startswith("clip_20")
    assert columns["frame"].tolist() == list(range(1, 31))
    assert columns["timestamp"].tolist() == pytest.approx([n / 100 for n in range(30)], abs=1e-3)
    assert columns["AU12_r"].tolist() == pytest.approx(
        [intensities(t)[AUS.index(12)] for t in columns["timestamp"]], abs=1e-3
    )
    assert meta["counts"] == {"captured": 30, "analysed": 30, "dropped": 0, "rows": 30, "faces": 1}
    assert meta["source"] == {
        "kind": "file",
        "name": "clip.mp4",
        "target": str(clip),
        "size": [96, 64],
        "fps": pytest.approx(100),
        "duration_s": pytest.approx(0.3),
        "start_s": pytest.approx(0.5),
    }
    assert meta["model"]["name"] == "fake-1"
    assert meta["settings"] == {
        "device": "cpu",
        "runtime": "fake",
        "max_faces": 1,
        "smoothing_s": 0.06,
        "personal": True,
    }
    assert meta["status"] == "complete"


def test_every_captured_camera_frame_has_a_row_also_the_dropped_ones(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(lambda: FakeEngine(work_s=0.03), open_source=camera_opener(fps=200))
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, lambda status: status.analysed >= 3)
    folder = pipeline.start_recording(tmp_path)
    status = until(pipeline, lambda status: status.recording and status.recording.rows > 60)
    assert status.dropped > 20
    assert status.recording.folder == folder
    assert status.recording.bytes > 60 * 40
    assert pipeline.start_recording(tmp_path) == folder
    assert pipeline.stop_recording() == folder
    assert pipeline.stop_recording() is None
    meta, columns = read_session(folder)
    assert columns["frame"].tolist() == list(range(1, len(columns["frame"]) + 1))
    assert columns["timestamp"][0] == 0
    assert (np.diff(columns["timestamp"]) > 0).all()
    assert 0 < columns["analysed"].sum() < len(columns["frame"])
    assert meta["counts"]["captured"] == len(columns["frame"])
    assert meta["counts"]["dropped"] == (columns["analysed"] == 0).sum()


def test_a_frame_that_fails_has_its_row_and_a_warning(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(
        lambda: FakeEngine(fails={3: RuntimeError("surprise")}), open_source=camera_opener(frames=6, fps=100)
    )
    pipeline.set_source(FILE)
    folder = pipeline.start_recording(tmp_path)
    pipeline.start()
    status = until(pipeline, is_state(State.FINISHED))
    assert (status.analysed, status.dropped) == (5, 1)
    assert status.notice.severity == "warning"
    assert "RuntimeError: surprise" in status.notice.text
    pipeline.close()
    columns = read_session(folder)[1]
    assert columns["frame"].tolist() == [1, 2, 3, 4, 5, 6]
    assert columns["analysed"].tolist() == [1, 1, 0, 1, 1, 1]
    assert "surprise" in (folder / "events.csv").read_text()


def test_a_network_camera_is_pulled_out_and_put_back_while_recording(make_pipeline: Any, tmp_path: Path) -> None:
    """The true path: OpenCV, sockets, a feed that ends and begins again; one recording throughout."""
    with MjpegCamera() as camera:
        pipeline = make_pipeline(open_source=open_source)
        pipeline.start()
        pipeline.set_source(parse_source(camera.url))
        folder = pipeline.start_recording(tmp_path)
        until(pipeline, lambda status: status.recording.rows > 10)
        camera.switch_off()
        status = until(pipeline, is_state(State.RECONNECTING))
        assert status.notice.severity == "warning"
        assert "stopped delivering pictures" in status.notice.text
        rows = status.recording.rows
        assert not status.paused
        pipeline.pause()
        assert pipeline.status().paused, "a person may pause what is lost"
        pipeline.resume()
        assert not pipeline.status().paused, "and think better of it"
        time.sleep(0.2)
        camera.switch_on()
        status = until(pipeline, lambda status: status.state is State.LIVE and status.recording.rows > rows + 10)
        assert status.notice is None
        assert pipeline.stop_recording() == folder
        pipeline.close()
    meta, columns = read_session(folder)
    assert meta["status"] == "complete"
    assert columns["frame"].tolist() == list(range(1, len(columns["frame"]) + 1))
    steps = np.diff(columns["timestamp"])
    assert (steps > 0).all()
    assert steps.max() > 0.2  # the time without a camera is in the times, not hidden
    kinds = [line.split(",")[2] for line in (folder / "events.csv").read_text().splitlines()[1:]]
    assert kinds == ["recording_start", "source_lost", "pause", "resume", "source_back", "recording_stop"]


def test_nothing_can_be_recorded_without_a_source(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline()
    with pytest.raises(SessionError, match="choose a camera or a video first"):
        pipeline.start_recording(tmp_path)


def test_a_root_that_cannot_be_written_is_refused_at_once(make_pipeline: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    pipeline = make_pipeline()
    pipeline.set_source(CAMERA)
    with pytest.raises(SessionError, match="choose another folder"):
        pipeline.start_recording(tmp_path / "file")
    assert pipeline.status().recording is None


def test_a_finished_file_is_recorded_from_its_beginning(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=15, fps=100))
    pipeline.start()
    pipeline.set_source(FILE)
    until(pipeline, is_state(State.FINISHED))
    folder = pipeline.start_recording(tmp_path)
    status = until(pipeline, is_state(State.FINISHED))
    assert status.notice.text == f"The recording is saved in {folder}."
    assert status.notice.folder == folder
    pipeline.close()
    assert read_session(folder)[1]["frame"].tolist() == list(range(1, 16))


def test_a_file_is_recorded_anew_from_its_middle(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=30, fps=50))
    pipeline.start()
    pipeline.set_source(FILE)
    until(pipeline, lambda status: status.analysed > 5)
    first = pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording and status.recording.rows > 2)
    second = pipeline.start_recording(tmp_path, anew=True)
    assert second != first
    until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    facts, columns = read_session(first)
    assert columns["frame"][0] > 5
    begun, stopped = columns["timestamp"][[0, -1]]
    assert facts["status"] == f"begun at {begun:.1f} s, stopped at {stopped:.1f} s of 0.6 s"
    assert facts["source"]["duration_s"] == pytest.approx(0.6)
    assert f'recording_stop,"{facts["status"]}"' in (first / "events.csv").read_text()
    facts, columns = read_session(second)
    assert columns["frame"].tolist() == list(range(1, 31))
    assert facts["status"] == "complete"


def test_a_recording_of_a_part_of_a_file_says_which(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline(open_source=camera_opener(frames=100, fps=100))
    pipeline.set_source(FILE)
    first = pipeline.start_recording(tmp_path)
    pipeline.start()
    until(pipeline, lambda status: status.recording.rows > 12)
    pipeline.stop_recording()
    second = pipeline.start_recording(tmp_path)
    until(pipeline, is_state(State.FINISHED))
    pipeline.close()
    facts, columns = read_session(first)
    assert facts["status"] == f"stopped at {columns['timestamp'][-1]:.1f} s of 1.0 s"
    facts, columns = read_session(second)
    assert facts["status"] == f"begun at {columns['timestamp'][0]:.1f} s of 1.0 s"


def test_the_clock_of_a_recording_stands_in_a_pause(make_pipeline: Any, tmp_path: Path) -> None:
    pipeline = make_pipeline()
    pipeline.start()
    pipeline.set_source(CAMERA)
    until(pipeline, is_state(State.LIVE))
    pipeline.start_recording(tmp_path)
    until(pipeline, lambda status: status.recording.rows > 2)
    pipeline.pause()
    standing = pipeline.status().recording
    time.sleep(0.3)
    assert standing.paused
    assert pipeline.status().recording.elapsed_s == standing.elapsed_s
    pipeline.resume()
    going = pipeline.status().recording
    assert not going.paused
    assert standing.elapsed_s <= going.elapsed_s < standing.elapsed_s + 0.2
    time.sleep(0.1)
    assert pipeline.status().recording.elapsed_s >= going.elapsed_s + 0.1
