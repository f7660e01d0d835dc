"""The program with a fake engine on the real demo clip: begun by a person, ended in every way."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from PySide6.QtCore import QLockFile, Qt
from PySide6.QtTest import QTest

from au_desktop import app as program
from au_desktop import settings as settings_file
from au_desktop.launch import Flagged, Launch
from au_desktop.settings import Settings
from rtatl_core.sessions.session import read_session
from tests.desktop.fakes import FakeEngine
from tests.desktop.running import is_live, once, run, tells

pytestmark = pytest.mark.usefixtures("no_camera")


def test_a_second_instance_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    folder = settings_file.folder()
    folder.mkdir(parents=True)
    first = QLockFile(str(folder / "au-desktop.lock"))
    assert first.tryLock(0)
    try:
        assert run(Launch(duration=1)) == 2
    finally:
        first.unlock()
    assert "already running" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["file/x", "x"], ids=["cannot be made", "full disk"])
def test_where_no_lock_can_be_written_the_program_goes_on_without(
    below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("AU_DESKTOP_HOME", str(tmp_path / below))
    if below == "x":

        class Full(QLockFile):
            def tryLock(self, timeout: int = 0) -> bool:  # noqa: N802 - Qt's name
                return False

            def error(self) -> QLockFile.LockError:
                return QLockFile.LockError.UnknownError

        monkeypatch.setattr(program, "QLockFile", Full)
    assert run(Launch(source="demo", duration=0.3)) == 0
    assert capsys.readouterr().err == ""


def test_without_a_console_a_person_is_told_by_a_message_and_a_script_by_the_log(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(program.QMessageBox, "critical", lambda parent, title, text: told.append(text))
    monkeypatch.setattr(sys, "stderr", None)
    folder = settings_file.folder()
    folder.mkdir(parents=True)
    first = QLockFile(str(folder / "au-desktop.lock"))
    assert first.tryLock(0)
    try:
        assert run(Launch()) == 2
        assert told[0].startswith("AU Desktop is already running with the settings in ")
        assert run(Launch(source="nothing.mp4")) == 2
        assert "nothing.mp4" in told[1]
        assert run(Launch(duration=1)) == 2
        assert len(told) == 2, "nobody is there to click it away"
        assert "already running" in (folder / "au-desktop.log").read_text()
    finally:
        first.unlock()


def test_closing_the_window_keeps_the_choices() -> None:
    def act(window: program.MainWindow) -> None:
        QTest.mouseClick(window.stage.chips["pose"], Qt.MouseButton.LeftButton)
        window.close()

    once(lambda window: window.isActiveWindow(), act)
    assert run(Launch()) == 0
    saved, complaint, _ = settings_file.load()
    assert complaint is None
    assert saved.layers == ("box", "regions", "pose")
    assert saved.window_geometry


def test_a_relative_folder_for_recordings_can_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    seen: list[Path] = []

    def act(window: program.MainWindow) -> None:
        seen.append(window._bridge.status.recording.folder)
        window.close()

    once(lambda window: window._bridge.status.recording is not None, act)
    assert run(Launch(source="demo", record=Path("here"))) == 0
    assert seen[0].parent == tmp_path / "here"


def test_flags_hold_for_one_run_and_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings_file.save(Settings(record_root="/own", device="auto", window_geometry="AAAA"))
    seen: list[Settings] = []

    def act(window: program.MainWindow) -> None:
        seen.append(window.settings)
        window.next_theme()
        window.close()

    once(is_live, act)
    launch = Launch(
        source="demo",
        camera_fps=20.0,
        model="own.safetensors",
        device="cpu",
        theme="light",
        faces=3,
        layers=("pose",),
        record=Path("here"),
        size=(1000, 640),
    )
    assert run(launch) == 0
    (then,) = seen
    assert (then.model, then.record_root) == (str(tmp_path / "own.safetensors"), str(tmp_path / "here"))
    assert (then.theme, then.max_faces, then.layers, then.device) == ("light", 3, ("pose",), "cpu")
    kept = settings_file.load()[0]
    assert (kept.model, kept.record_root, kept.max_faces) == (None, "/own", 1)
    assert (kept.layers, kept.camera, kept.window_geometry) == (("box", "regions"), None, "AAAA")
    assert kept.theme == "system", "chosen by hand, so it stays"


def test_a_flag_may_name_a_model_that_comes_with_the_program() -> None:
    assert Flagged(Settings(), Launch(model="rtatl-synth"), None).settings().model == "rtatl-synth"


def test_without_any_camera_the_empty_state_is_shown() -> None:
    seen: list[bool] = []

    def act(window: program.MainWindow) -> None:
        seen.append(window.stage.empty.isVisible())
        window.close()

    once(lambda window: window.stage.empty.isVisible(), act)
    assert run(Launch()) == 0
    assert seen == [True]


def test_a_disk_that_never_answers_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    def hang(root: Path) -> tuple[()]:
        answers.wait(20)
        return ()

    monkeypatch.setattr(program, "RECOVERY_S", 0.2)
    monkeypatch.setattr(program, "recover_sessions", hang)
    closed: list[float] = []

    def act(window: program.MainWindow) -> None:
        closed.append(time.monotonic())
        window.close()

    once(lambda window: window.stage.empty.isVisible(), act)
    try:
        assert run(Launch()) == 0
        assert time.monotonic() - closed[0] < 5
    finally:
        answers.set()


def test_interrupt_closes_the_recording(tmp_path: Path) -> None:
    def rows(window: program.MainWindow) -> int:
        recording = window._bridge.status.recording
        return recording.rows if recording else 0

    once(lambda window: rows(window) > 5, lambda window: signal.raise_signal(signal.SIGINT))
    assert run(Launch(source="demo", record=tmp_path / "sessions")) == 0
    (folder,) = (tmp_path / "sessions").iterdir()
    facts, columns = read_session(folder)
    assert facts["status"] == "complete"
    assert len(columns["frame"]) > 5


@pytest.mark.parametrize("camera_fps", [None, 25.0], ids=["file", "camera"])
def test_every_captured_frame_has_its_row_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, camera_fps: float | None
) -> None:
    """Also those that still wait for an analysis that is slower than the source."""
    captured: list[int] = []
    close = program.Pipeline.close

    def close_and_count(pipeline: program.Pipeline) -> Path | None:
        folder = close(pipeline)
        captured.append(pipeline.status().captured)
        return folder

    monkeypatch.setattr(program.Pipeline, "close", close_and_count)
    launch = Launch(source="demo", camera_fps=camera_fps, record=tmp_path / "sessions", duration=1.5)
    assert run(launch, lambda settings: FakeEngine(work_s=0.1)) == 0
    (folder,) = (tmp_path / "sessions").iterdir()
    assert read_session(folder)[1]["frame"].tolist() == list(range(1, captured[0] + 1))


def test_more_faces_take_another_engine() -> None:
    made: list[FakeEngine] = []

    def make(settings: Settings) -> FakeEngine:
        made.append(FakeEngine(faces=settings.max_faces, max_faces=settings.max_faces))
        return made[-1]

    seen: list[str] = []

    def act(window: program.MainWindow) -> None:
        window.options.faces.button(1).click()
        once(lambda window: window.stage._faces.text().startswith("2 faces"), look)

    def look(window: program.MainWindow) -> None:
        seen.append(window.stage._faces.toolTip())
        window.close()

    once(is_live, act)
    assert run(Launch(source="demo"), make) == 0
    assert [engine.max_faces for engine in made] == [1, 2]
    assert made[0].closed
    assert seen == ["2 faces, click one (or press F) to follow it"]


def test_uncaught_exceptions_are_logged_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def act(window: program.MainWindow) -> None:
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        once(tells, look)

    def look(window: program.MainWindow) -> None:
        seen.append(window.stage.banner.text)
        window.close()

    once(lambda window: True, act)
    hook = sys.excepthook
    assert run(Launch()) == 0
    assert sys.excepthook is hook
    assert "ZeroDivisionError" in seen[0]
    log = settings_file.folder() / "au-desktop.log"
    assert str(log) in seen[0]
    assert "division by zero" in log.read_text()
    assert "division by zero" in capsys.readouterr().err


def test_settings_that_cannot_be_used_are_told() -> None:
    path = settings_file.folder() / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    seen: list[str] = []

    def act(window: program.MainWindow) -> None:
        seen.append(window.stage.banner.text)
        window.close()

    once(tells, act)
    assert run(Launch()) == 0
    assert "settings.json" in seen[0]
    assert path.with_suffix(".json.bad").read_text() == "{"


def test_settings_that_cannot_be_read_are_not_written_over() -> None:
    path = settings_file.folder() / "settings.json"
    path.mkdir(parents=True)  # what cannot be read, whoever runs the tests

    seen: list[str] = []

    def act(window: program.MainWindow) -> None:
        seen.append(window.stage.banner.text)
        path.rmdir()  # a disk that is back later
        path.write_text("set by hand")
        window.next_theme()
        window.close()

    once(tells, act)
    assert run(Launch()) == 0
    assert seen[0].endswith("no changes are saved.")
    assert path.read_text() == "set by hand"
