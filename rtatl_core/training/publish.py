"""Checkpoint -> model file with card: calibrates the output and measures what the card states."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.calibration import Calibration
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.groups import GroupTable, divisions
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.rendered import OCCURRENCE_RULE as FACS_A
from rtatl_core.datasets.split import TrainingData
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation.agreement import clip_agreement
from rtatl_core.evaluation.flow import flow_error, flow_gain
from rtatl_core.evaluation.metrics import f1, icc31, mae, pcc, rounded, varies
from rtatl_core.evaluation.pose import pose_where_absent
from rtatl_core.evaluation.rated import against_ratings, against_ratings_by_group
from rtatl_core.evaluation.readings import Predicted, predict_store, read_store
from rtatl_core.evaluation.trust import TRUST_RULE, trust
from rtatl_core.facs import MAX_INTENSITY, OCCURS, au_label
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL
from rtatl_core.training.crossed import run_without
from rtatl_core.training.fit_calibration import (
    Heard,
    fit_calibration,
    real_output,
    seen_output,
    spread,
)
from rtatl_core.training.initial import load_checkpoint
from rtatl_core.training.level_sides import level_sides
from rtatl_core.training.recipe import Recipe
from rtatl_core.training.trainer import Trainer
from rtatl_core.weights import save_model

_REFERENCE = "mean per-clip PCC with MediaPipe's blendshapes"


class _Labelled(NamedTuple):
    """Held-out coded faces, and what the network says of them before calibration."""

    source: Source
    said: Predicted
    truth: Float32
    """(n, n_aus) intensity on 0-5, NaN = not coded."""
    present: Float32
    """(n, n_aus) 0 or 1, NaN = not coded."""

    @classmethod
    def of(cls, source: Source, network: RTATL) -> Self:
        store, rows = source.store, source.rows
        assert store.intensity is not None
        assert store.occurrence is not None
        return cls(source, predict_store(network, store, rows), store.intensity[rows], store.occurrence[rows])


def publish(trainer: Trainer) -> Path:
    """Calibrate the best checkpoint of a finished run, measure it, and write ``<out>/<name>.safetensors`` and
    ``.json``. Raises RecipeError for a self-supervised run, which makes a beginning for others but no model."""
    data, recipe = trainer.data, trainer.recipe
    if data.labelled is None or data.validation is None:
        raise RecipeError(
            "a self-supervised run has no AUs to publish; name its best.pt as optim.init of another recipe"
        )
    network, state = _best(trainer, trainer.out)
    aus = network.config.aus
    tempered = _temper_flow(network, data.selection)
    level_sides(network, _real_faces(data))
    labelled = _Labelled.of(data.validation, network)
    crossed = _crossed(trainer)
    calibration = _calibrated(network, labelled, data, crossed, taught=_taught(data.labelled, recipe))
    measured = _measured(network, calibration, labelled, data) | _of_strangers(crossed, calibration, aus, data.groups)
    by_author = recipe.card.get("trust", {})
    description = {
        "name": recipe.name,
        "trained_on": recipe.trained_on,
        "trust": trust(aus, measured, by_author),
        "trust_by_author": by_author,
        "trust_rule": TRUST_RULE,
        **{key: text for key, text in recipe.card.items() if key != "trust"},
        **tempered,
        "occurrence_rule": data.validation.store.occurrence_rule,
        "training": {
            "epoch": state["epoch"],
            "chosen_by": trainer.choice.by,
            "recipe": {key: value for key, value in recipe.to_json().items() if key != "card"},
            "subjects": state["subjects"],
            "judged_by": trainer.judges,
        },
        "measured": measured,
    }
    path = trainer.out / f"{recipe.name}.safetensors"
    save_model(path, network.cpu(), calibration, description)
    return path


class _Crossed(NamedTuple):
    """A folder's faces that train and calibrate, and a network that trained without them."""

    source: Source
    network: RTATL


def _best(trainer: Trainer, out: Path) -> tuple[RTATL, dict[str, Any]]:
    """The network of ``out``'s checkpoint, which is like the trainer's, and what else is in it."""
    state = load_checkpoint(out / "best.pt")
    decoders = {name: getattr(trainer.network, name) is not None for name in ("flow", "inpainting")}
    network = RTATL(trainer.network.config, **decoders)
    network.load_state_dict(state["network"])
    return network.to(trainer.device), state  # under torchrun a process has but one thread of the CPU


def _real_faces(data: TrainingData) -> list[Source]:
    """Those that did not train with codes, of clips a few frames; rendered ones where there are none."""
    assert data.validation is not None
    faces = [*data.unlabelled, *map(Source.whole, data.calibration), data.validation]
    few = [one._replace(rows=one.rows[spread(one.store, one.rows)]) for one in faces]
    real = [one._replace(rows=one.rows[~one.store.rendered[one.rows]]) for one in few]
    return [one for one in real if len(one.rows)] or few[-1:]


def _crossed(trainer: Trainer) -> list[_Crossed]:
    sources = [source for source in trainer.data.unlabelled if source.store.folder in trainer.data.crossed]
    return [_Crossed(one, _best(trainer, run_without(trainer.out, one.store.folder))[0]) for one in sources]


def _taught(trained: Source, recipe: Recipe) -> NDArray[np.bool_]:
    """(n_aus,) AUs whose intensity was learnt from codes, which differ."""
    assert trained.store.intensity is not None
    taught = varies(trained.store.intensity[trained.rows])
    return taught if recipe.tasks.intensity > 0 else np.zeros_like(taught)


def _calibrated(
    network: RTATL,
    labelled: _Labelled,
    data: TrainingData,
    crossed: Sequence[_Crossed],
    *,
    taught: NDArray[np.bool_],
) -> Calibration:
    aus = network.config.aus
    raw, truth = labelled.said.intensity, labelled.truth / np.float32(MAX_INTENSITY)
    selection = [] if data.selection is None else [Heard.of(Source.whole(data.selection), network)]
    clips = [said[source.store.clips == clip] for source, said in selection for clip in np.unique(source.store.clips)]
    strangers = [Heard.of(Source.whole(store), network) for store in data.calibration]
    strangers += [Heard.of(source, apart) for source, apart in crossed]
    trained = [
        Heard.of(one, network)
        for one in data.unlabelled
        if one.store.folder not in data.crossed and (one.store.teacher is not None or one.store.is_rated.any())
    ]
    seen = seen_output([*trained, *strangers], aus)
    coded = labelled.source.store.coded[labelled.source.rows].any()
    judged = real_output([*(strangers or trained), *selection], aus, coded=bool(coded))
    of_strangers = fit_calibration(raw, truth, clips, judged, seen)
    return dataclasses.replace(
        of_strangers,
        occurrence_from_intensity=labelled.source.store.occurrence_rule == FACS_A,
        intensity_from_occurrence=~taught,
    )


def _measured(
    network: RTATL, calibration: Calibration, labelled: _Labelled, data: TrainingData
) -> dict[str, dict[str, Any]]:
    aus, truth, said = network.config.aus, labelled.truth, labelled.said
    value, probability = calibration.read(said.intensity, said.occurrence)
    scores = (("pcc", pcc), ("icc31", icc31), ("mae", mae))
    measured: dict[str, dict[str, Any]] = {
        "held_out_labelled": {
            "what": "faces of the training kind, identities that were not trained on; they helped to set the gain",
            "faces": len(truth),
            **{
                name: {au_label(au): rounded(score(value[:, j], truth[:, j]), 3) for j, au in enumerate(aus)}
                for name, score in scores
            },
            **_side_agreement(labelled, aus),
            "f1": {
                au_label(au): rounded(_f1(probability[:, j], labelled.present[:, j]), 3) for j, au in enumerate(aus)
            },
        }
    }
    if network.flow is not None:
        motion = flow_error(network, labelled.source.store, labelled.source.rows)
        measured["held_out_labelled"] |= {"flow": motion} if motion["pairs"] else {}
    if data.selection is not None:
        real = predict_store(network, data.selection, np.arange(len(data.selection))).intensity
        measured["selection_video"] = {
            "what": f"{_REFERENCE}, on the real clips that may have chosen the checkpoint",
            **_against_teacher(data.selection, real, aus),
        }
    if data.aside is not None:
        values, _ = read_store(network, calibration, data.aside)
        measured["aside_video"] = {
            "what": f"{_REFERENCE}, on real clips that chose nothing",
            **_against_teacher(data.aside, values, aus),
        }
        if network.flow is not None:
            measured["aside_video"]["flow"] = flow_error(network, data.aside)
    return measured


def _of_strangers(
    crossed: Sequence[_Crossed], calibration: Calibration, aus: tuple[int, ...], table: GroupTable
) -> dict[str, dict[str, Any]]:
    """The card's entry of what raters saw on the faces of crossed folders, and what networks read that were trained
    without them."""
    rated = [
        (one._replace(rows=rows), network)
        for one, network in crossed
        if len(rows := one.rows[one.store.is_rated[one.rows]])
    ]
    if not rated:
        return {}
    faces = [source for source, _ in rated]
    values = np.concatenate([read_store(network, calibration, one.store, one.rows)[0] for one, network in rated])
    seen = np.concatenate([np.asarray(one.store.rated, np.float32)[one.rows] for one in faces])
    people, yaw, pitch = (
        np.concatenate([getattr(one.store, name)[one.rows] for one in faces]) for name in ("subjects", "yaw", "pitch")
    )
    found = {
        "what": "rated faces that train and set this calibration, each read by a network that was trained without it",
        "faces": len(values),
        "against_ratings": against_ratings(values, seen, people, aus),
        "groups": against_ratings_by_group(values, seen, people, divisions(faces, table), aus),
        "pose": pose_where_absent(values, seen, people, yaw, pitch, aus),
    }
    return {"strangers": found} if found["against_ratings"] else {}


def _temper_flow(network: RTATL, selection: ChipStore | None) -> dict[str, float]:
    """The card's entry of the factor that the flow decoder's output was reduced by."""
    if network.flow is None or selection is None:
        return {}
    gain = flow_gain(network, selection)
    network.flow.temper(gain)
    return {"flow_gain": round(gain, 3)}


def _side_agreement(labelled: _Labelled, aus: tuple[int, ...]) -> dict[str, Any]:
    """PCC between told and true difference of left and right, on faces whose sides differ."""
    store, told = labelled.source.store, labelled.said.sides
    if store.sides is None or told is None:
        return {}
    true_difference, difference = (sides[..., 0] - sides[..., 1] for sides in (store.sides[labelled.source.rows], told))
    differing = [(j, au) for j, au in enumerate(aus) if (np.abs(true_difference[:, j]) > 0.1).any()]
    return {
        "pcc_left_minus_right": {
            au_label(au): rounded(pcc(difference[:, j], true_difference[:, j]), 3) for j, au in differing
        }
    }


def _against_teacher(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[str, Any]:
    scores, clips = clip_agreement(store, values, aus), len(np.unique(store.clips))
    return {
        "frames": len(values),
        "clips": clips,
        "pcc": {au_label(au): rounded(np.mean(score), 3) for au, score in scores.items()},
        "clips_where_it_moves": {au_label(au): len(score) for au, score in scores.items()},
    }


def _f1(probability: Float32, present: Float32) -> float:
    coded = np.isfinite(present)
    return f1(probability[coded] >= OCCURS, present[coded] == 1)
