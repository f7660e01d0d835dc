"""Nothing leaves the computer: what runs the network reports to nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="its folders do not follow from HOME")
def test_onnx_runtime_keeps_nothing_to_be_sent(tmp_path: Path) -> None:
    """It would number this computer and put what it is to send, the path of the program too, into the home folder."""
    code = (
        "from rtatl_core.card import read_card\n"
        "from rtatl_core.runtimes.onnx_runtime import OnnxRuntime\n"
        "card = read_card(None)\n"
        "OnnxRuntime(card, card.graphs(), 1)\n"
    )
    environment = os.environ | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    del environment["ORT_DISABLE_TELEMETRY"]  # conftest.py has set it
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*")) == []
