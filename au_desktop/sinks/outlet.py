"""What is sent to other programs, and what sends it: one kind of outlet per file (lsl.py, osc.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from rtatl_core.handoffs import AnalysedFrame
from rtatl_core.sessions.rows import FaceRecord


@dataclass(frozen=True, slots=True)
class Heading:
    """What stays the same from frame to frame. Streams begin anew with another one."""

    source: str
    """Name of the camera or file."""
    aus: tuple[int, ...]
    sides: bool
    """The model tells left from right."""
    model: str
    """Name and hash of the weights."""
    faces: int = 1
    """The most that are followed."""

    @classmethod
    def of(cls, source: str, frame: AnalysedFrame, model: Mapping[str, Any], faces: int) -> Heading:
        sides = bool(model.get("network", {}).get("sides", False))
        return cls(source, frame.aus, sides, f"{model.get('name', '')} {model.get('sha256', '')}".strip(), faces)


class Sample(NamedTuple):
    """What is sent of one frame."""

    number: int
    """Of the captured frame, as the source counts: one that was not analysed leaves a gap."""
    captured_at: float
    """On the clock of ``time.perf_counter``."""
    faces: tuple[FaceRecord | None, ...]
    """By their places (``Places``), never empty; None = nobody there now."""


class Outlet(Protocol):
    """One way out, open for one heading. Each of these may raise StreamError."""

    def send(self, sample: Sample) -> None: ...

    def mark(self, label: str, at: float) -> None:
        """at: on the clock of ``time.perf_counter``."""

    def close(self) -> None: ...


Opener = Callable[[Heading], Outlet]
"""Raises StreamError where it cannot be opened here."""
