"""``rtatl bench``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rtatl_core.commands.options import add_device, add_faces, add_model, positive

HELP = "how fast this machine is, stage by stage, without a window"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--source", default="demo", metavar="VIDEO", help="a video file (default: the demo clip)")
    add_model(sub)
    add_device(sub)
    add_faces(sub)
    sub.add_argument("--frames", type=positive, default=600, metavar="N", help="default 600; a short video repeats")
    sub.add_argument("--flow", action="store_true", help="predict flow as well, as with its layer on")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with the keys of au-desktop --stats")
    sub.add_argument("--compare", type=Path, metavar="FILE", help="show ratios to an earlier run's --json")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.errors import InputError
    from rtatl_core.machine import bench

    if options.json and not options.json.absolute().parent.is_dir():  # now, not after the run
        raise InputError(f"there is no folder {options.json.parent} for {options.json.name}; make it, or name another")
    before = bench.read_earlier(options.compare) if options.compare else None
    wanted = bench.Wanted(options.source, options.model, options.device, options.faces, options.frames, options.flow)
    result = bench.bench(wanted)
    print(bench.table(result, before))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0
