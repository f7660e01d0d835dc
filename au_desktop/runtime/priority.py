"""Which thread gives way when all cores are busy, and keeping macOS from slowing down a hidden window."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

NICENESS = 10


def give_way() -> None:
    """Gives this thread, and those it starts from now on, a lower priority than the others. Linux only: elsewhere a
    thread has no niceness of its own. Cannot be taken back."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            own = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, own, max(NICENESS, os.getpriority(os.PRIO_PROCESS, own)))


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
