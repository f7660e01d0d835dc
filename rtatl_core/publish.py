"""Checkpoint -> model file with card: calibrates the output and measures what the card states."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtatl_core.calibration import fit_calibration, fit_own, own_rises, real_output, seen_output
from rtatl_core.card import calibrate
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.rendered import OCCURRENCE_RULE as FACS_A
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation import (
    clip_agreement,
    flow_error,
    flow_gain,
    pooled_agreement,
    predict_store,
    read_store,
    teacher_agreement,
)
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.initial import load_checkpoint
from rtatl_core.metrics import f1, icc31, mae, pcc
from rtatl_core.models.rtatl import RTATL
from rtatl_core.rows import OCCURS
from rtatl_core.training import Trainer
from rtatl_core.trust import TRUST_RULE, trust
from rtatl_core.weights import COMPUTED_KEYS, load_model, save_model

SHARES = (0.5, 0.75, 0.9)
"""Shares of the geometry stream to choose from."""

DECODERS = ("flow", "inpainting")

_REFERENCE = "mean per-clip PCC with MediaPipe's blendshapes"


def can_publish(trainer: Trainer) -> bool:
    """Whether the run makes a model; a self-supervised one makes a beginning for others."""
    return trainer.data.labelled is not None or _trains_a_decoder(trainer)


def _trains_a_decoder(trainer: Trainer) -> bool:
    optim = trainer.recipe.optim
    return optim.only in DECODERS and Path(optim.init).suffix == ".safetensors"


def publish(trainer: Trainer) -> Path:
    """Calibrate the best checkpoint of a finished run, measure it, and write ``<out>/<name>.safetensors`` and
    ``.json``. A run that trained nothing but a decoder of a model passes that model on, with its card, and the decoder
    beside."""
    optim = trainer.recipe.optim
    if _trains_a_decoder(trainer):
        return _publish_decoder(trainer, Path(optim.init), optim.only)
    data = trainer.data
    if data.labelled is None or data.validation is None:
        raise RecipeError(
            "a self-supervised run has no AUs to publish; name its best.pt as optim.init of another recipe"
        )
    state = load_checkpoint(trainer.out / "best.pt")
    decoders = {name: getattr(trainer.network, name) is not None for name in DECODERS}
    network = RTATL(trainer.network.config, **decoders)
    network.load_state_dict(state["network"])
    aus = network.config.aus
    store, rows = data.validation.store, data.validation.rows
    assert store.intensity is not None
    assert store.occurrence is not None
    truth, present = store.intensity[rows], store.occurrence[rows]
    if data.selection is not None and network.geometry is not None:
        network.geometry_share.copy_(torch.from_numpy(fit_geometry_share(data.selection, network)))
    tempered = _temper_flow(network, data.selection)
    said = predict_store(network, store, rows)
    real = np.empty((0, len(aus)), np.float32)
    clips: list[Float32] = []
    if data.selection is not None:
        real = predict_store(network, data.selection, np.arange(len(data.selection))).intensity
        clips = [real[data.selection.clips == clip] for clip in np.unique(data.selection.clips)]
    strangers = _whole(data.calibration) or data.unlabelled
    judged = real_output(network, [*strangers, *_whole(data.selection)])
    labelled = said.intensity, truth / np.float32(MAX_INTENSITY)
    seen = seen_output(network, [*data.unlabelled, *strangers])
    calibration = fit_calibration(*labelled, clips, judged, seen)
    rises = own_rises(network, [*data.unlabelled, *_whole(data.selection)], calibration)
    own = fit_own(*labelled, rises, calibration, seen)
    calibration = dataclasses.replace(
        calibration,
        occurrence_from_intensity=store.occurrence_rule == FACS_A,
        intensity_from_occurrence=~np.isfinite(truth).any(axis=0),
        own=own,
    )
    value, probability = calibrate(said.intensity, said.occurrence, calibration)
    labels = [f"AU{au:02d}" for au in aus]
    measured: dict[str, Any] = {
        "held_out_labelled": {
            "what": "faces of the training kind, identities that were not trained on",
            "faces": len(truth),
            **{
                name: {label: _two(f(value[:, j], truth[:, j])) for j, label in enumerate(labels)}
                for name, f in (("pcc", pcc), ("icc31", icc31), ("mae", mae))
            },
            **_side_agreement(network, store, rows, labels),
            "f1": {label: _two(_f1(probability[:, j], present[:, j])) for j, label in enumerate(labels)},
        }
    }
    if data.selection is not None:
        measured["selection_video"] = {
            "what": f"{_REFERENCE}, on the real clips that chose the checkpoint and the mixture",
            **_against_teacher(data.selection, real, aus),
        }
    if data.aside is not None:
        value_aside = read_store(network, calibration, data.aside)
        aside = _against_teacher(data.aside, value_aside, aus)
        measured["aside_video"] = {"what": f"{_REFERENCE}, on real clips that chose nothing", **aside}
        if network.flow is not None:
            measured["aside_video"]["flow"] = flow_error(network, data.aside)
    by_author = trainer.recipe.card.get("trust", {})
    description = {
        "name": trainer.recipe.name,
        "trained_on": trainer.recipe.trained_on,
        "trust": trust(aus, measured, by_author),
        "trust_by_author": by_author,
        "trust_rule": TRUST_RULE,
        **{key: text for key, text in trainer.recipe.card.items() if key != "trust"},
        "geometry_share": {
            label: _two(share) for label, share in zip(labels, network.geometry_share.tolist(), strict=True)
        },
        **tempered,
        "occurrence_rule": store.occurrence_rule,
        "training": {
            "epoch": state["epoch"],
            "chosen_by": trainer.choice.by,
            "recipe": _without_card(trainer.recipe.to_json()),
            "subjects": state["subjects"],
            "judged_by": data.judges,
        },
        "measured": measured,
    }
    path = trainer.out / trainer.recipe.name
    save_model(path, network, calibration, description)
    return path.with_suffix(".safetensors")


def _publish_decoder(trainer: Trainer, model: Path, decoder: str) -> Path:
    before = load_model(model)
    state = load_checkpoint(trainer.out / "best.pt")
    decoders = {name: getattr(before.network, name) is not None or name == decoder for name in DECODERS}
    network = RTATL(before.network.config, **decoders)
    new = {name: tensor for name, tensor in state["network"].items() if name.startswith(f"{decoder}.")}
    network.load_state_dict(before.network.state_dict() | new)
    tempered = _temper_flow(network, trainer.data.selection) if decoder == "flow" else {}
    description = {key: value for key, value in before.facts.items() if key not in COMPUTED_KEYS}
    recipe = _without_card(trainer.recipe.to_json())
    trained = {"losses_held_out": state["held_out"], "epoch": state["epoch"], "recipe": recipe, **trainer.recipe.card}
    description |= {
        "name": trainer.recipe.name,
        **tempered,
        "decoders_trained_later": before.facts.get("decoders_trained_later", {}) | {decoder: trained},
    }
    path = trainer.out / trainer.recipe.name
    save_model(path, network, before.calibration, description)
    return path.with_suffix(".safetensors")


def _temper_flow(network: RTATL, selection: ChipStore | None) -> dict[str, float]:
    """The card's entry of the factor that the flow decoder's output was reduced by."""
    if network.flow is None or selection is None:
        return {}
    gain = flow_gain(network, selection)
    network.flow.temper(gain)
    return {"flow_gain": round(gain, 3)}


def _side_agreement(network: RTATL, store: ChipStore, rows: NDArray[np.int64], labels: list[str]) -> dict[str, Any]:
    """PCC between told and true difference of left and right, on faces whose sides differ."""
    if store.sides is None or not network.config.sides:
        return {}
    true = store.sides[rows, :, 0] - store.sides[rows, :, 1]
    sides = predict_store(network, store, rows).sides
    assert sides is not None
    told = sides[..., 0] - sides[..., 1]
    found = {}
    for j, label in enumerate(labels):
        if np.abs(true[:, j]).max() > 0.1:
            found[label] = _two(pcc(told[:, j], true[:, j]))
    return {"pcc_left_minus_right": found}


def _against_teacher(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[str, Any]:
    scores, clips = clip_agreement(store, values, aus), len(np.unique(store.clips))
    return {
        "frames": len(values),
        "clips": clips,
        "pcc": {f"AU{au:02d}": _two(float(np.mean(score))) for au, score in scores.items()},
        "clips_where_it_moves": {f"AU{au:02d}": len(score) for au, score in scores.items()},
    }


def _f1(probability: Float32, present: Float32) -> float:
    coded = np.isfinite(present)
    return f1(probability[coded] >= OCCURS, present[coded] == 1)


def fit_geometry_share(selection: ChipStore, network: RTATL) -> Float32:
    """(n_aus,) share of the geometry stream in the mixture: per AU the one of ``SHARES`` that agrees best
    with the teacher on the selection video, within clips and over all of them together (a stream that reads a
    person's looks as an expression loses there). AUs that the teacher cannot judge take the mean of the
    others."""
    aus = network.config.aus
    said = predict_store(network, selection, np.arange(len(selection)))
    pixels, shape = said.pixels, said.geometry
    scores = []
    for share in SHARES:
        mixture = (1 - share) * pixels + share * shape
        within = teacher_agreement(selection, mixture, aus)
        scores.append({au: score + pooled_agreement(selection, mixture, aus)[au] for au, score in within.items()})
    best = {au: max(SHARES, key=lambda share: scores[SHARES.index(share)][au]) for au in scores[0]}
    default = float(np.mean(list(best.values()))) if best else 0.5
    return np.array([best.get(au, default) for au in aus], np.float32)


def _whole(store: ChipStore | None) -> list[Source]:
    return [] if store is None else [Source(store, np.arange(len(store)), labels=False)]


def _without_card(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "card"}


def _two(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
