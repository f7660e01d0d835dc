"""``rtatl export``."""

from __future__ import annotations

import argparse
from pathlib import Path

from rtatl_core.commands.options import add_model

HELP = "write the network as an ONNX graph beside its weights, parity printed"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    add_model(sub)
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


def run(options: argparse.Namespace) -> int:
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
