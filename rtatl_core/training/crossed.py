"""Faces that train and calibrate: a network reads faces that it was trained on better than strangers', so those of a
crossed folder (``DataConfig.crossed``) are read for the calibration by one that was trained the same way without them.
All faces thus train, and all calibrate as strangers."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rtatl_core.errors import RecipeError
from rtatl_core.training.recipe import Recipe


def runs_apart(recipe: Recipe, out: Path) -> list[tuple[Recipe, Path]]:
    """A run, and where it is kept, for each crossed folder: that of the recipe without it. None where nothing is
    labelled, and thus calibrated. Raises RecipeError when two folders have one name."""
    if not recipe.data.labelled:
        return []
    runs = [
        (dataclasses.replace(recipe, data=recipe.data.without(folder)), run_without(out, Path(folder)))
        for folder in recipe.data.crossed
    ]
    if len({path for _, path in runs}) < len(runs):
        raise RecipeError(
            "folders of data.calibration and data.unlabelled have the same name; rename one, since the run without it "
            "is called so"
        )
    return runs


def run_without(out: Path, folder: Path) -> Path:
    return out / f"without-{folder.name}"
