"""Which parts of a network learn in a run, and how fast."""

from __future__ import annotations

from typing import Any

from torch import nn

from rtatl_core.errors import RecipeError
from rtatl_core.models.rtatl import RTATL


def freeze(network: RTATL, frozen: tuple[str, ...]) -> None:
    """Raises RecipeError for a part that the network lacks."""
    for part in frozen:
        try:
            network.get_submodule(part).requires_grad_(False)
        except AttributeError as error:
            raise RecipeError(
                f"optim.frozen names {part!r}, which the network lacks; name e.g. backbone.stem"
            ) from error
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise RecipeError(f"optim.frozen names {', '.join(frozen)}, and nothing is left to learn; name fewer parts")


def set_modes(network: RTATL, frozen: tuple[str, ...]) -> None:
    """Training mode for what learns; what does not is as at test time: no dropout, and no running statistics moved."""
    network.train()
    for part in frozen:
        network.get_submodule(part).eval()


def parameter_groups(network: RTATL, backbone_rate: float) -> list[dict[str, Any]]:
    """What learns, as AdamW takes it: the backbone and the rest, each with its ``relative_rate``."""
    backbone = list(network.backbone.parameters())
    own = {id(parameter) for parameter in backbone}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in own]
    return [_group(backbone, backbone_rate), _group(rest, 1.0)]


def _group(parameters: list[nn.Parameter], relative_rate: float) -> dict[str, Any]:
    return {"params": [p for p in parameters if p.requires_grad], "relative_rate": relative_rate}
