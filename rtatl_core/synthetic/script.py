"""What a face does over time: AUs with onset, apex and offset, speech, blinks, gaze and head motion.

``Script.at(t)`` can be asked at any time, so any frame rate and any pair of frames can be rendered. Timing after
measured faces where we know of any: spontaneous smiles rise in .3 to .7 s with a peak speed that grows with their
amplitude (Schmidt, Cohn & Tian 2003; Cohn & Schmidt 2004); blinks close in about .1 s, open in about .2 s, some 17 a
minute (Bentivoglio et al. 1997). The rest is our choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.expressions import EXPRESSIONS, ONE_SIDED, possible, sample_gaze
from rtatl_core.synthetic.rig import AUS, LEFT, RIGHT, ROW, SINGLE, Action

CLIP_RATE = 15.0
"""Pictures a second."""
BLINKS_PER_MINUTE = 17.0
BLINK_CLOSE_S, BLINK_OPEN_S = 0.1, 0.2
SYLLABLES_PER_S = 4.5
KINDS = {"expressions": 0.45, "speech": 0.2, "mixed": 0.25, "rest": 0.1}
"""What happens in a clip, and how often that is."""
FAINTEST, FAINT = 0.03, 0.15
"""Intensities of the stirring of a resting face."""
_VISEMES: tuple[Mapping[int, float], ...] = (
    {25: 0.6, 26: 0.7},
    {25: 0.5, 26: 0.4, 20: 0.25},
    {25: 0.3, 18: 0.6, 26: 0.2},
    {25: 0.4, 22: 0.6, 26: 0.3},
    {25: 0.45, 16: 0.5, 10: 0.15, 26: 0.2},
    {24: 0.6},
    {25: 0.2, 17: 0.2, 26: 0.1},
    {25: 0.7, 26: 0.5, 12: 0.2},
)
"""Mouth shapes of speech."""


class Moment(NamedTuple):
    action: Action
    pose: tuple[float, float, float]
    """(yaw, pitch, roll) radians; signs as in ``render.Stance``."""


@dataclass(frozen=True, slots=True)
class Event:
    """One AU rises, holds and falls."""

    au: int
    start: float
    """Seconds."""
    onset: float
    apex: float
    offset: float
    left: float
    """Intensity at the apex, 0-1."""
    right: float

    @property
    def end(self) -> float:
        return self.start + self.onset + self.apex + self.offset

    def share(self, t: float) -> float:
        """0-1 of the apex' intensity at time t: minimum-jerk rise and fall."""
        since = t - self.start
        if since <= 0 or since >= self.onset + self.apex + self.offset:
            return 0.0
        if since < self.onset:
            return _smooth(since / self.onset)
        since -= self.onset + self.apex
        return 1.0 if since <= 0 else 1 - _smooth(since / self.offset)


def _smooth(x: float) -> float:
    """Minimum-jerk step from 0 to 1 (Flash & Hogan 1985)."""
    return x * x * x * (10 - 15 * x + 6 * x * x)


@dataclass(frozen=True, slots=True)
class Step:
    """One pose of a scripted sequence: AU -> intensity at the apex, or (left, right)."""

    aus: Mapping[int, float | tuple[float, float]]
    onset: float = 0.4
    apex: float = 0.5
    offset: float = 0.5
    pause: float = 0.2

    def __post_init__(self) -> None:
        if len(possible(list(self.aus))) < len(self.aus):
            raise ValueError(f"a step shows known AUs that do not exclude one another, not {sorted(self.aus)}")
        for au in self.aus:
            left, right = self.sides(au)
            if not (0 <= left <= 1 and 0 <= right <= 1):
                raise ValueError(f"intensities are 0-1, not {left}, {right} of AU{au}")
            if au in SINGLE and left != right:
                raise ValueError(f"AU{au} has no sides, so it cannot be {left} left and {right} right")

    def sides(self, au: int) -> tuple[float, float]:
        """Intensities of the AU at the apex, left and right."""
        value = self.aus[au]
        return value if isinstance(value, tuple) else (value, value)


@dataclass(frozen=True, slots=True)
class Script:
    """A clip's whole course."""

    events: tuple[Event, ...]
    gazes: tuple[tuple[float, tuple[float, float]], ...] = ((0.0, (0.0, 0.0)),)
    """(from when, where to), jumps of 40 ms."""
    sway: NDArray[Any] = field(default_factory=lambda: np.zeros((3, 3, 3)))
    """(axis, wave, (amplitude rad, frequency Hz, phase)) of the head's motion."""
    rest: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @classmethod
    def sample(cls, rng: np.random.Generator, seconds: float, kind: str = "") -> Self:
        """kind: one of ``KINDS``, by chance where none is named; ``mixed`` is expressions and speech."""
        kind = kind or str(rng.choice(list(KINDS), p=list(KINDS.values())))
        events: list[Event] = []
        if kind in ("expressions", "mixed"):
            events += _expressions(rng, seconds)
        if kind in ("speech", "mixed"):
            events += _speech(rng, seconds)
        if kind == "rest":
            events += _stirring(rng, seconds)
        events = _without_clashes(events)
        events += _blinks(rng, seconds)
        return cls(tuple(events), _gazes(rng, seconds), _sway(rng), tuple(rng.normal(0, (0.2, 0.12, 0.08)).tolist()))

    @classmethod
    def sequence(cls, steps: Sequence[Step]) -> Self:
        """One step after the other, looking straight ahead."""
        events, at = [], 0.3
        for step in steps:
            for au in step.aus:
                events.append(Event(au, at, step.onset, step.apex, step.offset, *step.sides(au)))
            at += step.onset + step.apex + step.offset + step.pause
        return cls(tuple(events))

    @property
    def seconds(self) -> float:
        """Until the last event is over."""
        return max((event.end for event in self.events), default=0.0)

    def at(self, t: float) -> Moment:
        aus = np.zeros((len(AUS), 2), np.float32)
        for event in self.events:
            share = event.share(t)
            if share > 0:  # of two events of one AU the stronger is seen
                np.maximum(aus[ROW[event.au]], (share * event.left, share * event.right), out=aus[ROW[event.au]])
        amplitude, frequency, phase = np.moveaxis(np.asarray(self.sway), -1, 0)
        turn = (amplitude * np.sin(2 * np.pi * frequency * t + phase)).sum(axis=1) + self.rest
        return Moment(Action(aus, self._gaze(t)), (float(turn[0]), float(turn[1]), float(turn[2])))

    def _gaze(self, t: float) -> tuple[float, float]:
        index = max(i for i, (since, _) in enumerate(self.gazes) if since <= max(t, 0.0))
        since, to = self.gazes[index]
        came = self.gazes[max(index - 1, 0)][1]
        share = _smooth(min(1.0, (t - since) / 0.04)) if index else 1.0
        return came[0] + share * (to[0] - came[0]), came[1] + share * (to[1] - came[1])


def _expressions(rng: np.random.Generator, seconds: float) -> list[Event]:
    events: list[Event] = []
    at = rng.uniform(0, 0.6)
    while at < seconds:
        onset, apex, offset = rng.uniform(0.2, 0.7), rng.uniform(0.2, 1.8), rng.uniform(0.3, 1.2)
        strength = rng.uniform(0.15, 1)
        for au in possible(list(EXPRESSIONS[rng.integers(len(EXPRESSIONS))])):
            events.append(_event(au, at + rng.uniform(0, 0.12), onset, apex, offset, strength, rng))
        at += onset + apex + offset + rng.uniform(0, 1.0)
    return events


def _event(
    au: int, start: float, onset: float, apex: float, offset: float, strength: float, rng: np.random.Generator
) -> Event:
    sides = np.full(2, float(np.clip(strength * rng.uniform(0.7, 1.25), 0.05, 1)))
    if au not in SINGLE and rng.random() < ONE_SIDED:
        sides[LEFT if rng.random() < 0.5 else RIGHT] *= rng.uniform(0, 1)
    quick = 0.7 if au in (1, 2, 5) else 1.0
    return Event(au, start, onset * quick, apex, offset, float(sides[LEFT]), float(sides[RIGHT]))


def _stirring(rng: np.random.Generator, seconds: float) -> list[Event]:
    """Faint, slow movements: no face that rests is still."""
    events: list[Event] = []
    at = rng.uniform(0, 1.0)
    while at < seconds:
        au = int(rng.choice([au for au in AUS if au != 43]))
        onset, apex, offset = rng.uniform(0.4, 1.2), rng.uniform(0.2, 2.0), rng.uniform(0.5, 1.5)
        strength = float(rng.uniform(FAINTEST, FAINT))
        events.append(Event(au, at, onset, apex, offset, strength, strength))
        at += rng.uniform(0.2, 1.5)
    return events


class _Syllable(NamedTuple):
    start: float
    length: float
    peaks: Mapping[int, float]


def _speech(rng: np.random.Generator, seconds: float) -> list[Event]:
    """Syllables in phrases with pauses between."""
    syllables: list[_Syllable] = []
    at, loud = rng.uniform(0, 0.5), rng.uniform(0.5, 1.2)
    while at < seconds:
        for _ in range(int(rng.integers(3, 14))):
            length = rng.uniform(0.7, 1.4) / SYLLABLES_PER_S
            shape = _VISEMES[rng.integers(len(_VISEMES))]
            peaks = {au: float(np.clip(value * loud * rng.uniform(0.5, 1.3), 0, 1)) for au, value in shape.items()}
            syllables.append(_Syllable(at, length, peaks))
            at += length
        at += rng.uniform(0.2, 0.9)
    events: list[Event] = []
    for syllable, following in pairwise([*syllables, _Syllable(at, 0.0, {})]):
        events += _pronounced(syllable, following.peaks)
    return events


def _pronounced(syllable: _Syllable, following: Mapping[int, float]) -> list[Event]:
    """A mouth shape runs on into the next one, unless an AU of that excludes it: lips that meet have to close first."""
    events: list[Event] = []
    for au, peak in syllable.peaks.items():
        excluded = any(au != other and len(possible([au, other])) < 2 for other in following)
        rise, hold, fall = (0.5, 0.0, 0.48) if excluded else (0.6, 0.05, 0.6)
        length = syllable.length
        events.append(Event(au, syllable.start, rise * length, hold, fall * length, peak, peak))
    return events


def _blinks(rng: np.random.Generator, seconds: float) -> list[Event]:
    events = []
    at = rng.exponential(60 / BLINKS_PER_MINUTE)
    while at < seconds:
        deep = float(rng.uniform(0.85, 1))
        events.append(Event(43, at, BLINK_CLOSE_S, 0.03, BLINK_OPEN_S, deep, deep))
        at += 0.6 + rng.exponential(60 / BLINKS_PER_MINUTE - 0.6)
    return events


def _without_clashes(events: list[Event]) -> list[Event]:
    """Of two events that exclude each other the later one gives way."""
    kept: list[Event] = []
    for event in sorted(events, key=lambda event: event.start):
        beside = [other.au for other in kept if other.end > event.start and other.au != event.au]
        if len(possible([*beside, event.au])) > len(possible(beside)):
            kept.append(event)
    return kept


def _gazes(rng: np.random.Generator, seconds: float) -> tuple[tuple[float, tuple[float, float]], ...]:
    gazes, at = [(0.0, sample_gaze(rng))], 0.0
    while (at := at + rng.uniform(0.3, 2.0)) < seconds:
        gazes.append((at, sample_gaze(rng)))
    return tuple(gazes)


def _sway(rng: np.random.Generator) -> Float32:
    """Slow drift, turns and nods, a fine tremor."""
    spread = np.radians([[4, 2, 0.25], [2.5, 1.5, 0.2], [1.5, 0.8, 0.1]])
    amplitude = np.abs(rng.normal(0, 1, (3, 3))) * spread
    frequency = rng.uniform((0.05, 0.2, 0.9), (0.2, 0.6, 2.2), (3, 3))
    return np.stack([amplitude, frequency, rng.uniform(0, 2 * np.pi, (3, 3))], axis=-1).astype(np.float32)
