"""The composition root: builds everything, starts sinks -> analysis -> capture, stops in reverse.

Enters: a ``Launch`` (the command line); leaves: an exit code, and what the flags asked for: a screenshot, a file of
statistics, a session folder.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QLockFile, QMessageLogContext, QTimer, QtMsgType, qInstallMessageHandler
from PySide6.QtGui import QImageWriter
from PySide6.QtWidgets import QApplication, QMessageBox

from au_desktop import settings as settings_file
from au_desktop.bridge import Bridge
from au_desktop.engines import Engines
from au_desktop.faults import Hooks, log_file, logging_to
from au_desktop.launch import Flagged, Launch
from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import State, Status
from au_desktop.samples import SampleLog
from au_desktop.settings import Settings
from au_desktop.sources import DEMO, SourceSpec, as_camera, list_cameras, open_as_camera, open_source, parse_source
from au_desktop.ui.main_window import MainWindow
from au_desktop.ui.theme import Look, load_fonts
from au_desktop.words import clock
from rtatl_core.errors import InputError, SessionError
from rtatl_core.face.find import heard
from rtatl_core.machine.meter import ProcessMeter
from rtatl_core.sessions.interrupted import recover_sessions
from rtatl_core.system import SCREENS, drop_unread, read_as_c_does

if TYPE_CHECKING:  # torch and mediapipe are imported by the analysis thread, after the window is on the screen
    from rtatl_core.engine import Engine

log = logging.getLogger("au_desktop")

SAVE_AFTER_MS = 500
SAMPLE_MS = 500
RECOVERY_S = 5.0
"""How long closing waits for recordings that are being finished."""


def run(
    launch: Launch,
    make_engine: Callable[[Settings], Engine] | None = None,
) -> int:
    """Shows the window until it is closed. Returns the exit code: 0, or 2 for unusable input, which is said
    (``_refuse``)."""
    folder = settings_file.folder()
    with contextlib.suppress(OSError):  # where nobody may write, nothing is locked, logged or kept
        folder.mkdir(parents=True, exist_ok=True)
    with logging_to(log_file()):
        try:
            spec = parse_source(launch.source) if launch.source is not None else None
            if launch.camera_fps is not None:
                spec = as_camera(spec or DEMO)
            with _only_one(folder):
                qt = qt_application(sys.argv[:1])
                return App(qt, launch, spec, make_engine or load_engine).run()
        except InputError as error:
            return _refuse(str(error), launch)


def qt_application(arguments: Sequence[str]) -> QApplication:
    """The QApplication of this process. Making one sets the locale of the person's environment for the whole process;
    that is taken back."""
    before = qInstallMessageHandler(_while_it_begins)
    qt = QApplication.instance() or QApplication(list(arguments))
    qInstallMessageHandler(before)
    assert isinstance(qt, QApplication)
    read_as_c_does()
    return qt


def _while_it_begins(kind: QtMsgType, context: QMessageLogContext, text: str) -> None:
    """Where no screen answers, Qt would crash the program and call for another installation of it."""
    if kind is QtMsgType.QtFatalMsg:
        asked = " ".join(f"{name}={os.environ[name]}" for name in SCREENS if os.environ.get(name)) or "this machine"
        print(f"au-desktop: no window can be shown on {asked}; start it on a desktop that is there.", file=sys.stderr)
        drop_unread()
        os._exit(2)
    if not str(getattr(context, "category", "")).startswith("qt.qpa"):  # which tell of each attempt
        print(text, file=sys.stderr)


def load_engine(settings: Settings) -> Engine:
    """Called in the analysis thread; takes a second or two."""
    from rtatl_core.engine import Engine

    return Engine(
        settings.model,
        device=settings.device,
        max_faces=settings.max_faces,
        smoothing_s=settings.smoothing_s,
        personal=settings.personal,
    )


class App:
    """One run of the program."""

    def __init__(
        self,
        qt: QApplication,
        launch: Launch,
        spec: SourceSpec | None,
        make_engine: Callable[[Settings], Engine],
    ) -> None:
        self._qt = qt
        self._launch = launch
        self._exit_code = 0
        self._session: Path | None = None
        self._first_seen: tuple[float, int] | None = None
        self._meter = ProcessMeter()
        self._loaded = settings_file.load()
        self._flagged = Flagged(self._loaded.settings, launch, spec)
        self._settings = self._flagged.settings()
        self._spec = spec

        qt.setApplicationName("AU Desktop")
        qt.setStyle("Fusion")
        load_fonts(qt)
        self._look = Look(qt, self._settings.theme)
        self._engines = Engines(
            make_engine,
            lambda asked, instead: self._bridge.engine_refused.emit(asked, instead),
            lambda text: self._pipeline.warn(text),
        )
        rate = launch.camera_fps
        self._pipeline = Pipeline(
            self._engines.first(self._settings, self._flagged.remembered),
            open_source=open_source if rate is None else lambda spec: open_as_camera(spec, rate),
            pace=launch.pace,
        )
        self._bridge = Bridge(self._pipeline)
        self._window = MainWindow(self._bridge, self._look, self._settings)
        if launch.size is not None:
            self._window.resize(*launch.size)
        self._window.settings_changed.connect(self._settings_changed)
        self._window.engine_wanted.connect(self._exchange_engine)
        self._window.closing.connect(self._leave_what_was_asked_for)
        self._bridge.status_changed.connect(self._watch)
        self._save_soon = QTimer(singleShot=True, interval=SAVE_AFTER_MS)
        self._save_soon.timeout.connect(self._save)
        self._sampler = QTimer(interval=SAMPLE_MS)
        self._sampler.timeout.connect(self._sample)
        self._samples = SampleLog(launch.samples, self._meter, self._bridge) if launch.samples is not None else None
        self._recovery = threading.Thread(target=self._recover, name="recovery", daemon=True)
        self._hooks = Hooks(self._close_soon, self._bridge.fault.emit)

    def run(self) -> int:
        self._window.show()
        self._bridge.start()
        self._sampler.start()
        if self._loaded.complaint is not None:
            self._window.stage.banner.show_message("warning", self._loaded.complaint)
        self._recovery.start()
        self._begin()  # before the engine runs, so that a recording holds the first frame
        self._pipeline.start()
        if self._launch.duration is not None:
            QTimer.singleShot(round(1000 * self._launch.duration), self._window, self._window.close)
        with self._hooks:
            self._qt.exec()
            self._stop()
        return self._exit_code

    # -- beginning ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        spec = self._spec or _camera_to_start(self._settings)
        if spec is not None:
            self._window.open_source(spec)
        if self._launch.record is None:
            return
        if spec is None:
            self._fail("No camera was found, so nothing is recorded; name a source, for example: --source demo.")
            return
        try:
            # The flag's folder as a whole path, which the file manager can open.
            self._session = self._pipeline.start_recording(Path(self._settings.record_root), film=self._settings.film)
        except SessionError as error:
            self._fail(_reason(self._pipeline.status()) or str(error))  # a source may have failed by now

    def _exchange_engine(self, settings: Settings) -> None:
        """Another model, device or number of faces takes another engine."""
        self._settings = settings
        self._pipeline.set_engine(self._engines.next(settings))

    def _sample(self) -> None:
        self._meter.sample()
        try:
            if self._samples is not None:
                self._samples.note(self._pipeline.status())
        except InputError as error:
            self._samples = None
            self._fail(str(error))

    def _recover(self) -> None:
        """Recordings that a killed program left open are finished, and the person is told."""
        found = list(recover_sessions(Path(self._settings.record_root)))
        if found:
            last = found[-1]
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            self._pipeline.announce(
                f"A recording that was cut off is complete up to {clock(last.seconds)}: {last.folder}{more}."
            )

    # -- while it runs --------------------------------------------------------------------------------------

    def _watch(self, status: Status) -> None:
        if status.analysed and self._first_seen is None:
            self._first_seen = (time.perf_counter(), status.analysed)
        if status.recording is not None:
            self._session = status.recording.folder
        if not self._launch.scripted:
            return
        if status.state is State.FAILED:
            self._fail(_reason(status) or "The source cannot be read.")
        elif status.state is State.FINISHED and self._launch.duration is None:
            self._window.close()

    def _fail(self, text: str) -> None:
        """Scripted, the first fault ends the program with a sentence and code 2; a person sees it in the banner."""
        if self._launch.scripted:
            if self._exit_code:
                return
            self._exit_code = _refuse(text, self._launch)
            self._close_soon()
        else:
            self._window.stage.banner.show_message("error", text, passing=True)

    def _close_soon(self) -> None:
        """Not at once: this may be called in the middle of showing a frame, and by a signal even of painting it."""
        QTimer.singleShot(0, self._window, self._window.close)

    def _settings_changed(self, settings: Settings) -> None:
        self._settings = settings
        if not self._launch.scripted:
            self._save_soon.start()

    def _save(self) -> None:
        if not self._loaded.may_save:
            return
        size = self._window.width(), self._window.height()
        problem = settings_file.save(self._flagged.to_keep(self._settings, size))
        if problem is not None:
            log.warning(problem)
            self._bridge.fault.emit(problem)

    # -- ending ---------------------------------------------------------------------------------------------

    def _leave_what_was_asked_for(self) -> None:
        """Screenshot and statistics, however it ends: while all still runs, and the window is on the screen."""
        screenshot, stats = self._launch.screenshot, self._launch.stats
        if screenshot is not None and self._wrote("--screenshot", screenshot, self._save_screenshot):
            _tell(f"Screenshot: {screenshot}")
        if stats is not None:
            self._wrote("--stats", stats, self._save_stats)

    def _wrote(self, flag: str, path: Path, write: Callable[[Path], object]) -> bool:
        """Whether the file that the flag names could be written; if not, the person is told."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path)
        except OSError as error:
            text = f"{path} cannot be written ({error.strerror}); choose another place for {flag}."
        except InputError as error:
            text = str(error)
        else:
            return True
        self._exit_code = _refuse(text, self._launch)
        return False

    def _save_screenshot(self, path: Path) -> None:
        known = [bytes(kind.data()).decode() for kind in QImageWriter.supportedImageFormats()]
        if path.suffix[1:].lower() not in known:  # Qt would empty a file of that name
            raise InputError(f"{path} does not name a picture; choose a name for --screenshot that ends in .png.")
        writer = QImageWriter(str(path))
        if not writer.write(self._window.picture()):
            raise OSError(0, writer.errorString())

    def _save_stats(self, path: Path) -> None:
        path.write_text(json.dumps(self.stats(), indent=2) + "\n", encoding="utf-8")

    def _stop(self) -> None:
        self._sampler.stop()
        if self._samples is not None:
            self._samples.close()
        self._bridge.stop()
        folder = self._pipeline.close() or self._session
        if folder is not None and self._launch.scripted:
            if folder.is_dir():  # it is gone where nothing could be written in it
                _tell(f"Session: {folder}")
            if self._launch.record is not None and not self._exit_code:
                self._judge_recording(folder)
        self._recovery.join(RECOVERY_S)  # a network disk may never answer; then it is left behind
        self._window.settings_changed.disconnect(self._settings_changed)  # a refusal may still be on its way
        self._save_soon.stop()
        if not self._launch.scripted:
            self._save()
        self._look.detach()
        self._window.deleteLater()

    def _judge_recording(self, folder: Path) -> None:
        fault = self._pipeline.recording_fault
        if fault:
            self._exit_code = _refuse(f"the recording stopped: {fault}", self._launch)
        elif not self._pipeline.recorded:
            self._exit_code = _refuse(f"no frame came while it recorded; {folder} holds no rows.", self._launch)
        elif fault := self._pipeline.film_fault:
            self._exit_code = _refuse(fault, self._launch)

    def _fps(self, status: Status) -> float:
        """Analysed frames per second since the first one was seen."""
        if self._first_seen is None:
            return 0.0
        seen_at, analysed = self._first_seen
        return (status.analysed - analysed) / max(time.perf_counter() - seen_at, 1e-3)

    def stats(self) -> dict[str, Any]:
        """Counters, delays and costs of this run so far, under the names that ``rtatl bench`` uses too."""
        status = self._pipeline.status()
        stats: dict[str, Any] = {
            "frames_captured": status.captured,
            "frames_analysed": status.analysed,
            "frames_dropped": status.dropped,
            "fps": round(self._fps(status), 2),
            "stages": self._pipeline.stage_stats() | self._bridge.paint_stats(),
            **self._meter.figures(),
            "model": status.model_name,
            "device": status.device,
            "source": status.source.name if status.source else None,
        }
        delays = self._bridge.delay_stats()
        if delays is not None:
            stats["delay_ms"] = delays
            stats["first_painted_s"] = round(self._bridge.first_painted_s or 0.0, 2)
        return stats


def _camera_to_start(settings: Settings) -> SourceSpec | None:
    """The camera used last if it is there, else the first one, else none."""
    cameras = list_cameras()
    for camera in cameras:
        if camera.name == settings.camera:
            return camera
    return cameras[0] if cameras else None


def _reason(status: Status) -> str:
    """Why the source failed; empty if it did not."""
    return status.notice.text if status.state is State.FAILED and status.notice is not None else ""


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Holds the settings in that folder. Raises InputError if another program does; where no lock can be written, the
    program goes on without."""
    lock = QLockFile(str(folder / "au-desktop.lock"))
    lock.setStaleLockTime(0)  # a lock is stale when its process is gone, not when it is old
    if not lock.tryLock(0) and lock.error() == QLockFile.LockError.LockFailedError:
        raise InputError(
            f"AU Desktop is already running with the settings in {folder}; use its window, or give --settings "
            "another folder."
        )
    try:
        yield
    finally:
        lock.unlock()


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads on, or the disk is full that it goes to
        print(text, flush=True)


def _refuse(text: str, launch: Launch) -> int:
    """Says why the program does not do what was asked; the exit code. Packaged for Windows or macOS it has no stderr: a
    person gets a message to click away, a script, which nobody watches, a line in the log."""
    if sys.stderr is not None:
        with heard(), contextlib.suppress(OSError):  # a terminal that is gone
            print(f"au-desktop: {text}", file=sys.stderr, flush=True)
    elif launch.scripted:
        log.error(text)
    else:
        qt_application(sys.argv[:1])
        QMessageBox.critical(None, "AU Desktop", f"{text[:1].upper()}{text[1:]}")
    return 2
