"""``rtatl table``."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from rtatl_core.commands.options import above_0

HELP = "session folders -> one CSV of means for SPSS, R or Excel: a row for each session, face and trial"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("sessions", nargs="+", type=Path, metavar="SESSION", help="session folders, or folders of them")
    sub.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table, e.g. study.csv")
    sub.add_argument(
        "--rest",
        metavar="A-B",
        help="the face rests from second A to B after the first frame: intensities count from its mean there",
    )
    sub.add_argument(
        "--by",
        metavar="KIND",
        help="a part begins at each event of this kind (marker, or e.g. lsl:PsychoPy; see events.csv)",
    )
    sub.add_argument("--length", type=above_0, metavar="S", help="with --by: a part lasts S seconds at most")
    sub.add_argument(
        "--before", type=above_0, metavar="S", help="with --by: intensities count from the S seconds before the event"
    )


def run(options: argparse.Namespace) -> int:
    from rtatl_core.errors import InputError
    from rtatl_core.sessions import table
    from rtatl_core.sessions.rest import stretch

    if options.by is None and (options.length or options.before):
        raise InputError("--length and --before are of the events that --by names; name their kind, e.g. --by marker")
    if options.rest and options.before:
        raise InputError("--rest and --before both say what is subtracted; leave one of them out")
    rest = None if options.rest is None else stretch(options.rest)
    if options.rest and rest is None:
        raise InputError(f"{options.rest} are no seconds; write those in which the face rests, e.g. --rest 0-5")
    table.check_out(options.out)
    cut = table.Cut((options.by or "").strip(), options.length or math.inf, options.before or 0.0)
    made = table.tabulate(table.find_sessions(options.sessions), cut, rest)
    for sentence in made.left_out:
        print(f"rtatl: {sentence}", file=sys.stderr)
    if not made.sessions:
        raise InputError("no session is left to make a table of")
    made.write(options.out)
    for sentence in made.doubts:
        print(f"rtatl: {sentence}", file=sys.stderr)
    if made.experimental:
        print(f"rtatl: experimental, so not to be trusted alone: {', '.join(made.experimental)}", file=sys.stderr)
    print(options.out)
    return 1 if made.left_out else 0
