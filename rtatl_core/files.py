"""Files that are never half there: what a crash leaves is the old one or the new one. And names that are no text."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

_PATIENCE_S = (0.05, 0.1, 0.2, 0.4)


def replace_file(path: Path, text: str) -> None:
    """Puts `text` in the place of the file in one step (``put``). Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            to_disk(file)
        put(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def to_disk(file: IO[Any]) -> None:
    """What was written to the file survives a power cut from now on. Raises OSError."""
    file.flush()
    if sys.platform == "darwin":  # where fsync leaves it in the memory of the disk itself
        import fcntl

        with contextlib.suppress(OSError):  # some network disks cannot
            fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
            return
    os.fsync(file.fileno())


def put(made: Path, path: Path) -> None:
    """Gives a finished file or folder its name, in the place of a file that has it. What another program is reading is
    waited for, since Windows moves and replaces none of that: scanners for viruses read whatever is new. Raises
    OSError."""
    for patience_s in _PATIENCE_S:
        with contextlib.suppress(PermissionError):
            made.replace(path)
            return
        time.sleep(patience_s)
    made.replace(path)


def is_text(path: Path) -> bool:
    """Whether OpenCV may be given the file by its name: one of bytes that are no UTF-8, as old disks of other systems
    have, ends the whole process."""
    try:
        os.path.realpath(path).encode()
    except UnicodeEncodeError:
        return False
    return True
