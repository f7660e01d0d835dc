"""Independent pieces of work over the cores of this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from rtatl_core.errors import AUError

T = TypeVar("T")
R = TypeVar("R")

WORKER_DIED = "a worker process died, perhaps for lack of memory; run the same command with fewer"
"""How that is told; what there should be fewer of follows."""


def work_through(
    function: Callable[[T], R], items: Sequence[T], jobs: int, *, on_start: Callable[[], None] | None = None
) -> Iterator[R]:
    """Call ``function`` on every item, in up to ``jobs`` processes, and yield what it returns as it is done. What
    travels must pickle. ``on_start`` is called once in every process beside this one. Raises what ``function`` raises,
    and AUError when a process dies; pieces not begun by then are left."""
    if jobs <= 1 or len(items) <= 1:
        for item in items:
            yield function(item)
        return
    workers = min(jobs, len(items))
    if sys.platform == "win32":
        workers = min(workers, 61)  # the most that the pool takes there
    # spawn: MediaPipe's and torch's threads do not survive a fork
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(on_start,)) as pool:
        try:
            for done in as_completed([pool.submit(function, item) for item in items]):
                yield done.result()
        except BrokenProcessPool as error:
            raise AUError(f"{WORKER_DIED} --jobs to continue") from error
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            if isinstance(error, KeyboardInterrupt):  # unlike Ctrl-C in a terminal, a signal reaches this process alone
                for process in set(multiprocessing.active_children()) - others:
                    process.terminate()
            raise


def _begin(on_start: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C reaches all processes; the first one has something to say
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if on_start is not None:
        on_start()


def _end_with_parent() -> None:
    """A worker of one that was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
