"""What a run cannot change on its way, so that it ends as the one that was begun."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from rtatl_core.errors import RecipeError
from rtatl_core.models.config import RTATLConfig
from rtatl_core.tasks.optical_flow import FlowConfig
from rtatl_core.training.initial import first_difference
from rtatl_core.training.recipe import Recipe

_SECTIONS = ("data", "tasks", "inpainting", "flow", "consistency", "augment")
"""Of these everything stays."""
_BEGINS = ("seed", "init", "init_backbone", "frozen")
_LEARNS = ("backbone_rate", "weight_decay", "clip_norm", "warmup_steps", "precision")
_STAYS = (*_BEGINS, *_LEARNS, "choose")
"""Keys of [optim] that tell where weights begin, which of them learn and how, and what the best checkpoint is."""
_STAYS_IN_EPOCH = ("steps", "labelled_batch", "unlabelled_batch")
"""Keys of [optim] that tell what an epoch is made of."""


def require_same_run(
    path: Path, state: dict[str, Any], config: RTATLConfig, recipe: Recipe, people: dict[str, list[str]], ratings: str
) -> None:
    """state: the checkpoint ``path``; earlier versions wrote less into it. people: who trains, judges and is tested
    now; ratings: sha256 of data.ratings now. Raises RecipeError."""
    there = RTATLConfig.from_json(state["config"])
    if difference := first_difference(there.to_json(), config.to_json()):
        raise RecipeError(
            f"{path} holds another network than the recipe describes: {difference}; train into another folder"
        )
    within_epoch = state["step"] > 0
    begun, now = (_what_stays(one, within_epoch) for one in (state["recipe"], recipe.to_json()))
    if difference := first_difference(begun, now):
        raise RecipeError(
            f"{path} was begun with another recipe: {difference}; set it back or train into another folder"
        )
    if state.get("people", people) != people:
        raise RecipeError(
            f"{path} was begun with other people: the data were prepared anew, and some who were trained on may "
            "be kept out now; train into another folder"
        )
    if state.get("ratings", ratings) != ratings:
        raise RecipeError(
            f"{path} was begun with other ratings: what {recipe.data.ratings} says has changed since; put the table "
            "from before back or train into another folder"
        )


def _what_stays(recipe: dict[str, Any], within_epoch: bool) -> dict[str, Any]:
    """Whom the run learns from, what, and how."""
    recipe = recipe | {"flow": dataclasses.asdict(FlowConfig()) | recipe.get("flow", {})}  # not in earlier versions
    told = {f"{section}.{key}": value for section in _SECTIONS for key, value in recipe.get(section, {}).items()}
    told.pop("data.groups", None)  # only the card is divided by them
    keys = (*_STAYS, *(_STAYS_IN_EPOCH if within_epoch else ()))
    return told | {f"optim.{key}": recipe["optim"][key] for key in keys if key in recipe["optim"]}
