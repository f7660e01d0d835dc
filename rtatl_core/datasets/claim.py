"""Folders that a command fills in several goes: each belongs to one plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtatl_core.errors import RecipeError
from rtatl_core.files import DISK_FULL, replace_file


def claim(out: Path, plan: dict[str, Any], command: str) -> None:
    """Make ``out`` this plan's folder, or find that it already is: parts of two plans would not fit together. Raises
    RecipeError when it is something else, or cannot be made."""
    note = out / "plan.json"
    if note.is_file():
        try:
            before = dict(json.loads(note.read_text(encoding="utf-8")))
        except ValueError as error:
            raise RecipeError(f"{note} is damaged ({error}); delete {out}, or name another folder") from error
        for key in (*plan, *before):
            if before.get(key) != plan.get(key):
                raise RecipeError(
                    f"{out} was begun with {key} {before.get(key)!r}, now it is {plan.get(key)!r}; "
                    "name another folder, or delete this one"
                )
        return
    if out.is_dir() and any(out.iterdir()):
        raise RecipeError(f"{out} is not empty and not a folder of 'rtatl {command}'; name an empty or a new one")
    try:
        with naming_a_full_disk(out):
            out.mkdir(parents=True, exist_ok=True)
            replace_file(note, json.dumps(plan, indent=1) + "\n")
    except OSError as error:
        raise RecipeError(f"{out} cannot be made ({error.strerror}); name a folder that you may write") from error


@contextmanager
def naming_a_full_disk(out: Path) -> Iterator[None]:
    """Raises RecipeError for the OSError of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise RecipeError(
            f"the disk of {out} is full; make room and run the same command again, finished parts are kept"
        ) from error
