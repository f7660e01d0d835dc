"""What checkpoints are chosen by, and how it is measured on people who are not trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from rtatl_core.datasets.augment import AugmentConfig
from rtatl_core.datasets.loader import Source, StepPlan, load_steps
from rtatl_core.datasets.split import TrainingData
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation.agreement import coded_agreement, teacher_agreement
from rtatl_core.evaluation.metrics import varies
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.tasks.objective import Objective
from rtatl_core.training.recipe import Recipe

VALIDATION_STEPS = 20
"""Batches of held-out unlabelled faces that judge a self-supervised run."""
_CHOICES = ("teacher", "icc", "f1", "loss", "last")


@dataclass(frozen=True, slots=True)
class Choice:
    """What checkpoints are chosen by."""

    by: str

    @classmethod
    def of(cls, recipe: Recipe, data: TrainingData) -> Choice:
        """Raises RecipeError when the data do not allow the wanted one, or no task learns what it measures."""
        wanted, weights = recipe.optim.choose, recipe.tasks
        reads = weights.teacher > 0 or (data.labelled is not None and weights.intensity > 0)
        coded = _coded(data.validation) if data.labelled is not None and data.validation is not None else (False, False)
        possible = {
            "teacher": data.selection is not None and reads,
            "icc": coded[0] and reads,
            "f1": coded[1] and weights.occurrence > 0,
            "loss": data.validation is not None and data.labelled is None,
            "last": True,
        }
        if wanted == "auto":
            return cls(next(name for name in _CHOICES if possible[name]))
        if wanted not in possible:
            raise RecipeError(f"optim.choose is {wanted!r}; write auto, {', '.join(_CHOICES)}")
        if not possible[wanted]:
            raise RecipeError(
                f"optim.choose is {wanted}, but the data hold nothing to measure that by, or no task learns it; "
                "write auto"
            )
        return cls(wanted)


def _coded(source: Source) -> tuple[bool, bool]:
    """Whether an AU's intensity is coded and not always the same, and an AU both present and absent."""
    store, rows = source.store, source.rows
    if store.intensity is None or store.occurrence is None:
        return False, False
    present = store.occurrence[rows]
    told = (present == 1).any(axis=0) & (present == 0).any(axis=0)
    return bool(varies(store.intensity[rows]).any()), bool(told.any())


def validate(
    objective: Objective, data: TrainingData, choice: Choice, recipe: Recipe
) -> tuple[dict[str, float], float]:
    """Measures on held-out subjects, and the one that checkpoints are chosen by (larger is better; NaN for "last")."""
    measures: dict[str, float] = {}
    network = objective.network
    if data.validation is not None and data.labelled is not None:
        measures = coded_agreement(network, data.validation)
    elif data.validation is not None:
        measures = self_supervised_losses(objective, data.validation, recipe)
    if choice.by == "teacher":
        assert data.selection is not None
        values = predict_store(network, data.selection, np.arange(len(data.selection))).intensity
        return measures, float(np.nanmean(list(teacher_agreement(data.selection, values, data.aus).values())))
    if choice.by == "loss":
        return measures, -sum(getattr(recipe.tasks, name) * value for name, value in measures.items())
    return measures, measures.get({"icc": "icc31", "f1": "f1"}.get(choice.by, ""), float("nan"))


@torch.inference_mode()
def self_supervised_losses(objective: Objective, source: Source, recipe: Recipe) -> dict[str, float]:
    """Mean losses on faces of held-out people, the same faces, views and patches each time."""
    network = objective.network
    plan = StepPlan(
        aus=network.config.aus,
        labelled=None,
        unlabelled=(source,),
        labelled_batch=0,
        unlabelled_batch=min(64, len(source.rows)),
        steps=min(VALIDATION_STEPS, -(-len(source.rows) // 64)),
        seed=recipe.optim.seed,
        augment=AugmentConfig.none(),
        flow_to=network.config.flow_to,
        flow_gap_s=network.config.flow_gap_s,
        want_flow=recipe.tasks.flow > 0,
        want_plain=recipe.tasks.consistency > 0,
        want_taught=recipe.tasks.teacher > 0,
        want_reference=network.config.reference,
    )
    network.eval()
    device = next(network.parameters()).device
    sums: dict[str, float] = {}
    for raw in load_steps(plan, 0, 0, 0):
        for name, loss in objective(raw.to_batch(device)).items():
            sums[name] = sums.get(name, 0.0) + float(loss)
    return {name: value / plan.steps for name, value in sums.items()}
