"""Arguments that several commands share, and types for numbers on the command line."""

from __future__ import annotations

import argparse
import math

from rtatl_core.system import cores


def add_model(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--model", help="name of a bundled model or a .safetensors file")


def add_device(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")


def add_faces(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--faces", type=positive, default=1, metavar="N", help="follow up to N faces (default 1)")


def add_jobs(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--jobs", type=positive, default=cores(), metavar="N", help="processes (default: all cores)")


def add_settings(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. --set optim.epochs=5")


def positive(text: str) -> int:
    value = _number(text)
    if value < 1 or value % 1:
        raise argparse.ArgumentTypeError("write a whole number from 1 on")
    return int(value)


def natural(text: str) -> int:
    value = _number(text)
    if value < 0 or value % 1:
        raise argparse.ArgumentTypeError("write a whole number from 0 on")
    return int(text) if text.isdecimal() else int(value)  # a float rounds long seeds


def above_0(text: str) -> float:
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("write a number above 0")
    return value


def seconds(text: str) -> float:
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
