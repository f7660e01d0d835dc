"""Progress bars on stderr; silent where it is no terminal, or closed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")

tqdm.monitor_interval = 0  # no watchdog thread for bars that move many times a second


def progress(items: Iterable[T], *, desc: str, unit: str, total: int | None = None, quiet: bool = False) -> Iterable[T]:
    """``items`` with a bar; ``quiet``: without."""
    bar: Iterable[T] = tqdm(items, desc=desc, unit=unit, total=total, disable=_off(quiet))
    return bar


def _off(quiet: bool = False) -> bool | None:
    """None: tqdm looks whether it is a terminal."""
    return True if quiet or sys.stderr is None else None


def counter(*, unit: str) -> tqdm[Any]:
    """A bar to be moved by hand."""
    return tqdm(total=0, unit=unit, disable=_off())
