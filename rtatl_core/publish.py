"""Checkpoint -> model file with card: calibrates the output and measures what the card states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtatl_core.evaluation import predict_store, teacher_agreement
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.metrics import icc31, mae, pcc
from rtatl_core.training import Trainer
from rtatl_core.weights import Calibration, calibrate, save_model

REST_QUANTILE = 0.2
"""Share of real video frames in which an AU is taken to be at rest or below."""
MAX_GAIN = 3.0


def publish(trainer: Trainer) -> Path:
    """Calibrate the best checkpoint of a finished run, measure it, and write ``<out>/<name>.safetensors`` and
    ``.json``."""
    state = torch.load(trainer.out / "best.pt", weights_only=True)
    network = trainer.network
    network.load_state_dict(state["network"])
    aus = network.config.aus
    assert trainer.labelled.intensity is not None
    truth = trainer.labelled.intensity[trainer.held_out_rows]
    raw = predict_store(network, trainer.labelled, trainer.held_out_rows)[0]
    real = None
    if trainer.selection is not None:
        real = predict_store(network, trainer.selection, np.arange(len(trainer.selection)))[0]
    calibration = fit_calibration(raw, truth / np.float32(MAX_INTENSITY), real)
    value = calibrate(raw, calibration)
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
    if trainer.selection is not None and real is not None:
        agreement = teacher_agreement(trainer.selection, real, aus)
        measured["selection_video"] = {
            "what": "mean per-clip PCC with MediaPipe's blendshapes on the real clips that chose the checkpoint",
            "frames": len(real),
            "pcc": {f"AU{au:02d}": _two(score) for au, score in agreement.items()},
        }
    description = {
        "name": trainer.recipe.name,
        "trained_on": trainer.recipe.trained_on,
        "trust": {str(au): "experimental" for au in aus} | trainer.recipe.card.get("trust", {}),
        **{key: text for key, text in trainer.recipe.card.items() if key != "trust"},
        "training": {"epoch": state["epoch"], "recipe": _without_card(trainer.recipe.to_json())},
        "measured": measured,
    }
    path = trainer.out / trainer.recipe.name
    save_model(path, network, calibration, description)
    return path.with_suffix(".safetensors")


def fit_calibration(raw: Float32, truth: Float32, real: Float32 | None) -> Calibration:
    """Per-AU gain and offset.

    raw, truth: (n, n_aus) on 0-1 for held-out labelled faces. real: (m, n_aus) raw output on real video, or
    None. The offset is what the network says at rest: the ``REST_QUANTILE`` of real video (of
    unlabelled-as-zero faces without it). The gain undoes the shrinking of uncertain regression: spread of the
    labels over spread of the output, between 1 and ``MAX_GAIN``.
    """
    offset = np.empty(raw.shape[1], np.float32)
    gain = np.empty(raw.shape[1], np.float32)
    for j in range(raw.shape[1]):
        known = np.isfinite(truth[:, j])
        rest = raw[known & (truth[:, j] < 0.02), j] if real is None else real[:, j]
        offset[j] = np.quantile(rest, 0.5 if real is None else REST_QUANTILE) if len(rest) else 0.0
        spread = float(raw[known, j].std())
        gain[j] = np.clip(truth[known, j].std() / max(spread, 1e-6), 1.0, MAX_GAIN)
    return Calibration(gain=gain, offset=offset.clip(-0.2, 0.5))


def _without_card(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "card"}


def _two(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
