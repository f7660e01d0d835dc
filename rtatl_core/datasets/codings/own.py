"""The program's own tables, described in docs/coding.md: frames, events, and the list of coded AUs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtatl_core.datasets.codings.coding import Cells, Draft, Drafts
from rtatl_core.datasets.codings.labels import NOT_CODED, number, parse_codes
from rtatl_core.datasets.codings.table import Record, Row, records
from rtatl_core.facs import ACTION_UNITS

_AU_COLUMN = re.compile(r"(au)?[ _-]?(?P<au>\d{1,2})(_(?P<kind>[rc]))?")
_LIKE_AU = re.compile(r"(au)?[ _-]?\d")
_MEASURE = re.compile(r"\d{3,}|\d+[.,:]\d")
"""A time or a frame's number. A row that holds one is no header, even if ELAN's tier in it is called ``time``."""
_WHOLE = re.compile(r"\d{1,9}([.,]0)?", re.ASCII)
"""Not 1,250 nor 1.250, which may be a thousand or one."""
_FRAME_COLUMNS = {"video", "subject", "frame", "time"}
_EVENT_COLUMNS = {"video", "subject", "au", "onset", "apex", "offset", "intensity"}
_PROGRAM_COLUMNS = {"confidence", "success", "face_id"}
"""Columns of OpenFace's and this program's measurements, which nobody coded."""


def is_frames(columns: Mapping[str, int]) -> bool:
    if not {"frame", "time"} & set(columns) or any(_MEASURE.fullmatch(column) for column in columns):
        return False
    return any(_AU_COLUMN.fullmatch(column) for column in columns)


def is_events(columns: Mapping[str, int]) -> bool:
    return {"au", "onset", "offset"} <= set(columns)


def is_list(columns: Mapping[str, int]) -> bool:
    return {"video", "coded"} <= set(columns)


def read_frames(header: Row, rows: Sequence[Row], columns: dict[str, int]) -> Drafts:
    """A row for each coded frame."""
    if program := sorted(_PROGRAM_COLUMNS & set(columns)):
        raise header.error(f"the column {program[0]!r} belongs to a program's measurement; give a human coding")
    intensities, occurrences, unknown = _au_columns(header, columns)
    used = _FRAME_COLUMNS | {*intensities.values(), *occurrences.values()}
    _require_once(header, used)
    unused = _unused(header, columns, used | {*unknown})
    drafts = Drafts()
    by_time = "frame" not in columns
    for record in records(header, rows, columns):
        row = record.row
        draft = _draft(drafts, record)
        draft.by_time, draft.unused = by_time, unused
        key = record.seconds("time") if by_time else _frame_number(record)
        if key < 0:
            raise row.error(f"time is {key:g} s; times count from the start of the video")
        if key in draft.frames:
            raise row.error(f"{draft.video} has two rows for {'time' if by_time else 'frame'} {key:g}; keep one")
        cells: Cells = {}
        for au in sorted({*intensities, *occurrences}):
            intensity, occurrence = _cell(record, intensities.get(au, ""))
            if au in occurrences:
                occurrence = _occurrence(record, occurrences[au])
            cells[au] = intensity, occurrence
        draft.frames[key] = cells
        draft.coded.update(cells)
        for column in unknown:
            if record[column]:
                draft.ignored[header.cells[columns[column]]] += 1
    return drafts


def read_events(header: Row, rows: Sequence[Row], columns: dict[str, int]) -> Drafts:
    """A row for each event; one without onset and offset names an AU that was coded and not seen."""
    _require_once(header, _EVENT_COLUMNS)
    drafts, unused = Drafts(), _unused(header, columns, _EVENT_COLUMNS)
    for record in records(header, rows, columns):
        row = record.row
        draft = _draft(drafts, record)
        draft.unused = unused
        codes = parse_codes(record["au"])
        if not codes:
            raise row.error(f"{record['au']!r} names no action unit; write AU12 or 12")
        for code in codes:
            if not draft.knows(code.au, f"AU{code.au}"):
                continue
            if not record["onset"] and not record["offset"]:
                draft.coded.add(code.au)
                continue
            onset, offset = record.seconds("onset"), record.seconds("offset")
            if record["apex"] and not onset <= record.seconds("apex") <= offset:
                raise row.error(f"the apex at {record['apex']} s lies outside of the event; correct the three times")
            strength = record.strength(record["intensity"] or code.letter, f"the intensity of AU{code.au}")
            draft.add_event(row, code.au, onset, offset, strength)
    return drafts


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of a list of coded AUs."""

    row: Row
    video: str
    """``*``: every video that no other row names."""
    aus: frozenset[int]
    unknown: tuple[str, ...]
    subject: str
    """Empty where the list does not say."""
    unused: tuple[str, ...]
    """Columns of the list."""


def read_list(header: Row, rows: Sequence[Row], columns: dict[str, int]) -> list[Listing]:
    """A row for each video: which AUs the coder looked for."""
    listings, unused = [], _unused(header, columns, {"video", "subject", "coded"})
    for row in rows:
        record = Record(row, columns)
        # Commas within the list make further cells where nothing protects them.
        labels = re.split(r"[\s,;]+", " ".join([record["coded"], *row.cells[len(header.cells) :]]).strip())
        codes = {label: parse_codes(label) for label in labels if label}
        if bad := [label for label, found in codes.items() if not found]:
            raise row.error(f"{bad[0]!r} names no action unit; write the numbers with blanks between, as in 1 2 4 12")
        if not record["video"]:
            raise row.error("the row names no video; write its file name, or * for all others")
        if record["video"] == "*" and record["subject"]:
            raise row.error("the row * names a subject; give each video of that person a row of its own")
        numbers = {code.au for found in codes.values() for code in found}
        unknown = tuple(f"AU{au}" for au in sorted(numbers - set(ACTION_UNITS)))
        known = frozenset(numbers & set(ACTION_UNITS))
        listings.append(Listing(row, record["video"], known, unknown, record["subject"], unused))
    return listings


def _draft(drafts: Drafts, record: Record) -> Draft:
    video = record["video"]
    if not video and "video" in record.columns:
        raise record.row.error("the row names no video; write its file name")
    draft = drafts.of(record.row, video or record.row.path.stem)
    draft.set_subject(record.row, record["subject"])
    return draft


def _require_once(header: Row, used: set[str]) -> None:
    names = [cell.lower() for cell in header.cells if cell.lower() in used]
    if twice := [name for name in names if names.count(name) > 1]:
        raise header.error(f"there are two columns {twice[0]!r}; keep one")


def _unused(header: Row, columns: Mapping[str, int], known: set[str]) -> tuple[str, ...]:
    return tuple(header.cells[place] for column, place in columns.items() if column and column not in known)


def _au_columns(header: Row, columns: Mapping[str, int]) -> tuple[dict[int, str], dict[int, str], list[str]]:
    """AU -> its column of intensities, AU -> its column of occurrences, columns of AUs that are not known."""
    intensities: dict[int, str] = {}
    occurrences: dict[int, str] = {}
    unknown = []
    for column in columns:
        match = _AU_COLUMN.fullmatch(column)
        if match is None or int(match["au"]) not in ACTION_UNITS:
            if _LIKE_AU.match(column):
                unknown.append(column)
            continue
        kind = occurrences if match["kind"] == "c" else intensities
        if kind.setdefault(int(match["au"]), column) != column:
            raise header.error(f"AU{match['au']} has two columns, {kind[int(match['au'])]} and {column}; keep one")
    return intensities, occurrences, unknown


def _frame_number(record: Record) -> float:
    text = record["frame"]
    if not _WHOLE.fullmatch(text) or not (value := number(text)):
        raise record.row.error(f"frame is {text!r}; frames are whole numbers as in 1250, the first is 1")
    return value


def _cell(record: Record, column: str) -> tuple[float, float]:
    """(intensity, occurrence); an empty cell of a frame is not coded."""
    return record.strength(record[column] or "NA", column)


def _occurrence(record: Record, column: str) -> float:
    text = record[column].upper()
    if not text or text in NOT_CODED:
        return float("nan")
    if text.replace(",", ".") in {"0", "1", "0.0", "1.0"}:
        return float(text.replace(",", "."))
    raise record.row.error(f"{column} is {record[column]!r}; occurrences are 0 or 1, empty, 9 or NA is not coded")
