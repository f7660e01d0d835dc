"""``rtatl prepare``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtatl_core.commands.options import add_jobs, positive
from rtatl_core.errors import InputError
from rtatl_core.handoffs import CHIP_SIDE

HELP = "data sets -> aligned chips for training"
RESUMABLE = True
"""After an interruption the same command continues."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    kinds = ("bp4d", "disfa", "coded", "videos", "photos", "rendered")
    meaning = "own videos with codes are 'coded', without codes 'videos'; 'rendered' is what rtatl synth makes"
    sub.add_argument("kind", choices=kinds, metavar="KIND", help=f"{', '.join(kinds)}; {meaning}")
    sub.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the data set lies")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="run again to go on after an interruption")
    sub.add_argument("--codes", type=Path, metavar="PATH", help="coded: the coding file or folder (default: in --root)")
    sub.add_argument(
        "--side", type=positive, default=CHIP_SIDE, metavar="PX", help=f"side of the chips (default {CHIP_SIDE})"
    )
    add_jobs(sub)
    sub.add_argument("--flow", choices=("dis", "tvl1"), default="", help="store this optical flow with the chips")
    sub.add_argument("--camera", choices=("left", "right"), help="disfa: which of its cameras (default left)")
    sub.add_argument(
        "--teacher", type=Path, metavar="TASK", help="MediaPipe's face_landmarker.task; its blendshapes are kept"
    )


def run(options: argparse.Namespace) -> int:
    from rtatl_core.datasets.kinds import prepare_kind

    for flag, given, kind in (("codes", options.codes, "coded"), ("camera", options.camera, "disfa")):
        if given is not None and options.kind != kind:
            raise InputError(f"--{flag} is only for prepare {kind}, and {options.kind} does not use it; leave it out")
    lines = prepare_kind(
        options.kind,
        options.root,
        options.out,
        side=options.side,
        teacher=options.teacher,
        flow=options.flow,
        camera=options.camera or "left",
        codes=options.codes,
        jobs=options.jobs,
    )
    for line in lines:
        print(line)
    return 0
