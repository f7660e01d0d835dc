"""Model files: tensors (safetensors) beside a readable card (JSON, see card.py) with golden input and output.

Loading checks the hash, every shape and the golden answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rtatl_core.calibration import FLOOR, Calibration
from rtatl_core.card import CARD_FORMAT, OCCURRENCE_RULES, Card, file_hash, golden_input, read_card
from rtatl_core.errors import WeightsError
from rtatl_core.face.find import BACKEND
from rtatl_core.files import replace_file
from rtatl_core.handoffs import Float32
from rtatl_core.models.rtatl import RTATL


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model."""

    network: RTATL
    card: Card

    @property
    def calibration(self) -> Calibration:
        return self.card.calibration

    @property
    def facts(self) -> dict[str, Any]:
        """The card's JSON."""
        return self.card.facts

    @property
    def aus(self) -> tuple[int, ...]:
        return self.card.config.aus

    @property
    def name(self) -> str:
        return self.card.name


def save_model(path: Path, network: RTATL, calibration: Calibration, description: dict[str, Any]) -> dict[str, Any]:
    """Write ``path``.safetensors and ``path``.json, with the decoders that the network has. Returns the card.
    ``description`` must hold name, trained_on and trust (AU number as text -> good / usable / experimental)."""
    for key in ("name", "trained_on", "trust"):
        if key not in description:
            raise ValueError(f"the card needs {key!r}")
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    file = path.with_suffix(".safetensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "rule": "v = 5 * gain * (raw - offset); intensity = clip(v if v <= 1 else 1 + boost * (v - 1), 0, 5), "
        f"under {FLOOR} bent towards 0 along {FLOOR}^2 / ({2 * FLOOR} - v)",
        "gain": _rounded(calibration.gain),
        "offset": _rounded(calibration.offset),
        "boost": _rounded(np.broadcast_to(calibration.boost, calibration.gain.shape)),
        "occurrence": next(k for k, v in OCCURRENCE_RULES.items() if v == calibration.occurrence_from_intensity),
        "intensity_is_5_times_probability": _numbers(network.config.aus, calibration.intensity_from_occurrence),
    }
    # so that the hash, by which studies name a model, is another where the same tensors are read otherwise
    save_file(tensors, file, {"calibration": json.dumps(told)})
    answer = _golden_answer(network, calibration)
    card = {
        "format": CARD_FORMAT,
        **description,
        "sha256": file_hash(file),
        "network": network.config.to_json(),
        "flow": network.flow is not None,
        "inpainting": network.inpainting is not None,
        "landmark_backend": BACKEND,
        "calibration": told,
        "golden_intensity": _rounded(answer),
    }
    file.chmod(0o644)  # safetensors writes files that only their owner can read
    replace_file(path.with_suffix(".json"), json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


def load_model(model: str | Path | None = None) -> Model:
    """Load strictly. Raises WeightsError when files are missing or damaged, the hash or a shape differs from
    the card, or the network does not give the card's golden answer."""
    card = read_card(model)
    file = card.weights
    if not file.is_file():
        raise WeightsError(f"weights {file} are missing, there are graphs only; put them beside the card {card.path}")
    if file_hash(file) != card.facts["sha256"]:
        raise WeightsError(
            f"weights {file} are not the ones their card describes (sha256 differs); install the model again"
        )
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"weights {file} cannot be read ({error}); install the model again") from error
    network = RTATL(card.config, flow=card.with_flow, inpainting=card.with_inpainting)
    _check_shapes(file, network, tensors)
    network.load_state_dict(tensors, strict=True)
    network.eval().requires_grad_(False)
    card.check_answer(_golden_answer(network, card.calibration), card.golden, "torch")
    return Model(network, card)


def _check_shapes(file: Path, network: RTATL, tensors: dict[str, torch.Tensor]) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    differing = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
    if differing:
        name = differing[0]
        raise WeightsError(
            f"weights {file} do not fit the network of their card: {name} is {given.get(name, 'missing')}, expected "
            f"{wanted.get(name, 'nothing of that name')} ({len(differing)} tensors differ); "
            "take weights and card of one model"
        )


@torch.inference_mode()
def _golden_answer(network: RTATL, calibration: Calibration) -> Float32:
    chip, *others = golden_input(network.config)
    images = torch.from_numpy(chip).permute(2, 0, 1)[None].float() / 255
    was_training = network.training
    network.eval()
    output = network(images, *(torch.from_numpy(array)[None] for array in others))
    network.train(was_training)
    return calibration.read(output.intensity.numpy()[0], output.occurrence.numpy()[0])[0]


def _numbers(aus: tuple[int, ...], chosen: NDArray[np.bool_]) -> list[int]:
    return [au for au, is_chosen in zip(aus, np.broadcast_to(chosen, len(aus)), strict=True) if is_chosen]


def _rounded(values: Float32) -> list[float]:
    return [round(float(value), 5) for value in values]
