"""The ``au-desktop`` command: flags, and what must be in order before Qt starts.

Enters: the command line and the environment; leaves: ``app.run`` with a ``Launch``, or one sentence on stderr and exit
code 2 when the machine lacks something.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import rtatl_core
from au_desktop.settings import LAYERS, MOST_FACES, host_and_port
from rtatl_core.system import (
    APT_LINE,
    drop_unread,
    folder_is_gone,
    has_screen,
    missing_libraries,
    parsed,
    print_any_text,
)

if TYPE_CHECKING:
    from au_desktop.launch import Launch

LARGEST_WINDOW = 10_000
"""Pixels a side. Far larger ones take all memory there is."""
HEADLESS_SECONDS = 20.0
HEADLESS_SIZE = (1280, 800)
HEADLESS_FOLDER = Path("sessions")


def main(argv: Sequence[str] | None = None) -> int:
    print_any_text()
    if gone := folder_is_gone():
        _say(gone)
        return 2
    arguments = parsed(_parser(), argv)
    if arguments.settings is not None:
        os.environ["AU_DESKTOP_HOME"] = str(arguments.settings)
    headless = not has_screen()
    if headless:
        _say("there is no screen (DISPLAY and WAYLAND_DISPLAY are not set); running offscreen instead.")
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
    missing = missing_libraries()
    if missing:
        return _lacking(", ".join(missing))
    try:
        # OpenCV points Qt at plugins of its own, older Qt. Importing it here and taking that back leaves Qt's own
        # messages true, whoever imports cv2 later.
        import cv2  # noqa: F401

        os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)
        os.environ.pop("QT_QPA_FONTDIR", None)
        from au_desktop import app
        from au_desktop.runtime.awake import awake
    except ImportError as error:
        if "shared object" not in str(error):
            raise
        return _lacking(str(error).partition(":")[0])
    with awake():
        return app.run(_launch(arguments, headless))


def start() -> NoReturn:
    """The command, as installed. A thread may still be inside native code (loading a model, reading a silent camera).
    Interpreter shutdown would kill it there and abort the process, so we flush and call os._exit instead."""
    code = main()
    drop_unread()
    if any(thread.daemon and thread.is_alive() for thread in threading.enumerate()):
        os._exit(code)
    raise SystemExit(code)


def _launch(arguments: argparse.Namespace, headless: bool) -> Launch:
    from au_desktop.launch import Launch

    launch = Launch(**{field.name: getattr(arguments, field.name) for field in fields(Launch)})
    return _for_nobody(launch) if headless else launch


def _for_nobody(launch: Launch) -> Launch:
    """Without a screen the program shows that it works: the demo, for a while, recorded and photographed."""
    return replace(
        launch,
        source=launch.source or "demo",
        duration=launch.duration or HEADLESS_SECONDS,
        record=launch.record or HEADLESS_FOLDER,
        screenshot=launch.screenshot or HEADLESS_FOLDER / "au-desktop.png",
        size=launch.size or HEADLESS_SIZE,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="au-desktop", description="Facial action units, live.")
    add = parser.add_argument
    add("--version", action="version", version=f"au-desktop {rtatl_core.__version__}")
    add("--source", metavar="SRC", help="camera name or number, video or photo file, stream address, or demo")
    add("--model", metavar="M", help="weights to use instead of the built-in ones")
    add("--device", metavar="D", help="auto, cpu, cuda, cuda:1, mps")
    add("--faces", metavar="N", type=_count, help=f"how many faces to follow (1-{MOST_FACES})")
    add("--theme", choices=("dark", "light", "system"))
    add("--layers", metavar="L", type=_layers, help=f"all, or some of {','.join(LAYERS)}")
    add("--size", metavar="WxH", type=_size, help="size of the window, for example 1280x800")
    add("--lsl", action="store_true", default=None, help="send the numbers to the Lab Streaming Layer")
    add("--osc", metavar="HOST:PORT", type=_address, help="send the numbers as OSC messages")
    add("--film", action="store_true", default=None, help="keep a camera's picture in recordings, beside the numbers")
    add("--settings", metavar="DIR", type=Path, help="folder of the settings instead of the usual one")
    script = parser.add_argument_group("scripted use")
    script.add_argument("--record", metavar="DIR", type=Path, help="record at once; session folder in DIR")
    script.add_argument("--duration", metavar="S", type=_seconds, help="close after so many seconds")
    script.add_argument("--screenshot", metavar="PNG", type=Path, help="save the window before closing")
    script.add_argument("--stats", metavar="JSON", type=Path, help="write counters, delays and costs")
    script.add_argument("--samples", metavar="CSV", type=Path, help="write a line of costs and counts every 5 seconds")
    script.add_argument("--pace", metavar="P", type=_seconds, default=1.0, help="play a file P times as fast")
    script.add_argument("--camera-fps", metavar="F", type=_seconds, help="play a file as a camera of F frames a second")
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= MOST_FACES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of faces; write 1 to {MOST_FACES}")
    return int(text)


def _address(text: str) -> str:
    try:
        host_and_port(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write seconds, for example 20")
    return seconds


def _layers(text: str) -> tuple[str, ...]:
    names = LAYERS if text == "all" else tuple(name for name in text.split(",") if name)
    if not set(names) <= set(LAYERS):
        raise argparse.ArgumentTypeError(f"{text!r} names no layers; write all, or some of {','.join(LAYERS)}")
    return names


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not all(side.isdigit() and 0 < int(side) <= LARGEST_WINDOW for side in (width, height)):
        raise argparse.ArgumentTypeError(f"{text!r} is no window size; write it like 1280x800")
    return int(width), int(height)


def _lacking(what: str) -> int:
    _say(f"this machine lacks {what}; install what the window needs with: {APT_LINE}")
    return 2


def _say(text: str) -> None:
    print(f"au-desktop: {text}", file=sys.stderr)


if __name__ == "__main__":
    start()
