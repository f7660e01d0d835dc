"""A session as those need it who look at it or count in it: its numbers by column, whose they are, and its events."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import SessionError
from rtatl_core.facs import ACTION_UNITS, au_label
from rtatl_core.handoffs import Float64
from rtatl_core.sessions.rows import SIDES
from rtatl_core.sessions.session import read_session

MARKER = "marker"
"""The kind of event that a person sets with ``M``."""
FILES = ("frames.csv", "events.csv", "session.json")
"""Of a session: nothing may take their place."""
_NEEDED = ("frame", "face_id", "timestamp", "success")
BOX = ("face_x0", "face_y0", "face_x1", "face_y1")
_READ = {*_NEEDED, *BOX, *(f"{au_label(au)}_{column}" for au in ACTION_UNITS for column in ("r", "c", *SIDES))}
_DATED = re.compile(r"(.+)_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d+)?")


class Event(NamedTuple):
    """A row of events.csv that has a time."""

    timestamp: float
    kind: str
    label: str


@dataclass(frozen=True)
class Recorded:
    """One session."""

    folder: Path
    about: dict[str, Any]
    """session.json; of one without, its "status" is "unknown"."""
    columns: dict[str, Float64]
    """Of frames.csv, those of time, faces with their boxes, and AUs; (rows,) each, NaN where a field is empty."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises SessionError."""
        about, columns = read_session(folder, _READ)
        if lacking := [name for name in _NEEDED if name not in columns]:
            raise SessionError(f"{folder} cannot be used, since its frames.csv has no {lacking[0]}; record it again")
        return cls(folder, about, columns)

    @property
    def name(self) -> str:
        """The folder's without date and time: a participant's code, or a video's name."""
        found = _DATED.fullmatch(self.folder.name)
        return found[1] if found else self.folder.name

    @cached_property
    def aus(self) -> tuple[int, ...]:
        return tuple(au for au in ACTION_UNITS if f"{au_label(au)}_r" in self.columns)

    @property
    def is_of_photos(self) -> bool:
        """Which have no time."""
        times = self.columns["timestamp"]
        return bool(len(times)) and bool(np.isnan(times).all())

    @property
    def is_of_one_person(self) -> bool:
        """One face was followed at a time, so a new id is the same person found again."""
        engines = self.about.get("engines") or [self.about]
        return all(engine.get("settings", {}).get("max_faces") == 1 for engine in engines)

    def people(self, rows: NDArray[np.bool_] | None = None) -> list[tuple[str, NDArray[np.bool_]]]:
        """Whose rows belong together: their ids in words, and which rows of the session are theirs, (rows,). rows: only
        people who are seen there. One without ids where nobody is."""
        ids = self.columns["face_id"]
        seen = np.isfinite(ids) if rows is None else rows & np.isfinite(ids)
        there = np.unique(ids[seen])
        if self.is_of_photos or self.is_of_one_person or not len(there):
            return [("" if self.is_of_photos else " ".join(f"{one:.0f}" for one in there), np.isfinite(ids))]
        return [(f"{one:.0f}", ids == one) for one in there]


def is_session(folder: Path) -> bool:
    return (folder / "frames.csv").is_file()


def read_events(folder: Path) -> list[Event]:
    """In the order of time. Raises SessionError."""
    try:
        with (folder / "events.csv").open(newline="", encoding="utf-8", errors="replace") as file:
            timed = [row for row in csv.DictReader(file) if row["timestamp"]]
        return sorted(Event(float(row["timestamp"]), row["kind"], row["label"]) for row in timed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        text = f"{folder / 'events.csv'} cannot be read ({error}); mend or copy it, or leave the session out"
        raise SessionError(text) from error


def has_event(folder: Path, kind: str) -> bool:
    """Whether there is one of this kind, and it can be read."""
    try:
        return any(event.kind == kind for event in read_events(folder))
    except SessionError:
        return False
