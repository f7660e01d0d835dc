"""Progress bars on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None, quiet: bool = False) -> Iterable[T]:
    """``items`` with a bar; silent with ``quiet`` and where stderr is no terminal."""
    tqdm.monitor_interval = 0  # no watchdog thread for a bar that moves many times a second
    bar: Iterable[T] = tqdm(items, desc=desc, unit=unit, total=total, disable=True if quiet else None)
    return bar
