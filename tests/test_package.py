"""The program as people download it: scripts/package.py tries it out; here is what must be inside, how it refuses."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import pytest

from rtatl_core.sessions.session import read_session
from tests.clips import cut_from_demo
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def package() -> ModuleType:
    return load_script("package")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A program with links in it, as PyInstaller makes them."""
    folder = tmp_path / "dist" / "au-desktop"
    (folder / "Resources" / "fonts").mkdir(parents=True)
    (folder / "au-desktop").write_text("#!/bin/sh\n")
    (folder / "au-desktop").chmod(0o755)
    (folder / "fonts").symlink_to(Path("Resources") / "fonts", target_is_directory=True)
    (folder / "also").symlink_to("au-desktop")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="there are no links in it")
@pytest.mark.parametrize("wrong", [[], ["no face was found"]])
def test_what_the_archive_unpacks_to_is_tried_out_and_has_its_links(
    package: ModuleType, built: Path, monkeypatch: pytest.MonkeyPatch, wrong: list[str]
) -> None:
    def tries_out(program: Path) -> list[str]:
        assert program.name == built.name
        assert program != built
        assert os.access(program / "au-desktop", os.X_OK)
        assert (program / "fonts").readlink() == Path("Resources") / "fonts"
        assert (program / "also").readlink() == Path("au-desktop")
        return wrong

    monkeypatch.setattr(package, "build", lambda out: built)
    monkeypatch.setattr(package, "try_out", tries_out)
    monkeypatch.setattr(sys, "argv", ["package.py", "--out", str(built.parent), "--archive"])
    assert package.main() == bool(wrong)
    archives = [path for path in built.parent.iterdir() if path.is_file()]
    assert len(archives) == (not wrong), "a file that does not work is not left to be given away"


@pytest.mark.skipif(sys.platform == "win32", reason="stands for what happens there")
def test_a_file_that_a_scanner_for_viruses_holds_spoils_no_package(
    package: ModuleType, built: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(path: str, **_: object) -> None:
        raise PermissionError(errno.EACCES, "used by another process", path)

    monkeypatch.setattr(package, "build", lambda out: built)
    monkeypatch.setattr(package, "try_out", lambda program: [])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["package.py", "--out", str(built.parent), "--archive"])
    with monkeypatch.context() as held:
        held.setattr(os, "unlink", refuse)
        assert package.main() == 0


def test_the_bundle_of_a_mac_is_zipped_by_what_keeps_links(
    package: ModuleType, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    (built.parent / "AU Desktop.app").mkdir()
    monkeypatch.setattr(package.sys, "platform", "darwin")
    monkeypatch.setattr(package.subprocess, "run", lambda command, **_: calls.append(command))
    file = package.pack(built)
    assert file == built.parent / "au-desktop-darwin.zip"
    assert calls == [["ditto", "-c", "-k", "--keepParent", str(built.parent / "AU Desktop.app"), str(file)]]


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
    notices = (inside / "THIRD_PARTY_NOTICES.md").read_text(encoding="utf-8")
    contained = {folder.name.partition("-")[0].replace("_", "-") for folder in inside.glob("*.dist-info")}
    assert {"numpy", "protobuf", "psutil", "pyqtgraph"} <= contained, "with the texts of their licences"
    assert [name for name in contained if not name.startswith("pyobjc") and name.lower() not in notices.lower()] == []
    assert list(inside.glob("pyqtgraph-*.dist-info/**/LICENSE*"))
    assert (inside / "onnxruntime" / "LICENSE").is_file()
    assert not list(inside.rglob("*readline*")), "what is under the GPL stays out"
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
            cwd=tmp_path / "dist",  # without a screen it records there
            env={"HOME": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert gpu.returncode == 2
        assert "needs torch, which is not in the package" in gpu.stderr
    far = cut_from_demo(tmp_path / "far.mp4", 75, (128, 96), onto=(640, 480))
    told = subprocess.run(
        [program, "--source", far, "--record", tmp_path / "sessions", "--duration", "8"],
        env={"HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr[-3000:]
    (session,) = (tmp_path / "sessions").iterdir()
    _, columns = read_session(session)
    assert columns["success"].mean() > 0.9, "the detector of far faces is in the package"
