"""Progress bars on stderr; silent where it is no terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

tqdm.monitor_interval = 0  # no watchdog thread for bars that move many times a second


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None, quiet: bool = False) -> Iterable[T]:
    """``items`` with a bar; ``quiet``: without."""
    bar: Iterable[T] = tqdm(items, desc=desc, unit=unit, total=total, disable=True if quiet else None)
    return bar


def counter(*, unit: str) -> tqdm[Any]:
    """A bar to be moved by hand."""
    return tqdm(total=0, unit=unit, disable=None)
