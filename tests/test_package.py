"""The program as people download it: scripts/package.py tries it out; here is what must be inside, how it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_package_is_built_and_works_in_an_emptied_environment(tmp_path: Path) -> None:
    pytest.importorskip("PyInstaller")
    command = [sys.executable, str(ROOT / "scripts" / "package.py"), "--out", str(tmp_path / "dist")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "works" in done.stdout
    inside = tmp_path / "dist" / "au-desktop" / "_internal"
    assert not list(inside.rglob("*torch*")), "training stays out"
    assert not list(inside.rglob("*.safetensors"))
    assert (inside / "LICENSE").is_file()
    assert (inside / "THIRD_PARTY_NOTICES.md").is_file()
    megabytes = sum(file.stat().st_size for file in inside.rglob("*") if not file.is_symlink()) / 1e6
    assert megabytes < 560, "what has come in that live use does not need?"
    program = tmp_path / "dist" / "au-desktop" / "au-desktop"
    refused = subprocess.run(
        [program, "--source", str(tmp_path / "none.mp4")], env={"HOME": str(tmp_path)}, capture_output=True, text=True
    )
    assert refused.returncode == 2
    assert "There is no file" in refused.stderr
    if os.name != "nt":
        gpu = subprocess.run(
            [program, "--source", "demo", "--device", "cuda", "--duration", "5"],
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert gpu.returncode == 2
        assert "needs torch, which is not in the package" in gpu.stderr
