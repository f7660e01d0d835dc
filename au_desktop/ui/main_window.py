"""The one window: puts the parts together, and turns what a person does into calls of the pipeline.

Enters: a ``Bridge`` and the ``Settings``; leaves: ``settings_changed`` whenever a choice changes, which
somebody else saves, and ``engine_wanted`` with the settings when a choice takes another engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices, QDragEnterEvent, QDropEvent, QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QMainWindow

from au_desktop.bridge import Bridge
from au_desktop.runtime.status import RUNNING, State, Status
from au_desktop.settings import ENGINE_SETTINGS, LAYERS, THEMES, Settings
from au_desktop.sources import DEMO, ListCameras, SourceSpec, list_cameras
from au_desktop.ui.au_panel import AUPanel
from au_desktop.ui.drops import FILE_KINDS, accept_as_copy, file_to_open, local_paths, session_of
from au_desktop.ui.following import Following
from au_desktop.ui.icons import app_icon
from au_desktop.ui.layout import Desk, full_screen_key
from au_desktop.ui.noticing import Noticing
from au_desktop.ui.options import Options
from au_desktop.ui.recording import RecordControl
from au_desktop.ui.resting import RestControl
from au_desktop.ui.stage import Stage
from au_desktop.ui.status_line import StatusLine
from au_desktop.ui.theme import Look
from au_desktop.ui.top_bar import TopBar
from au_desktop.ui.trace_plot import TracePlot
from rtatl_core.card import read_card
from rtatl_core.errors import WeightsError
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import AnalysedFace, AnalysedFrame
from rtatl_core.runtimes.choose import devices

_STANDSTILL = (State.PAUSED, State.FINISHED)
_GONE = (State.RECONNECTING, State.FAILED)
"""What was read last would pass for what is read now."""


class MainWindow(QMainWindow):
    settings_changed = Signal(object)
    engine_wanted = Signal(object)
    closing = Signal()
    """The window is about to close, for whatever reason; it can still be seen."""

    def __init__(
        self,
        bridge: Bridge,
        look: Look,
        settings: Settings,
        *,
        cameras: ListCameras = list_cameras,
        open_folder: Callable[[Path], object] = lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))),
    ) -> None:
        super().__init__()
        self.settings = settings
        self._bridge = bridge
        self._look = look
        self._following = Following()
        self._last_number = 0
        """Of the frame shown last."""
        self._source: SourceSpec | None = None
        self._state: State | None = None
        self._aus = tuple(ACTION_UNITS)
        self._model: Mapping[str, Any] | None = None
        self._opened_folder = ""
        """Where the last file was chosen."""
        self.setWindowTitle("AU Desktop")
        self.setWindowIcon(app_icon())
        self.setAcceptDrops(True)

        self.top = TopBar(look, cameras)
        self.stage = Stage(look, bridge.painted, cameras)
        self.line = StatusLine(look)
        self.rest = RestControl(look, bridge.pipeline, self.line.say)
        self.panel = AUPanel(look, bridge.note_paint("paint_panel"), self.rest.chip)
        self.traces = TracePlot(look, bridge.note_paint("paint_curves"))
        self.options = Options(look, self, devices=devices())
        pipeline, banner = bridge.pipeline, self.stage.banner
        self.recording = RecordControl(look, pipeline, banner, self.line, lambda: self.settings, open_folder)
        self.noticing = Noticing(pipeline, banner, self.recording.tell)
        self.desk = Desk(self.top, self.stage, self.traces, self.panel, self.line)
        self.setCentralWidget(self.desk)
        self.desk.setFocus()
        self._connect()
        self._add_keys()
        self._show_settings()
        bridge.add_view(self._show_frame)
        bridge.status_changed.connect(self._show_status)
        bridge.notice_changed.connect(self.noticing.show)
        bridge.engine_refused.connect(self._take_back)
        bridge.fault.connect(lambda text: self.stage.banner.show_message("error", text))
        self.panel.set_aus(self._aus)
        self.traces.set_aus(self._aus)
        self._show_status(bridge.status)

    # -- building ----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        top, stage, options = self.top, self.stage, self.options
        for sender in (top.source, stage.empty):
            sender.camera_wanted.connect(self.choose_camera)
            sender.file_wanted.connect(self.choose_file)
            sender.demo_wanted.connect(self.open_demo)
        top.run_toggled.connect(self.toggle_run)
        top.record_toggled.connect(self.recording.toggle)
        top.folder_wanted.connect(self.recording.open_root)
        top.theme_toggled.connect(self.next_theme)
        top.options.clicked.connect(lambda: options.open_below(top.options))
        stage.layers_chosen.connect(self._set_layers)
        stage.layer_refused.connect(self.line.say)
        stage.video.face_clicked.connect(self._face_clicked)
        self.panel.curves_chosen.connect(self._set_curves)
        self.traces.seconds_chosen.connect(lambda seconds: self._change(curve_seconds=seconds))
        self.traces.seconds_chosen.connect(lambda _seconds: self._draw_curves())
        options.smoothing_chosen.connect(self._set_smoothing)
        options.personal_chosen.connect(self._set_personal)
        options.mirror_chosen.connect(self._set_mirror)
        options.film_chosen.connect(lambda on: self._change(film=on))
        options.streams_chosen.connect(self._set_streams)
        options.faces_chosen.connect(lambda count: self._change_engine(max_faces=count))
        options.device_chosen.connect(lambda device: self._change_engine(device=device))
        options.model_chosen.connect(self._set_model)
        options.name_chosen.connect(self._name_recordings)
        options.folder_wanted.connect(self._choose_record_root)
        self.recording.serve(options)

    def _add_keys(self) -> None:
        keys: dict[str, Callable[[], object]] = {
            "Space": self.toggle_run,
            "R": self.recording.toggle,
            "M": self.recording.mark,
            "F": self.next_face,
            "N": self.rest.toggle,
            "O": self.choose_file,
            "T": self.next_theme,
            full_screen_key(): self.toggle_full_screen,
            "Esc": self._close_topmost,
            "Ctrl+Q": self.close,
        }
        keys |= {str(i): partial(self.stage.switch_layer, name) for i, name in enumerate(LAYERS, start=1)}
        for key, act in keys.items():
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setAutoRepeat(False)
            shortcut.activated.connect(act)
        away = ("O", full_screen_key(), "Esc", "Ctrl+Q")  # which lead away from the settings
        self.options.keys = {key: act for key, act in keys.items() if key not in away}

    def _show_settings(self) -> None:
        settings = self.settings
        self._look.choose(settings.theme)
        self.stage.set_layers(frozenset(settings.layers))
        self.panel.set_chosen(frozenset(settings.curve_aus))
        self.traces.set_chosen(frozenset(settings.curve_aus))
        self.traces.set_seconds(settings.curve_seconds)
        self.options.show_settings(settings)
        self._bridge.pipeline.set_layers(settings.layers)
        self._bridge.pipeline.set_streams(settings)
        self.desk.restore(settings, self)

    # -- what a person does ------------------------------------------------------------------------------

    def open_source(self, spec: SourceSpec) -> None:
        """Plays that camera, file or demo from now on."""
        self._source = spec
        self._show_other_source(spec)
        self._bridge.pipeline.set_source(spec)

    def choose_camera(self, spec: SourceSpec) -> None:
        """Plays that camera, now and at the next start."""
        self._change(camera=spec.name)
        self.open_source(spec)

    def open_demo(self) -> None:
        self.open_source(DEMO)

    def open_file(self, path: str) -> None:
        """A video or photo, which is played, or a file of a session, which is looked at."""
        self._opened_folder = str(Path(path).parent)  # where the next one is looked for
        if (session := session_of(Path(path))) is not None:
            self.recording.look_at(session)
        else:
            self.open_source(SourceSpec("file", path, Path(path).name))

    def choose_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a video or photo", self._opened_folder, FILE_KINDS)
        if path:
            self.open_file(path)

    def toggle_run(self) -> None:
        """Pause, go on, play again or try again, whichever makes sense now."""
        status = self._bridge.pipeline.status()
        if status.state in RUNNING and not status.paused:
            self._bridge.pipeline.pause()
        elif status.state is not State.LOADING:
            self.stage.banner.pass_away()
            self.line.pass_away()
            self._bridge.pipeline.resume()

    def next_theme(self) -> None:
        choice = THEMES[(THEMES.index(self.settings.theme) + 1) % len(THEMES)]
        self._look.choose(choice)
        self._change(theme=choice)

    def picture(self) -> QImage:
        """What the window shows, all of it of the newest frame; while it runs, figures follow more slowly than bars."""
        if self._bridge.latest is not None:
            self._settle(self._bridge.latest)
        return self.grab().toImage()

    def toggle_full_screen(self) -> None:
        """Back, it is maximised if it was before."""
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def _close_topmost(self) -> None:
        """The card of an AU, else the message, else the full screen."""
        if self.panel.rows.help.isVisible():
            self.panel.rows.help.hide()
        elif self.stage.banner.isVisible():
            self.stage.banner.dismiss()
        elif self.isFullScreen():
            self.toggle_full_screen()

    def select_face(self, face_id: int | None) -> None:
        """Panel, curves and region labels follow this face; None: the largest."""
        self._following.choose(face_id)
        self.stage.video.select(face_id)
        if self._bridge.latest is not None:
            self._settle(self._bridge.latest)
        what = "the largest face" if face_id is None else f"face {face_id}; click it again for the largest"
        self.line.say(f"Following {what}")

    def next_face(self) -> None:
        frame = self._bridge.latest
        if frame is None or not frame.faces:
            self.line.say("There is no face to follow.")
        else:
            self.select_face(self._following.after(frame))

    def _face_clicked(self, face_id: int | None) -> None:
        """A click on the chosen face, or beside all of them, takes the choice back."""
        if face_id is not None and face_id != self._following.chosen:
            self.select_face(face_id)
        elif self._following.chosen is not None:
            self.select_face(None)

    def _set_layers(self, layers: frozenset[str]) -> None:
        self._bridge.pipeline.set_layers(layers)
        self._change(layers=tuple(name for name in LAYERS if name in layers))

    def _set_curves(self, aus: frozenset[int]) -> None:
        self.traces.set_chosen(aus)
        self._draw_curves()
        self._change(curve_aus=tuple(sorted(aus)))

    def _set_smoothing(self, seconds: float) -> None:
        self._bridge.pipeline.set_smoothing(seconds)
        self._change(smoothing_s=seconds)

    def _set_personal(self, on: bool) -> None:
        self._bridge.pipeline.set_personal(on)
        self.rest.doubt()
        self._change(personal=on)

    def _set_mirror(self, on: bool) -> None:
        self._change(mirror=on)
        self._show_mirrored()

    def _set_streams(self, changes: Mapping[str, object]) -> None:
        self._change(**changes)
        self._bridge.pipeline.set_streams(self.settings)

    def _change_engine(self, **changes: object) -> None:
        before = self.settings
        self._change(**changes)
        if self.settings != before:
            self.engine_wanted.emit(self.settings)

    def _take_back(self, asked: Settings, instead: Settings) -> None:
        """No engine could be loaded as ``asked``: the settings that choose it go back to those of the engine in use."""
        if all(getattr(self.settings, name) == getattr(asked, name) for name in ENGINE_SETTINGS):
            self._change(**{name: getattr(instead, name) for name in ENGINE_SETTINGS})

    def _set_model(self, model: str | None) -> None:
        try:
            read_card(model)
        except WeightsError as error:
            self.stage.banner.show_message("error", f"These weights cannot be used: {error}.", passing=True)
        else:
            self.stage.banner.pass_away()
            self._change_engine(model=model)

    def _name_recordings(self, name: str) -> None:
        self.recording.name = name
        self.top.record.set_name(name)

    def _choose_record_root(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for recordings", self.settings.record_root)
        if folder:
            self.stage.banner.pass_away()  # it may be about the folder before
            self._change(record_root=folder)

    def _change(self, **changes: object) -> None:
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        self.settings_changed.emit(self.settings)
        self.options.show_settings(self.settings)

    # -- what the pipeline brings ------------------------------------------------------------------------

    def _show_frame(self, frame: AnalysedFrame) -> None:
        begins_again, self._last_number = frame.packet.number < self._last_number, frame.packet.number
        if begins_again:
            self.rest.forget()  # as the engine does
        if begins_again and self._source is not None and self._source.live:
            self._forget_faces()  # ids begin at 0 again; in a file that plays again they mean the same people
        self.stage.video.show_frame(frame)
        self.stage.show_faces(len(frame.faces))
        if self._state in _STANDSTILL:  # it was on its way, and may be the last
            self._settle(frame)
            return
        self.panel.show_face(*self._follow(frame))
        if self.traces.is_due():
            self._draw_curves()

    def _settle(self, frame: AnalysedFrame) -> None:
        """The picture stands still: everything shows exactly this frame."""
        self.panel.settle(*self._follow(frame))
        self._draw_curves()

    def _follow(self, frame: AnalysedFrame) -> tuple[AnalysedFace | None, str]:
        """The face to show and its caption; no face where the frame is from another model than the rows, or from before
        its source went away: such values would pass for those of now."""
        before = self._following.face_id
        seen = self._following.see(frame)
        if self._following.face_id != before:
            self.stage.video.select(self._following.face_id)
        self.rest.see(seen[0], frame.aus)
        holds = frame.aus == self._aus and self._state not in _GONE
        return seen if holds else (None, "")

    def _draw_curves(self) -> None:
        """Curves of the face followed last: when it is lost they show a gap, not an empty plot."""
        history = self._bridge.pipeline.history
        face_id = self._following.face_id
        if face_id is None or history.aus != self._aus or self._state is State.FAILED:
            self.traces.clear()
            return
        times, values = history.curves(face_id, self.traces.seconds)
        self.traces.show_curves(times, values)

    def _show_status(self, status: Status) -> None:
        if status.source != self._source:
            self._source = status.source
            self._show_other_source(status.source)
        other_model = status.model is not None and (status.model, status.aus) != (self._model, self._aus)
        if status.model is not None and other_model:
            self._model, self._aus = status.model, status.aus
            self.panel.set_aus(status.aus, status.model.get("trust"))
            self.traces.set_aus(status.aus)
            self.stage.show_model(status.model)
        if other_model or status.state is not self._state:
            self._state = status.state
            if status.state in (*_STANDSTILL, *_GONE) and self._bridge.latest is not None:
                self._settle(self._bridge.latest)
        self.top.show_status(status)
        self.line.show_status(status, self._bridge.delay_ms())
        self.stage.show_status(status, self._bridge.latest is not None)
        self.options.show_recording(status.recording is not None)
        self.rest.show_status(status)

    def _show_other_source(self, spec: SourceSpec | None) -> None:
        self._bridge.forget()
        self._forget_faces()
        self.stage.video.clear()
        self.stage.banner.pass_away()
        self.line.say("")
        self.stage.show_faces(1)
        self.panel.show_face(None)
        self.rest.forget()
        self.traces.clear()
        self.traces.set_still(spec is not None and spec.still)
        self._show_mirrored()
        self.setWindowTitle(f"{spec.name} \N{EM DASH} AU Desktop" if spec else "AU Desktop")

    def _forget_faces(self) -> None:
        self._following.choose(None)
        self.stage.video.select(None)

    def _show_mirrored(self) -> None:
        is_camera = self._source is not None and self._source.kind == "camera"
        self.stage.video.set_mirrored(is_camera and self.settings.mirror)

    # -- the window itself -------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if local_paths(event.mimeData()):
            accept_as_copy(event)

    def dropEvent(self, event: QDropEvent) -> None:
        accept_as_copy(event)
        drop = file_to_open(local_paths(event.mimeData()))
        if drop.file is None:
            self.recording.tell("warning", drop.message, passing=True)
            return
        self.open_file(str(drop.file))
        if drop.message:  # the pipeline adds a recording that this has ended
            self._bridge.pipeline.announce(drop.message)

    def closeEvent(self, event: QCloseEvent) -> None:
        self.closing.emit()
        self._change(**self.desk.layout_of(self))
        super().closeEvent(event)
