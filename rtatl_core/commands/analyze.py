"""``rtatl analyze``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rtatl_core.commands.options import above_0, add_device, add_faces, add_jobs, add_model, seconds

HELP = "videos, photos and folders of them -> session folders; resumable"
RESUMABLE = True
"""After an interruption the same command continues."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="videos, photos, or folders to search")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the session folders go")
    add_faces(sub)
    sub.add_argument(
        "--fps",
        type=above_0,
        metavar="N",
        help="the pictures of a folder are frames of a video, N per second (default: photos, each for itself)",
    )
    add_model(sub)
    add_device(sub)
    sub.add_argument(
        "--smoothing",
        type=seconds,
        metavar="S",
        help="time constant in seconds, 0 = off (default: 0.1, as of a new window)",
    )
    sub.add_argument(
        "--no-personal",
        dest="personal",
        action="store_false",
        help="do not compare a face with how the same person looked so far",
    )
    sub.add_argument(
        "--rest",
        metavar="WHEN",
        help="the person rests there, and readings count from it: seconds of each video, e.g. 0-3, or a photo or video",
    )
    add_jobs(sub)
    sub.add_argument("--cluster", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786; needs a shared disk")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.sessions.batch import Settings, analyse_all
    from rtatl_core.sessions.inputs import find_inputs
    from rtatl_core.sessions.rest import RestWhere
    from rtatl_core.temporal import SMOOTHING_S

    rest = None if options.rest is None else RestWhere.parse(options.rest)
    smoothing_s = SMOOTHING_S if options.smoothing is None else options.smoothing
    settings = Settings(options.model, options.device, options.faces, smoothing_s, options.personal, rest=rest)
    inputs = find_inputs(options.inputs)
    failed = 0
    for outcome in analyse_all(
        inputs, options.out, settings, fps=options.fps, jobs=options.jobs, cluster=options.cluster
    ):
        if outcome.error or outcome.warning:
            print(f"rtatl: {outcome.error or outcome.warning}", file=sys.stderr)
        failed += outcome.error is not None
        if outcome.folder:
            print(f"{outcome.folder}{'  (analysed before)' if outcome.skipped else ''}", flush=True)
    if failed == len(inputs):
        return 2
    return 1 if failed else 0
