"""What the button "Make table" does: one table of all recordings in the folder, and one of their trials, for people who
use no terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rtatl_core.errors import InputError, SessionError
from rtatl_core.sessions.recorded import FILES, MARKER, read_events
from rtatl_core.sessions.table import Cut, find_sessions, tabulate

_TOLD = 2
"""Sentences about single sessions; ``rtatl table`` tells all."""


def make_tables(root: Path) -> tuple[str, str]:
    """Writes ``table_<local time>.csv`` into ``root``, and ``trials_<local time>.csv`` if a session has markers. How
    serious it is, and what was made or why nothing, in words. Takes some seconds for hours of recordings."""
    try:
        return _made(root)
    except InputError as error:
        return "warning", f"{error}."
    except OSError as error:
        return "error", f"{root} takes no table ({error.strerror}); make room there, or choose another folder."
    except Exception as error:  # nobody foresaw it; the window goes on
        return "error", f"The table was given up ({type(error).__name__}: {error}); please report this."


def _made(root: Path) -> tuple[str, str]:
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
    trials = tabulate(filter(_may_have_markers, folders), Cut(MARKER))
    if trials.sessions:
        trials.write(root / f"trials_{at}")
        of = "" if trials.sessions == made.sessions else f" of {_counted(trials.sessions, 'session')}"
        text += f", trials_{at} {_counted(len(trials.rows), 'part')}{of} that begin at markers"
    doubts = _doubts([*made.left_out, *trials.left_out, *made.doubts])
    return ("warning" if doubts else "info"), " ".join([f"{text}.", *doubts])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _may_have_markers(folder: Path) -> bool:
    """Also where its events cannot be read, which is told then."""
    try:
        return any(event.kind == MARKER for event in read_events(folder))
    except SessionError:
        return (folder / FILES[1]).exists()


def _doubts(sentences: list[str]) -> list[str]:
    every = list(dict.fromkeys(sentences))  # a session may be left out of both
    more = [f"And {len(every) - _TOLD} more."] if len(every) > _TOLD else []
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in every[:_TOLD]] + more
