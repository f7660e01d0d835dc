"""What was read of a rig, kept in the user's cache folder: reading it again takes seconds to a minute."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from rtatl_core.errors import InputError


def kept(name: str, read: Callable[[], Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The arrays kept under that name; where there are none, or damaged ones, those that ``read`` gives. Raises
    InputError when they cannot be written; nothing half written stays."""
    file = user_cache_path("au-desktop") / "rigs" / f"{name}.npz"
    if not zipfile.is_zipfile(file):
        arrays = read()
        unfinished = file.with_suffix(f".{os.getpid()}.part.npz")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(unfinished, **arrays)
            unfinished.replace(file)
        except OSError as error:
            raise InputError(
                f"what was read of the rig cannot be kept in {file.parent} ({error.strerror}); make room there, or "
                "give yourself the right to write"
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)
    with np.load(file) as stored:
        return {name: stored[name] for name in stored.files}
