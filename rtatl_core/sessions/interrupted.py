"""Recordings that a killed program left open are finished when it starts again: what was written becomes a session like
any other, whose status says what happened."""

from __future__ import annotations

import csv
import json
import math
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from rtatl_core.errors import SessionError
from rtatl_core.files import replace_file
from rtatl_core.sessions.session import process_mark, read_session

STATUS = "interrupted: the program ended before the recording did"
_ABANDONED_AFTER_S = 60.0
"""A recording of another computer counts as abandoned when its files have not been written for so long."""
_SAME_S = 2.0
"""What is known of when a process began, and when the computer did, is good to a second each."""


@dataclass(frozen=True, slots=True)
class Recovered:
    folder: Path
    rows: int
    seconds: float
    """Timestamp of the last row."""


def recover_sessions(root: Path) -> Iterator[Recovered]:
    """Finish every interrupted recording in ``root``. What cannot be read or written is left as it is."""
    for file in sorted(root.glob("*/session.json")):
        try:
            text = file.read_text(encoding="utf-8")
            if '"status": "recording"' not in text:
                continue
            summary = json.loads(text)
            if summary["status"] == "recording" and not _is_running(file.parent, summary.get("process")):
                yield _finish(file.parent, summary)
        except (OSError, ValueError, KeyError, TypeError, SessionError):
            continue


def _is_running(folder: Path, mark: Any) -> bool:
    try:
        if mark["host"] == platform.node():
            process = psutil.Process(mark["pid"])
            alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
            now = process_mark(process.pid)
            return bool(alive and now["boot"] == mark["boot"] and abs(now["started"] - mark["started"]) < _SAME_S)
    except psutil.NoSuchProcess:
        return False
    except (psutil.AccessDenied, KeyError, TypeError):
        pass
    written = max(file.stat().st_mtime for file in (folder / "frames.csv", folder / "session.json"))
    return time.time() - written < _ABANDONED_AFTER_S


def _finish(folder: Path, summary: dict[str, Any]) -> Recovered:
    for name in ("frames.csv", "events.csv"):
        _cut_last_line(folder / name)
    _, columns = read_session(folder, ("frame", "face_id", "timestamp", "analysed"))
    numbers, first_of_frame = np.unique(columns["frame"], return_index=True)
    analysed = int(columns["analysed"][first_of_frame].sum())
    seconds = float(columns["timestamp"][-1]) if len(numbers) else 0.0
    time_s = "" if math.isnan(seconds) else f"{seconds:.6f}"  # photos have none
    with (folder / "events.csv").open("a", newline="", encoding="utf-8") as file:
        last = int(numbers[-1]) if len(numbers) else ""
        csv.writer(file, lineterminator="\n").writerow((time_s, last, "interrupted", STATUS))
    ids = columns["face_id"][np.isfinite(columns["face_id"])]
    summary |= {
        "status": STATUS,
        "counts": {
            "captured": len(numbers),
            "analysed": analysed,
            "dropped": len(numbers) - analysed,
            "rows": len(columns["frame"]),
            "faces": len(ids) if math.isnan(seconds) else len(np.unique(ids)),  # of photos all are different
        },
    }
    replace_file(folder / "session.json", json.dumps(summary, indent=2) + "\n")
    return Recovered(folder, len(columns["frame"]), 0.0 if math.isnan(seconds) else seconds)


def _cut_last_line(path: Path) -> None:
    """Off with what no line break ends, and with all from a line on that holds zeros, where a power cut left a hole."""
    with path.open("r+b") as file:
        end = 0
        for line in file:
            if b"\0" in line or not line.endswith(b"\n"):
                file.truncate(end)
                return
            end += len(line)
