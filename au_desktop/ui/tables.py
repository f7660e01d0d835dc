"""What the button "Make table" does: one table of all recordings in the folder, and one of their trials, for people who
use no terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from rtatl_core.errors import InputError
from rtatl_core.sessions.recorded import MARKER, has_event
from rtatl_core.sessions.table import Cut, Table, find_sessions, tabulate

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
