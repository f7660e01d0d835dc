"""The package openvino, without the part of its converter that would report its use: nothing leaves this machine. It is
a dependency on Linux x86-64; elsewhere it may be missing."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.util import find_spec
from typing import Any


def is_installed() -> bool:
    return find_spec("openvino") is not None


def openvino() -> Any:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it raises ImportError
    return importlib.import_module("openvino")


@cache
def core() -> Any:
    return openvino().Core()
