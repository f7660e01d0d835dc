"""The ``rtatl`` command. Each of its subcommands is a module of commands/.

Exit codes: 0 done, 1 some inputs failed (each named), 2 wrong usage or unusable input. Progress goes to
stderr, data to files.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType

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
    table,
    train,
)
from rtatl_core.errors import AUError, InputError
from rtatl_core.files import DISK_FULL
from rtatl_core.system import drop_unread, folder_is_gone, parsed, print_any_text

_ENDS = ("SIGTERM", "SIGHUP")
"""What a system sends when it shuts down or a job's time is over, and what a terminal does that is closed (not on
Windows). They end a command as Ctrl-C does."""
COMMANDS = (analyze, table, prepare, synth, train, ablate, evaluate, audit, export, bench, soak, doctor)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rtatl", description="Facial action unit analysis and training.")
    parser.add_argument("--version", action="version", version=f"rtatl {rtatl_core.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = commands.add_parser(command.__name__.rpartition(".")[2], help=command.HELP, description=command.HELP)
        command.add_arguments(sub)
        sub.set_defaults(command=command)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code."""
    print_any_text()
    if gone := folder_is_gone():
        print(f"rtatl: {gone}", file=sys.stderr)
        return 2
    options = parsed(_parser(), arguments)
    try:
        with _ended_gently():
            return int(options.command.run(options))
    except InputError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 2
    except AUError as error:
        print(f"rtatl: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # nobody reads on, as after "| head"
        drop_unread()
        return _stopped(options, 141)
    except OSError as error:
        if error.errno in DISK_FULL:
            place = error.filename or "a disk that is written to"
            print(f"rtatl: {place} takes no more ({error.strerror}); make room, or name another place", file=sys.stderr)
            drop_unread()
            return 2
        if error.filename is None:
            raise
        print(f"rtatl: {error.filename} cannot be used ({error.strerror}); name another place", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        return _stopped(options, 128 + (getattr(signal, str(error)) if str(error) in _ENDS else signal.SIGINT))


@contextlib.contextmanager
def _ended_gently() -> Iterator[None]:
    """Signals that end a process raise KeyboardInterrupt meanwhile, so that files are closed; nohup's is ignored on."""

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    numbers = [getattr(signal, name) for name in _ENDS if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    taken = [number for number in numbers if before[number] is signal.SIG_DFL]
    try:
        for number in taken:
            signal.signal(number, end)
    except ValueError:  # not in the main thread: whoever runs it there ends it otherwise
        taken = []
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, before[number])


def _stopped(options: argparse.Namespace, code: int) -> int:
    more = "; the same command goes on from here" if getattr(options.command, "RESUMABLE", False) else ""
    with contextlib.suppress(OSError):  # a terminal that is gone
        print(f"rtatl: stopped{more}", file=sys.stderr)
    return code
