"""One coded video, and how the readers of the formats build it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.codings.table import Row
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.handoffs import Float32, Float64

POINT_S = 0.04
"""Seconds that an event without duration lasts (BORIS POINT, onset = offset): one frame at 25 frames a second."""
MATCH_S = 0.02
"""A row with a time belongs to frames at most this many seconds away from it."""
_SLACK_S = 0.001
"""Coding programs write whole milliseconds; a frame that lies this little before an onset is in the event."""


@dataclass(frozen=True, slots=True)
class FrameMarks:
    """Coding with a row for each coded frame."""

    keys: Float64
    """(n,) ascending frame numbers, or seconds."""
    by_time: bool
    intensity: Float32
    """(n, n_aus)"""
    occurrence: Float32
    """(n, n_aus)"""

    def at(self, frame: int, time_s: float) -> tuple[Float32, Float32]:
        wanted, reach = (time_s, MATCH_S + 1e-9) if self.by_time else (float(frame), 0.0)
        right = int(np.searchsorted(self.keys, wanted))
        beside = range(max(right - 1, 0), min(right + 1, len(self.keys)))
        index = min(beside, key=lambda i: abs(self.keys[i] - wanted))
        if abs(self.keys[index] - wanted) <= reach:
            return self.intensity[index].copy(), self.occurrence[index].copy()
        nothing = np.full(self.intensity.shape[1], np.nan, np.float32)
        return nothing, nothing.copy()

    def last(self) -> tuple[float, float]:
        coded = (np.isfinite(self.intensity) | np.isfinite(self.occurrence)).any(axis=1)
        key = float(self.keys[coded].max(initial=0))
        return (0.0, key) if self.by_time else (key, 0.0)

    def without_frame(self, times: Float64) -> int:
        keys = self.keys[(np.isfinite(self.intensity) | np.isfinite(self.occurrence)).any(axis=1)]
        if not self.by_time:
            return int((keys > len(times)).sum())
        reach = MATCH_S + 1e-9
        return _without(times, keys - reach, np.nextafter(keys + reach, np.inf))


@dataclass(frozen=True, slots=True)
class EventMarks:
    """Coding with a row for each event; outside of events a coded AU is absent."""

    coded: NDArray[np.bool_]
    """(n_aus,)"""
    column: NDArray[np.intp]
    """(n_events,) place of the event's AU among ``aus``."""
    onset: Float64
    """(n_events,) seconds"""
    offset: Float64
    """(n_events,) seconds; the first moment at which the AU is gone."""
    intensity: Float32
    """(n_events,) NaN = unknown."""
    occurrence: Float32
    """(n_events,) NaN = not coded during the event."""

    def at(self, frame: int, time_s: float) -> tuple[Float32, Float32]:
        intensity = np.where(self.coded, np.float32(0), np.float32(np.nan))
        occurrence = intensity.copy()
        now = (self.onset - _SLACK_S <= time_s) & (time_s < self.offset - _SLACK_S)
        known = now & ~np.isnan(self.occurrence)
        for columns in (self.column[now & ~known], self.column[known]):
            intensity[columns] = occurrence[columns] = np.nan
        np.fmax.at(intensity, self.column[known], self.intensity[known])
        np.fmax.at(occurrence, self.column[known], self.occurrence[known])
        return intensity, occurrence

    def last(self) -> tuple[float, float]:
        return 0.0, float(self.offset.max(initial=0))

    def without_frame(self, times: Float64) -> int:
        return _without(times, self.onset - _SLACK_S, self.offset - _SLACK_S)


def _without(times: Float64, since: Float64, until: Float64) -> int:
    """How many stretches, each from ``since`` to before ``until``, hold none of the times."""
    return int((np.searchsorted(times, since) == np.searchsorted(times, until)).sum())


@dataclass(frozen=True, slots=True)
class VideoCoding:
    """What a human coder saw of one person in one video."""

    video: str
    """File name or path as written in the coding file, perhaps without suffix; empty when the file does not say (ELAN
    exports of a single video): then ``source`` is named like the video."""
    subject: str
    """Person in the picture; the video's stem if the coding does not say, or its path where several have that stem."""
    aus: tuple[int, ...]
    """All AUs coded in this file set, ascending."""
    source: Path = field(compare=False)
    """The coding file."""
    ignored: Mapping[str, int] = field(compare=False)
    """Behaviours, tiers, modifiers and AUs that were passed over because they name no AU of ``ACTION_UNITS`` or no
    intensity, as written -> how often."""
    unused: tuple[str, ...] = field(compare=False)
    """Columns of the coding file that were not used."""
    marks: FrameMarks | EventMarks

    def at(self, frame: int, time_s: float) -> tuple[Float32, Float32]:
        """intensity (n_aus,) on 0-5 and occurrence (n_aus,) 0/1 of a frame (number from 1, media time in seconds);
        NaN = not coded."""
        return self.marks.at(frame, time_s)

    def last(self) -> tuple[float, float]:
        """The last coded frame and time in seconds; 0 for what the coding does not count in."""
        return self.marks.last()

    def without_frame(self, times: Float64) -> int:
        """times: of all frames, ascending. How many rows or events belong to none: between the frames of a slow video
        there is room for a short event, which would count as absent, or for a row with a time."""
        return self.marks.without_frame(times)

    def strengths(self) -> frozenset[float]:
        """All intensities that were coded."""
        return frozenset(self.marks.intensity[np.isfinite(self.marks.intensity)].tolist())


@dataclass(frozen=True, slots=True)
class Event:
    au: int
    onset: float
    offset: float
    intensity: float
    occurrence: float


_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,3}$")

Cells = dict[int, tuple[float, float]]
"""AU -> (intensity, occurrence) in one frame."""


@dataclass(slots=True)
class Draft:
    """A video's coding while its file is read; the AUs of the whole set are not known yet."""

    first: Row
    """Where the video appears first."""
    video: str
    subject: str = ""
    by_time: bool | None = None
    """None: coded by events."""
    frames: dict[float, Cells] = field(default_factory=dict)
    """Frame number or time -> values."""
    events: list[Event] = field(default_factory=list)
    coded: set[int] = field(default_factory=set)
    """AUs that the coder looked for, seen or not."""
    ignored: Counter[str] = field(default_factory=Counter)
    unused: tuple[str, ...] = ()
    """Columns of the file."""

    @property
    def key(self) -> str:
        return video_key(self.video or self.first.path.name)

    @property
    def person(self) -> str:
        """The subject, or the video's name where none is written."""
        return self.subject or stem(self.video or self.first.path.name)

    def knows(self, au: int, label: str) -> bool:
        """False for an AU that this program does not know; it is counted under its label."""
        if au in ACTION_UNITS:
            return True
        self.ignored[label] += 1
        return False

    def add_event(self, row: Row, au: int, onset: float, offset: float, strength: tuple[float, float]) -> None:
        if onset < -_SLACK_S:
            raise row.error(f"AU{au} begins at {onset:g} s; times count from the start of the video")
        if offset < onset:
            raise row.error(f"AU{au} ends at {offset:g} s, before it begins at {onset:g} s; correct the two times")
        self.events.append(Event(au, onset, offset if offset > onset else onset + POINT_S, *strength))
        self.coded.add(au)

    def call(self, row: Row, video: str) -> None:
        """Another row writes the same video so. Raises RecipeError for another suffix: those are two videos."""
        before, now = _suffix(self.video), _suffix(video)
        if before and now and before != now:
            raise row.error(
                f"{video!r} and {self.video!r} differ only in what follows the last dot, and would count as one video; "
                "rename one of them, or write the whole names of their files"
            )
        self.video = self.video if before else video or self.video

    def set_subject(self, row: Row, subject: str) -> None:
        """Raises RecipeError for a second person: nothing says which face is whose."""
        if self.subject and subject and subject != self.subject:
            raise row.error(
                f"{self.video or self.first.path.name} is coded for {subject!r} and for {self.subject!r}; "
                "keep one person a video"
            )
        self.subject = self.subject or subject

    def finish(self, aus: tuple[int, ...]) -> VideoCoding:
        marks = self._event_marks(aus) if self.by_time is None else self._frame_marks(aus, self.by_time)
        return VideoCoding(self.video, self.person, aus, self.first.path, dict(self.ignored), self.unused, marks)

    def _frame_marks(self, aus: tuple[int, ...], by_time: bool) -> FrameMarks:
        keys = sorted(self.frames)
        nothing = (np.nan, np.nan)
        values = np.array([[self.frames[key].get(au, nothing) for au in aus] for key in keys], np.float32)
        return FrameMarks(np.array(keys, np.float64), by_time, values[..., 0], values[..., 1])

    def _event_marks(self, aus: tuple[int, ...]) -> EventMarks:
        return EventMarks(
            coded=np.array([au in self.coded for au in aus]),
            column=np.array([aus.index(event.au) for event in self.events], np.intp),
            onset=np.array([event.onset for event in self.events], np.float64),
            offset=np.array([event.offset for event in self.events], np.float64),
            intensity=np.array([event.intensity for event in self.events], np.float32),
            occurrence=np.array([event.occurrence for event in self.events], np.float32),
        )


class Drafts(dict[str, Draft]):
    """The videos of one file, by key."""

    def of(self, row: Row, video: str) -> Draft:
        """The draft of that video, a new one where there is none yet."""
        draft = Draft(row, video)
        draft = self.setdefault(draft.key, draft)
        draft.call(row, video)
        return draft


def stem(video: str) -> str:
    """File name without suffix, of a path as any system writes it: ``C:\\films\\p1.v2.mp4`` -> ``p1.v2``."""
    return _SUFFIX.sub("", PureWindowsPath(video).name)


def _suffix(video: str) -> str:
    found = _SUFFIX.search(video)
    return found[0].casefold() if found else ""


def video_key(video: str) -> str:
    """Equal for the same video however it is written: with or without suffix, in capitals, with \\ or /, with accents
    as macOS takes them apart."""
    path = PureWindowsPath(unicodedata.normalize("NFC", video))
    return path.with_name(stem(video) or path.name).as_posix().casefold() if path.name else ""
