"""``rtatl ablate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtatl_core.commands.options import add_settings, positive

HELP = "a grid of variants x label shares x seeds -> a table"
RESUMABLE = True
"""After an interruption the same command continues."""


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, e.g. runs/ablation.toml")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="run again to go on after an interruption")
    add_settings(sub)
    sub.add_argument("--jobs", type=positive, default=1, metavar="N", help="runs at a time (default 1)")


def run(options: argparse.Namespace) -> int:
    from rtatl_core.training.ablation import ablate

    print(ablate(options.recipe, options.out, tuple(options.set), options.jobs))
    return 0
