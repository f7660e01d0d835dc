"""The doctor finds what is wrong, says what to do, and is not thrown by the unforeseen."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtatl_core import openvino_package
from rtatl_core.cli import main
from rtatl_core.machine import doctor
from rtatl_core.machine.doctor import Finding, State, examine, line


def found(what: str) -> Finding:
    return next(finding for finding in examine() if finding.what == what)


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch):
    """Restricts the examination to one check."""

    def choose(name: str) -> None:
        monkeypatch.setattr(doctor, "CHECKS", tuple(check for check in doctor.CHECKS if check[0] == name))

    return choose


def test_this_machine_is_fit_to_test_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "FRAMES", 10)
    assert main(["doctor", "--json"]) == 0
    told = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {"program", "processor", "window", "cameras", "weights", "analysis", "disk"} <= set(told)
    assert told["weights"]["state"] == "good"
    assert "frames per second" in told["analysis"]["words"]


def test_a_package_of_another_version_is_named(only, monkeypatch: pytest.MonkeyPatch) -> None:
    only("versions")
    monkeypatch.setattr(doctor, "_requirements", lambda: ["numpy<1", "torch>=2.0", "nosuchthing>=1"])
    numpy, missing = found("numpy"), found("nosuchthing")
    assert numpy.state is missing.state is State.BAD
    assert "<1 is needed" in numpy.words
    assert numpy.remedy.endswith("/pip install -c constraints.txt -e .")
    assert missing.words == "is not installed"
    assert not any(finding.what == "torch" for finding in examine())


def test_what_other_systems_require_is_not_missed(only, monkeypatch: pytest.MonkeyPatch) -> None:
    only("versions")
    lines = [f"nosuchthing>=1; sys_platform {sign} '{sys.platform}'" for sign in ("!=", "==")]
    monkeypatch.setattr(doctor, "_requirements", lambda: lines[:1])
    assert [finding.what for finding in examine()] == ["program"]
    monkeypatch.setattr(doctor, "_requirements", lambda: lines)
    assert found("nosuchthing").state is State.BAD


@pytest.mark.parametrize(("broken", "said"), [(False, "is not installed"), (True, "cannot be loaded (No library")])
@pytest.mark.parametrize("helps", [False, True])
def test_without_openvino_a_processor_that_it_helps_lacks_it(
    helps: bool, broken: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def core() -> None:
        raise ImportError("No library")

    version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "openvino" else version(name))
    monkeypatch.setattr(openvino_package, "is_installed", lambda: broken)
    monkeypatch.setattr(openvino_package, "core", core)
    monkeypatch.setattr(doctor, "has_bfloat16", lambda: helps)
    monkeypatch.setattr(doctor, "_requirements", lambda: ["openvino>=2025.0"])
    monkeypatch.setattr(doctor, "CHECKS", (("versions", doctor._versions), ("devices", doctor._devices)))
    told = [finding for finding in examine() if finding.what == "openvino"]
    assert [finding.state for finding in told] == [State.LACKS] * helps
    assert all(finding.words.startswith(said) for finding in told)
    assert all(finding.remedy.endswith("pip install -c constraints.txt -e .") for finding in told)


def test_two_opencvs_are_found_out(only, monkeypatch: pytest.MonkeyPatch) -> None:
    only("versions")
    monkeypatch.setattr(doctor, "_version", lambda name: "4.11.0" if name.startswith("opencv") else "1")
    monkeypatch.setattr(doctor, "_requirements", list)
    assert "overwrite each other" in found("OpenCV").words


def test_damaged_weights_are_the_finding_not_a_crash(
    only, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only("analysis")
    monkeypatch.setattr("rtatl_core.card.asset", lambda name: tmp_path / name)
    assert main(["doctor"]) == 1
    assert "is missing; name a .safetensors file" in capsys.readouterr().out


def test_a_check_that_breaks_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks() -> Iterator[Finding]:
        yield Finding("first", State.GOOD, "fine")
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(doctor, "CHECKS", (("odd", breaks), ("disk", doctor._disk)))
    findings = list(examine())
    assert [finding.what for finding in findings] == ["first", "odd", "disk"]
    assert findings[1].words == "ZeroDivisionError: oops"
    assert line(findings[1]).startswith("! odd")


def test_cameras_have_the_names_they_have_in_the_window(only, monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2_enumerate_cameras as enumerator

    from rtatl_core.cameras import BACKEND

    infos = [enumerator.CameraInfo(index, "Webcam", "", 0, 0, BACKEND) for index in (3, 1)]
    monkeypatch.setattr(enumerator, "enumerate_cameras", lambda _: infos)
    only("cameras")
    assert found("cameras").words == "Webcam, Webcam (2)"


def test_a_full_disk_is_bad_news(only, monkeypatch: pytest.MonkeyPatch) -> None:
    only("disk")
    monkeypatch.setattr(doctor, "LITTLE_DISK_GB", 1e9)
    assert found("disk").state is State.BAD
