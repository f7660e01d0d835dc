"""Long runs: what grows is told from what only wobbles, and every frame is accounted for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.errors import InputError
from rtatl_core.machine import soak as soaking
from rtatl_core.machine.soak import Wanted, judge, read_samples, soak
from rtatl_core.sessions.rows import FrameRecord
from rtatl_core.sessions.session import ClockPair, SessionWriter


def samples(leak_mb_per_hour: float = 0.0, handles_per_hour: float = 0.0, pace: int = 1) -> dict[str, np.ndarray]:
    """Two hours, a line every 5 s; memory warms up in the first minutes and wobbles by a megabyte."""
    seconds = np.arange(0, 7200, 5.0)
    rng = np.random.default_rng(0)
    warm = 500 - 80 * np.exp(-seconds / 300)
    return {
        "seconds": seconds,
        "rss_mb": warm + rng.normal(0, 1, len(seconds)) + leak_mb_per_hour * seconds / 3600,
        "handles": 40 + np.floor(handles_per_hour * seconds / 3600),
        "threads": np.full(len(seconds), 21.0),
        "captured": np.round(25 * pace * seconds),
        "analysed": np.round(25 * pace * seconds) - 3,
        "dropped": np.full(len(seconds), 3.0),
        "delay_ms": np.where(seconds < 10, np.nan, 25.0),
    }


def test_warming_up_is_no_leak_and_a_leak_is() -> None:
    calm = judge(samples())
    assert calm["steady"]
    assert abs(calm["growth_per_hour"]["rss_mb"]) < 0.5
    assert calm["frames"] == {"captured": 179875, "analysed": 179872, "dropped": 3}
    leaking = judge(samples(leak_mb_per_hour=12))
    assert leaking["growth_per_hour"]["rss_mb"] == pytest.approx(12, abs=0.5)
    assert not leaking["steady"]
    hurried = judge(samples(leak_mb_per_hour=12, pace=4))
    assert hurried["growth_per_hour"]["rss_mb"] == pytest.approx(3, abs=0.2), "an hour of frames took a quarter of one"
    assert not judge(samples(handles_per_hour=30))["steady"]


def test_a_frame_without_a_row_is_noticed(tmp_path: Path) -> None:
    clock = ClockPair(0.0, "2026-01-01T00:00:00.000000+00:00")
    with SessionWriter(tmp_path, "clip", (1, 12), {}, {}, {}, clock) as writer:
        for number in (1, 2, 5, 9):
            writer.write(FrameRecord(number, number / 30))
    assert json.loads(json.dumps(soaking._session(writer.folder, captured=9)))["unaccounted"] == 5
    assert soaking._session(writer.folder, captured=12)["unaccounted"] == 8


def test_a_recording_without_rows_lacks_all_frames(tmp_path: Path) -> None:
    clock = ClockPair(0.0, "2026-01-01T00:00:00.000000+00:00")
    with SessionWriter(tmp_path, "clip", (1, 12), {}, {}, {}, clock) as writer:
        pass
    assert soaking._session(writer.folder, captured=7)["unaccounted"] == 7


def test_too_little_to_judge_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="5 samples are too few"):
        judge({name: values[:5] for name, values in samples().items()})
    (tmp_path / "empty.csv").write_text("seconds,rss_mb\n")
    with pytest.raises(InputError, match="holds no samples"):
        read_samples(tmp_path / "empty.csv")
    with pytest.raises(InputError, match="cannot be read"):
        read_samples(tmp_path / "none.csv")


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_short_soak_of_the_real_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "FEW", 3)
    result = soak(Wanted(hours=60 / 3600, pace=3, device="cpu"), tmp_path)
    assert result["samples"] >= 3
    assert result["session"]["unaccounted"] == 0
    assert result["session"]["captured"] > 5  # a busy machine spends most of the time loading
    text = (tmp_path / "soak.md").read_text()
    assert "rows, 0 frames without one, status complete" in text


def test_a_program_that_refuses_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*gone\.mp4|gone\.mp4"):
        soak(Wanted(hours=0.01, source=str(tmp_path / "gone.mp4")), tmp_path / "out")


def test_what_is_no_text_on_stderr_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Native code writes there too, on Windows in any code page."""
    run = subprocess.run
    says = "import sys; sys.stderr.buffer.write(b'caf\\xe9 is gone\\n'); sys.exit(2)"
    monkeypatch.setattr(soaking.subprocess, "run", lambda command, **how: run([sys.executable, "-c", says], **how))
    with pytest.raises(InputError, match="is gone"):
        soak(Wanted(hours=0.01), tmp_path / "out")
