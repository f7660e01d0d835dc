"""``rtatl export``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtatl_core.commands.options import add_model

HELP = "write the network as an ONNX graph beside its weights, parity printed"


def add_arguments(sub: argparse.ArgumentParser) -> None:
    add_model(sub)
    sub.add_argument("--precision", choices=("fp32", "int8"), default="fp32", help="of the network (default fp32)")
    videos: dict[str, Any] = {"type": Path, "nargs": "+", "default": [], "metavar": "VIDEO"}
    sub.add_argument("--ranges-from", **videos, help="whose faces give int8 its ranges (default: the demo clip)")
    sub.add_argument(
        "--parity-on", **videos, help="on whose faces int8 or OpenVINO is compared with torch (default: the demo clip)"
    )
    sub.add_argument("--openvino", type=Path, metavar="DIR", help="also write it for OpenVINO in other programs")


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
    if options.precision == "int8":
        _print_parity("int8", parity)
    if "openvino_bf16" in parity:
        _print_parity("OpenVINO as used here (products in bfloat16)", parity["openvino_bf16"])
    for name, of_name in parity.get("openvino", {}).items():
        _print_parity(f"OpenVINO in {name} throughout", of_name)
    return 0


def _print_parity(what: str, parity: Mapping[str, Any]) -> None:
    difference = parity["au_difference"]
    print(
        f"{what}, over {parity['faces']} faces: AU difference {difference['p99']} at the 99th percentile, "
        f"{difference['max']} at most (0-5); occurrence agrees in {parity['occurrence_agreement']:.2%}"
    )
