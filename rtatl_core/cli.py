"""The ``rtatl`` command: one thin function per subcommand.

Exit codes: 0 done, 1 some inputs failed (each named), 2 wrong usage or unusable input. Progress goes to
stderr, data to files.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import rtatl_core
from rtatl_core.errors import AUError, InputError


def analyze(options: argparse.Namespace) -> int:
    from rtatl_core.analyse import analyse_video
    from rtatl_core.engine import Engine

    engine = Engine(options.model, device=options.device, max_faces=options.faces, smoothing_s=options.smoothing)
    failed = 0
    try:
        for path in options.inputs:
            try:
                done = analyse_video(path, options.out, engine)
            except InputError as error:
                print(f"rtatl: {error}", file=sys.stderr)
                failed += 1
                continue
            if done.warning:
                print(f"rtatl: {done.warning}", file=sys.stderr)
            print(done.folder)
    finally:
        engine.close()
    if failed == len(options.inputs):
        return 2
    return 1 if failed else 0


def prepare(options: argparse.Namespace) -> int:
    from rtatl_core.datasets.rendered import prepare_rendered
    from rtatl_core.datasets.videos import prepare_videos

    if options.kind == "rendered":
        report = prepare_rendered(options.root, options.out)
    else:
        report = prepare_videos(options.root, options.out, options.teacher)
    print(f"{options.out}: " + ", ".join(f"{count} {what}" for what, count in report.items()))
    return 0


def train(options: argparse.Namespace) -> int:
    from rtatl_core.publish import publish
    from rtatl_core.recipe import load_recipe
    from rtatl_core.training import EpochReport, Trainer

    trainer = Trainer(load_recipe(options.recipe, tuple(options.set)), options.out)
    if options.resume:
        trainer.resume()

    def show(report: EpochReport) -> None:
        losses = "  ".join(f"{name} {value:.3f}" for name, value in report.losses.items())
        left = report.seconds * (trainer.recipe.optim.epochs - report.epoch) / 60
        print(
            f"epoch {report.epoch}/{trainer.recipe.optim.epochs}  {losses}  held out PCC {report.held_out['pcc']:.3f} "
            f"ICC {report.held_out['icc31']:.3f}  selection {report.selection:.3f}  {left:.0f} min left",
            file=sys.stderr,
        )

    try:
        trainer.run(show)
    except KeyboardInterrupt:
        print(
            f"rtatl: stopped; go on with: rtatl train {options.recipe} --out {options.out} --resume",
            file=sys.stderr,
        )
        return 130
    print(publish(trainer))
    return 0


def export(options: argparse.Namespace) -> int:
    from rtatl_core.export import export_onnx

    path, difference = export_onnx(options.model)
    print(f"{path}: largest difference to torch {difference:.1e} (1 = FACS intensity 5)")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rtatl", description="Facial action unit analysis and training.")
    parser.add_argument("--version", action="version", version=f"rtatl {rtatl_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    sub = commands.add_parser("analyze", help="videos -> one session folder each")
    sub.add_argument("inputs", nargs="+", type=Path, metavar="VIDEO")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the session folders go")
    sub.add_argument("--faces", type=_positive, default=1, metavar="N", help="follow up to N faces (default 1)")
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    sub.add_argument(
        "--smoothing",
        type=float,
        default=0.06,
        metavar="S",
        help="time constant in seconds, 0 = off (default 0.06)",
    )
    sub.set_defaults(run=analyze)

    sub = commands.add_parser("prepare", help="data sets -> aligned chips for training")
    sub.add_argument("kind", choices=("rendered", "videos"))
    sub.add_argument("--root", type=Path, required=True, metavar="DIR")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument(
        "--teacher", type=Path, metavar="TASK", help="face_landmarker.task; stores its blendshapes (videos)"
    )
    sub.set_defaults(run=prepare)

    sub = commands.add_parser("train", help="train the tasks of a recipe; leaves a model ready to use")
    sub.add_argument("recipe", type=Path)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, log and the finished model")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. --set optim.epochs=5")
    sub.add_argument("--resume", action="store_true", help="go on from DIR/last.pt")
    sub.set_defaults(run=train)
    sub = commands.add_parser("export", help="write the network as an ONNX graph beside its weights, parity printed")
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument("--to", choices=("onnx",), default="onnx")
    sub.set_defaults(run=export)
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("write a number from 1 on")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except InputError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 2
    except AUError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rtatl: stopped", file=sys.stderr)
        return 130
