"""Training recipes: one TOML file per experiment, checked key by key, saved as resolved with every run."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rtatl_core.datasets.augment import AugmentConfig
from rtatl_core.errors import RecipeError
from rtatl_core.models.rtatl import NetworkConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DataConfig:
    labelled: str = ""
    """Prepared folder with AU labels."""
    videos: str = ""
    """Prepared folder of unlabelled video for the self-supervised tasks; empty = none."""
    selection: str = ""
    """Prepared folder of real video with teacher values, by which the checkpoint is chosen; empty = held-out
    labels choose."""
    aside: str = ""
    """Prepared folder like ``selection``, of other clips: nothing is chosen by it, it is measured for the
    card and sets the AUs' trust."""
    held_out: float = 0.1
    """Share of subjects of ``labelled`` kept for validation."""


@dataclass(frozen=True, slots=True)
class TaskWeights:
    """Weights of the losses; 0 leaves a task out."""

    intensity: float = 1.0
    occurrence: float = 0.05
    inpainting: float = 0.1
    flow: float = 0.1


@dataclass(frozen=True, slots=True)
class OptimConfig:
    init: str = ""
    """Checkpoint (best.pt of another run) to start from; empty = random weights."""
    only: str = ""
    """Train this part of the network (flow, inpainting, geometry, head, ...) and leave the rest as it is;
    empty = all of it."""
    epochs: int = 30
    labelled_batch: int = 48
    video_batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    warmup_steps: int = 150
    clip_norm: float = 5.0
    seed: int = 0
    threads: int = 0
    """0 leaves torch's own choice."""
    bfloat16: bool = True
    """Mixed precision; the weights stay float32."""


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    trained_on: str
    """One phrase that the window shows, e.g. "synthetic faces"."""
    data: DataConfig = field(default_factory=DataConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    tasks: TaskWeights = field(default_factory=TaskWeights)
    optim: OptimConfig = field(default_factory=OptimConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    card: dict[str, Any] = field(default_factory=dict)
    """Free text and tables that go into the model card as they are."""

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def load_recipe(path: Path, overrides: tuple[str, ...] = ()) -> Recipe:
    """Read a recipe; ``overrides`` are ``section.key=value`` with TOML values (bare text is taken as a
    string).

    Raises RecipeError for a missing or broken file, unknown keys (naming the nearest known one) and values of
    the wrong type.
    """
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise RecipeError(
            f"recipe {path} cannot be read ({error.strerror}); name a .toml file, e.g. one of runs/"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {path} is not valid TOML: {error}") from error
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise RecipeError(f"--set {override}: write key=value, e.g. --set optim.epochs=5")
        target = table
        *sections, last = key.strip().split(".")
        for section in sections:
            target = target.setdefault(section, {})
            if not isinstance(target, dict):
                raise RecipeError(f"--set {override}: {section} is a value, not a section")
        target[last] = _toml_value(text.strip())
    return _build(Recipe, table, where="")


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _build(kind: type[T], table: dict[str, Any], where: str) -> T:
    hints = typing.get_type_hints(kind)
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(hints)}"
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


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise RecipeError(f"recipe: {where} is a section, not a value")
        return _build(typing.cast("type[Any]", hint), value, f"{where}.")
    plain = typing.get_origin(hint) or hint
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(plain, type) and not isinstance(plain, types.GenericAlias):
        wrong = not isinstance(value, plain) or (plain is int and isinstance(value, bool))
        if wrong:
            raise RecipeError(f"recipe: {where} must be {plain.__name__}, not {value!r}")
    return value
