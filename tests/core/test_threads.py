"""Threads that numpy and torch take beside ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from rtatl_core.engine import Engine

ROOT = Path(__file__).resolve().parents[2]


def test_numpy_multiplies_in_one_thread() -> None:
    """OpenBLAS's second thread spins between the small products of a frame and takes half a core."""
    code = (
        "import rtatl_core, numpy as np, psutil\n"
        "a = np.ones((600, 600)); [a @ a for _ in range(3)]\n"
        "print(psutil.Process().num_threads())"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


def test_engines_in_turn_keep_their_threads() -> None:
    counts = []
    for _ in range(2):
        engine = Engine(device="cpu")
        counts.append(torch.get_num_threads())
        engine.close()
    assert counts[0] == counts[1] == max(1, (os.cpu_count() or 2) // 2)
