"""Keeping macOS from slowing down a hidden window."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Keeps macOS from slowing down this program and its timers (App Nap) while its window is hidden, as when somebody
    is recorded watching a film. The computer may still go to sleep."""
    if sys.platform != "darwin":
        yield
        return
    import Foundation  # it is there for the names of cameras, too

    how = Foundation.NSActivityUserInitiatedAllowingIdleSystemSleep | Foundation.NSActivityLatencyCritical
    process = Foundation.NSProcessInfo.processInfo()
    activity = process.beginActivityWithOptions_reason_(how, "Frames are analysed as they come.")
    try:
        yield
    finally:
        process.endActivity_(activity)
