"""What was read of a rig is kept whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtatl_core.errors import InputError
from rtatl_core.synthetic import kept as module
from rtatl_core.synthetic.kept import kept


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(module, "user_cache_path", lambda name: tmp_path)
    return tmp_path / "rigs"


def read() -> dict[str, NDArray[np.float32]]:
    return {"base": np.arange(3, dtype=np.float32)}


def test_a_rig_is_read_once() -> None:
    def again() -> dict[str, NDArray[np.float32]]:
        raise AssertionError("it is kept")

    for reading in (read, again):
        assert kept("rig-1", reading)["base"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("length", [0, 30])
def test_what_a_power_cut_damaged_is_read_again(cache: Path, length: int) -> None:
    kept("rig-1", read)
    file = cache / "rig-1.npz"
    file.write_bytes(file.read_bytes()[:length])
    for _ in range(2):
        assert kept("rig-1", read)["base"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("what", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_half_written_stays(cache: Path, monkeypatch: pytest.MonkeyPatch, what: BaseException) -> None:
    def stop(file: Path, **arrays: object) -> None:
        file.write_bytes(b"half")
        raise what

    monkeypatch.setattr(np, "savez", stop)
    with pytest.raises(InputError if isinstance(what, OSError) else KeyboardInterrupt) as told:
        kept("rig-1", read)
    assert list(cache.iterdir()) == []
    if isinstance(what, OSError):
        assert f"kept in {cache} (No space left on device); make room" in str(told.value)
