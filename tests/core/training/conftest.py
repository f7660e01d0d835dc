"""A tiny recipe on made-up chips, and runs of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtatl_core.training.recipe import Recipe, load_recipe
from rtatl_core.training.trainer import Trainer
from tests.core.stores import write_clips, write_labelled
from tests.tables import csv_rows


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_labelled(folder / "labelled")
    write_clips(folder / "videos")
    write_clips(folder / "selection", teacher=True, name="k")
    return folder


def recipe(data: Path, *overrides: str) -> Recipe:
    path = data / "recipe.toml"
    path.write_text(
        f'name = "tiny"\ntrained_on = "made-up faces"\n[data]\nlabelled = "{(data / "labelled").as_posix()}"\n'
        f'aside = "{(data / "selection").as_posix()}"\n'
        f'unlabelled = "{(data / "videos").as_posix()}"\nselection = "{(data / "selection").as_posix()}"\n'
        "[network]\nwidth = 8\ntoken = 16\ngeometry = 16\n"
        "[optim]\nepochs = 2\nlabelled_batch = 16\nunlabelled_batch = 4\nworkers = 0\nwarmup_steps = 2\n"
        '[card.trust]\n12 = "good"\n'
    )
    return load_recipe(path, overrides)


def rows(path: Path) -> list[dict[str, str]]:
    """Of a log, without what is different every time."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "faces_per_s")} for row in csv_rows(path)]


def begun(trainer: Trainer, name: str = "last.pt") -> Path:
    """A checkpoint as it is before the first step."""
    trainer.out.mkdir(parents=True, exist_ok=True)
    trainer._save(name)
    return trainer.out / name


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
