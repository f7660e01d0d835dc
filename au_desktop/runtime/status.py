"""What the window is told besides pictures: the state, the counts, one sentence for the person, the recording."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from au_desktop.runtime.analysis import AnalysisState, AnalysisStats
from au_desktop.runtime.capture import Capture, CaptureState
from au_desktop.sinks.recorder import RecordingStatus
from au_desktop.sources import SourceSpec

Severity = Literal["info", "warning", "error"]
_GRAVITY: dict[Severity, int] = {"info": 0, "warning": 1, "error": 2}


class State(Enum):
    LOADING = "loading"
    EMPTY = "empty"
    STARTING = "starting"
    LIVE = "live"
    PAUSED = "paused"
    ASKING = "asking"
    """The system asks the person whether the camera may be used."""
    RECONNECTING = "reconnecting"
    FINISHED = "finished"
    FAILED = "failed"


RUNNING = frozenset({State.STARTING, State.LIVE, State.ASKING, State.RECONNECTING})
"""In which a pause can begin."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One sentence for the person; `serial` grows with every new one."""

    severity: Severity
    text: str
    serial: int
    folder: Path | None = None
    """The recording that it is about."""
    repeats: Notice | None = None
    """The warning that it tells again."""


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot of everything but pictures. Counts are of the current source."""

    state: State
    paused: bool
    """By the person; a source that is lost may be paused too."""
    source: SourceSpec | None
    source_size: tuple[int, int] | None
    model: Mapping[str, Any] | None
    """The card of the loaded model, which tells models of one name apart; None until the engine is ready."""
    device: str | None
    aus: tuple[int, ...]
    captured: int
    analysed: int
    dropped: int
    fps: float
    """Analysed frames per second over the last two seconds."""
    notice: Notice | None
    recording: RecordingStatus | None
    position_s: float | None
    """Of a file, as is duration_s."""
    duration_s: float | None
    streams: tuple[str, ...] = ()
    """Where else the numbers go."""

    @property
    def model_name(self) -> str | None:
        return self.model["name"] if self.model else None

    @property
    def trained_on(self) -> str | None:
        return self.model["trained_on"] if self.model else None


class Notices:
    """What the person should know now: one sentence per subject; of those not dismissed, the gravest is shown, of
    equals the newest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, Notice] = {}
        self._dismissed: set[int] = set()
        self._serial = 0

    def post(
        self, key: str, severity: Severity, text: str, folder: Path | None = None, repeats: Notice | None = None
    ) -> None:
        with self._lock:
            standing = self._by_key.get(key)
            if standing is None or standing.text != text:
                self._serial += 1
                self._by_key[key] = Notice(severity, text, self._serial, folder, repeats)

    def inform(self, key: str, text: str, folder: Path | None = None) -> None:
        """An information; where a warning stands, which would hide it, the warning is told again with it."""
        standing = self.current()
        if standing is not None and standing.severity == "warning":
            self.post(key, "warning", f"{standing.text} {text}", folder, standing)
        else:
            self.post(key, "info", text, folder)

    def announce(self, text: str) -> None:
        """An information that counts as new even if its text is that of the last one. Where it would hide that a
        recording was saved, it says that too."""
        self.withdraw("news")
        saved = self._by_key.get("recording")
        if saved is not None and saved.severity == "info":
            self.inform("news", f"{saved.text} {text}", saved.folder)
        else:
            self.inform("news", text)

    def dismiss(self, notice: Notice) -> None:
        """The person has seen it, and what it repeats. It still holds, so the same sentence is not new."""
        with self._lock:
            seen: Notice | None = notice
            while seen is not None:
                self._dismissed.add(seen.serial)
                seen = seen.repeats

    def withdraw(self, key: str) -> None:
        with self._lock:
            self._by_key.pop(key, None)

    def current(self) -> Notice | None:
        with self._lock:
            standing = [notice for notice in self._by_key.values() if notice.serial not in self._dismissed]
            return max(standing, key=lambda n: (_GRAVITY[n.severity], n.serial), default=None)


def state_of(analysis: AnalysisStats, capture: Capture | None, ended: bool) -> State:
    if analysis.state is AnalysisState.FAILED:
        return State.FAILED
    if capture is None:
        return State.EMPTY
    source = capture.stats().state
    if source is CaptureState.FAILED:
        return State.FAILED
    if analysis.state is AnalysisState.LOADING:
        return State.LOADING
    if source is CaptureState.ASKING:
        return State.ASKING
    if source is CaptureState.RECONNECTING:
        return State.RECONNECTING
    if ended:
        return State.FINISHED
    if capture.paused:
        return State.PAUSED
    return State.LIVE if analysis.analysed else State.STARTING
