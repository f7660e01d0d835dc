"""A model's card: what the JSON beside the weights says. Knows no torch.

The card says what the model is, on what it was trained, how its output is calibrated, how far each AU can be trusted,
the sha256 of its tensors and graphs, and what it answers to a fixed input.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtatl_core.assets import asset
from rtatl_core.calibration import Calibration
from rtatl_core.errors import WeightsError
from rtatl_core.face.find import BACKEND
from rtatl_core.face.mesh import MESH_POINTS
from rtatl_core.face.regions import au_regions
from rtatl_core.handoffs import LANDMARKS, Float32, UInt8
from rtatl_core.models.config import RTATLConfig

CARD_FORMAT = 1
DEFAULT_MODEL = "rtatl-synth"
OCCURRENCE_RULES = {"logistic(4 * (5 * gain * (raw - offset) - 1))": True, "occurrence head": False}
GOLDEN_TOLERANCE = 0.02
"""Largest difference in intensity (0-5) that another CPU's or library's arithmetic may make."""


@dataclass(frozen=True, slots=True)
class Card:
    path: Path
    facts: dict[str, Any]
    """The JSON as it stands on disk."""
    config: RTATLConfig
    calibration: Calibration
    golden: Float32
    """(n_aus,) calibrated intensity that the model gives for ``golden_input``."""

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def with_flow(self) -> bool:
        return bool(self.facts["flow"])

    @property
    def with_inpainting(self) -> bool:
        return bool(self.facts.get("inpainting", False))  # older cards do not mention it

    @property
    def weights(self) -> Path:
        return self.path.with_suffix(".safetensors")

    def graphs(self) -> Mapping[str, Path]:
        """The exported graphs (``GRAPHS``) by name; empty unless all that the model needs are there. Raises
        WeightsError when one is not the one the card describes."""
        hashes: Mapping[str, str] = self.facts.get("onnx", {})
        wanted = ["network", *(["flow"] if self.with_flow else []), *(["recovery"] if self.with_inpainting else [])]
        files = {name: self.path.with_suffix(GRAPHS[name]) for name in wanted}
        if not all(name in hashes and file.is_file() for name, file in files.items()):
            return {}
        for name, file in files.items():
            if file_hash(file) != hashes[name]:
                raise WeightsError(
                    f"graph {file} is not the one its card describes (sha256 differs); export the model again"
                )
        return files

    @property
    def golden_of_graph(self) -> Float32:
        """What the exported graph gives for ``golden_input``: in int8 something else than the weights."""
        golden = self.facts.get("onnx_parity", {}).get("golden_intensity")
        return self.golden if golden is None else np.array(golden, np.float32)

    @property
    def graph_precision(self) -> str:
        """fp32 or int8, of the exported network."""
        return str(self.facts.get("onnx_parity", {}).get("precision", "fp32"))

    def check_answer(self, answer: Float32, golden: Float32, runtime: str, tolerance: float = GOLDEN_TOLERANCE) -> None:
        """answer, golden: (n_aus,) calibrated intensity for ``golden_input``. Raises WeightsError when it is wrong."""
        difference = float(np.abs(answer - golden).max())
        if not difference <= tolerance:
            raise WeightsError(
                f"model {self.path.stem} answers its golden input wrongly in {runtime} on this machine (off by "
                f"{difference:.3f}); update {runtime} or report this"
            )


GRAPHS = {"network": ".onnx", "flow": ".flow.onnx", "recovery": ".recovery.onnx"}
"""What an export writes, and the endings of the files."""


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


def bundled_models() -> list[str]:
    """Names of the models that come with the program."""
    return sorted(path.stem for path in asset("models").glob("*.json"))


_MODEL_FILES = (".safetensors", ".onnx", ".json")
_ALSO_NEEDED = ("name", "trained_on", "sha256", "flow", "landmark_backend")
"""Keys of a card besides those that reading it asks for."""


def find_model(model: str | Path | None) -> Path:
    """A name of ``assets/models``, a path to a .safetensors, .onnx or .json file, or None for the default model ->
    path of the card.

    Raises WeightsError when it is not there.
    """
    if model is None:
        path = asset(f"models/{DEFAULT_MODEL}.json")
    elif Path(model).suffix in _MODEL_FILES:
        path = Path(model).with_suffix(".json")
    else:
        path = asset(f"models/{model}.json")
    weights, graph = path.with_suffix(".safetensors"), path.with_suffix(GRAPHS["network"])
    if not path.is_file() or not (weights.is_file() or graph.is_file()):  # a package brings the graphs alone
        known = ", ".join(bundled_models()) or "none"
        if model is not None and Path(model).is_file() and Path(model).suffix not in _MODEL_FILES:
            raise WeightsError(f"{model} is no model file; name a .safetensors file with its .json card beside it")
        lacking = weights if path.is_file() else path
        named = lacking if model is None or Path(model).suffix in _MODEL_FILES else model
        raise WeightsError(
            f"model file {named} is missing; name a .safetensors file with its .json card beside it, or one of: {known}"
        )
    return path


def read_card(model: str | Path | None = None) -> Card:
    """The card of a model that is there. Raises WeightsError when files are missing, or the card is damaged or of
    another version."""
    path = find_model(model)
    try:
        facts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != CARD_FORMAT:
            raise WeightsError(
                f"model card {path} has format {facts['format']}, this version reads {CARD_FORMAT}; "
                "update the program or the model"
            )
        config = RTATLConfig.from_json(facts["network"])
        read = facts["calibration"]
        calibration = Calibration(
            _per_au(read["gain"], config),
            _per_au(read["offset"], config),
            OCCURRENCE_RULES[read["occurrence"]],
            np.isin(config.aus, read.get("intensity_is_5_times_probability", [])),
            _per_au(read["boost"], config) if "boost" in read else np.ones((), np.float32),
        )
        if lacking := [key for key in _ALSO_NEEDED if key not in facts]:
            raise ValueError(f"it lacks {lacking[0]!r}")
        card = Card(path, facts, config, calibration, _per_au(facts["golden_intensity"], config))
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"model card {path} is damaged ({error}); install the model again") from error
    if (landmarks := facts["landmark_backend"]) != BACKEND:
        raise WeightsError(f"model {path.stem} needs landmarks of {landmarks}, this version has {BACKEND}")
    return card


def _per_au(numbers: object, config: RTATLConfig) -> Float32:
    """(n_aus,). Raises ValueError for more or fewer."""
    values = np.array(numbers, np.float32)
    if values.shape != (len(config.aus),):
        raise ValueError(f"{values.size} numbers for {len(config.aus)} AUs")
    return values


def file_hash(file: Path) -> str:
    """sha256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
