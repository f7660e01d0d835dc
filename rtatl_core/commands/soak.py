"""``rtatl soak``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtatl_core.commands.options import above_0, add_device, add_model

HELP = "the desktop program for hours: memory, handles, threads, delays, frames"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--hours", type=above_0, required=True, metavar="H", help="of frames")
    sub.add_argument("--pace", type=above_0, default=1.0, metavar="P", help="play P times as fast (default 1)")
    sub.add_argument("--source", default="demo", metavar="SRC", help="demo (default) or a camera; a video plays once")
    add_model(sub)
    add_device(sub)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="samples.csv, soak.json, soak.md, session")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.machine import soak

    wanted = soak.Wanted(options.hours, options.pace, options.source, options.model, options.device)
    result = soak.soak(wanted, options.out)
    print(soak.markdown(result))
    return 0 if result["steady"] and not (result["session"] or {}).get("unaccounted") else 1
