"""The house rules that a machine can check."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def test_import_contracts() -> None:
    command = [sys.executable, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_outgrows_its_reader() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count}"
        for package in ("rtatl_core", "au_desktop")
        for path in (ROOT / package).rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > 420
    ]
    assert not long, long


@pytest.mark.parametrize("openvino", ["0", "1"])
def test_what_runs_live_loads_neither_torch_nor_training(openvino: str) -> None:
    """That takes seconds at every start and hundreds of megabytes in the package. MediaPipe: not before the engine."""
    code = """
import sys
import au_desktop.app

assert "mediapipe" not in sys.modules
from rtatl_core.engine import Engine

Engine(device="cpu").close()
heavy = ("torch", "matplotlib", "scipy", "onnx", "tqdm", "safetensors")
ours = ("commands", "datasets", "evaluation", "synthetic", "tasks", "training", "weights")
print(sorted({*heavy, *(f"rtatl_core.{name}" for name in ours)} & set(sys.modules)))
"""
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen", "AU_DESKTOP_OPENVINO": openvino}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
