"""The program from the command line to the exit code, with a fake engine on the real demo clip."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PySide6.QtCore import QLockFile, QRect, Qt, QTimer
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from au_desktop import __main__ as command
from au_desktop import app as program
from au_desktop import settings as settings_file
from au_desktop.launch import Flagged, Launch
from au_desktop.runtime.pipeline import State
from au_desktop.settings import Settings
from rtatl_core import system
from rtatl_core.assets import asset
from rtatl_core.errors import InputError, WeightsError
from rtatl_core.sessions.session import read_session
from tests.desktop.fakes import FakeEngine


@pytest.fixture(autouse=True)
def _no_camera(qapp: QApplication, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "list_cameras", lambda: ())


def fake(settings: Settings) -> FakeEngine:
    return FakeEngine(max_faces=settings.max_faces, device=settings.device)


def run(launch: Launch, make: Callable[[Settings], FakeEngine] = fake) -> int:
    return program.run(launch, make)  # type: ignore[arg-type]


def test_a_scripted_run_leaves_all_that_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch = Launch(
        source="demo",
        duration=1.5,
        record=tmp_path / "sessions",
        screenshot=tmp_path / "window.png",
        stats=tmp_path / "stats.json",
        theme="light",
        size=(1024, 700),
    )
    assert run(launch) == 0
    image = QImage(str(launch.screenshot))
    assert (image.width(), image.height()) == (1024, 700)

    stats = json.loads(launch.stats.read_text())
    assert set(stats) == {
        "frames_captured",
        "frames_analysed",
        "frames_dropped",
        "fps",
        "delay_ms",
        "stages",
        "rss_mb",
        "cpu_percent",
        "model",
        "device",
        "source",
        "duration_s",
    }
    assert set(stats["delay_ms"]) == {"median", "p95", "max"}
    assert {"capture", "observe", "predict", "record", "paint_video", "paint_curves", "paint_panel"} <= set(
        stats["stages"]
    )
    assert 0 < stats["stages"]["record"]["median_ms"] < 50
    assert 0 < stats["stages"]["capture"]["median_ms"] < 50
    assert {"median_ms", "p95_ms"} == set(stats["stages"]["paint_video"])
    assert {"start", "end", "max"} == set(stats["rss_mb"])
    assert stats["frames_analysed"] > 10
    assert stats["frames_dropped"] == 0
    assert (stats["model"], stats["source"]) == ("fake-1", "Demo clip")
    assert 1.4 < stats["duration_s"] < 8  # a busy machine closes late

    (folder,) = (tmp_path / "sessions").iterdir()
    facts, columns = read_session(folder)
    assert facts["status"] == "complete"
    assert len(columns["frame"]) > 10
    printed = capsys.readouterr().out
    assert f"Session: {folder}" in printed
    assert f"Screenshot: {launch.screenshot}" in printed
    assert not (settings_file.folder() / "settings.json").exists(), "a script leaves the person's settings alone"


def test_a_scripted_file_ends_the_program_at_its_end(tmp_path: Path, short_clip: Path) -> None:
    assert run(Launch(source=str(short_clip), stats=tmp_path / "stats.json")) == 0
    assert json.loads((tmp_path / "stats.json").read_text())["frames_analysed"] == 10


@pytest.fixture
def short_clip(tmp_path: Path) -> Path:
    import cv2

    from tests.desktop.fakes import picture

    path = tmp_path / "short.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (320, 240))
    for number in range(10):
        writer.write(picture(number=number))
    writer.release()
    return path


@pytest.mark.parametrize(
    "end",
    [
        lambda window: window.close(),
        lambda window: os.kill(os.getpid(), signal.SIGINT),
        lambda window: os.kill(os.getpid(), signal.SIGTERM),
        pytest.param(
            lambda window: os.kill(os.getpid(), signal.SIGHUP),
            marks=pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none"),
        ),
    ],
    ids=["by hand", "Ctrl-C", "SIGTERM", "terminal closed"],
)
def test_a_run_that_ends_early_leaves_what_was_asked_for_too(
    tmp_path: Path, end: Callable[[program.MainWindow], object]
) -> None:
    launch = Launch(source="demo", duration=60, screenshot=tmp_path / "a.png", stats=tmp_path / "a.json")
    shown: list[QImage] = []

    def act(window: program.MainWindow) -> None:
        shown.append(window.grab().toImage())
        end(window)

    once(lambda window: is_live(window) and window._bridge.latest is not None, act)
    assert run(launch) == 0
    assert json.loads(launch.stats.read_text())["frames_analysed"] > 0
    bar = QRect(0, 0, shown[0].width(), 50)  # what does not change from frame to frame
    left = QImage(str(launch.screenshot)).copy(bar).convertToFormat(QImage.Format.Format_RGB32)
    assert left == shown[0].copy(bar).convertToFormat(QImage.Format.Format_RGB32), "as it was seen last"


def test_a_missing_file_is_refused_before_any_window(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(Launch(source=str(tmp_path / "nothing.mp4"), duration=5)) == 2
    told = capsys.readouterr().err
    assert told.startswith("au-desktop: ")
    assert "nothing.mp4" in told


def test_an_unusable_file_ends_a_script_with_its_reason(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    assert run(Launch(source=str(empty), duration=10)) == 2
    assert "empty.mp4" in capsys.readouterr().err


def test_unusable_weights_end_a_script_with_their_reason(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(settings: Settings) -> FakeEngine:
        raise WeightsError("The weights nowhere.safetensors are missing; install the program again.")

    assert run(Launch(source="demo", duration=10), refuse) == 2
    assert "nowhere.safetensors are missing" in capsys.readouterr().err


def test_a_recording_folder_that_cannot_be_made_ends_a_script(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert run(Launch(source="demo", duration=10, record=tmp_path / "file")) == 2
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_a_script_that_records_without_a_camera_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(Launch(record=tmp_path / "sessions", duration=10)) == 2
    assert capsys.readouterr().err == (
        "au-desktop: No camera was found, so nothing is recorded; name a source, for example: --source demo.\n"
    )
    assert not (tmp_path / "sessions").exists()


def test_a_script_that_recorded_no_frame_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def slow(settings: Settings) -> FakeEngine:
        time.sleep(1.5)
        return fake(settings)

    assert run(Launch(source="demo", record=tmp_path, duration=0.3), slow) == 2
    (folder,) = tmp_path.glob("demo_*")
    assert capsys.readouterr().err == f"au-desktop: no frame came while it recorded; {folder} holds no rows.\n"


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


def windows() -> list[program.MainWindow]:
    return [w for w in QApplication.topLevelWidgets() if isinstance(w, program.MainWindow) and w.isVisible()]


def soon(act: Callable[[program.MainWindow], object], after_ms: int = 400) -> None:
    """Does something to the window once it runs."""
    QTimer.singleShot(after_ms, lambda: act(windows()[0]))


def test_closing_the_window_keeps_the_choices() -> None:
    def act(window: program.MainWindow) -> None:
        QTest.mouseClick(window.stage.chips["pose"], Qt.MouseButton.LeftButton)
        window.close()

    soon(act)
    assert run(Launch()) == 0
    saved, complaint = settings_file.load()
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

    soon(act)
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


def once(holds: Callable[[program.MainWindow], object], act: Callable[[program.MainWindow], object]) -> None:
    """Does something to the window as soon as that holds."""
    timer = QTimer(interval=20)

    def look() -> None:
        if windows() and holds(windows()[0]):
            timer.stop()
            act(windows()[0])

    timer.timeout.connect(look)
    timer.start()


def is_live(window: program.MainWindow) -> bool:
    return window._bridge.status.state is State.LIVE


# -- an engine that cannot be had -----------------------------------------------------------------------------

WEIGHTS = str(asset("models/rtatl-synth.safetensors"))
"""Their card can be read; the engine below refuses them."""


def picky(settings: Settings) -> FakeEngine:
    if settings.model is not None:
        raise WeightsError("weights rtatl-synth.safetensors are not those of the card; install the model again")
    if settings.device == "cuda":
        raise InputError("device 'cuda' cannot be used here; write cpu, cuda, mps or auto")
    return fake(settings)


@dataclass(frozen=True)
class Seen:
    settings: Settings
    shown: str
    banner: tuple[str, str]
    state: State

    @classmethod
    def of(cls, window: program.MainWindow) -> Seen:
        banner = window.stage.banner
        return cls(
            window.settings, window.options.model.text(), (banner.severity, banner.text), window._bridge.status.state
        )


def test_refused_weights_are_neither_shown_nor_kept() -> None:
    seen: list[Seen] = []

    def act(window: program.MainWindow) -> None:
        window.options.model.chosen.emit(WEIGHTS)
        once(lambda window: window.stage.banner.isVisible() and window.settings.model is None, look)

    def look(window: program.MainWindow) -> None:
        seen.append(Seen.of(window))
        window.close()

    once(is_live, act)
    assert run(Launch(source="demo"), picky) == 0
    assert seen[0].settings.model is None
    assert seen[0].shown == "rtatl-synth"
    assert seen[0].banner[0] == "warning"
    assert seen[0].banner[1].endswith("install the model again; the analysis goes on as before.")
    assert seen[0].state is State.LIVE
    assert settings_file.load()[0].model is None


@pytest.mark.parametrize(
    ("remembered", "told"),
    [
        ({"model": WEIGHTS}, "the model again; the model that comes with the program is used instead."),
        ({"device": "cuda"}, "cpu, cuda, mps or auto; the program chooses the device instead."),
        ({"model": WEIGHTS, "device": "cuda"}, "the program's own model and choice of device are used instead."),
    ],
)
def test_what_was_remembered_and_cannot_be_had_gives_way(remembered: dict[str, str], told: str) -> None:
    settings_file.save(Settings(**remembered))
    seen: list[Seen] = []

    def act(window: program.MainWindow) -> None:
        seen.append(Seen.of(window))
        window.close()

    once(lambda window: is_live(window) and window.stage.banner.isVisible(), act)
    assert run(Launch(source="demo"), picky) == 0
    assert seen[0].state is State.LIVE
    assert seen[0].banner[0] == "warning"
    assert seen[0].banner[1].endswith(told)
    assert (seen[0].settings.model, seen[0].settings.device) == (None, "auto")
    kept = settings_file.load()[0]
    assert (kept.model, kept.device) == (None, "auto")


def test_a_refusal_that_comes_after_the_end_does_no_harm(capsys: pytest.CaptureFixture[str]) -> None:
    def slow(settings: Settings) -> FakeEngine:
        if settings.model is not None:
            time.sleep(0.5)
        return picky(settings)

    def act(window: program.MainWindow) -> None:
        window.options.model.chosen.emit(WEIGHTS)
        window.close()

    once(is_live, act)
    assert run(Launch(source="demo"), slow) == 0
    QTest.qWait(2 * program.SAVE_AFTER_MS)
    assert "Traceback" not in capsys.readouterr().err


def test_a_script_and_a_flag_take_no_other_model(capsys: pytest.CaptureFixture[str]) -> None:
    settings_file.save(Settings(model=WEIGHTS))
    assert run(Launch(source="demo", duration=10), picky) == 2
    assert "not those of the card" in capsys.readouterr().err
    assert settings_file.load()[0].model == WEIGHTS
    settings_file.save(Settings())
    seen: list[Seen] = []

    def act(window: program.MainWindow) -> None:
        seen.append(Seen.of(window))
        window.close()

    once(lambda window: window.stage.banner.isVisible(), act)
    assert run(Launch(source="demo", model=WEIGHTS), picky) == 0
    assert seen[0].state is State.FAILED
    assert seen[0].banner[0] == "error"


def test_without_any_camera_the_empty_state_is_shown() -> None:
    seen: list[bool] = []

    def act(window: program.MainWindow) -> None:
        seen.append(window.stage.empty.isVisible())
        window.close()

    soon(act)
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

    soon(act)
    try:
        assert run(Launch()) == 0
        assert time.monotonic() - closed[0] < 5
    finally:
        answers.set()


def test_interrupt_closes_the_recording(tmp_path: Path) -> None:
    def rows(window: program.MainWindow) -> int:
        recording = window._bridge.status.recording
        return recording.rows if recording else 0

    once(lambda window: rows(window) > 5, lambda window: os.kill(os.getpid(), signal.SIGINT))
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
        soon(look)

    def look(window: program.MainWindow) -> None:
        seen.append(window.stage._faces.text())
        window.close()

    soon(act)
    assert run(Launch(source="demo"), make) == 0
    assert [engine.max_faces for engine in made] == [1, 2]
    assert made[0].closed
    assert seen == ["2 faces, click one to follow it"]


def test_uncaught_exceptions_are_logged_and_told(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []

    def act(window: program.MainWindow) -> None:
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        soon(look, 100)

    def look(window: program.MainWindow) -> None:
        seen.append(window.stage.banner.text)
        window.close()

    soon(act)
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

    soon(act)
    assert run(Launch()) == 0
    assert "settings.json" in seen[0]
    assert path.with_suffix(".json.bad").read_text() == "{"


# -- the command line -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--size", "wide"], ["--duration", "-1"], ["--faces", "0"], ["--theme", "pink"], ["--unknown"]]
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert "au-desktop: error" in capsys.readouterr().err


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    launches: list[Launch] = []
    monkeypatch.setattr(program, "run", lambda launch, on_started: launches.append(launch) or 0)
    return launches


def test_flags_reach_the_program(launched: list[Launch], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AU_DESKTOP_HOME", "elsewhere")
    flags = ["--source", "demo", "--faces", "3", "--size", "1280x800", "--duration", "2", "--settings", str(tmp_path)]
    assert command.main(flags) == 0
    assert launched == [Launch(source="demo", faces=3, size=(1280, 800), duration=2.0)]
    assert settings_file.folder() == tmp_path


def test_without_a_screen_the_demo_is_recorded_offscreen(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "")
    assert command.main([]) == 0
    assert os.environ["QT_QPA_PLATFORM"] == "offscreen"
    (launch,) = launched
    assert (launch.source, launch.duration, launch.record) == ("demo", 20.0, Path("sessions"))
    assert launch.screenshot == Path("sessions/au-desktop.png")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_missing_library_is_named_with_its_package(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    monkeypatch.setattr(system, "_can_load", lambda name: name != "libxcb-icccm.so.4")
    assert command.main([]) == 2
    told = capsys.readouterr().err
    assert "lacks libxcb-icccm.so.4;" in told
    assert "apt-get install" in told
    assert "libxcb-icccm4" in told
    assert launched == []
