"""A photo in the window: it has no rates; recorded, it leaves the session that ``rtatl analyze`` leaves of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from au_desktop.runtime import recordings
from au_desktop.runtime.status import State
from au_desktop.sinks.recorder import Recorder
from au_desktop.sources import open_source, parse_source
from rtatl_core.sessions.inputs import Input
from rtatl_core.sessions.session import read_session
from tests.desktop.conftest import MakeDesk, is_state, until, wait_until
from tests.desktop.fakes import AUS, FakeEngine, picture
from tests.tables import csv_rows


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "smile, left.png"
    assert cv2.imwrite(str(path), picture())
    return path


@pytest.mark.parametrize("again", [False, True], ids=["from the start", "of the picture at rest"])
def test_its_recording_is_that_of_a_photo(make_pipeline: Any, tmp_path: Path, photo: Path, again: bool) -> None:
    engine = FakeEngine(faces=2, max_faces=2)
    engine.model["network"] = {"reference": False}  # it compares readings only
    pipeline = make_pipeline(lambda: engine, open_source=open_source)
    pipeline.set_source(parse_source(str(photo)))
    if again:
        pipeline.start()
        until(pipeline, is_state(State.FINISHED))
    folder = pipeline.start_recording(tmp_path / "sessions")
    if not again:
        pipeline.start()
    until(pipeline, lambda status: status.recording is None)
    pipeline.close()

    facts, _ = read_session(folder)
    assert folder.name.startswith("smile, left_")
    assert facts["status"] == "complete"
    content = Input(photo, (photo,)).content_hash()
    assert facts["source"] == {"kind": "photos", "name": photo.name, "target": str(photo), "sha256": content}
    settings = facts["settings"]
    assert (settings["smoothing_s"], settings["personal"], settings["tracking"]) == (0, False, False)
    assert settings["max_faces"] == 2
    rows = csv_rows(folder / "frames.csv")
    told = [(row["frame"], row["face_id"], row["timestamp"], row["success"], row["file"]) for row in rows]
    assert told == [("1", face, "", "1", photo.name) for face in ("0", "1")]
    assert all(row[f"AU{AUS[0]:02}_r"] for row in rows)
    assert {row["timestamp"] for row in csv_rows(folder / "events.csv")} == {""}


def test_it_is_shown_though_its_recording_ended_while_a_model_was_loaded(
    make_pipeline: Any, tmp_path: Path, photo: Path
) -> None:
    loading, loaded = threading.Event(), threading.Event()

    def load() -> FakeEngine:
        loading.set()
        loaded.wait(20)
        return FakeEngine()

    pipeline = make_pipeline(open_source=open_source)
    pipeline.start()
    pipeline.set_source(parse_source(str(photo)))
    until(pipeline, is_state(State.FINISHED))
    pipeline.set_engine(load)
    assert loading.wait(5)
    try:
        folder = pipeline.start_recording(tmp_path / "sessions")
        until(pipeline, lambda status: status.captured == 1)
        pipeline.view.take_nowait()
        assert pipeline.stop_recording() == folder
    finally:
        loaded.set()
    status = until(pipeline, is_state(State.FINISHED))
    assert pipeline.view.take_nowait() is not None
    assert (status.analysed, status.dropped) == (1, 0)
    assert status.notice is None or "No face" not in status.notice.text
    facts, columns = read_session(folder)
    assert facts["status"] == "complete"
    assert columns["analysed"].tolist() == [0]


def test_a_photo_that_is_gone_before_its_recording_is_written_is_named(
    make_pipeline: Any, tmp_path: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told while the analysis ends the recording, which it would call saved."""
    about, finish, finished = recordings._about, Recorder.finish, threading.Event()

    def late(*arguments: Any) -> dict[str, Any]:
        finished.wait(5)
        photo.unlink()
        return about(*arguments)

    def finish_and_wait(recorder: Recorder, *arguments: Any, **options: Any) -> None:
        finish(recorder, *arguments, **options)
        finished.set()
        recorder.join()

    monkeypatch.setattr(recordings, "_about", late)
    monkeypatch.setattr(Recorder, "finish", finish_and_wait)
    pipeline = make_pipeline(open_source=open_source)
    pipeline.set_source(parse_source(str(photo)))
    pipeline.start_recording(tmp_path / "sessions")
    pipeline.start()
    status = until(pipeline, lambda status: status.state is State.FINISHED and status.notice)
    assert status.notice.severity == "error"
    assert status.notice.text.startswith(f"Recording stopped: {photo} cannot be read")
    assert "record elsewhere" not in status.notice.text
    assert list((tmp_path / "sessions").iterdir()) == []


def test_the_window_calls_it_a_photo(make_desk: MakeDesk, photo: Path) -> None:
    desk = make_desk(open_source=open_source)
    desk.window.open_file(str(photo))
    wait_until(lambda: desk.window.top.run.label == "Look again")
    wait_until(lambda: desk.window.line.text == "Photo  320 \N{MULTIPLICATION SIGN} 240   CPU")
    assert "no curves" in desk.window.traces._hint.text()
    QTest.mouseClick(desk.window.top.run, Qt.MouseButton.LeftButton)
    wait_until(lambda: desk.window.top.run.label == "Look again")
    desk.window.open_demo()
    assert "no curves" not in desk.window.traces._hint.text()
