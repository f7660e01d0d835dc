"""``rtatl train``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from rtatl_core.commands.options import add_settings
from rtatl_core.errors import InputError

HELP = "train the tasks of a recipe; leaves a model ready to use"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("recipe", type=Path)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, log and the finished model")
    add_settings(sub)
    sub.add_argument("--resume", action="store_true", help="go on from DIR/last.pt")


def run(options: argparse.Namespace) -> int:
    from rtatl_core import distributed
    from rtatl_core.training.crossed import runs_apart
    from rtatl_core.training.publish import publish
    from rtatl_core.training.recipe import load_recipe
    from rtatl_core.training.runlog import EpochReport
    from rtatl_core.training.trainer import Trainer

    recipe = load_recipe(options.recipe, tuple(options.set))

    def show(report: EpochReport) -> None:
        measured = "  ".join(f"{name} {value:.3f}" for name, value in (report.losses | report.held_out).items())
        left = report.seconds * (recipe.optim.epochs - report.epoch) / 60
        print(
            f"epoch {report.epoch}/{recipe.optim.epochs}  {measured}  {report.chosen_by} {report.selection:.3f}  "
            f"{report.faces_per_s:.0f} faces/s  {left:.0f} min left",
            file=sys.stderr,
        )

    with distributed.process_group(distributed.local_device(recipe.optim.device)):
        whole = Trainer(recipe, options.out)
        trainers = [*(Trainer(one, out) for one, out in runs_apart(recipe, options.out)), whole]
        begun = [trainer for trainer in trainers if (trainer.out / "last.pt").is_file()]
        if begun and not options.resume:
            at = begun[0].out
            raise InputError(f"{at} holds a run already; add --resume to go on with it, or name another --out")
        if options.resume and not begun:
            raise InputError(f"{options.out} holds no last.pt, there is nothing to resume; leave --resume out")
        for trainer in begun:  # all before any trains: what cannot go on says so now
            trainer.resume()
        try:
            for trainer in trainers:
                if len(trainers) > 1 and distributed.rank() == 0:
                    print(f"{trainer.out}:", file=sys.stderr)
                best = trainer.run(show)
        except KeyboardInterrupt:
            if distributed.rank() == 0:
                flags = [part for text in options.set for part in ("--set", text)]
                again = ["rtatl", "train", str(options.recipe), "--out", str(options.out), *flags, "--resume"]
                print(f"rtatl: stopped and saved; go on with: {shlex.join(again)}", file=sys.stderr)
            return 130
        if distributed.rank() == 0:
            print(publish(whole) if whole.data.labelled is not None else best)
    return 0
