"""What the record button, the keys R and M, and what is done with sessions afterwards do: look at one, make a table of
all, open their folder; and what the banner says of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtWidgets import QFileDialog

from au_desktop.runtime.pipeline import Pipeline
from au_desktop.runtime.status import State
from au_desktop.settings import Settings
from au_desktop.ui.background import Background
from au_desktop.ui.banner import Banner
from au_desktop.ui.options import Options
from au_desktop.ui.session_window import Contents, SessionWindow, load
from au_desktop.ui.status_line import StatusLine
from au_desktop.ui.tables import make_tables
from au_desktop.ui.theme import Look
from au_desktop.words import clock
from rtatl_core.errors import SessionError
from rtatl_core.sessions.recorded import is_session


class RecordControl:
    def __init__(
        self,
        look: Look,
        pipeline: Pipeline,
        banner: Banner,
        line: StatusLine,
        settings: Callable[[], Settings],
        open_folder: Callable[[Path], object],
    ) -> None:
        """``settings``: the present ones; ``open_folder``: False where it cannot."""
        self._look = look
        self._pipeline = pipeline
        self._banner = banner
        self._line = line
        self._settings = settings
        self._open_folder = open_folder
        self._reading, self._counting = Background("session", banner), Background("table", banner)
        self.name = ""
        """What the next recordings are called; else they bear the source's name."""

    def serve(self, options: Options) -> None:
        """Answers what its row of recordings wants."""
        options.session_wanted.connect(self.choose_session)
        options.table_wanted.connect(self.make_table)

    def toggle(self) -> None:
        """Starts or stops. A video that has ended is recorded from its beginning; in its middle that is offered."""
        folder = self._pipeline.stop_recording()
        if folder is None:
            self._start()
        elif self._pipeline.recorded:
            self.tell("info", f"Recorded to {folder.name}", folder)
        else:
            self.tell("warning", f"No frame came while it recorded; {folder.name} holds no rows.")

    def mark(self) -> None:
        """Marks a moment worth finding again. The answer is in the status line, where it hides no message."""
        try:
            number = self._pipeline.mark()
        except SessionError as error:
            self._line.say(str(error), passing=True)
            return
        if number is None:
            self._line.say("Nothing is being recorded; press R first.", passing=True)
        else:
            self._line.say(f"Marker {number} is set")

    def tell(self, severity: str, text: str, folder: Path | None = None, *, passing: bool = False) -> None:
        """``folder``: of a recording, which a button shows, or of several, which it opens; ``passing``: see
        ``Banner.show_message``."""
        if folder is None:
            self._banner.show_message(severity, text, passing=passing)
            return
        action, act = ("Look at it", self.look_at) if is_session(folder) else ("Open folder", self._open)
        self._banner.show_message(severity, text, action=action, on_action=partial(act, folder), passing=passing)

    def choose_session(self) -> None:
        root = self._settings().record_root
        if folder := QFileDialog.getExistingDirectory(self._banner.window(), "The folder of a recorded session", root):
            self.look_at(Path(folder))

    def look_at(self, folder: Path) -> None:
        """A window of its own with that session."""
        if not folder.is_dir():
            self.tell("warning", f"{folder} is not there any more.", passing=True)
            return
        if self._reading.is_busy:
            self._line.say("Another session is still being read; try again when it is shown.", passing=True)
            return
        self._banner.pass_away()
        self._line.say(f"Reading {folder.name}", passing=True)  # an hour takes some seconds
        self._reading.run(partial(_load, folder), self._show_session)

    def _show_session(self, loaded: Contents | str) -> None:
        self._line.pass_away()
        if isinstance(loaded, str):
            self.tell("warning", loaded, passing=True)
            return
        chosen = frozenset(self._settings().curve_aus)
        window = SessionWindow(self._look, loaded, chosen, self._open, self._banner.window())
        window.show()
        window.activateWindow()

    def _start(self) -> None:
        before = self._pipeline.status()
        try:
            self._begin()
        except SessionError as error:
            if before.state is State.FAILED:  # why stands in the banner
                self._line.say(str(error), passing=True)
            else:
                self.tell("error", str(error), passing=True)
            return
        self._banner.pass_away()  # it may say why there was no recording before
        self._line.pass_away()
        at = before.position_s
        if at is not None and before.state is not State.FINISHED:
            self._banner.show_message(
                "info",
                f"Recording from {clock(at)}.{int(10 * at) % 10} of the video",
                action="Start from the beginning",
                on_action=self._start_anew,
                passing=True,
            )

    def _begin(self, *, anew: bool = False) -> None:
        self._pipeline.start_recording(self._root, anew=anew, film=self._settings().film, name=self.name)

    @property
    def _root(self) -> Path:
        return Path(self._settings().record_root)

    def _start_anew(self) -> None:
        recording = self._pipeline.status().recording
        if recording is None:
            return
        try:
            self._begin(anew=True)
        except SessionError as error:
            self.tell("error", str(error), passing=True)
            return
        if recording.rows:
            first = recording.folder
            self.tell("info", f"Recording from the beginning; what came before is kept in {first.name}", first)
        else:
            self.tell("info", "Recording from the beginning")

    def open_root(self) -> None:
        root = self._root
        if root.is_dir():
            self._open(root)
        else:
            self.tell("info", f"Nothing is recorded yet; sessions will be in {root}.", passing=True)

    def make_table(self) -> None:
        if self._root.is_dir():
            root = self._root
            self._banner.pass_away()
            self._counting.run(partial(make_tables, root), lambda told: self.tell(*told, root, passing=True))
        else:
            self.open_root()

    def _open(self, folder: Path) -> None:
        if not folder.is_dir():
            self.tell("warning", f"{folder} is not there any more.", passing=True)
        elif self._open_folder(folder) is False:  # as where there is no file manager
            self.tell("warning", f"No file manager was found; open {folder} yourself.", passing=True)


def _load(folder: Path) -> Contents | str:
    """Or why it cannot be looked at."""
    try:
        return load(folder)
    except SessionError as error:
        return str(error) if str(error).endswith(".") else f"{error}."
    except Exception as error:  # nobody foresaw it; the window goes on
        return f"{folder} cannot be looked at ({type(error).__name__}: {error}); please report this."
