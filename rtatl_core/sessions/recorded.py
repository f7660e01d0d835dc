"""A session as those need it who look at it or count in it: its numbers by column, whose they are, and its events."""

from __future__ import annotations

import csv
import math
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
REST = "rest"
"""That of a face that counts from another rest than before, or from none again; the label begins with "face 0:"."""
SETTING = "setting"
"""That of smoothing or own face, changed."""
FILES = ("frames.csv", "events.csv", "session.json")
"""Of a session: nothing may take their place."""
_NEEDED = ("frame", "face_id", "timestamp", "success")
BOX = ("face_x0", "face_y0", "face_x1", "face_y1")
_READ = {*_NEEDED, *BOX, *(f"{au_label(au)}_{column}" for au in ACTION_UNITS for column in ("r", "c", *SIDES))}
_SHAPES = {"status": str, "counts": dict, "engines": list, "videos": list}
_SHAPES |= dict.fromkeys(("source", "model", "settings"), dict)
"""Of what session.json tells."""
_DATED = re.compile(r"(.+)_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(-\d+)?")


class Event(NamedTuple):
    """A row of events.csv that has a time."""

    timestamp: float
    kind: str
    label: str


_SAID = set(Event._fields)
"""Columns that are needed of it."""


@dataclass(frozen=True)
class Recorded:
    """One session."""

    folder: Path
    about: dict[str, Any]
    """session.json, without what has not the shape it should have; of one without, the "status" is "unknown"."""
    columns: dict[str, Float64]
    """Of frames.csv, those of time, faces with their boxes, and AUs; (rows,) each, NaN where a field is empty."""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises SessionError."""
        about, columns = read_session(folder, _READ)
        if lacking := [name for name in _NEEDED if name not in columns]:
            raise SessionError(f"{folder} cannot be used, since its frames.csv has no {lacking[0]}; record it again")
        about = {name: said for name, said in about.items() if isinstance(said, _SHAPES.get(name, object))}
        return cls(folder, {"status": "unknown", **about}, columns)

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
    def engines(self) -> list[dict[str, Any]]:
        """What analysed it, one after another; each tells its "model" and "settings"."""
        return self.about.get("engines") or [self.about]

    @property
    def is_of_one_person(self) -> bool:
        """One face was followed at a time, so a new id is the same person found again."""
        return all(engine.get("settings", {}).get("max_faces") == 1 for engine in self.engines)

    @property
    def counts_from_rest(self) -> bool:
        """Whether a face does. Of a rest that was taken in the window, only the events tell."""
        said = self.about.get("settings", {}).get("rest")
        return said is not None or any(event.kind == REST for event in self.events())

    def events(self) -> list[Event]:
        """As ``read_events``; none if they cannot be read."""
        try:
            return read_events(self.folder)
        except SessionError:
            return []

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
    """In the order of time, those of one moment as they are written. Raises SessionError."""
    path = folder / FILES[1]
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:  # Excel puts a mark before the text
            table = csv.DictReader(file, restval="")
            if not _SAID.issubset(table.fieldnames or ()):
                raise ValueError("its first line should be timestamp,frame,kind,label, with commas between")
            rows = [row for row in table if row["timestamp"].strip()]
        events = [Event(float(row["timestamp"]), row["kind"].strip(), row["label"]) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        why = (isinstance(error, OSError) and error.strerror) or error
        raise SessionError(f"{path} cannot be read ({why}); mend or copy it, or leave the session out") from error
    return sorted((event for event in events if math.isfinite(event.timestamp)), key=lambda event: event.timestamp)
