"""Session folders -> one table of means for a statistics program: a row for each session, for each of several faces,
and for each part that begins at an event (a trial).

A value here is a mean over the frames of a part in which the face was found; frames without it count in ``success``
alone.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError, SessionError
from rtatl_core.facs import au_label
from rtatl_core.files import replace_file
from rtatl_core.sessions.recorded import FILES, REST, SETTING, Recorded, is_session, read_events
from rtatl_core.sessions.rows import SIDES

_MEASURES = {"mean": "r", "max": "r", "present": "c", **{side: side for side in SIDES}}
"""What the table tells of an AU -> the column of frames.csv that it comes from."""
_NOT_WHOLE = ("stopped:", "interrupted", "empty")
"""How a status begins that tells of less than there was to be had. A part of a video that somebody chose has another,
e.g. "stopped at 12.0 s"."""
_OF_FILES = ("file", "frames", "photos")
"""Kinds of sources that can be analysed again."""
_SOON_S = 0.5
"""What is set so soon after a face was found holds from there on, as good as."""
_NAMED = 3
"""So many names in a sentence."""

Bools = NDArray[np.bool_]
Row = dict[str, str | float]
"""A line of the table, by column; NaN becomes an empty field."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where parts begin and end. Without a ``kind`` a session is one part."""

    kind: str = ""
    """Of events, as in events.csv: a part begins at each, and ends where the next begins."""
    length_s: float = math.inf
    """At most so long."""
    before_s: float = 0.0
    """The mean over so many seconds before each event is subtracted from the intensities after it."""


WHOLE = Cut()


@dataclass(frozen=True, slots=True)
class Table:
    """Lines, and what whoever reads them should know, in sentences."""

    rows: list[Row]
    sessions: int
    """How many are in it."""
    left_out: list[str]
    doubts: list[str]
    experimental: list[str]
    """AUs of which the model's card says so."""

    def write(self, path: Path) -> None:
        """As CSV, whole or not at all. A column that only some sessions have is empty in the others. Raises InputError
        where another program keeps the file, OSError."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _in_order(self.rows), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _text(value) for name, value in row.items()} for row in self.rows)
        try:
            replace_file(path, text.getvalue())
        except PermissionError as error:  # Windows lets no file be replaced that another program has open
            if not path.exists():
                raise
            said = f"{path} cannot be replaced ({error.strerror}); close it in other programs, or name another"
            raise InputError(said) from error


def check_out(path: Path) -> None:
    """Raises InputError where no table should go, before hours of sessions are read."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it, e.g. {path / 'study.csv'}")
    if not path.parent.is_dir():
        raise InputError(f"there is no folder {path.parent}; make it, or name another place")
    if path.name.casefold() in FILES and is_session(path.parent):
        raise InputError(f"{path} belongs to a session; give the table another name")


def tabulate(folders: Iterable[Path], cut: Cut = WHOLE, rest: tuple[float, float] | None = None) -> Table:
    """These sessions (``read``), line by line (``rows``); those that cannot be in it are told."""
    lines: list[Row] = []
    taken: list[Recorded] = []
    left_out: list[str] = []
    changed: list[str] = []
    for folder in folders:
        try:
            session = read(folder)
            lines += rows(session, cut, rest)
        except SessionError as error:
            left_out.append(str(error))
            continue
        if changes := ", ".join(_changes(session)):
            means = "so its numbers do not all mean the same; use one part of it, or leave it out"
            changed.append(f"{folder} changes while it is recorded (kind {changes} in events.csv), {means}")
        taken.append(replace(session, columns={}))  # those of hours are many
    trust = (engine.get("model", {}).get("trust", {}) for one in taken for engine in one.engines)
    weak = {int(au) for levels in trust for au, level in levels.items() if level == "experimental"}
    return Table(lines, len(taken), left_out, [*_doubts(taken), *changed], [au_label(au) for au in sorted(weak)])


def find_sessions(named: Iterable[Path]) -> list[Path]:
    """Session folders as they are named, and those in folders of them, each once. Raises InputError."""
    found: dict[str, Path] = {}
    for folder in named:
        inside = [folder] if is_session(folder) else sorted(file.parent for file in folder.glob("*/frames.csv"))
        if not inside:
            raise InputError(f"{folder} holds no session; name session folders, or the folder they are in")
        for one in inside:
            found.setdefault(os.path.abspath(one), one)
    return [Path(place) if one.name in ("", "..") else one for place, one in found.items()]  # "." has no name


def read(folder: Path) -> Recorded:
    """Raises SessionError, also for one that ``rtatl analyze`` was stopped at, that is still being recorded, or that
    holds no frame."""
    session = Recorded.read(folder)
    status, kind = str(session.about["status"]), session.about.get("source", {}).get("kind")
    if status == "recording":
        raise SessionError(f"{folder} is left out, since it is still being recorded; end that first")
    if status.startswith(_NOT_WHOLE) and kind in _OF_FILES:
        raise SessionError(f"{folder} is left out ({status}); analyse it again, or move it elsewhere")
    if not len(session.columns["frame"]):
        raise SessionError(f"{folder} is left out, since it holds no frame ({status}); record it again, or move it")
    return session


def rows(session: Recorded, cut: Cut = WHOLE, rest: tuple[float, float] | None = None) -> list[Row]:
    """The session's lines: by part, then by face.

    rest: first and last second, counted from the session's first frame, in which the face rests. Its mean then is
    subtracted from the intensities, and these frames count in no part.

    A face that is not seen at rest, or not before an event, has no intensities there. Raises SessionError where there
    is no such event, no face at all at rest, or no time to count in.
    """
    columns, times = session.columns, session.columns["timestamp"]
    if session.is_of_photos and (rest or cut.kind):
        raise SessionError(f"{session.folder} is left out, since photos have no time; make a table of photos alone")
    found = columns["success"] == 1
    resting = np.zeros(len(times), bool)
    if rest is not None and len(times):
        resting = (times >= times[0] + rest[0]) & (times < times[0] + rest[1])
        if not (resting & found).any():
            at = f"between {rest[0]:g} and {rest[1]:g} s"
            raise SessionError(f"{session.folder} is left out, since it shows no face {at}; say where one rests")
    made: list[Row] = []
    for label, first_s, last_s in _parts(session, cut):
        inside = ~resting if not cut.kind else (times >= first_s) & (times < last_s) & ~resting
        before = (times >= first_s - cut.before_s) & (times < first_s) if cut.before_s else resting
        frames = len(np.unique(columns["frame"][inside]))
        for ids, of_face in session.people(inside & found):
            shown = inside & of_face
            base = _means(session, before & of_face) if rest or cut.before_s else {}
            made.append(
                {
                    "session": session.folder.name,
                    "name": session.name,
                    "status": str(session.about["status"]),
                    "face_id": ids,
                    **({"part": label} if cut.kind else {}),
                    "begins": first_s,
                    "ends": max(first_s, float(np.minimum(last_s, times[-1]))) if len(times) else math.nan,
                    "frames": frames,
                    "success": len(np.unique(columns["frame"][shown])) / frames if frames else math.nan,
                    **_values(session, shown, base),
                }
            )
    return made


def _doubts(sessions: Sequence[Recorded]) -> Iterator[str]:
    """What whoever compares these sessions should know."""
    engines = [engine for one in sessions for engine in one.engines]
    models = {str(engine.get("model", {}).get("sha256", "unknown"))[:8] for engine in engines}
    if len(models) > 1:
        yield f"these sessions are of {len(models)} models ({', '.join(sorted(models))}): compare those of one only"
    settings = [engine["settings"] for engine in engines if "settings" in engine]
    if len({(said.get("smoothing_s"), said.get("personal")) for said in settings}) > 1:
        yield "these sessions differ in smoothing or own face, so their numbers do too (settings in session.json)"
    without = [one.name for one in sessions if not one.counts_from_rest]
    if 0 < len(without) < len(sessions):
        yield f"some of these sessions count from a person's rest, but not {_listed(without)}"
    names = [one.name for one in sessions]
    if again := sorted({name for name in names if names.count(name) > 1}):
        yield f"there are several sessions of {_listed(again)}: see whether you want all of them"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _changes(session: Recorded) -> Iterator[str]:
    """Kinds of events after which a face reads otherwise than before. A rest that was taken in the window is that of
    one ``face_id``: another that this person gets later has none."""
    events, found = session.events(), session.columns["success"] == 1
    ids, times = session.columns["face_id"][found], session.columns["timestamp"][found]
    rests = [event for event in events if event.kind == REST]
    for face in np.unique(ids) if rests else ():
        own = [event.timestamp for event in rests if event.label.startswith(f"face {face:.0f}:")]
        if len(own) != 1 or own[0] > times[ids == face][0] + _SOON_S:
            yield REST
            break
    if any(event.kind == SETTING and event.timestamp > times[0] + _SOON_S for event in events if len(times)):
        yield SETTING


def _parts(session: Recorded, cut: Cut) -> list[tuple[str, float, float]]:
    """Label, begin, and end (exclusive) of each."""
    times = session.columns["timestamp"]
    if not cut.kind:
        return [("", float(times[0]) if len(times) else math.nan, math.inf)]
    events = read_events(session.folder)
    begins = [(event.label, event.timestamp) for event in events if event.kind == cut.kind]
    if not begins:
        there = ", ".join(sorted({event.kind for event in events})) or "none at all"
        raise SessionError(f"{session.folder} is left out, since it has no event of kind {cut.kind} (but: {there})")
    ends = [at for _, at in begins[1:]] + [math.inf]
    return [(label, at, min(end, at + cut.length_s)) for (label, at), end in zip(begins, ends, strict=True)]


def _means(session: Recorded, where: Bools) -> dict[str, float]:
    """Of each column over these rows; NaN where there is none, so that nothing passes for a change from it."""
    shown = where.any()
    return {name: float(values[where].mean()) if shown else math.nan for name, values in session.columns.items()}


def _values(session: Recorded, shown: Bools, base: dict[str, float]) -> Row:
    """``AU12_mean`` and so on, measure by measure. shown: (rows,), where the face is; base: what is subtracted."""
    told: Row = {}
    for measure, column in _MEASURES.items():
        for au in map(au_label, session.aus):
            if (name := f"{au}_{column}") in session.columns:
                values = session.columns[name][shown]
                value = float((np.max if measure == "max" else np.mean)(values)) if len(values) else math.nan
                told[f"{au}_{measure}"] = value - (0.0 if measure == "present" else base.get(name, 0.0))
    return told


def _in_order(table: Sequence[Row]) -> list[str]:
    """Columns of all rows; those of another model's AUs lie among their like."""
    names = list(dict.fromkeys(name for row in table for name in row))
    measures = list(_MEASURES)
    aus = sorted(name for name in names if re.match(r"AU\d", name))
    aus.sort(key=lambda name: measures.index(name.partition("_")[2]))
    return [name for name in names if name not in aus] + aus


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return f"{value:z.3f}".rstrip("0").rstrip(".") if math.isfinite(value) else ""
