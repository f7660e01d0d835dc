"""Text files that are never half there: what a crash leaves is the old file or the new one. And names that are no
text."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_PATIENCE_S = (0.05, 0.1, 0.2, 0.4)


def replace_file(path: Path, text: str) -> None:
    """Puts `text` in the place of the file in one step. A file that another program is reading is waited for, since
    Windows does not let it be replaced. Raises OSError."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        for patience_s in _PATIENCE_S:
            with contextlib.suppress(PermissionError):
                temporary.replace(path)
                return
            time.sleep(patience_s)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def is_text(path: Path) -> bool:
    """Whether OpenCV may be given the file by its name: one of bytes that are no UTF-8, as old disks of other systems
    have, ends the whole process."""
    try:
        os.path.realpath(path).encode()
    except UnicodeEncodeError:
        return False
    return True
