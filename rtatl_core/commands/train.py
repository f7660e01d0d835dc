"""``rtatl train``."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rtatl_core.commands.options import add_settings
from rtatl_core.errors import InputError

if TYPE_CHECKING:
    from rtatl_core.training.recipe import Recipe
    from rtatl_core.training.runlog import EpochReport

HELP = "train the tasks of a recipe; leaves a model ready to use"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, e.g. runs/finetune.toml")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, log and the finished model")
    add_settings(sub)
    sub.add_argument("--resume", action="store_true", help="go on from DIR/last.pt")


def run(options: argparse.Namespace) -> int:
    from rtatl_core import distributed
    from rtatl_core.training.crossed import runs_apart
    from rtatl_core.training.recipe import load_recipe

    recipe = load_recipe(options.recipe, tuple(options.set))
    runs = [*runs_apart(recipe, options.out), (recipe, options.out)]
    with distributed.process_group(distributed.local_device(recipe.optim.device)):
        try:
            _train(runs, resume=options.resume)
        except KeyboardInterrupt:
            if distributed.rank() == 0:
                print(_stopped(options, any((out / "last.pt").is_file() for _, out in runs)), file=sys.stderr)
            return 130
    return 0


def _train(runs: Sequence[tuple[Recipe, Path]], *, resume: bool) -> None:
    """The last run is the whole one, which is published."""
    from rtatl_core import distributed
    from rtatl_core.training.publish import publish
    from rtatl_core.training.trainer import Trainer

    whole = Trainer(*runs[-1])
    trainers = [*(Trainer(recipe, out) for recipe, out in runs[:-1]), whole]
    begun = [trainer for trainer in trainers if (trainer.out / "last.pt").is_file()]
    if begun and not resume:
        raise InputError(f"{begun[0].out} holds a run already; add --resume to go on with it, or name another --out")
    if resume and not begun:
        raise InputError(f"{whole.out} holds no last.pt, there is nothing to resume; leave --resume out")
    for trainer in begun:  # all before any trains: what cannot go on says so now
        trainer.resume()
    for trainer in trainers:
        if len(trainers) > 1 and distributed.rank() == 0:
            print(f"{trainer.out}:", file=sys.stderr)
        best = trainer.run(partial(_show, epochs=trainer.recipe.optim.epochs))
    if distributed.rank() == 0:
        print(publish(whole) if whole.data.labelled is not None else best)


def _show(report: EpochReport, epochs: int) -> None:
    measured = "  ".join(f"{name} {value:.3f}" for name, value in (report.losses | report.held_out).items())
    left = report.seconds * (epochs - report.epoch) / 60
    print(
        f"epoch {report.epoch}/{epochs}  {measured}  chosen by {report.chosen_by} {report.selection:.3f}  "
        f"{report.faces_per_s:.0f} faces/s  {left:.0f} min left",
        file=sys.stderr,
    )


def _stopped(options: argparse.Namespace, begun: bool) -> str:
    flags = [part for text in options.set for part in ("--set", text)]
    again = ["rtatl", "train", str(options.recipe), "--out", str(options.out), *flags, *(["--resume"] if begun else [])]
    return f"rtatl: stopped{' and saved' if begun else ''}; go on with: {shlex.join(again)}"
