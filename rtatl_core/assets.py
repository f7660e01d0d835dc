"""Where the files that come with the program lie: default weights, demo clip, icons, fonts."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def _root() -> Path:
    """The unpacked bundle of a frozen program, else the checkout around the packages, else the data folder of
    an installed wheel."""
    if hasattr(sys, "_MEIPASS"):
        return Path(sys._MEIPASS) / "assets"
    checkout = Path(__file__).resolve().parent.parent / "assets"
    return checkout if checkout.is_dir() else Path(sysconfig.get_path("data")) / "share" / "au-desktop" / "assets"


_ROOT = _root()


def asset(name: str) -> Path:
    """The path of assets/`name`. The file need not exist; whoever opens it says what is missing."""
    return _ROOT / name
