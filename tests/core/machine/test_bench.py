"""The benchmark runs the real path, and says the same numbers in its table, its file and its comparison."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtatl_core.cli import main
from rtatl_core.errors import InputError
from rtatl_core.machine.bench import Wanted, bench, table


def test_every_stage_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier = tmp_path / "earlier.json"
    arguments = ["bench", "--frames", "130", "--device", "cpu"]
    assert main([*arguments, "--json", str(earlier)]) == 0
    said = capsys.readouterr().out
    result = json.loads(earlier.read_text())
    assert set(result["stages"]) == {"capture", "observe", "align", "predict", "smooth", "record"}
    assert result["frames_analysed"] == result["frames_captured"] == 130
    assert result["size"] == [640, 480]
    total = sum(stage["median_ms"] for stage in result["stages"].values())
    slowest = max(stage["median_ms"] for stage in result["stages"].values())
    assert 1000 / total / 2 < result["fps"] < 1.5 * 1000 / slowest  # stages work at the same time
    assert 0.1 < result["share_of_that"] < 1.5
    assert result["network"]["faces"] == 100
    assert result["network"]["au_difference"]["max"] < 0.01
    assert f"{result['fps']:>10.4g}" in said
    doubled = json.loads(earlier.read_text()) | {"fps": result["fps"] * 2}
    assert f"0.50 x before ({result['fps'] * 2:.4g})" in table(result, doubled)
    assert main([*arguments, "--compare", str(tmp_path / "none.json")]) == 2
    assert "holds no earlier run" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["soak", "--hours", "0.001", "--out", str(tmp_path / "file" / "x")]) == 2
    said = capsys.readouterr().err
    assert "file" in said
    assert "name another place" in said


def test_a_missing_video_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*gone\.mp4"):
        bench(Wanted(source=str(tmp_path / "gone.mp4")))


def test_a_missing_folder_for_the_numbers_is_named_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(wanted: Wanted) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr("rtatl_core.machine.bench.bench", run)
    assert main(["bench", "--json", str(tmp_path / "none" / "now.json")]) == 2
    assert f"there is no folder {tmp_path / 'none'} for now.json" in capsys.readouterr().err
