"""The ``rtatl`` command: one thin function per subcommand.

Exit codes: 0 done, 1 some inputs failed (each named), 2 wrong usage or unusable input. Progress goes to
stderr, data to files.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import rtatl_core
from rtatl_core.errors import AUError, InputError
from rtatl_core.synthetic import command as synth_command


def analyze(options: argparse.Namespace) -> int:
    from rtatl_core.sessions.batch import Settings, analyse_all
    from rtatl_core.sessions.inputs import find_inputs
    from rtatl_core.temporal import SMOOTHING_S

    smoothing_s = SMOOTHING_S if options.smoothing is None else options.smoothing
    settings = Settings(options.model, options.device, options.faces, smoothing_s, options.personal)
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


def prepare(options: argparse.Namespace) -> int:
    from rtatl_core.datasets.kinds import prepare_kind

    lines = prepare_kind(
        options.kind,
        options.root,
        options.out,
        side=options.side,
        margin=round(options.side / 7),
        teacher=options.teacher,
        flow=options.flow,
        camera=options.camera,
        codes=options.codes,
        jobs=options.jobs,
    )
    for line in lines:
        print(line)
    return 0


def train(options: argparse.Namespace) -> int:
    from rtatl_core.training import distributed
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
        if not options.resume and (options.out / "last.pt").is_file():
            raise InputError(f"{options.out} holds a run already; add --resume to go on with it, or name another --out")
        trainer = Trainer(recipe, options.out)
        if options.resume:
            trainer.resume()
        try:
            best = trainer.run(show)
        except KeyboardInterrupt:
            if distributed.rank() == 0:
                flags = [part for text in options.set for part in ("--set", text)]
                again = ["rtatl", "train", str(options.recipe), "--out", str(options.out), *flags, "--resume"]
                print(f"rtatl: stopped and saved; go on with: {shlex.join(again)}", file=sys.stderr)
            return 130
        if distributed.rank() == 0:
            print(publish(trainer) if trainer.data.labelled is not None else best)
    return 0


def ablate(options: argparse.Namespace) -> int:
    from rtatl_core.training.ablation import ablate as run_grid

    print(run_grid(options.recipe, options.out, tuple(options.set), options.jobs))
    return 0


def evaluate(options: argparse.Namespace) -> int:
    from rtatl_core.card import find_model
    from rtatl_core.evaluation.measures import measure
    from rtatl_core.evaluation.published_tables import PUBLISHED
    from rtatl_core.evaluation.report import write_report
    from rtatl_core.evaluation.scoring import score

    card = find_model(options.card) if options.card else None
    scored, trained_on = score(options.model, options.data, options.protocol, fold=options.fold, device=options.device)
    result = measure(scored, resamples=options.resamples)
    title = f"{', '.join(Path(str(name)).stem for name in options.model)} on {', '.join(f.name for f in options.data)}"
    published = PUBLISHED.get(options.protocol)  # other protocols' numbers cannot be compared
    write_report(result, scored, options.out, title=title, trained_on=trained_on, published=published)
    print(options.out / "report.md")
    if card is not None:
        from rtatl_core.card_text import add_evaluation

        print(add_evaluation(card, options.title or title, result))
    return 0


def audit(options: argparse.Namespace) -> int:
    from rtatl_core.evaluation import audit as auditing

    result = auditing.audit(
        options.model,
        options.clips,
        options.photos,
        groups=options.groups,
        ratings=options.ratings,
        stills=options.stills,
    )
    print(auditing.write(result, options.out))
    if options.card:
        from rtatl_core.card import find_model
        from rtatl_core.card_text import add_audit

        print(add_audit(find_model(options.model), result))
    return 0


def export(options: argparse.Namespace) -> int:
    from rtatl_core.runtimes.export import export_onnx

    path, parity = export_onnx(
        options.model,
        options.precision,
        ranges_from=options.ranges_from,
        parity_on=options.parity_on,
        openvino=options.openvino,
    )
    print(f"{path}: largest difference to torch {parity['raw_difference']:.1e} (1 = FACS intensity 5)")
    told_of = {
        "int8": parity,
        "OpenVINO as used here (bfloat16, landmarks in float32)": parity.get("openvino_bf16", {}),
        **{f"OpenVINO in {name} throughout": told for name, told in parity.get("openvino", {}).items()},
    }
    for name, told in told_of.items():
        if "au_difference" in told:
            difference = told["au_difference"]
            print(
                f"{name}, over {told['faces']} faces: AU difference {difference['p99']} at the 99th percentile, "
                f"{difference['max']} at most (0-5); occurrence agrees in {told['occurrence_agreement']:.2%}"
            )
    return 0


def bench(options: argparse.Namespace) -> int:
    import json

    from rtatl_core.machine import bench as benching

    before = benching.read_earlier(options.compare) if options.compare else None
    wanted = benching.Wanted(options.source, options.model, options.device, options.faces, options.frames, options.flow)
    result = benching.bench(wanted)
    print(benching.table(result, before))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def doctor(options: argparse.Namespace) -> int:
    import json

    from rtatl_core.machine.doctor import State, as_json, examine, line

    findings = []
    for finding in examine():
        findings.append(finding)
        if not options.json:
            print(line(finding), flush=True)
    if options.json:
        print(json.dumps(as_json(findings), indent=1))
    return 1 if any(finding.state is State.BAD for finding in findings) else 0


def soak(options: argparse.Namespace) -> int:
    from rtatl_core.machine import soak as soaking

    wanted = soaking.Wanted(options.hours, options.pace, options.source, options.model, options.device)
    result = soaking.soak(wanted, options.out)
    print(soaking.markdown(result))
    return 0 if result["steady"] and not (result["session"] or {}).get("unaccounted") else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rtatl", description="Facial action unit analysis and training.")
    parser.add_argument("--version", action="version", version=f"rtatl {rtatl_core.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    sub = commands.add_parser("analyze", help="videos, photos and folders of them -> session folders; resumable")
    sub.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="videos, photos, or folders to search")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the session folders go")
    sub.add_argument("--faces", type=_positive, default=1, metavar="N", help="follow up to N faces (default 1)")
    sub.add_argument(
        "--fps",
        type=_above_0,
        metavar="N",
        help="the pictures of a folder are frames of a video, N per second (default: photos, each for itself)",
    )
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    sub.add_argument(
        "--smoothing",
        type=_seconds,
        metavar="S",
        help="time constant in seconds, 0 = off (default: that of the window)",
    )
    sub.add_argument(
        "--no-personal",
        dest="personal",
        action="store_false",
        help="do not compare a face with how the same person looked so far",
    )
    sub.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    sub.add_argument("--cluster", metavar="ADDRESS", help="Dask scheduler, e.g. tcp://host:8786; needs a shared disk")
    sub.set_defaults(run=analyze)

    sub = commands.add_parser("prepare", help="data sets -> aligned chips for training")
    sub.add_argument("kind", choices=("bp4d", "disfa", "coded", "videos", "photos", "rendered"))
    sub.add_argument("--root", type=Path, required=True, metavar="DIR", help="where the data set lies")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="run again to go on after an interruption")
    sub.add_argument("--codes", type=Path, metavar="PATH", help="coded: the coding file or folder (default: in --root)")
    sub.add_argument("--side", type=_positive, default=112, metavar="PX", help="side of the chips (default 112)")
    sub.add_argument(
        "--jobs", type=_positive, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
    )
    sub.add_argument("--flow", choices=("dis", "tvl1"), default="", help="store this optical flow with the chips")
    sub.add_argument("--camera", choices=("left", "right"), default="left", help="disfa: which of its cameras")
    sub.add_argument(
        "--teacher", type=Path, metavar="TASK", help="face_landmarker.task; stores its blendshapes (videos)"
    )
    sub.set_defaults(run=prepare, goes_on=True)

    sub = commands.add_parser("synth", help="labelled faces from 3D rigs: stills, clips, exact AUs and flow")
    synth_command.add_arguments(sub)
    sub.set_defaults(run=synth_command.run, goes_on=True)

    sub = commands.add_parser("train", help="train the tasks of a recipe; leaves a model ready to use")
    sub.add_argument("recipe", type=Path)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, log and the finished model")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. --set optim.epochs=5")
    sub.add_argument("--resume", action="store_true", help="go on from DIR/last.pt")
    sub.set_defaults(run=train)
    sub = commands.add_parser("ablate", help="a grid of variants x label shares x seeds -> a table")
    sub.add_argument("recipe", type=Path)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="run again to go on after an interruption")
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. --set optim.epochs=5")
    sub.add_argument("--jobs", type=_positive, default=1, metavar="N", help="runs at a time (default 1)")
    sub.set_defaults(run=ablate, goes_on=True)

    sub = commands.add_parser("evaluate", help="models x coded data -> report with intervals, tables and plots")
    sub.add_argument("--model", nargs="+", required=True, metavar="M", help="one model, or one for each fold")
    sub.add_argument("--data", nargs="+", type=Path, required=True, metavar="DIR", help="folders of rtatl prepare")
    sub.add_argument("--protocol", default="", metavar="P", help="bp4d, disfa, bp4d-fera or subjects:K")
    sub.add_argument("--fold", type=int, default=0, metavar="K", help="the fold to test on, if the card names none")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--resamples", type=_positive, default=1000, metavar="N", help="of the bootstrap (default 1000)")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda")
    sub.add_argument("--card", metavar="M", help="put the numbers into this model's card, and write it in words")
    sub.add_argument("--title", metavar="TEXT", help="with --card: what was measured (default: the names)")
    sub.set_defaults(run=evaluate)

    sub = commands.add_parser("audit", help="a model on real faces without codes: rest, pose, flicker, groups")
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument(
        "--clips", nargs="+", type=Path, default=[], metavar="DIR", help="of rtatl prepare videos --teacher"
    )
    sub.add_argument(
        "--photos", nargs="+", type=Path, default=[], metavar="DIR", help="of rtatl prepare photos --teacher"
    )
    sub.add_argument("--groups", type=Path, metavar="CSV", help="photo's file name, then columns of groups")
    sub.add_argument("--ratings", type=Path, metavar="CSV", help="AUs that raters saw on them: image,AU01,AU02,...")
    sub.add_argument("--card", action="store_true", help="put the numbers into the model's card, and write it in words")
    sub.add_argument("--stills", nargs="+", type=Path, default=[], metavar="PICTURE", help="for the flicker test")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.set_defaults(run=audit)

    sub = commands.add_parser("export", help="write the network as an ONNX graph beside its weights, parity printed")
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="of the network (default fp32)")
    for option, what in (("--ranges-from", "int8's ranges are taken"), ("--parity-on", "its parity is measured")):
        sub.add_argument(
            option, type=Path, nargs="+", default=[], metavar="VIDEO", help=f"on whose faces {what} (default: demo)"
        )
    sub.add_argument(
        "--openvino",
        type=Path,
        metavar="DIR",
        help="for other programs: write it there for OpenVINO, too",
    )
    sub.set_defaults(run=export)

    sub = commands.add_parser("bench", help="how fast this machine is, stage by stage, without a window")
    sub.add_argument("--source", default="demo", metavar="VIDEO", help="a video file (default: the demo clip)")
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    sub.add_argument("--faces", type=_positive, default=1, metavar="N", help="follow up to N faces (default 1)")
    sub.add_argument("--frames", type=_positive, default=600, metavar="N", help="default 600; a short video repeats")
    sub.add_argument("--flow", action="store_true", help="predict flow as well, as with its layer on")
    sub.add_argument("--json", type=Path, metavar="FILE", help="write the numbers, with the keys of au-desktop --stats")
    sub.add_argument("--compare", type=Path, metavar="FILE", help="show ratios to an earlier run's --json")
    sub.set_defaults(run=bench)

    sub = commands.add_parser("soak", help="the desktop program for hours: memory, handles, threads, delays, frames")
    sub.add_argument("--hours", type=_above_0, required=True, metavar="H", help="of frames")
    sub.add_argument("--pace", type=_above_0, default=1.0, metavar="P", help="play P times as fast (default 1)")
    sub.add_argument("--source", default="demo", metavar="SRC", help="video file, camera, or demo (default)")
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="samples.csv, soak.json, soak.md, session")
    sub.set_defaults(run=soak)

    sub = commands.add_parser("doctor", help="what works on this machine, and the remedy for what does not")
    sub.add_argument("--json", action="store_true", help="for programs and bug reports")
    sub.set_defaults(run=doctor)
    return parser


def _positive(text: str) -> int:
    value = _number(text)
    if value < 1 or value % 1:
        raise argparse.ArgumentTypeError("write a whole number from 1 on")
    return int(value)


def _above_0(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("write a number above 0")
    return value


def _seconds(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError("write seconds from 0 on")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no number")
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the terminal cannot show must not end the work
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except InputError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 2
    except AUError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.filename is None:
            raise
        print(f"rtatl: {error.filename} cannot be used ({error.strerror}); name another place", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        more = "; the same command goes on from here" if getattr(options, "goes_on", False) else ""
        print(f"rtatl: stopped{more}", file=sys.stderr)
        return 130
