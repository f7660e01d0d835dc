"""BORIS exports, versions 7 to 9: tabular events (a row for START and one for STOP) and aggregated events.

Version 7 writes tabular events below a block about the observation and puts START, STOP or POINT into "Status"; 8 and
9 begin with the header, repeat the observation in every row and call that column "Behavior type". Names of columns
that changed: Modifier 1 / Modifier #1 / Modifiers, Media file path / Media file / Media file name. Columns of the
user's own variables may stand between. BORIS adds an observation's time offset to its times, and runs on counting
where an observation queues several videos.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rtatl_core.datasets.codings.coding import Draft, Drafts
from rtatl_core.datasets.codings.labels import parse_codes, parse_strength
from rtatl_core.datasets.codings.table import Record, Row, records

_MEDIA = ("media file name", "media file", "media file path")
_NO_MEDIA = {"", "na", "not found", "live", "live observation"}
_NOBODY = {"", "no focal subject"}


def is_tabular(columns: Mapping[str, int]) -> bool:
    return {"time", "behavior"} <= set(columns) and bool({"status", "behavior type"} & set(columns))


def is_aggregated(columns: Mapping[str, int]) -> bool:
    return {"behavior", "start (s)", "stop (s)"} <= set(columns)


def read_tabular(before: Sequence[Row], header: Row, rows: Sequence[Row], columns: dict[str, int]) -> Drafts:
    """before: the rows above the header. Raises RecipeError for a START without STOP and the other way round."""
    observations = _Observations([*records(header, rows, columns)], before)
    status_column = "status" if "status" in columns else "behavior type"
    running: dict[tuple[str, ...], tuple[Record, float]] = {}
    for record in observations.records:
        draft = observations.draft(record)
        status = record[status_column].upper()
        time = record.seconds("time") - observations.time_offset(record)
        # BORIS pairs by person, behaviour and modifiers too, so both rows carry the same ones.
        key = (observations.name(record), record["subject"], record["behavior"], *_modifiers(record))
        if status == "POINT":
            _add(draft, record, time, time)
        elif status == "START":
            if key in running:
                raise _unpaired(running[key][0], "START")
            running[key] = record, time
        elif status == "STOP":
            if key not in running:
                raise _unpaired(record, "STOP")
            start, onset = running.pop(key)
            _add(draft, start, onset, time)
        else:
            raise record.row.error(f"{status_column} is {record[status_column]!r}; BORIS writes START, STOP or POINT")
    for record, _ in running.values():
        raise _unpaired(record, "START")
    return observations.drafts


def read_aggregated(before: Sequence[Row], header: Row, rows: Sequence[Row], columns: dict[str, int]) -> Drafts:
    observations = _Observations([*records(header, rows, columns)], before)
    for record in observations.records:
        shift = observations.time_offset(record)
        onset = record.seconds("start (s)") - shift
        point = record["behavior type"].upper() == "POINT"
        _add(observations.draft(record), record, onset, onset if point else record.seconds("stop (s)") - shift)
    return observations.drafts


def _add(draft: Draft, record: Record, onset: float, offset: float) -> None:
    codes = parse_codes(record["behavior"])
    if not codes:
        draft.ignored[record["behavior"]] += 1
    for code in codes:
        if draft.knows(code.au, record["behavior"]):
            strength = record.strength(code.letter, "intensity") if code.letter else _strength(draft, record)
            draft.add_event(record.row, code.au, onset, offset, strength)


def _strength(draft: Draft, record: Record) -> tuple[float, float]:
    """The intensity among the modifiers. Other modifiers are counted as ignored."""
    strength = (math.nan, 1.0)
    for modifier in _modifiers(record):
        try:
            strength = parse_strength(modifier)
        except OverflowError as error:
            raise record.row.error(f"the modifier {error}; intensities are 0-5 or A-E") from None
        except ValueError:
            draft.ignored[f"modifier {modifier}"] += 1
    return strength


def _modifiers(record: Record) -> list[str]:
    """Version 7 joins them by |; "None" is a set of modifiers of which none was chosen."""
    cells = "|".join(record[column] for column in record.columns if re.fullmatch(r"modifier( ?#?\d+|s)", column))
    return [part.strip() for part in cells.split("|") if part.strip() not in ("", "None")]


def _unpaired(record: Record, status: str) -> Exception:
    other = "STOP" if status == "START" else "START"
    return record.row.error(f"the {status} of {record['behavior']!r} has no {other}; add it in BORIS and export again")


@dataclass(slots=True)
class _Observations:
    """Which video each observation is about."""

    records: list[Record]
    before: Sequence[Row]
    drafts: Drafts = field(default_factory=Drafts)
    _by_name: dict[str, Draft] = field(default_factory=dict)

    def name(self, record: Record) -> str:
        return record["observation id"] or next(self._above("observation id"), "")

    def time_offset(self, record: Record) -> float:
        label = "time offset (s)"
        above = next((row for row in self.before if row.cells[0].lower() == label), None)
        if not record[label] and above is not None:
            if any(above.cells[2:]):
                raise above.error(f"{label} has {len(above.cells)} cells; with decimal commas put ; between cells")
            record = Record(above, {label: 1})
        return record.seconds(label) if record[label] else 0.0

    def draft(self, record: Record) -> Draft:
        name = self.name(record)
        if name not in self._by_name:
            draft = Draft(record.row, self._video(record, name))
            if draft.key in self.drafts:
                raise record.row.error(f"{draft.video} is coded in two observations, the second is {name!r}; keep one")
            self._by_name[name] = self.drafts[draft.key] = draft
        draft = self._by_name[name]
        if record["subject"].lower() not in _NOBODY:
            draft.set_subject(record.row, record["subject"])
        return draft

    def _video(self, record: Record, name: str) -> str:
        media = {other[c] for other in self.records if self.name(other) == name for c in _MEDIA}
        media = {video for video in media if video.lower() not in _NO_MEDIA}
        queue = list(self._above("player #1")) or self._source(record)
        if len(media) > 1 or len(queue) > 1:
            raise record.row.error(
                f"observation {name!r} joins several videos, whose times BORIS counts on; "
                "code each video in an observation of its own"
            )
        return next(iter([*queue, *media]), name)

    @staticmethod
    def _source(record: Record) -> list[str]:
        """``player #1:a.mp4;b.mp4|player #2:c.mp4`` -> [a.mp4, b.mp4], what the first player showed."""
        first = re.split(r"\|?\s*player #[2-9]:", re.sub(r"^player #1:", "", record["source"]))[0]
        return [video.strip() for video in first.split(";") if video.strip().lower() not in _NO_MEDIA]

    def _above(self, label: str) -> Iterator[str]:
        for row in self.before:
            if row.cells[0].lower() == label and len(row.cells) > 1:
                yield row.cells[1]
