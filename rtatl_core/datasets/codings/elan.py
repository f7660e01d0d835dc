"""ELAN's tab-delimited text export, also saved as CSV.

Rows are tier, participant (may be left out), begin, end and duration (may be left out), each in the chosen formats in
the order hh:mm:ss.ms, ss.msec, msec, SMPTE, then the annotation; several files add file name and path. ELAN writes no
column names there. With "Separate column for each tier" it does, in the language of its window: begin, end, duration,
then a column named for each tier. Media and file names may stand before as lines that begin with #. So the times are
found by what they look like, not by name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from rtatl_core.datasets.codings.coding import Draft, Drafts, stem
from rtatl_core.datasets.codings.labels import parse_codes, parse_strength, seconds
from rtatl_core.datasets.codings.table import Row
from rtatl_core.errors import RecipeError
from rtatl_core.facs import ACTION_UNITS

_CLOCK = re.compile(r"\d{1,9}:\d\d:\d\d[.,]\d{1,3}")
_DECIMAL = re.compile(r"\d{1,9}[.,]\d+")
_WHOLE = re.compile(r"\d{1,12}")
_TITLE = re.compile(r"hh:mm:ss|ss\.msec|\bmsec", re.IGNORECASE)
_MEDIA = re.compile(r"#(?P<url>.+?) -- offset: (?P<offset>-?\d{1,12})")
_TIER = re.compile(r"AU|[LR][ _-]?\d|\d+[ _-]?[LR]\b", re.IGNORECASE)
_TICKS = "export with Begin Time, End Time and the format ss.msec ticked"


@dataclass(frozen=True, slots=True)
class _Layout:
    begin: int
    end: int
    value: int
    """The first column after the times."""
    unit_s: float
    """Seconds in one unit of the times."""
    clock: bool
    """The times are written hh:mm:ss.ms."""

    def times(self, row: Row) -> tuple[float, float]:
        return seconds(row.cells[self.begin]) * self.unit_s, seconds(row.cells[self.end]) * self.unit_s


def read_elan(rows: Sequence[Row]) -> Drafts | None:
    """None when the rows are no ELAN export."""
    lines = list(_sections(rows))
    header = lines[0][0] if lines and _is_header(lines[0][0]) else None
    data = [(row, video) for row, video in lines if row is not header]
    if not data:
        return None
    has_titles = header is not None and any(_TITLE.search(cell) for cell in header.cells)
    has_comments = any(row.cells[0].startswith("#") for row in rows)
    names_aus = any(_TIER.match(row.cells[0]) and parse_codes(row.cells[0]) for row, _ in lines)
    looks_like_elan = has_titles or has_comments or names_aus
    layout = _layout([row for row, _ in data], complain=looks_like_elan)
    if layout is None or not (looks_like_elan or layout.clock):
        return None
    if layout.begin == 0 and header is None:
        raise data[0][0].error("the names of the tiers are missing; export again with tier names")
    # Columns of tiers without any annotation: looked for and never seen.
    tiers = header.cells[layout.value :] if header is not None and layout.begin == 0 else ()
    empty = {code.au for tier in tiers for code in parse_codes(tier) if code.au in ACTION_UNITS}
    drafts = Drafts()
    for row, video in data:
        onset, offset = layout.times(row)
        draft = drafts.of(row, video or next((stem(cell) for cell in row.cells if cell.endswith(".eaf")), ""))
        draft.coded |= empty
        for tier, value in _annotations(row, layout, header):
            person = row.cells[1] if layout.begin >= 2 and row.cells[1] else tier.partition("@")[2]
            _add(draft, row, tier, person, (onset, offset), value)
    return drafts


def _annotations(row: Row, layout: _Layout, header: Row | None) -> Iterator[tuple[str, str]]:
    """Tier and annotation of each annotation in the row."""
    if layout.begin > 0:
        yield row.cells[0], row.cells[layout.value] if layout.value < len(row.cells) else ""
    elif header is not None:
        cells = list(zip(header.cells, row.cells, strict=False))
        yield from ((tier, value) for tier, value in cells[layout.value :] if value and not value.endswith(".eaf"))


def _add(draft: Draft, row: Row, tier: str, person: str, times: tuple[float, float], value: str) -> None:
    codes = parse_codes(tier)
    if not codes:
        draft.ignored[tier] += 1
    for code in codes:
        if draft.knows(code.au, tier):
            draft.set_subject(row, person)
            draft.add_event(row, code.au, *times, _strength(row, code.au, value))


def _strength(row: Row, au: int, value: str) -> tuple[float, float]:
    """Of ``C``, ``3`` or ``12C``; any other text says that the AU is there."""
    letters = [code.letter for code in parse_codes(value) if code.au == au and code.letter]
    try:
        return parse_strength(letters[0] if letters else value)
    except OverflowError as error:
        raise row.error(f"the annotation {error}; intensities are 0-5 or A-E") from None
    except ValueError:
        return math.nan, 1.0


def _sections(rows: Sequence[Row]) -> Iterator[tuple[Row, str]]:
    """The rows that are not comments, each with the video that the comments above it name; empty where none does."""
    video, in_comments = "", False
    for row in rows:
        text = row.cells[0]
        alone = not any(row.cells[1:])
        if not text.startswith("#") and not (alone and text.endswith(".eaf")):
            in_comments = False
            yield row, video
            continue
        if not in_comments:
            video, in_comments, media_named = "", True, False
        if media := _MEDIA.match(text):
            if int(media["offset"]):
                raise row.error(
                    f"the video has an offset of {media['offset']} ms in ELAN, and the file does not say whether its "
                    "times include it; export with the master media's offset added and without header lines"
                )
            if not media_named:  # the first is the master, to which the times belong
                video, media_named = unquote(media["url"].removeprefix("file:///")), True
        elif not media_named:
            video = stem(text.removeprefix("#"))


def _is_header(row: Row) -> bool:
    return any(_TITLE.search(cell) for cell in row.cells) or not any(re.match(r"\d", cell) for cell in row.cells)


def _layout(rows: Sequence[Row], complain: bool) -> _Layout | None:
    """Where the times stand: begin is never after end, and a duration is their difference. Each is written in ``step``
    formats, in columns side by side. ``complain``: raises RecipeError where None would be returned."""
    for pattern, unit_s in ((_CLOCK, 1.0), (_DECIMAL, 1.0), (_WHOLE, 0.001)):
        columns = _time_columns(rows, pattern)
        pairs = sorted(
            (end - begin, begin, end)
            for begin in columns
            for end in columns
            if begin < end and all(b <= e for b, e in zip(columns[begin], columns[end], strict=True))
        )
        for step, begin, end in pairs:
            if _is_duration(columns, begin, end, unit_s):
                return _Layout(begin, end, begin + 3 * step, unit_s, pattern is _CLOCK)
        nearest = [pair for pair in pairs if pair[0] == pairs[0][0]]
        if len(nearest) == 1:
            step, begin, end = nearest[0]
            return _Layout(begin, end, begin + 2 * step, unit_s, pattern is _CLOCK)
        if nearest and complain:
            raise rows[0].error(f"it is not clear which columns are begin and end; {_TICKS}")
    if complain:
        raise RecipeError(f"{rows[0].path} holds no begin and end of annotations; {_TICKS}")
    return None


def _time_columns(rows: Sequence[Row], pattern: re.Pattern[str]) -> dict[int, list[float]]:
    """Columns of which every cell is such a time. Excel drops the decimals of whole seconds."""
    columns = {}
    for index in range(min(len(row.cells) for row in rows)):
        cells = [row.cells[index] for row in rows]
        if not any(pattern.fullmatch(cell) for cell in cells):
            continue
        if all(pattern.fullmatch(cell) or (pattern is _DECIMAL and _WHOLE.fullmatch(cell)) for cell in cells):
            columns[index] = [seconds(cell) for cell in cells]
    return columns


def _is_duration(columns: dict[int, list[float]], begin: int, end: int, unit_s: float) -> bool:
    """Whether the column after begin and end, at the same distance, holds their difference."""
    durations = columns.get(2 * end - begin)
    if durations is None:
        return False
    times = zip(columns[begin], columns[end], durations, strict=True)
    return all(abs(e - b - d) * unit_s < 0.002 for b, e, d in times)
