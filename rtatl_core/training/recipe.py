"""Training recipes: one TOML file per experiment, checked key by key, saved as resolved with every run."""

from __future__ import annotations

import copy
import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rtatl_core.datasets.augment import AugmentConfig
from rtatl_core.datasets.config import DataConfig
from rtatl_core.errors import RecipeError
from rtatl_core.facs import ACTION_UNITS
from rtatl_core.limits import FROM_0, FROM_1, OVER_0, Limit, require_within
from rtatl_core.models.config import NetworkConfig
from rtatl_core.tasks.consistency import ConsistencyConfig
from rtatl_core.tasks.optical_flow import FlowConfig
from rtatl_core.tasks.roi_inpainting import InpaintingConfig
from rtatl_core.training.initial import find_init, network_of

T = TypeVar("T")
TRUST_LEVELS = ("good", "usable", "experimental")
_OPTIM = {
    "backbone_rate": FROM_0,
    "epochs": FROM_1,
    "steps": FROM_0,
    "labelled_batch": FROM_1,
    "unlabelled_batch": FROM_0,
    "learning_rate": OVER_0,
    "weight_decay": FROM_0,
    "warmup_steps": FROM_0,
    "clip_norm": Limit("a number over 0, or inf for gradients as they are", lambda value: value > 0),
    "patience": FROM_0,
    "seed": Limit("a number from 0 to 2^63 - 1", lambda value: 0 <= value < 2**63),
    "workers": Limit("a number from 0 on, or -1 for all cores but one", lambda value: value >= -1),
    "threads": FROM_0,
}


@dataclass(frozen=True, slots=True)
class TaskWeights:
    """Weights of the losses; 0 leaves a task out."""

    intensity: float = 1.0
    occurrence: float = 0.05
    inpainting: float = 0.1
    flow: float = 0.1
    consistency: float = 0.0
    teacher: float = 0.0
    """Blendshapes stored with data.unlabelled, and data.ratings, as weak labels."""

    def __post_init__(self) -> None:
        weight = FROM_0._replace(words="a weight from 0 (the task is left out) on")
        require_within("tasks", self, dict.fromkeys(self.__slots__, weight))
        if not any(dataclasses.astuple(self)):
            raise ValueError("tasks: all weights are 0, so nothing is learnt; write one over 0")


@dataclass(frozen=True, slots=True)
class OptimConfig:
    init: str = ""
    """Checkpoint (best.pt) or model (.safetensors) to start from; empty = random weights. What belongs to an AU goes to
    the same AU, other AUs start anew; [network] is then that of the file, but for what the recipe says."""
    init_backbone: str = ""
    """torchvision ImageNet checkpoint (.pth, .safetensors) for the backbone, with network.standardise imagenet; or
    mediapipe: what the installed mediapipe brings for the backbone face_mesh."""
    backbone_rate: float = 1.0
    """Learning rate of the backbone relative to the rest; less keeps more of what it began with."""
    frozen: tuple[str, ...] = ()
    """Parts to leave as they are, e.g. backbone.stem."""
    epochs: int = 30
    steps: int = 0
    """Steps of an epoch; 0 = once through the labelled faces (without any: through the unlabelled ones)."""
    labelled_batch: int = 48
    """Over all processes."""
    unlabelled_batch: int = 16
    """Over all processes."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 150
    clip_norm: float = 5.0
    choose: str = "auto"
    """What the checkpoint is chosen by: teacher (agreement on data.selection), icc, f1 (held-out subjects), loss
    (self-supervised, held-out subjects), last (the final epoch); auto = the first of teacher, icc, f1, loss that the
    data allow and a task learns."""
    patience: int = 0
    """Stop after so many epochs without a better checkpoint; 0 = never."""
    seed: int = 0
    device: str = "auto"
    """auto, cpu, cuda, cuda:1."""
    precision: str = "auto"
    """float32, or bfloat16 (mixed; the weights stay float32); auto = bfloat16 on CUDA where the card
    computes it (NVIDIA's from Ampere on)."""
    compile: bool = False
    """torch.compile the network; pays on GPUs in long runs."""
    workers: int = -1
    """Loader processes; -1 = all cores but one (of several processes on a machine each its share), 0 = none."""
    threads: int = 0
    """Of torch; 0 leaves its own choice."""

    def __post_init__(self) -> None:
        require_within("optim", self, _OPTIM)


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    trained_on: str
    """One phrase that the window shows, e.g. "synthetic faces"."""
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    tasks: TaskWeights = field(default_factory=TaskWeights)
    inpainting: InpaintingConfig = field(default_factory=InpaintingConfig)
    flow: FlowConfig = field(default_factory=FlowConfig)
    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    card: dict[str, Any] = field(default_factory=dict)
    """Free text and tables that go into the model card as they are."""

    def __post_init__(self) -> None:
        if not self.name or self.name in (".", "..") or set(self.name) & set("/\\"):
            raise ValueError(f"name is {self.name!r}; the model's files are called so: write a name without / and \\")

        trust = self.card.get("trust", {})
        known = isinstance(trust, dict) and trust.keys() <= set(map(str, ACTION_UNITS))
        if not (known and all(level in TRUST_LEVELS for level in trust.values())):
            raise ValueError(f"card.trust is {trust!r}; write for AUs by number one of {', '.join(TRUST_LEVELS)}")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe; ``overrides`` are ``section.key=value`` with TOML values (bare text is taken as a string).

    Raises RecipeError for a missing or broken file, unknown keys (naming the nearest known one) and values of the wrong
    type.
    """
    return build_recipe(override(read_table(path), overrides))


def read_table(path: Path) -> dict[str, Any]:
    """The TOML file as it stands. Raises RecipeError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(
            f"recipe {path} cannot be read ({error.strerror}); name a .toml file, e.g. one of runs/"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {path} is not valid TOML: {error}") from error


def override(table: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """A copy of ``table`` with ``section.key=value`` put in."""
    table = copy.deepcopy(table)
    for text in overrides:
        key, separator, value = text.partition("=")
        if not separator:
            raise RecipeError(f"--set {text}: write key=value, e.g. --set optim.epochs=5")
        target = table
        *sections, last = key.strip().split(".")
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise RecipeError(f"--set {text}: {section} is a value, not a section")
        target[last] = _toml_value(value.strip())
    return table


def build_recipe(table: dict[str, Any]) -> Recipe:
    """Raises RecipeError, see ``load_recipe``."""
    try:
        return _build(Recipe, _with_network_of_init(table), where="")
    except ValueError as error:  # a config that checks its own values
        raise RecipeError(f"recipe: {error}") from error


def _with_network_of_init(table: dict[str, Any]) -> dict[str, Any]:
    """A copy whose [network] is that of ``optim.init``, if that is there already, but for what the recipe says."""
    optim, own = (table.get(section, {}) for section in ("optim", "network"))
    init = find_init(Path(str(optim.get("init", "")))) if isinstance(optim, dict) else Path()
    if not (isinstance(own, dict) and init.is_file()):
        return table
    return table | {"network": network_of(init) | own}


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(kind: type[T], table: dict[str, Any], where: str) -> T:
    hints = typing.get_type_hints(kind)
    for key in table:
        if key not in hints:
            near = _sections_with(key) or difflib.get_close_matches(key, hints, n=1)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(hints)}"
            raise RecipeError(f"recipe: unknown key {where}{key}; {hint}")
    values = {key: _convert(hints[key], value, f"{where}{key}") for key, value in table.items()}
    missing = [
        f.name
        for f in dataclasses.fields(kind)  # type: ignore[arg-type]
        if f.default is f.default_factory is dataclasses.MISSING and f.name not in values
    ]
    if missing:
        raise RecipeError(f"recipe: {where}{missing[0]} is missing")
    return kind(**values)


def _sections_with(key: str) -> list[str]:
    """Where a key of that name belongs: epochs -> optim.epochs."""
    sections = {name: hint for name, hint in typing.get_type_hints(Recipe).items() if dataclasses.is_dataclass(hint)}
    return [f"{name}.{key}" for name, hint in sections.items() if key in typing.get_type_hints(hint)]


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise RecipeError(f"recipe: {where} is a section, not a value")
        return _build(typing.cast("type[Any]", hint), value, f"{where}.")
    plain = typing.get_origin(hint) or hint
    if plain is tuple:
        item = typing.get_args(hint)[0]
        values = value if isinstance(value, list) else [value]
        return tuple(_convert(item, part, where) for part in values if part != "")
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(plain, type) and not isinstance(plain, types.GenericAlias):
        wrong = not isinstance(value, plain) or (plain is int and isinstance(value, bool))
        if wrong:
            raise RecipeError(f"recipe: {where} must be {plain.__name__}, not {value!r}")
    return value
