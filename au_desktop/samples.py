"""``--samples``: one line every few seconds of what a long run costs and does, for ``rtatl soak``."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from au_desktop.bridge import Bridge
from au_desktop.runtime.status import Status
from rtatl_core.errors import InputError
from rtatl_core.machine.meter import ProcessMeter

EVERY_S = 5.0
COLUMNS = (
    *("seconds", "rss_mb", "handles", "threads"),
    *("captured", "analysed", "dropped", "rows", "delay_ms"),
)


class SamplesError(InputError):
    """The file of samples cannot be written."""


class SampleLog:
    """Writes each line at once, so that a run that dies leaves what it had. Raises SamplesError when it cannot."""

    def __init__(self, path: Path, meter: ProcessMeter, bridge: Bridge) -> None:
        self._path = path
        self._file: IO[str] | None = None
        with self._guarded():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", newline="", encoding="utf-8", buffering=1)
            self._writer = csv.writer(self._file)
            self._writer.writerow(COLUMNS)
        self._meter, self._bridge = meter, bridge
        self._last_s = -EVERY_S

    def note(self, status: Status) -> None:
        """A line, if the last one is old enough."""
        now = self._meter.elapsed_s()
        if now - self._last_s < EVERY_S:
            return
        self._last_s = now
        delay = self._bridge.delay_ms()
        line = [
            *(f"{now:.1f}", f"{self._meter.rss_mb():.2f}", self._meter.handles(), self._meter.threads()),
            *(status.captured, status.analysed, status.dropped),
            status.recording.rows if status.recording else 0,
            "" if delay is None else f"{delay:.1f}",
        ]
        with self._guarded():
            self._writer.writerow(line)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # a full disk was told when it refused a line
            if self._file is not None:
                self._file.close()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            text = f"{self._path} cannot be written ({error.strerror}); choose another --samples."
            raise SamplesError(text) from error
