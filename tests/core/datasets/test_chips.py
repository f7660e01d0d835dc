"""Many arrays on disk, read as one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.datasets.chips import Rows


def test_more_parts_than_files_may_be_open(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    files = [tmp_path / f"{number}.npy" for number in range(200)]
    for number, file in enumerate(files):
        np.save(file, np.full((2, 3), number, np.uint8))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 100, before[1]))
    try:
        rows = Rows(files)
        assert rows.shape == (400, 3)
        assert rows.take([0, 399])[:, 0].tolist() == [0, 199]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
