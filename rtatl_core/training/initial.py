"""Where a network's weights start: from another run or model, AU by AU, and an ImageNet checkpoint or
MediaPipe's Face Mesh for the backbone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rtatl_core.assets import asset
from rtatl_core.datasets.protocols import require_apart
from rtatl_core.datasets.split import TrainingData
from rtatl_core.errors import RecipeError
from rtatl_core.models.backbone import load_imagenet
from rtatl_core.models.config import NetworkConfig, RTATLConfig
from rtatl_core.models.face_mesh import FaceMeshTrunk, load_face_mesh
from rtatl_core.models.rtatl import RTATL

MEDIAPIPE = "mediapipe"
_BY_AU = ("regions.project", "regions.bias", "relation.identity", "head.local")
"""Tensors whose first axis counts AUs."""
_BY_AU_AND_OUTPUT = ("head.whole.weight", "head.whole.bias", "geometry.head.weight", "geometry.head.bias")
"""Tensors whose first axis counts (AU, output), the outputs of an AU side by side."""
_MAY_BE_NEW = ("flow.", "inpainting.")
"""Decoders, which a run may have without its predecessor, or the other way round."""
_FREE = frozenset({"aus", "dropout", "geometry_noise", "flow_to", "flow_gap_s", "relation_heads"})
"""Keys of the configuration that change no tensor except by AU."""


class Beginning(NamedTuple):
    """What a ``best.pt`` or a ``.safetensors`` model holds for another run."""

    path: Path
    tensors: dict[str, Tensor]
    config: RTATLConfig
    subjects: list[str]
    """Everybody it was trained on."""
    judges: list[str]
    """Everybody by whose face it was chosen or calibrated."""

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises RecipeError when there is no such file or it holds something else."""
        path = find_init(path)
        if not path.is_file():
            raise RecipeError(
                f"optim.init names {path}, which is missing; name the best.pt of a finished run or a model"
            )
        if path.suffix == ".safetensors":
            card = _card(path)
            training = card.get("training", {})
            people = training.get("subjects", []), training.get("judged_by", [])
            return cls(path, _tensors(path), RTATLConfig.from_json(card["network"]), *people)
        state = load_checkpoint(path)
        config = RTATLConfig.from_json(state["config"])
        return cls(path, state["network"], config, state.get("subjects", []), judges_of(state))


def find_init(named: Path) -> Path:
    """A bundled model may be named without its folder, as everywhere."""
    bundled = asset(f"models/{named}.safetensors")
    return bundled if not named.suffix and bundled.is_file() else named


def network_of(path: Path) -> dict[str, Any]:
    """The recipe's [network] that fits the file. Raises RecipeError when there is none."""
    config = Beginning.read(path).config
    return {field.name: getattr(config, field.name) for field in dataclasses.fields(NetworkConfig)}


def judges_of(state: dict[str, Any]) -> list[str]:
    """By whose faces a checkpoint was chosen or calibrated; earlier versions wrote only its own run's."""
    judges: list[str] = state.get("judges", state.get("people", {}).get("judging", []))
    return judges


def start_from(network: RTATL, beginning: Beginning) -> None:
    """Take over its weights. Raises RecipeError when its network has another shape, naming what differs."""
    config = beginning.config
    if difference := difference_of(config, network.config):
        raise RecipeError(f"optim.init: {beginning.path} holds another network than the recipe describes: {difference}")
    theirs, ours = config.aus, network.config.aus
    wanted = network.state_dict()
    network.load_state_dict(
        {name: _take_over(name, tensor, beginning.tensors, theirs, ours) for name, tensor in wanted.items()}
    )


def require_strangers(beginning: Beginning, data: TrainingData) -> None:
    """Raises RecipeError when somebody whom a run takes for a stranger is known to the one that it starts from."""
    trained = f"in the training of {beginning.path}"
    judged = f"among those by whom {beginning.path} was chosen or calibrated"
    strangers = {"the test fold": data.test, "data.calibration": data.strangers, "data.aside": data.aside_people}
    for what, people in strangers.items():
        require_apart(beginning.subjects, people, trained=trained, tested=f"in {what}")
    require_apart(beginning.judges, data.test, trained=judged, tested="in the test fold")


def difference_of(given: RTATLConfig, wanted: RTATLConfig) -> str:
    """The first difference in shape between two networks, in words; empty when weights fit AU by AU."""
    return first_difference(given.to_json(), wanted.to_json(), but=_FREE)


def first_difference(there: Mapping[str, Any], here: Mapping[str, Any], *, but: Collection[str] = ()) -> str:
    """In words; empty when all keys of ``here`` but those have the same values there."""
    for key in here:
        if key not in but and there.get(key) != here[key]:
            return f"{key} is {there.get(key)!r} there and {here[key]!r} here"
    return ""


def _take_over(
    name: str, own: Tensor, tensors: dict[str, Tensor], theirs: tuple[int, ...], ours: tuple[int, ...]
) -> Tensor:
    if name not in tensors:
        if name.startswith(_MAY_BE_NEW):
            return own
        raise RecipeError(f"optim.init: the file lacks {name}; it is of another version")
    given = tensors[name]
    if name not in _BY_AU + _BY_AU_AND_OUTPUT:
        return given
    each = len(own) // len(ours)
    result = own.clone()
    for i, au in enumerate(ours):
        if au in theirs:
            k = theirs.index(au)
            result[i * each : (i + 1) * each] = given[k * each : (k + 1) * each]
    return result


def start_backbone(network: RTATL, source: str) -> None:
    """Take over an ImageNet checkpoint, or the weights of ``MEDIAPIPE``. Raises RecipeError when they are missing or of
    another backbone."""
    if source == MEDIAPIPE:
        _start_as_face_mesh(network)
        return
    path = Path(source)
    if not path.is_file():
        raise RecipeError(
            f"optim.init_backbone names {path}, which is missing; download it beforehand and name the file"
        )
    try:
        load_imagenet(network.backbone, _tensors(path))
    except ValueError as error:
        raise RecipeError(f"{path} does not fit backbone {network.config.backbone}: {error}") from error


def _start_as_face_mesh(network: RTATL) -> None:
    if not isinstance(network.backbone, FaceMeshTrunk):
        raise RecipeError(
            f"optim.init_backbone is {MEDIAPIPE}, which has no {network.config.backbone}; "
            "set network.backbone to face_mesh"
        )
    try:
        load_face_mesh(network.backbone)
    except ValueError as error:
        raise RecipeError(f"optim.init_backbone is {MEDIAPIPE}: {error}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Raises RecipeError when the file is no checkpoint of this program."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state["network"], state["config"]
    except Exception as error:  # torch.load raises whatever the bytes lead it to
        raise RecipeError(
            f"{path} is no checkpoint of 'rtatl train' ({type(error).__name__}); name its best.pt"
        ) from error
    return state


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        loaded: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
        return loaded
    except (SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise RecipeError(f"{path} cannot be read as weights ({error})") from error
    except Exception as error:  # pickle's many
        raise RecipeError(f"{path} cannot be read as weights ({type(error).__name__})") from error


def _card(path: Path) -> dict[str, Any]:
    try:
        card: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        card["network"]
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"optim.init: {path} lacks its card ({error}); keep the .json beside the weights") from error
    return card
