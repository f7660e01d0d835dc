from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import NoReturn

import psutil
import pytest

from rtatl_core import parallel
from rtatl_core.errors import AUError
from rtatl_core.parallel import work_through


def write(item: int, folder: Path) -> None:
    if item < 0:
        raise ValueError(f"item {item}")
    if item == 99:
        os._exit(9)
    (folder / str(item)).write_text(str(os.getpid()))


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_item_is_done_once(tmp_path: Path, jobs: int) -> None:
    assert len(list(work_through(partial(write, folder=tmp_path), range(5), jobs))) == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == list("01234")
    own = {p.read_text() == str(os.getpid()) for p in tmp_path.iterdir()}
    assert own == {jobs == 1}


def test_errors_come_out_and_a_dead_process_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="item -1"):
        list(work_through(partial(write, folder=tmp_path), [-1, 1], 2))
    with pytest.raises(AUError, match="a worker process died"):
        list(work_through(partial(write, folder=tmp_path), [99, 1], 2))


def test_a_process_that_dies_while_work_is_still_handed_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(ThreadPoolExecutor):
        def submit(self, *_: object, **__: object) -> NoReturn:  # type: ignore[override]
            raise BrokenProcessPool("A child process terminated abruptly")

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", lambda *_, **__: Broken(1))
    with pytest.raises(AUError, match="a worker process died"):
        list(work_through(abs, range(2), 2))


_KILLED = """
import os, time
from pathlib import Path
from rtatl_core.parallel import work_through

def work(folder):
    (folder / "begun").write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    list(work_through(work, [Path({folder!r})] * 2, 2))
"""


def test_processes_end_with_the_one_that_began_them(tmp_path: Path) -> None:
    script, begun = tmp_path / "killed.py", tmp_path / "begun"
    script.write_text(_KILLED.format(folder=str(tmp_path)))
    parent = subprocess.Popen([sys.executable, str(script)])
    wait_until(lambda: begun.exists() and begun.read_text() != "")
    worker = psutil.Process(int(begun.read_text()))
    parent.kill()
    parent.wait()
    wait_until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signals")
def test_a_signal_to_the_first_process_ends_all(tmp_path: Path) -> None:
    script, begun = tmp_path / "stopped.py", tmp_path / "begun"
    script.write_text(_KILLED.format(folder=str(tmp_path)))
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    wait_until(lambda: begun.exists() and begun.read_text() != "")
    parent.send_signal(signal.SIGINT)
    try:
        parent.wait(30)  # and not when the work is done
    finally:
        parent.kill()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize(("system", "most"), [("win32", 61), ("linux", 80)])
def test_windows_gets_no_more_processes_than_its_pool_takes(
    monkeypatch: pytest.MonkeyPatch, system: str, most: int
) -> None:
    asked: list[int] = []

    def pool(workers: int, context: object, **_: object) -> ThreadPoolExecutor:
        asked.append(workers)
        return ThreadPoolExecutor(1)

    monkeypatch.setattr(parallel.sys, "platform", system)
    monkeypatch.setattr(parallel, "ProcessPoolExecutor", pool)
    assert sorted(work_through(abs, range(100), 80)) == list(range(100))
    assert asked == [most]
