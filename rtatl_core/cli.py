"""The ``rtatl`` command. Each of its subcommands is a module of commands/.

Exit codes: 0 done, 1 some inputs failed (each named), 2 wrong usage or unusable input. Progress goes to
stderr, data to files.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import rtatl_core
from rtatl_core.commands import (
    ablate,
    analyze,
    audit,
    bench,
    doctor,
    evaluate,
    export,
    prepare,
    soak,
    synth,
    train,
)
from rtatl_core.errors import AUError, InputError
from rtatl_core.system import print_any_text

COMMANDS = (analyze, prepare, synth, train, ablate, evaluate, audit, export, bench, soak, doctor)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rtatl", description="Facial action unit analysis and training.")
    parser.add_argument("--version", action="version", version=f"rtatl {rtatl_core.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.__name__.rpartition(".")[2], help=command.HELP)
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    print_any_text()
    options = _parser().parse_args(arguments)
    try:
        return int(options.command.run(options))
    except InputError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 2
    except AUError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # nobody reads on, as after "| head"
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or flushing at exit would fail again
        return _stopped(options, 141)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"rtatl: {error.filename} cannot be used ({error.strerror}); name another place", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _stopped(options, 130)


def _stopped(options: argparse.Namespace, code: int) -> int:
    more = "; the same command goes on from here" if getattr(options.command, "RESUMABLE", False) else ""
    print(f"rtatl: stopped{more}", file=sys.stderr)
    return code
