"""Independent pieces of work over the cores of this machine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rtatl_core.errors import AUError

T = TypeVar("T")


def work_through(function: Callable[[T], None], items: Sequence[T], jobs: int) -> Iterator[None]:
    """Call ``function`` on every item, in up to ``jobs`` processes, and yield after each that is done. What travels
    must pickle. Raises what ``function`` raises, and AUError when a process dies; pieces not begun by then are left."""
    if jobs <= 1 or len(items) <= 1:
        for item in items:
            function(item)
            yield
        return
    # spawn: MediaPipe's and torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(items)), context, initializer=_die_silently) as pool:
        waiting = [pool.submit(function, item) for item in items]
        try:
            for done in as_completed(waiting):
                done.result()
                yield
        except BrokenProcessPool as error:
            raise AUError(
                "a worker process died, perhaps for want of memory; the same command with fewer --jobs goes on"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _die_silently() -> None:
    """Ctrl-C reaches all processes; the first one has something to say about it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
