"""Threads that numpy and torch take beside ours."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

from rtatl_core.card import Card
from rtatl_core.commands.options import add_jobs
from rtatl_core.predictor import Predictor

ROOT = Path(__file__).resolve().parents[3]


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


def test_the_network_takes_half_the_cores_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)  # as a cluster hands them out
    half, given = 3, []
    with monkeypatch.context() as before_an_export:
        before_an_export.setattr(Card, "graphs", lambda _: {})
        for threads in (None, None, 1):
            Predictor(device="cpu", threads=threads)
            given.append(torch.get_num_threads())
    assert given == [half, half, 1]
    options = onnxruntime.SessionOptions
    made = []

    def noted() -> onnxruntime.SessionOptions:
        made.append(options())
        return made[-1]

    monkeypatch.setattr(onnxruntime, "SessionOptions", noted)
    Predictor(device="cpu")
    Predictor(device="cpu", threads=1)
    assert [one.intra_op_num_threads for one in made] == [half, 1]
    parser = argparse.ArgumentParser()
    add_jobs(parser)
    assert parser.parse_args([]).jobs == 2 * half
