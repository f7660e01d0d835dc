"""A short text that changes when what a part was prepared from does."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def fingerprint(unit: object) -> str:
    """Of all fields of a dataclass that take part in comparisons, down to the leaves. A file counts by its name and
    size, not by its place, so that a data set may be moved; what a folder holds does not count."""
    text = json.dumps(unit, default=_plain, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    """What json does not know in terms of what it knows."""
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.compare}
    if isinstance(value, Path):
        return [value.name, value.stat().st_size] if value.is_file() else "folder"
    if isinstance(value, np.ndarray):
        return [value.dtype.str, value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no fingerprint")
