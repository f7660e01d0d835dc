"""Faults that nobody caught, and signals: to the log in the settings folder, to the banner, or to a clean end."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from au_desktop import settings as settings_file

log = logging.getLogger("au_desktop")
_ENDS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
"""Ctrl-C, what a system sends when it shuts down, and what a terminal does that is closed, which Windows lacks; that
alone has Ctrl-Break."""


def log_file() -> Path:
    return settings_file.folder() / "au-desktop.log"


@contextlib.contextmanager
def logging_to(file: Path) -> Iterator[None]:
    """Warnings and worse go to that file meanwhile, which rotates; nowhere if its folder cannot be written."""
    if not os.access(file.parent, os.W_OK):
        yield
        return
    handler = logging.handlers.RotatingFileHandler(file, maxBytes=500_000, backupCount=2, delay=True, encoding="utf-8")
    handler.setLevel(logging.WARNING)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(threadName)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def _is_kept_from(number: int) -> bool:
    """Whether nohup keeps this program running when its terminal is closed."""
    return number == getattr(signal, "SIGHUP", None) and signal.getsignal(number) is signal.SIG_IGN


class Hooks:
    """Signals and uncaught exceptions while the window is open; put back afterwards. ``close`` may be called in the
    middle of whatever the window's thread does."""

    def __init__(self, close: Callable[[], object], tell: Callable[[str], object]) -> None:
        self._close, self._tell = close, tell
        self._before: tuple[Any, ...] = ()

    def __enter__(self) -> None:
        self._before = (
            sys.excepthook,
            threading.excepthook,
            [(number, signal.signal(number, self._on_signal)) for number in _ENDS if not _is_kept_from(number)],
        )
        sys.excepthook = self._on_exception
        threading.excepthook = lambda args: self._on_exception(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )

    def __exit__(self, *_: object) -> None:
        sys.excepthook, threading.excepthook, handlers = self._before
        for number, handler in handlers:
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # Python runs this in the window's thread, between any two steps of its own code.
        self._close()

    def _on_exception(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            self._close()
            return
        sys.__excepthook__(kind, error, trace)
        log.error("uncaught", exc_info=(kind, error, trace))
        self._tell(f"Something unexpected happened ({kind.__name__}: {error}); details are in {log_file()}.")
