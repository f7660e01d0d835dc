"""The network's shape, as recipes choose it and cards store it. Knows no torch: what runs live may do without."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.limits import FROM_0, FROM_1, OVER_0, Limit, require_within

BACKBONES = ("resnet18", "resnet34", "resnet50", "mobilenet_v2", "face_mesh")
STANDARDISATIONS = ("chip", "imagenet")
FLOW_TO = ("later", "rest")
_OF_FACE_MESH: dict[str, Any] = {"width": 32, "standardise": "chip"}
"""The backbone face_mesh is built in one way: a recipe may say nothing else of these keys."""
_LIMITS = {
    "width": FROM_1,
    "token": FROM_1,
    "relation_layers": FROM_0,
    "relation_heads": FROM_1,
    "geometry": FROM_0,
    "dropout": Limit("a share from 0 to under 1", lambda value: 0 <= value < 1),
    "flow_gap_s": OVER_0,
    "geometry_noise": FROM_0,
    "placed": FROM_0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """What a recipe may choose about the network."""

    backbone: str = "resnet18"
    """resnet18, resnet34, resnet50, mobilenet_v2 (a light one), face_mesh (the lightest, models/face_mesh.py)."""
    width: int = 32
    """Channels of the first stage; 64 is the original ResNet, 32 the original MobileNetV2; face_mesh has one width."""
    standardise: str = "chip"
    """chip: zero mean and unit spread per picture, which removes exposure and contrast; imagenet: fixed numbers, for a
    backbone that starts from an ImageNet checkpoint."""
    token: int = 64
    relation_layers: int = 2
    """0 leaves AU tokens unrelated (for ablations)."""
    relation_heads: int = 4
    geometry: int = 256
    """Width of the geometry stream; 0 leaves landmarks out."""
    dropout: float = 0.2
    flow_to: str = "later"
    """Which frame of its clip a frame's flow leads to: later (``flow_gap_s`` on) or rest (one at rest)."""
    flow_gap_s: float = 0.2
    """How far ahead the predicted flow looks, in seconds."""
    reference: bool = False
    """The geometry stream sees each face beside the mean of the same person's landmarks (rtatl_core/reference.py)."""
    geometry_noise: float = 0.10
    """Training noise on the landmarks in units of each coordinate's spread; without it the geometry stream learns one
    rig's mesh by heart."""

    placed: int = 0
    """Channels of the global feature in each of 4 x 4 places of the chip, which are places on the face; 0 = all of
    the backbone's, in the mean over the chip."""
    sides: bool = False
    """Tell the subject's left from the right; needs data that do."""

    def __post_init__(self) -> None:
        self.require_known()
        require_within("network", self, _LIMITS)
        if self.relation_layers and self.token % self.relation_heads:
            fits = max(heads for heads in range(1, self.relation_heads) if self.token % heads == 0)
            raise ValueError(
                f"network.relation_heads is {self.relation_heads}, which does not divide network.token {self.token}; "
                f"write one that does, e.g. {fits}"
            )
        if self.reference and not self.geometry:
            raise ValueError(
                "network.reference is true, but network.geometry is 0: the person's mean is of landmarks; "
                "set one of them otherwise"
            )
        if self.backbone == "face_mesh":
            for key, only in _OF_FACE_MESH.items():
                if (value := getattr(self, key)) != only:
                    raise ValueError(
                        f"network.{key} {value} is not for the backbone face_mesh; set it to {only} or leave it out, "
                        "or take another network.backbone"
                    )

    def require_known(self) -> None:
        """Raises ValueError."""
        if self.backbone not in BACKBONES:
            raise ValueError(f"network.backbone {self.backbone!r} is unknown; known are {', '.join(BACKBONES)}")
        if self.standardise not in STANDARDISATIONS:
            raise ValueError(f"standardise {self.standardise!r} is unknown; known are {', '.join(STANDARDISATIONS)}")
        if self.flow_to not in FLOW_TO:
            raise ValueError(f"network.flow_to {self.flow_to!r} is unknown; known are {', '.join(FLOW_TO)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RTATLConfig(NetworkConfig):
    """The network's whole shape: a recipe's choices and what follows from its data; saved with the weights."""

    aus: tuple[int, ...]
    chip_side: int = CHIP_SIDE

    def __post_init__(self) -> None:
        """A card keeps what its network was trained with, though a recipe would no longer be taken."""
        self.require_known()

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"aus": list(self.aus)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> RTATLConfig:
        return cls(**(values | {"aus": tuple(values["aus"])}))
