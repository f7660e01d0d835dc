from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

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
