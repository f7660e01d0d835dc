"""Checkpoint -> model file with card: calibrates the output and measures what the card states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.evaluation import clip_agreement, flow_error, pooled_agreement, predict_store, teacher_agreement
from rtatl_core.facs import MAX_INTENSITY, parse_label
from rtatl_core.handoffs import Float32
from rtatl_core.metrics import icc31, mae, pcc
from rtatl_core.models.rtatl import RTATL
from rtatl_core.training import Trainer
from rtatl_core.weights import Calibration, calibrate, save_model

REST_QUANTILE = 0.2
"""Share of real video frames in which an AU is taken to be at rest or below."""
MAX_GAIN = 2.0
OFFSET_LIMITS = (-0.03, 0.3)
SHARES = (0.5, 0.75, 0.9)
"""Shares of the geometry stream to choose from."""

_REFERENCE = "mean per-clip PCC with MediaPipe's blendshapes"
TRUST_RULE = (
    "good: agrees with its blendshape at .8 or more on clips kept aside, in at least two clips where it moves; "
    "usable: .5; experimental: less, or no reference"
)


def publish(trainer: Trainer) -> Path:
    """Calibrate the best checkpoint of a finished run, measure it, and write ``<out>/<name>.safetensors`` and
    ``.json``."""
    state = torch.load(trainer.out / "best.pt", weights_only=True)
    network = trainer.network
    network.load_state_dict(state["network"])
    aus = network.config.aus
    assert trainer.labelled.intensity is not None
    truth = trainer.labelled.intensity[trainer.held_out_rows]
    if trainer.selection is not None and network.geometry is not None:
        network.geometry_share.copy_(torch.from_numpy(fit_geometry_share(trainer.selection, network)))
    raw = predict_store(network, trainer.labelled, trainer.held_out_rows)[0]
    real = np.empty((0, len(aus)), np.float32)
    clips: list[Float32] = []
    if trainer.selection is not None:
        real = predict_store(network, trainer.selection, np.arange(len(trainer.selection)))[0]
        clips = [real[trainer.selection.clips == clip] for clip in np.unique(trainer.selection.clips)]
    calibration = fit_calibration(raw, truth / np.float32(MAX_INTENSITY), clips)
    value = calibrate(raw, raw, calibration)[0]
    labels = [f"AU{au:02d}" for au in aus]
    measured: dict[str, Any] = {
        "held_out_labelled": {
            "what": "faces of the training kind, identities that were not trained on",
            "faces": len(truth),
            **{
                name: {label: _two(f(value[:, j], truth[:, j])) for j, label in enumerate(labels)}
                for name, f in (("pcc", pcc), ("icc31", icc31), ("mae", mae))
            },
        }
    }
    if trainer.selection is not None:
        measured["selection_video"] = {
            "what": f"{_REFERENCE}, on the real clips that chose the checkpoint and the mixture",
            **_against_teacher(trainer.selection, real, aus),
        }
    trust = {str(au): "experimental" for au in aus}
    if trainer.aside is not None:
        raw_aside = predict_store(network, trainer.aside, np.arange(len(trainer.aside)))[0]
        value_aside = calibrate(raw_aside, raw_aside, calibration)[0]
        aside = _against_teacher(trainer.aside, value_aside, aus)
        measured["aside_video"] = {"what": f"{_REFERENCE}, on real clips that chose nothing", **aside}
        if network.flow is not None:
            measured["aside_video"]["flow"] = flow_error(network, trainer.aside)
        trust |= {str(parse_label(label)): level for label, level in trust_levels(aside).items()}
    description = {
        "name": trainer.recipe.name,
        "trained_on": trainer.recipe.trained_on,
        "trust": trust | trainer.recipe.card.get("trust", {}),
        "trust_rule": TRUST_RULE,
        **{key: text for key, text in trainer.recipe.card.items() if key != "trust"},
        "geometry_share": {
            label: _two(share) for label, share in zip(labels, network.geometry_share.tolist(), strict=True)
        },
        "training": {"epoch": state["epoch"], "recipe": _without_card(trainer.recipe.to_json())},
        "measured": measured,
    }
    path = trainer.out / trainer.recipe.name
    save_model(path, network, calibration, description)
    return path.with_suffix(".safetensors")


def _against_teacher(store: ChipStore, values: Float32, aus: tuple[int, ...]) -> dict[str, Any]:
    scores, clips = clip_agreement(store, values, aus), len(np.unique(store.clips))
    return {
        "frames": len(values),
        "clips": clips,
        "pcc": {f"AU{au:02d}": _two(float(np.mean(score))) for au, score in scores.items()},
        "clips_where_it_moves": {f"AU{au:02d}": len(score) for au, score in scores.items()},
    }


def trust_levels(measured: dict[str, Any]) -> dict[str, str]:
    """AU label -> trust level by ``TRUST_RULE``, for the AUs that the teacher can judge."""
    levels = {}
    for label, score in measured["pcc"].items():
        enough = measured["clips_where_it_moves"][label] >= 2
        good, usable = enough and score >= 0.8, enough and score >= 0.5
        levels[label] = "good" if good else "usable" if usable else "experimental"
    return levels


def fit_geometry_share(selection: ChipStore, network: RTATL) -> Float32:
    """(n_aus,) share of the geometry stream in the mixture: per AU the one of ``SHARES`` that agrees best
    with the teacher on the selection video, within clips and over all of them together (a stream that reads a
    person's looks as an expression loses there). AUs that the teacher cannot judge take the mean of the
    others."""
    aus = network.config.aus
    _, pixels, shape = predict_store(network, selection, np.arange(len(selection)))
    scores = []
    for share in SHARES:
        mixture = (1 - share) * pixels + share * shape
        within = teacher_agreement(selection, mixture, aus)
        scores.append({au: score + pooled_agreement(selection, mixture, aus)[au] for au, score in within.items()})
    best = {au: max(SHARES, key=lambda share: scores[SHARES.index(share)][au]) for au in scores[0]}
    default = float(np.mean(list(best.values()))) if best else 0.5
    return np.array([best.get(au, default) for au in aus], np.float32)


def fit_calibration(raw: Float32, truth: Float32, real: list[Float32]) -> Calibration:
    """Per-AU gain and offset.

    raw, truth: (n, n_aus) on 0-1 for held-out labelled faces. real: raw output on each clip of real video,
    (m, n_aus). The offset is what the network says at rest: the ``REST_QUANTILE`` of a clip, in the median
    over clips (without clips, of labelled faces that do not show the AU). The gain undoes the shrinking of
    uncertain regression: spread of the labels over spread of the output, between 1 and ``MAX_GAIN``; more
    would mostly amplify what is noise.
    """
    offset = np.empty(raw.shape[1], np.float32)
    gain = np.empty(raw.shape[1], np.float32)
    for j in range(raw.shape[1]):
        known = np.isfinite(truth[:, j])
        at_rest = raw[known & (truth[:, j] < 0.02), j]
        if real:
            offset[j] = np.median([np.quantile(clip[:, j], REST_QUANTILE) for clip in real])
        else:
            offset[j] = np.median(at_rest) if len(at_rest) else 0.0
        spread = float(raw[known, j].std())
        gain[j] = np.clip(truth[known, j].std() / max(spread, 1e-6), 1.0, MAX_GAIN)
    return Calibration(gain=gain, offset=offset.clip(*OFFSET_LIMITS))


def _without_card(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "card"}


def _two(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
