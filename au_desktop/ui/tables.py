"""What the button "Make table" does: one table of all recordings in the folder, and one of their trials, for people who
use no terminal. It works in a thread of its own, since hours of recordings take some seconds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from rtatl_core.errors import InputError
from rtatl_core.sessions.recorded import MARKER, has_event
from rtatl_core.sessions.table import Cut, Table, find_sessions, tabulate

_TOLD = 2
"""Sentences about single sessions; ``rtatl table`` tells all."""


class TableControl(QObject):
    _done = Signal(str, str, object)

    def __init__(self, tell: Callable[..., object]) -> None:
        """``tell``: ``RecordControl.tell``."""
        super().__init__()
        self._tell = tell
        self._done.connect(self._show)
        self._thread: threading.Thread | None = None

    def make(self, root: Path) -> None:
        """``root``: where the session folders are; the tables are written there under new names."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._make, args=[root], name="table", daemon=True)
            self._thread.start()

    def _make(self, root: Path) -> None:
        severity, text, folder = "error", "", None
        try:
            severity, text, folder = *make_tables(root), root
        except InputError as error:
            severity, text = "warning", f"{error}."
        except OSError as error:
            text = f"{root} takes no table ({error.strerror}); make room there, or choose another folder."
        except Exception as error:  # nobody foresaw it; the window goes on
            text = f"The table was given up ({type(error).__name__}: {error}); please report this."
        with contextlib.suppress(RuntimeError):  # the window is gone
            self._done.emit(severity, text, folder)

    def _show(self, severity: str, text: str, folder: Path | None) -> None:
        self._thread = None
        self._tell(severity, text, folder, passing=True)


def make_tables(root: Path) -> tuple[str, str]:
    """Writes ``table_<local time>.csv`` into ``root``, and ``trials_<local time>.csv`` if a session has markers. How
    serious it is and what was made, in words. Raises InputError where there is no session, OSError."""
    try:
        folders = find_sessions([root])
    except InputError:
        raise InputError(f"Nothing is recorded in {root} yet") from None
    made = tabulate(folders)
    if not made.sessions:
        raise InputError(made.left_out[0])
    at = f"{datetime.now():%Y-%m-%dT%H-%M-%S}.csv"
    made.write(root / f"table_{at}")
    text = f"table_{at} has {_counted(made.sessions, 'session')}"
    trials = tabulate([folder for folder in folders if has_event(folder, MARKER)], Cut(MARKER))
    if trials.sessions:
        trials.write(root / f"trials_{at}")
        text += f", trials_{at} {_counted(len(trials.rows), 'part')} that begin at markers"
    doubts = _doubts(made)
    return ("warning" if doubts else "info"), " ".join([f"{text}.", *doubts])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _doubts(made: Table) -> list[str]:
    every = [*made.left_out, *made.doubts]
    more = [f"And {len(every) - _TOLD} more."] if len(every) > _TOLD else []
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in every[:_TOLD]] + more
