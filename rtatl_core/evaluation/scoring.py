"""Models x coded data -> what each said of the subjects it must be tested on, ready for the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.protocols import fold_count, require_apart, test_subjects
from rtatl_core.datasets.split import names_of, only_aus
from rtatl_core.distributed import local_device
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation.measures import Scored
from rtatl_core.evaluation.readings import read_store
from rtatl_core.weights import Model, load_model


def score(
    models: Sequence[str | Path], folders: Sequence[Path], protocol: str, *, fold: int = 0, device: str = "auto"
) -> tuple[Scored, str]:
    """Predictions of every model on its test subjects, put together; and what the models were trained on, in words.

    With a protocol each model is tested on the fold that its card names (``fold`` overrides, for one model alone);
    without one, on everybody in the data. Raises RecipeError when a test subject was trained on or helped to choose or
    calibrate the model, two models test the same fold, or the data do not fit.
    """
    store = ChipStore.open(*folders)
    if store.intensity is None:
        raise RecipeError(f"{store.folder} has no AU codes to evaluate against; prepare coded data")
    if not protocol and len(models) > 1:
        raise RecipeError("several models need --protocol, which gives each its fold")
    if fold and (not protocol or len(models) > 1):
        raise RecipeError("--fold is for one model and the folds of a --protocol; name that, or leave --fold out")
    parts: list[Scored] = []
    trained_on: list[str] = []
    for name in models:
        model = load_model(name)
        number = _fold_of(model, protocol, fold) if protocol else 1
        if any(part.folds[0] == number for part in parts):
            raise RecipeError(f"two models were trained for fold {number}; give one model for each fold")
        parts.append(_score_one(model, store, protocol, number, device))
        trained_on.append(_trained_on(model, store))
    aus = parts[0].aus
    if any(part.aus != aus for part in parts):
        raise RecipeError("the models know different AUs; evaluate them one by one")
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (
            "subjects",
            "folds",
            "intensity",
            "probability",
            "true_intensity",
            "true_occurrence",
            "yaw_deg",
        )
    }
    coded = all(part.coded for part in parts)
    return Scored(aus=aus, **joined, coded=coded, unknown=parts[0].unknown), "; ".join(sorted(set(trained_on)))


def _trained_on(model: Model, store: ChipStore) -> str:
    """In words, with what counts as present there if the data count otherwise: F1 then tells of both rules."""
    said, rule = str(model.facts["trained_on"]), model.facts.get("occurrence_rule", store.occurrence_rule)
    if rule == store.occurrence_rule:
        return said
    return f"{said} (present means there: {rule}; in these data: {store.occurrence_rule})"


def _fold_of(model: Model, protocol: str, wanted: int) -> int:
    fold_count(protocol)  # refuses a protocol that there is not
    data: dict[str, Any] = model.facts.get("training", {}).get("recipe", {}).get("data", {})
    if wanted:
        return wanted
    if data.get("protocol") != protocol or not data.get("fold"):
        raise RecipeError(
            f"the card of {model.name} names no fold of {protocol}; say which with --fold, if it never saw that fold's "
            "subjects"
        )
    return int(data["fold"])


def _score_one(model: Model, store: ChipStore, protocol: str, fold: int, device: str) -> Scored:
    aus = tuple(au for au in model.aus if au in store.aus)
    if not aus:
        raise RecipeError(f"{model.name} knows none of the AUs coded in {store.folder}")
    unknown = tuple(au for au in store.aus if au not in aus)
    store = only_aus(store, aus)
    names = [str(name) for name in np.unique(store.subjects)]
    test = test_subjects(protocol, fold, names) if protocol else frozenset(names)
    rows = np.flatnonzero(np.isin(store.subjects, sorted(test)) & store.labelled)
    if not len(rows):
        raise RecipeError(f"nobody to test {model.name} on is coded for its AUs in {store.folder}; name other data")
    for key, what in (("subjects", "training"), ("judged_by", "calibration")):
        people = model.facts.get("training", {}).get(key, [])
        require_apart(
            people, names_of(store, rows), trained=f"in the {what} of {model.name}", tested=f"in {store.folder}"
        )
    intensity, probability = read_store(model.network.to(local_device(device)), model.calibration, store, rows)
    columns = [model.aus.index(au) for au in aus]
    assert store.intensity is not None
    assert store.occurrence is not None
    return Scored(
        aus=aus,
        subjects=store.subjects[rows],
        folds=np.full(len(rows), fold, np.int64),
        intensity=intensity[:, columns],
        probability=probability[:, columns],
        true_intensity=store.intensity[rows],
        true_occurrence=store.occurrence[rows],
        yaw_deg=store.yaw[rows],
        coded=bool(store.coded[rows].all()),
        unknown=unknown,
    )
