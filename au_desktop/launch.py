"""What the command line asked for, and how it stands beside the person's own settings.

Enters: flags; leaves: the settings of this run, and of those the ones to keep.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from au_desktop.settings import Settings
from au_desktop.sources import SourceSpec


@dataclass(frozen=True, slots=True)
class Launch:
    """What the command line asked for; None leaves the choice to the settings."""

    source: str | None = None
    model: str | None = None
    device: str | None = None
    record: Path | None = None
    duration: float | None = None
    screenshot: Path | None = None
    stats: Path | None = None
    samples: Path | None = None
    """Where a line of what the run costs is written every few seconds (samples.py)."""
    pace: float = 1.0
    """Seconds of a file played in one."""
    camera_fps: float | None = None
    """Plays a file as a camera of that rate would, dropping what comes too late."""
    theme: str | None = None
    faces: int | None = None
    size: tuple[int, int] | None = None
    layers: tuple[str, ...] | None = None
    lsl: bool | None = None
    osc: str | None = None
    """Address that OSC messages go to."""
    film: bool | None = None
    """A recording of a live source keeps its picture."""

    @property
    def scripted(self) -> bool:
        """Nobody is watching: faults end the program, and the person's settings are left as they are."""
        return self.duration is not None or self.screenshot is not None or self.stats is not None


class Flagged:
    """Settings that flags replace for this run only: they are not saved, unless the person chooses them anew."""

    def __init__(self, saved: Settings, launch: Launch, spec: SourceSpec | None) -> None:
        """``spec``: the source that a flag named."""
        flags = {
            "camera": spec.name if spec is not None and spec.kind == "camera" else None,
            "model": _whole_path(launch.model),
            "device": launch.device,
            "theme": launch.theme,
            "max_faces": launch.faces,
            "layers": launch.layers,
            "lsl": launch.lsl,
            "osc": None if launch.osc is None else True,
            "osc_address": launch.osc,
            "film": launch.film,
            "record_root": str(launch.record.resolve()) if launch.record is not None else None,
        }
        self._saved, self._size = saved, launch.size
        self._flags: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
        self.remembered = frozenset(field.name for field in fields(Settings)) - self._flags.keys()
        """Settings that no flag gave. Of a script none: it must not go on with anything but what it was given."""
        if launch.scripted:
            self.remembered = frozenset()

    def settings(self) -> Settings:
        """Of this run, to begin with."""
        return replace(self._saved, **self._flags)

    def to_keep(self, now: Settings, size: tuple[int, int]) -> Settings:
        """What to save of the present settings; ``size``: of the window, whose place is kept once it was changed."""
        untouched = {name for name, value in self._flags.items() if getattr(now, name) == value}
        if size == self._size:
            untouched.add("window_geometry")
        return replace(now, **{name: getattr(self._saved, name) for name in untouched})


def _whole_path(model: str | None) -> str | None:
    """The name of a model stays; a path holds wherever the program is started next."""
    return str(Path(model).resolve()) if model is not None and Path(model).suffix else model
