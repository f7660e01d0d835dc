"""The house in order: what is installed, pinned, written and executable agrees with pyproject.toml and with itself."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rtatl_core import system
from tests.scripts import load_script

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(text) for text in PROJECT["dependencies"]]
RUNTIME_HERE = [one for one in RUNTIME if one.marker is None or one.marker.evaluate()]


def _extra(name: str) -> list[Requirement]:
    """What an extra asks for, with what the extras that it names ask for."""
    asked = [Requirement(text) for text in PROJECT["optional-dependencies"][name]]
    named = [extra for one in asked if one.name == PROJECT["name"] for extra in sorted(one.extras)]
    return [one for one in asked if one.name != PROJECT["name"]] + [one for extra in named for one in _extra(extra)]


DEVELOPMENT = _extra("dev")
SCRIPTS = ("run.sh", "test.sh", ".ci/run")


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


bootstrap = load_script("bootstrap")


# What is installed


def test_exactly_one_opencv_is_installed() -> None:
    # Two of them share the folder cv2: the later wins at random, and removing one leaves an empty namespace.
    four = [f"opencv-{contrib}python{headless}" for contrib in ("", "contrib-") for headless in ("", "-headless")]
    assert [name for name in four if _is_installed(name)] == ["opencv-contrib-python"]


@pytest.mark.parametrize("requirement", RUNTIME_HERE, ids=lambda requirement: requirement.name)
def test_installed_version_is_in_the_range(requirement: Requirement) -> None:
    # PySide6 above all: 6.12 aborts Python 3.11 in a live view.
    assert requirement.specifier.contains(importlib.metadata.version(requirement.name))


# What is pinned


def test_development_installs_every_extra() -> None:
    extras = [name for name in PROJECT["optional-dependencies"] if name != "dev"]
    assert {str(one) for name in extras for one in _extra(name)} <= {str(one) for one in DEVELOPMENT}


def test_openvino_is_the_same_as_dependency_and_as_extra() -> None:
    """Of those systems that have wheels of all the rest, Linux alone knows the processors that it helps."""
    (needed,) = (one for one in RUNTIME if one.name == "openvino")
    assert [one.specifier for one in _extra("openvino")] == [needed.specifier]
    assert needed.marker is not None
    where = [
        (system, machine)
        for system in ("linux", "win32", "darwin")
        for machine in ("x86_64", "AMD64", "arm64", "aarch64")
        if needed.marker.evaluate({"sys_platform": system, "platform_machine": machine})
    ]
    assert where == [("linux", "x86_64")]


def test_constraints_pin_plain_versions_inside_the_ranges() -> None:
    lines = [line for line in _text("constraints.txt").splitlines() if not line.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line), line
    pins = dict(line.split("==") for line in lines)
    for requirement in RUNTIME + DEVELOPMENT:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), requirement.name


def test_bootstrap_knows_the_same_pythons_as_the_project() -> None:
    allowed = Requirement(f"python{PROJECT['requires-python']}").specifier
    minors = [f"3.{minor}" for minor in range(8, 20) if allowed.contains(f"3.{minor}.0")]
    assert sorted(bootstrap.PYTHONS) == minors


# What is written


@pytest.mark.parametrize("page", ["README.md", "docs/setup.md"])
def test_page_gives_the_apt_line_once(page: str) -> None:
    line = " ".join(["sudo", *bootstrap.APT_INSTALL, *bootstrap.APT_PACKAGES])
    unfolded = " ".join(_text(page).replace("\\\n", " ").split())
    assert unfolded.count(line) == 1


def test_the_program_asks_for_the_same_libraries_as_its_installation() -> None:
    assert system.XCB_LIBRARIES.items() <= bootstrap.SYSTEM_LIBRARIES.items()
    before = " ".join(["sudo apt-get update && sudo", *bootstrap.APT_INSTALL])
    assert system.APT_LINE.startswith(before), "a fresh system knows no packages before an update"
    packages = system.APT_LINE.removeprefix(before)
    assert sorted(packages.split()) == sorted(bootstrap.SYSTEM_LIBRARIES.values())


def test_install_lines_work_in_the_project_s_folder_and_name_extras_that_there_are() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "runs").glob("*.toml")]
    for page in [*pages, *(ROOT / "rtatl_core").rglob("*.py"), *(ROOT / "au_desktop").rglob("*.py")]:
        text = page.read_text(encoding="utf-8")
        assert not re.search("install '?au-desktop", text), f"{page}: no registry has it"
        for extra in re.findall(r"-e '?\.\[(\w+)\]", text):
            assert extra in PROJECT["optional-dependencies"]
            assert f"pip install -c constraints.txt -e '.[{extra}]'" in text, page
    assert system.how_to_install("synth").endswith("pip install -c constraints.txt -e '.[synth]'")


def test_the_packaged_program_names_no_pip_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert "from source" in system.how_to_install("synth")
    assert "constraints" not in system.how_to_install("synth")


def test_the_command_that_is_named_is_one_that_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the shell takes it in the current folder, for what is installed here is on nobody's path."""
    programs = tmp_path / "my tools" / ".venv" / "bin"
    programs.mkdir(parents=True)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    assert system.rtatl_command("analyze") is None
    (programs / "rtatl").touch()
    assert system.rtatl_command("analyze", "a b") == f"'{programs}/rtatl' analyze 'a b'"
    monkeypatch.chdir(tmp_path / "my tools")
    assert system.rtatl_command("analyze", "a b") == ".venv/bin/rtatl analyze 'a b'"
    monkeypatch.chdir(programs)
    assert system.rtatl_command("analyze") == f"'{programs}/rtatl' analyze"
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert system.rtatl_command("analyze") is None


def test_the_oldest_macos_is_the_same_everywhere() -> None:
    (oldest,) = re.findall(r'"LSMinimumSystemVersion": "(\d+)\.0"', _text("build.spec"))
    for name in ("README.md", "docs/setup.md"):
        assert {*re.findall(r"macOS (\d+)", _text(name))} == {oldest}, name
    (builds_on,) = re.findall(r"system: macos-(\d+)", _text(".github/workflows/package.yml"))
    assert int(builds_on) >= int(oldest), "GitHub has only the newest; packages come with what the oldest needs"


def test_ci_runs_the_readme_s_test_command() -> None:
    command = _text(".ci/run").splitlines()[-1]
    assert command == "./test.sh"
    assert re.search(r"^\./test\.sh( +#.*)?$", _text("README.md"), re.MULTILINE)


def test_notices_name_every_dependency_and_every_contained_work() -> None:
    notices = _text("THIRD_PARTY_NOTICES.md")
    words = set(re.findall(r"[\w-]+", notices))
    assert [one.name for one in RUNTIME + DEVELOPMENT if one.name not in words] == []
    assert "Copyright (c) 2020 USC Institute for Creative Technologies" in notices
    for contained in ("assets/demo.mp4", "assets/fonts/OFL.txt", "rtatl_core/face/mean_face.npy"):
        assert contained in notices
        assert (ROOT / contained).is_file()


def test_licence_is_apache_2() -> None:
    licence = _text("LICENSE")
    assert "Version 2.0, January 2004" in licence
    assert "Copyright 2026 The AU Desktop authors" in licence
    assert PROJECT["license"] == "Apache-2.0"


def test_who_cites_the_program_finds_this_version_and_licence() -> None:
    told = dict(re.findall(r"^(version|license): (.+)$", _text("CITATION.cff"), re.MULTILINE))
    assert told == {"version": PROJECT["version"], "license": PROJECT["license"]}


# What is executable


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX scripts")
@pytest.mark.parametrize("script", SCRIPTS)
def test_script_is_executable_and_parses(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert subprocess.run([shutil.which("bash") or "bash", "-n", ROOT / script], check=False).returncode == 0


# What the scripts do before pip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the files that decide whether to install, and a `.venv` that was stamped for running."""
    interpreter = bootstrap.venv_python(tmp_path)
    interpreter.parent.mkdir(parents=True)
    interpreter.touch()
    base = tmp_path / "Python" / "python.exe"
    base.parent.mkdir()
    base.touch()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text(f"home = {base.parent}\nversion = 3.12.10\n", encoding="utf-8")
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("as before")
    bootstrap.write_stamp(tmp_path, dev=False)
    return tmp_path


def test_second_start_installs_nothing(checkout: Path) -> None:
    assert bootstrap.is_ready(checkout, dev=False)


def test_tests_after_a_plain_start_install_their_tools_and_serve_both(checkout: Path) -> None:
    assert not bootstrap.is_ready(checkout, dev=True)
    bootstrap.write_stamp(checkout, dev=True)
    assert bootstrap.is_ready(checkout, dev=True)
    assert bootstrap.is_ready(checkout, dev=False)


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_changed_dependencies_install_again(checkout: Path, changed: str) -> None:
    (checkout / changed).write_text("otherwise")
    assert not bootstrap.is_ready(checkout, dev=False)


def test_moved_folder_installs_again(checkout: Path) -> None:
    # The console scripts in .venv hold absolute paths.
    moved = checkout.rename(checkout.with_name("moved"))
    assert not bootstrap.is_ready(moved, dev=False)


@pytest.mark.skipif(sys.platform == "win32", reason="its venvs hold no links")
def test_a_python_that_is_gone_is_found_anew(checkout: Path) -> None:
    # Its link in .venv stays, and so does where that leads.
    interpreter = bootstrap.venv_python(checkout)
    interpreter.unlink()
    interpreter.symlink_to(checkout / "uninstalled")
    bootstrap.write_stamp(checkout, dev=False)
    assert not bootstrap.is_ready(checkout, dev=False)


def test_a_python_that_is_gone_from_windows_is_found_anew(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There .venv holds a program of its own, which stays, and says only that there is no Python."""
    monkeypatch.setattr(bootstrap, "WINDOWS", True)
    starter = bootstrap.venv_python(checkout)
    starter.parent.mkdir(exist_ok=True)
    starter.touch()
    bootstrap.write_stamp(checkout, dev=False)
    assert bootstrap.is_ready(checkout, dev=False)
    (checkout / "Python" / "python.exe").unlink()
    assert not bootstrap.is_ready(checkout, dev=False)


def test_who_may_not_write_into_the_installation_is_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(SystemExit) as stop:
        bootstrap.install(checkout, dev=False)
    assert stop.value.code == 2
    assert "stamp cannot be changed (Permission denied)" in capsys.readouterr().err


def test_pip_installs_into_this_folder_alone(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever PYTHONPATH holds, and pip is configured to do elsewhere."""
    lines: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        lines.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    bootstrap.install(checkout, dev=False)
    (line,) = lines
    assert line[1:4] == ["-I", "-m", "pip"]
    assert "--no-user" in line
    assert bootstrap.is_ready(checkout, dev=False)


def test_missing_library_is_named() -> None:
    def load(name: str) -> None:
        if name == "libxcb-icccm.so.4":
            raise OSError

    assert bootstrap.missing_libraries(load) == ["libxcb-icccm.so.4"]


def test_without_the_right_to_install_the_apt_line_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None if name == "sudo" else f"/usr/bin/{name}")
    with pytest.raises(SystemExit) as stop:
        bootstrap.install_system_packages("this system lacks libGL.so.1", bootstrap.APT_PACKAGES)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "lacks libGL.so.1" in said
    assert " ".join(["sudo", *bootstrap.APT_INSTALL, *bootstrap.APT_PACKAGES]) in said


def test_unfit_python_without_uv_gets_a_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "find_python", lambda: "")
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit) as stop:
        bootstrap.make_venv(tmp_path)
    assert stop.value.code == 2
    assert "Python 3.12 or 3.11" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_python_whose_path_the_code_page_lacks_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the folder of a Russian user of an English Windows."""
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    assert bootstrap._prints([sys.executable, "-c", r"print('\u0414')"]) == "\N{CYRILLIC CAPITAL LETTER DE}"


def test_a_python_is_started_where_it_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows, asked to start python3.12, looks for a file of just that name and not for python3.12.exe."""
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: sys.executable if name == "python3.99" else None)
    assert bootstrap._prints(["python3.99", "-c", "print('here')"]) == "here"


@pytest.mark.skipif(sys.platform == "win32", reason="what can be run there is told by a file's name")
def test_a_python_of_another_system_is_passed_over(tmp_path: Path) -> None:
    foreign = tmp_path / "python3.12"
    foreign.write_bytes(b"MZ\0\0")
    foreign.chmod(0o755)
    assert bootstrap._prints([str(foreign), "-c", "print('here')"]) == ""


def test_a_python_for_intel_on_apple_silicon_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(bootstrap, "_prints", lambda command: "1" if command[0] == "sysctl" else "")
    with pytest.raises(SystemExit) as stop:
        bootstrap.main([])
    assert stop.value.code == 2
    assert "a Python for Intel chips" in capsys.readouterr().err


def test_a_place_that_mediapipe_cannot_read_is_refused_before_anything_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path / "J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen")
    monkeypatch.setattr(bootstrap, "WINDOWS", True)
    monkeypatch.setattr(bootstrap.platform, "system", lambda: "Windows")
    monkeypatch.setattr(bootstrap.platform, "machine", lambda: "AMD64")
    monkeypatch.setattr(bootstrap, "make_venv", lambda root: pytest.fail("installed"))
    with pytest.raises(SystemExit) as stop:
        bootstrap.main([])
    assert stop.value.code == 2
    assert "move the project" in capsys.readouterr().err


@pytest.mark.parametrize("script", ["run.ps1", "test.ps1"])
def test_a_python_that_only_opens_a_shop_is_passed_over(script: str) -> None:
    """Windows itself brings a python and a python3 of that kind, which can be found, but run nothing."""
    assert '@("py", "python", "python3")' in _text(script)
    assert '& $_ -c "pass"; $LASTEXITCODE -eq 0' in _text(script)


@pytest.mark.parametrize("script", ["run.ps1", "test.ps1"])
def test_a_script_leaves_the_window_of_powershell_as_it_was(script: str) -> None:
    """A variable that it sets stays set: after the tests the program would open where nobody sees it."""
    assert not re.search(r"\$env:\w+\s*=|Set-Location|^cd ", _text(script), re.MULTILINE)
