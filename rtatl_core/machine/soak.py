"""``rtatl soak``: runs the desktop program for hours and reports its memory, handles, threads, delays and frames.

The program runs in a process of its own and records all the while, on the demo clip, which repeats; with ``pace`` over
1 as fast as frames can be analysed. It writes a line of samples every 5 seconds (au_desktop/samples.py), so a run that
dies leaves what it had. Growth is the slope of a straight line through the last half of the samples.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.errors import AUError, InputError
from rtatl_core.handoffs import Float64
from rtatl_core.machine import bench
from rtatl_core.sessions.session import read_session

FEW = 8
"""Fewest samples that can be judged."""
HOUR_FRAMES = 90_000
"""An hour of the demo clip, which has 25 frames per second: growth is told per hour of frames, as ``Wanted.hours``."""
MOST_GROWTH_MB_PER_HOUR = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    hours: float
    """Of frames: with a pace of 4 they take a quarter of that time."""
    pace: float = 1.0
    source: str = "demo"
    """Or a camera. A video file plays only once, and nothing is measured after its end."""
    model: str | None = None
    device: str = "auto"


def soak(wanted: Wanted, out: Path) -> dict[str, Any]:
    """Runs until the hours are over; writes samples.csv, soak.json and soak.md into ``out``. Raises InputError when the
    window is not installed or the program refuses, AUError when it died."""
    out.mkdir(parents=True, exist_ok=True)
    samples, stats = out / "samples.csv", out / "stats.json"
    samples.unlink(missing_ok=True)
    stats.unlink(missing_ok=True)
    before = set((out / "session").glob("*"))
    _run_program(wanted, out / "session", samples, stats)
    figures = json.loads(stats.read_text(encoding="utf-8"))
    session = next(iter(set((out / "session").glob("*")) - before), None)
    result = judge(read_samples(samples)) | {
        "hours": wanted.hours,
        "pace": wanted.pace,
        "stats": figures,
        "session": _session(session, int(figures["frames_captured"])) if session else None,
        "machine": bench.machine(),
    }
    (out / "soak.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (out / "soak.md").write_text(markdown(result), encoding="utf-8")
    return result


def _run_program(wanted: Wanted, session: Path, samples: Path, stats: Path) -> None:
    """Runs the desktop program offscreen until it has written these files. Raises as ``soak``."""
    with tempfile.TemporaryDirectory() as own:
        options = {
            "--source": wanted.source,
            "--layers": "box,landmarks,regions,pose",
            "--duration": f"{wanted.hours * 3600 / wanted.pace:.1f}",
            "--pace": f"{wanted.pace:g}",
            "--record": str(session),
            "--samples": str(samples),
            "--stats": str(stats),
            "--settings": own,
            "--device": wanted.device,
        }
        if wanted.model:
            options["--model"] = wanted.model
        done = subprocess.run(
            [sys.executable, "-m", "au_desktop", *chain.from_iterable(options.items())],
            env={"QT_QPA_PLATFORM": "offscreen"} | dict(os.environ) | {"PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    if done.returncode == 2:
        raise InputError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the program refused")
    if done.returncode or not stats.is_file():
        raise AUError(f"the program ended with code {done.returncode}; its samples are in {samples}")


def read_samples(path: Path) -> dict[str, Float64]:
    """Column -> values; an empty cell is NaN. Raises InputError for a file without samples."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); name the samples.csv of a run") from error
    if not rows:
        raise InputError(f"{path} holds no samples; let the run go on for longer")
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]}


def judge(samples: Mapping[str, Float64]) -> dict[str, Any]:
    """What the samples say; growth is per hour of frames, over the last half of the run. Raises InputError for too
    few."""
    count = len(samples["seconds"])
    if count < FEW:
        raise InputError(f"{count} samples are too few to judge; let it run for a minute at least")
    half = {name: values[count // 2 :] for name, values in samples.items()}
    hours = half["captured"] / HOUR_FRAMES
    quarter = max(1, count // 4)
    delays = samples["delay_ms"]
    growth = {name: _slope(hours, half[name]) for name in ("rss_mb", "handles", "threads")}
    captured, analysed, dropped = (int(samples[name][-1]) for name in ("captured", "analysed", "dropped"))
    return {
        "samples": count,
        "seconds": round(float(samples["seconds"][-1]), 1),
        "rss_mb": {
            "first": round(float(samples["rss_mb"][0]), 1),
            "half": round(float(half["rss_mb"][0]), 1),
            "half_range": [round(float(edge), 1) for edge in (half["rss_mb"].min(), half["rss_mb"].max())],
            "last": round(float(samples["rss_mb"][-1]), 1),
            "most": round(float(samples["rss_mb"].max()), 1),
        },
        "growth_per_hour": {name: round(value, 2) for name, value in growth.items()},
        "handles": [int(samples["handles"][0]), int(samples["handles"][-1])],
        "threads": [int(samples["threads"][0]), int(samples["threads"][-1])],
        "frames": {"captured": captured, "analysed": analysed, "dropped": dropped},
        "delay_ms": {
            "first_quarter": _median(delays[:quarter]),
            "last_quarter": _median(delays[-quarter:]),
            "most": round(float(np.nanmax(delays)), 1) if np.isfinite(delays).any() else None,
        },
        "steady": bool(growth["rss_mb"] <= MOST_GROWTH_MB_PER_HOUR and abs(growth["handles"]) < 1),
    }


def _median(values: Float64) -> float | None:
    """None where nothing was measured."""
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 1) if len(known) else None


def _slope(hours: Float64, values: Float64) -> float:
    """0 where nothing went on."""
    if np.ptp(hours) == 0:
        return 0.0
    return float(np.polyfit(hours - hours.mean(), values, 1)[0])


def _session(folder: Path, captured: int) -> dict[str, Any]:
    """Whether the recording has a row for every frame. captured: frames that the program counted; more may have come
    while it ended."""
    facts, columns = read_session(folder, ("frame",))
    numbers = np.unique(columns["frame"]).astype(int).tolist()
    last = max([captured, *numbers[-1:]])
    return {**facts["counts"], "status": facts["status"], "unaccounted": last - len(numbers)}


def markdown(result: Mapping[str, Any]) -> str:
    growth, memory, delay, session = (result[name] for name in ("growth_per_hour", "rss_mb", "delay_ms", "session"))
    frames, machine, (least, most) = result["frames"], result["machine"], memory["half_range"]
    lines = [
        f"# {result['hours']:g} hours at {result['pace']:g} times the pace",
        "",
        f"{frames['captured']:,} frames captured, {frames['analysed']:,} analysed, {frames['dropped']:,} dropped, in "
        f"{result['seconds'] / 60:.0f} minutes. {machine['cores']} cores, {machine['processor']}.",
        "",
        f"| | first | last | growth per hour ({HOUR_FRAMES:,} frames) over the last half |",
        "| --- | --- | --- | --- |",
        f"| memory, MB | {memory['first']} | {memory['last']} ({least} to {most} in that half) "
        f"| {growth['rss_mb']:+.2f} |",
        f"| handles | {result['handles'][0]} | {result['handles'][1]} | {growth['handles']:+.2f} |",
        f"| threads | {result['threads'][0]} | {result['threads'][1]} | {growth['threads']:+.2f} |",
        f"| delay to the screen, ms | {delay['first_quarter']} | {delay['last_quarter']} (most {delay['most']}) | |",
    ]
    if session:
        lines += [
            "",
            f"Recording: {session['rows']:,} rows, {session['unaccounted']} frames without one, "
            f"status {session['status']}.",
        ]
    return "\n".join(lines) + "\n"
