"""Replacing files so that a crash leaves the old one or the new one, never a half; what a full disk is called; files
and names that OpenCV cannot take."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from pathlib import Path
from typing import IO, Any

from rtatl_core.errors import SourceError

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What a system calls a disk that takes no more: its own room, that of a person on it, or of one file."""
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
    """Flushes the file so that what was written survives a power cut. Raises OSError."""
    file.flush()
    if sys.platform == "darwin":  # where fsync leaves the data in the disk's own cache
        import fcntl

        with contextlib.suppress(OSError):  # some network disks cannot
            fcntl.fcntl(file.fileno(), fcntl.F_FULLFSYNC)
            return
    os.fsync(file.fileno())


def put(made: Path, path: Path) -> None:
    """Moves a finished file or folder to ``path``, replacing a file there. Tries for a second while another program has
    it open, since Windows then refuses to move it: virus scanners read whatever is new. Raises OSError."""
    for patience_s in _PATIENCE_S:
        with contextlib.suppress(PermissionError):
            made.replace(path)
            return
        time.sleep(patience_s)
    made.replace(path)


def check_ends(path: Path) -> None:
    """Raises SourceError for a pipe, a device or a socket, which would be waited for or read for ever; OSError for what
    is not there."""
    if stat.S_IFMT(path.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
        raise SourceError(f"{path} is a pipe or a device, not a file; save what it delivers, and name that file.")


def is_text(path: Path) -> bool:
    """Whether OpenCV may be given this path: a name that is not valid UTF-8, as on old disks of other systems, would
    crash the whole process."""
    try:
        os.path.realpath(path).encode()
    except UnicodeEncodeError:
        return False
    return True
