"""Tables in text files, whichever program wrote them: encodings, separators, and the line that each row stands in."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtatl_core.datasets.codings.labels import STRENGTHS, number, parse_strength, seconds
from rtatl_core.errors import RecipeError
from rtatl_core.facs import MAX_INTENSITY

UNDERSTOOD = (
    "a table of frames (video, frame or time, AU12 ...), a table of events (video, au, onset, offset), a list of coded "
    "AUs (video, coded), BORIS tabular or aggregated events, or an ELAN tab-delimited export; see docs/coding.md"
)
MOST_FRAMES = 1_000_000
"""No video of a data set is longer: a higher number of a frame is damaged."""


@dataclass(frozen=True, slots=True)
class Row:
    """The cells of one line, blanks around them removed."""

    path: Path
    line: int
    """Line in the file, from 1."""
    cells: tuple[str, ...]

    def error(self, problem: str) -> RecipeError:
        return RecipeError(f"{self.path}, line {self.line}: {problem}")

    def whole(self, place: int) -> int:
        """The number of a frame or the code in that cell. Raises RecipeError for anything else."""
        try:
            value = number(self.cells[place])
        except ValueError:
            value = math.nan
        if not (0 <= value <= MOST_FRAMES and value.is_integer()):
            problem = f"{self.cells[place]!r} is no whole number from 0 to {MOST_FRAMES}"
            raise self.error(f"{problem}; is the file damaged?")
        return int(value)


@dataclass(frozen=True, slots=True)
class Record:
    """A row read by column names, which are compared in small letters."""

    row: Row
    columns: dict[str, int]

    def __getitem__(self, column: str) -> str:
        """Empty where the file lacks the column or the row ends before it."""
        index = self.columns.get(column, len(self.row.cells))
        return self.row.cells[index] if index < len(self.row.cells) else ""

    def seconds(self, column: str) -> float:
        try:
            return seconds(self[column])
        except ValueError:
            raise self.row.error(f"{column} is {self[column]!r}; write seconds, as in 12.480") from None

    def strength(self, text: str, of: str) -> tuple[float, float]:
        """(intensity, occurrence) of a cell's text, see ``parse_strength``."""
        try:
            return parse_strength(text)
        except (ValueError, OverflowError):
            raise self.row.error(f"{of} is {text!r}; intensities are {STRENGTHS}") from None


def read_rows(path: Path, table: str = "") -> list[Row]:
    """All rows that hold anything. table: what to name, in words, where that is no coding file. Raises RecipeError when
    the file cannot be opened or is no text."""
    try:
        data = path.read_bytes()
    except OSError as error:
        remedy = f"name {table or 'a coding file or a folder of them'}"
        raise RecipeError(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    text = decode(data)
    delimiter = _delimiter(text)
    # ELAN does not quote what it separates by tabs, so a lone quotation mark there must not swallow the next lines.
    lines = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)  # a lone one is an error, not the rest of the file
    rows = []
    try:
        for cells in reader:
            cells = [_unquote(cell.strip()) if delimiter == "\t" else cell.strip() for cell in cells]
            if any(cells) and not (len(cells) <= 2 and cells[0].lower().startswith("sep=")):
                rows.append(Row(path, reader.line_num, tuple(cells)))
    except csv.Error as error:
        problem = f"{path} is no table, line {reader.line_num} cannot be read ({error})"
        raise RecipeError(f"{problem}; {f'name {table}' if table else f'understood are {UNDERSTOOD}'}") from None
    return rows


def read_codes(path: Path) -> dict[int, float]:
    """Frame -> intensity on 0-5, NaN for 9, of rows ``frame,code`` without header; rows that end early are left out.
    Raises RecipeError for other rows, and for a frame that has two."""
    codes: dict[int, float] = {}
    for row in read_rows(path):
        if any(row.cells[2:]):
            raise row.error(f"{len(row.cells)} cells where 'frame,code' is expected; is the file damaged?")
        if len(row.cells) < 2 or not row.cells[1]:
            continue
        frame, code = row.whole(0), row.whole(1)
        if not (code <= MAX_INTENSITY or code == 9):
            raise row.error(f"intensity {code}, but codes are 0-5 and 9 (not codable)")
        if frame in codes:
            raise row.error(f"frame {frame} has two rows; keep one")
        codes[frame] = math.nan if code == 9 else float(code)
    return codes


def header_columns(row: Row) -> dict[str, int]:
    """Name in small letters -> place; of two columns of one name the first."""
    columns: dict[str, int] = {}
    for index, cell in enumerate(row.cells):
        columns.setdefault(cell.lower(), index)
    return columns


def records(header: Row, rows: Sequence[Row], columns: dict[str, int]) -> Iterator[Record]:
    """The rows below a header. Raises RecipeError for more cells than headings: a decimal comma may have cut a number
    in two."""
    width = max((index for index, name in enumerate(header.cells, start=1) if name), default=0)
    for row in rows:
        if len(row.cells) > len(header.cells) or any(row.cells[width:]):
            raise row.error(
                f"{len(row.cells)} cells under {width} headings; where decimals have a comma, put ; or tab between the "
                "cells, and give each column a heading"
            )
        yield Record(row, columns)


def decode(data: bytes) -> str:
    """Text as spreadsheets write it."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):  # Excel's "Unicode text"
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # Excel's plain CSV in western Europe
        return data.decode("cp1252", errors="replace")


def _delimiter(text: str) -> str:
    """By the first line that is neither blank nor a comment: a name in a header holds no separator."""
    for line in text.splitlines():
        if line.lower().startswith("sep=") and len(line.strip()) == 5:  # how Excel is told, and tells
            return line.strip()[4]
        if line.strip() and not line.lstrip('" ').startswith("#"):
            return next((mark for mark in "\t;" if mark in line), ",")
    return ","


def _unquote(cell: str) -> str:
    return cell[1:-1].replace('""', '"') if len(cell) >= 2 and cell[0] == cell[-1] == '"' else cell
