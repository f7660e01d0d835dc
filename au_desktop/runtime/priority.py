"""Which thread gives way when all cores are busy."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

NICENESS = 10


def give_way() -> None:
    """From now on this thread, and those it starts, wait for the others where they want the same core. On Linux only:
    elsewhere a thread has no niceness of its own. Cannot be taken back."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            own = threading.get_native_id()
            os.setpriority(os.PRIO_PROCESS, own, max(NICENESS, os.getpriority(os.PRIO_PROCESS, own)))
