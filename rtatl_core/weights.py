"""Model files: tensors (safetensors) beside a readable card (JSON) with golden input and output.

``assets/models/<name>.safetensors`` and ``<name>.json``. The card says what the model is, on what it was
trained, how its output is calibrated, how far each AU can be trusted, the sha256 of the tensors, and what it
answers to a fixed input; loading checks the hash, every shape and that answer.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rtatl_core.assets import asset
from rtatl_core.errors import WeightsError
from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.face.observe import BACKEND
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import LANDMARKS, Float32, UInt8
from rtatl_core.models.rtatl import RTATL, RTATLConfig

CARD_FORMAT = 1
DEFAULT_MODEL = "rtatl-synth"
_OCCURRENCE_RULES = {"logistic(4 * (5 * gain * (raw - offset) - 1))": True, "occurrence head": False}
COMPUTED_KEYS = frozenset(
    [
        "format",
        "sha256",
        "network",
        "flow",
        "inpainting",
        "landmark_backend",
        "calibration",
        "golden_intensity",
        "onnx_sha256",
    ]
)
"""Keys of a card that ``save_model`` and the export write themselves."""
_GOLDEN_TOLERANCE = 0.02
"""Largest difference in intensity (0-5) that another CPU's or torch version's arithmetic may make."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Raw network output (1 = FACS 5) -> intensity 0-5, per AU: v = 5 * gain * (raw - offset), what is over 1 (FACS A)
    stretched by ``boost``, then clipped. Gain and offset decide where an AU begins, boost how far it reaches."""

    gain: Float32
    offset: Float32
    occurrence_from_intensity: bool = True
    """True: probability = logistic(4 * (unclipped intensity - 1)), so an AU is present from FACS A on and
    never contradicts its intensity. False: the network's occurrence head, for models whose training data code
    occurrence only, or by another rule."""
    intensity_from_occurrence: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((), np.bool_))
    """(n_aus,) or () AUs whose intensity was never coded in training: shown is 5 times the probability that the
    occurrence head gives."""
    boost: Float32 = field(default_factory=lambda: np.ones((), np.float32))
    """(n_aus,) or (), 1 or more."""

    def reach(self, value: Float32) -> Float32:
        """Stretch what is over 1. value: (..., n_aus)."""
        stretched: Float32 = np.where(value > 1, 1 + (value - 1) * self.boost, value)
        return stretched


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model. ``card`` is the JSON as it stands on disk."""

    network: RTATL
    calibration: Calibration
    card: dict[str, Any]
    onnx: Path | None = None
    """The same network as an ONNX graph, for a fast CPU; None when the model has none."""

    @property
    def aus(self) -> tuple[int, ...]:
        return self.network.config.aus

    @property
    def name(self) -> str:
        return str(self.card["name"])


def golden_input(config: RTATLConfig) -> tuple[UInt8, Float32, Float32, Float32]:
    """A fixed chip (S, S, 3), region centres (n_aus, 2, 2), geometry and reference (468, 3), the same on every
    machine."""
    side = config.chip_side
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    waves = [np.sin(9 * x + k) * np.cos(7 * y - k) for k in range(3)]
    chip = (127 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)
    turn = np.arange(LANDMARKS, dtype=np.float32)
    landmarks = np.stack([0.5 + 0.3 * np.cos(turn), 0.5 + 0.3 * np.sin(1.7 * turn)], axis=1)
    geometry = 0.02 * np.sin(np.arange(MESH_POINTS * 3, dtype=np.float32)).reshape(MESH_POINTS, 3)
    geometry = geometry.astype(np.float32)
    return chip, au_regions(landmarks, config.aus), geometry, geometry[::-1].copy()


def save_model(path: Path, network: RTATL, calibration: Calibration, description: dict[str, Any]) -> dict[str, Any]:
    """Write ``path``.safetensors and ``path``.json, with the decoders that the network has. Returns the card.
    ``description`` must hold name, trained_on and trust (AU number as text -> good / usable / experimental)."""
    for key in ("name", "trained_on", "trust"):
        if key not in description:
            raise ValueError(f"the card needs {key!r}")
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    file = path.with_suffix(".safetensors")
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file)
    answer = _golden_answer(network, calibration)
    card = {
        "format": CARD_FORMAT,
        **description,
        "sha256": _sha256(file),
        "network": network.config.to_json(),
        "flow": network.flow is not None,
        "inpainting": network.inpainting is not None,
        "landmark_backend": BACKEND,
        "calibration": {
            "rule": "v = 5 * gain * (raw - offset); intensity = clip(v if v <= 1 else 1 + boost * (v - 1), 0, 5)",
            "gain": _rounded(calibration.gain),
            "offset": _rounded(calibration.offset),
            "boost": _rounded(np.broadcast_to(calibration.boost, calibration.gain.shape)),
            "occurrence": next(k for k, v in _OCCURRENCE_RULES.items() if v == calibration.occurrence_from_intensity),
            "intensity_is_5_times_probability": _numbers(network.config.aus, calibration.intensity_from_occurrence),
        },
        "golden_intensity": _rounded(answer),
    }
    file.chmod(0o644)  # safetensors writes files that only their owner can read
    path.with_suffix(".json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    return card


def find_model(model: str | Path | None) -> Path:
    """A name of ``assets/models``, a path to a .safetensors or .json file, or None for the default model ->
    path of the card.

    Raises WeightsError when it is not there.
    """
    if model is None:
        path = asset(f"models/{DEFAULT_MODEL}.json")
    elif Path(model).suffix in (".safetensors", ".json"):
        path = Path(model).with_suffix(".json")
    else:
        path = asset(f"models/{model}.json")
    for needed in (path, path.with_suffix(".safetensors")):
        if not needed.is_file():
            known = ", ".join(sorted(p.stem for p in asset("models").glob("*.safetensors"))) or "none"
            raise WeightsError(
                f"model file {needed} is missing; name a .safetensors file with its .json card beside it, "
                f"or one of: {known}"
            )
    return path


def load_model(model: str | Path | None = None, *, with_onnx: bool = True) -> Model:
    """Load strictly. Raises WeightsError when files are missing or damaged, the hash or a shape differs from
    the card, or the network does not give the card's golden answer."""
    path = find_model(model)
    file = path.with_suffix(".safetensors")
    try:
        card: dict[str, Any] = json.loads(path.read_text())
        if card["format"] != CARD_FORMAT:
            raise WeightsError(
                f"model card {path} has format {card['format']}, this version reads {CARD_FORMAT}; "
                "update the program or the model"
            )
        config = RTATLConfig.from_json(card["network"])
        gain, offset = (np.array(card["calibration"][key], np.float32) for key in ("gain", "offset"))
        uncoded = card["calibration"].get("intensity_is_5_times_probability", [])
        calibration = Calibration(
            gain,
            offset,
            _OCCURRENCE_RULES[card["calibration"]["occurrence"]],
            np.isin(config.aus, uncoded),
            np.array(card["calibration"].get("boost", 1.0), np.float32),
        )
        expected, golden = str(card["sha256"]), np.array(card["golden_intensity"], np.float32)
        with_flow = bool(card["flow"])
        with_inpainting = bool(card.get("inpainting", False))  # older cards do not mention it
        str(card["name"]), str(card["trained_on"])
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"model card {path} is damaged ({error}); install the model again") from error
    if card["landmark_backend"] != BACKEND:
        raise WeightsError(
            f"model {path.stem} needs landmarks of {card['landmark_backend']}, this version has {BACKEND}"
        )
    if _sha256(file) != expected:
        raise WeightsError(
            f"weights {file} are not the ones their card describes (sha256 differs); install the model again"
        )
    try:
        tensors = load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"weights {file} cannot be read ({error}); install the model again") from error
    network = RTATL(config, flow=with_flow, inpainting=with_inpainting)
    _check_shapes(file, network, tensors)
    network.load_state_dict(tensors, strict=True)
    network.eval().requires_grad_(False)
    difference = float(np.abs(_golden_answer(network, calibration) - golden).max())
    if difference > _GOLDEN_TOLERANCE:
        raise WeightsError(
            f"model {path.stem} answers its golden input wrongly on this machine (off by {difference:.3f}); "
            "update torch or report this"
        )
    return Model(network, calibration, card, _checked_graph(path, card) if with_onnx else None)


def _checked_graph(path: Path, card: dict[str, Any]) -> Path | None:
    """The ONNX graph beside the card; None when the model was not exported."""
    graph = path.with_suffix(".onnx")
    if "onnx_sha256" not in card or not graph.is_file():
        return None
    if _sha256(graph) != card["onnx_sha256"]:
        raise WeightsError(f"graph {graph} is not the one its card describes (sha256 differs); export the model again")
    return graph


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
    return calibrate(output.intensity.numpy()[0], output.occurrence.numpy()[0], calibration)[0]


def calibrate(raw: Float32, logits: Float32, calibration: Calibration) -> tuple[Float32, Float32]:
    """(..., n_aus) raw intensity and occurrence logits -> intensity 0-5, probability of occurrence 0-1."""
    intensity = 5 * calibration.gain * (raw - calibration.offset)
    uncoded = calibration.intensity_from_occurrence
    if calibration.occurrence_from_intensity:
        logits = np.where(uncoded, logits, 4 * (intensity - 1)).astype(np.float32)
    probability = 1 / (1 + np.exp(-logits.clip(-60, 60)))
    intensity = np.where(uncoded, 5 * probability, calibration.reach(intensity))
    return intensity.clip(0, 5).astype(np.float32), probability.astype(np.float32)


def calibrate_sides(raw: Float32, intensity: Float32, calibration: Calibration) -> Float32:
    """(..., n_aus, 2) raw intensity of left and right, (..., n_aus) calibrated one of both -> (..., n_aus, 2) 0-5.

    Each side is calibrated like the whole; then both are moved alike, and their difference cut where it would leave
    0-5, so that their mean is the intensity.
    """
    value = 5 * calibration.gain[:, None] * (raw - calibration.offset[:, None])
    value = np.moveaxis(calibration.reach(np.moveaxis(value, -1, 0)), 0, -1).clip(0, 5)
    most = 2 * np.minimum(intensity, 5 - intensity)
    half = (value[..., 0] - value[..., 1]).clip(-most, most) / 2
    return np.stack([intensity + half, intensity - half], axis=-1).astype(np.float32)


def _numbers(aus: tuple[int, ...], chosen: NDArray[np.bool_]) -> list[int]:
    return [au for au, is_chosen in zip(aus, np.broadcast_to(chosen, len(aus)), strict=True) if is_chosen]


def _rounded(values: Float32) -> list[float]:
    return [round(float(value), 5) for value in values]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
