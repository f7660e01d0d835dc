"""Weights go to the AU they belong to; ImageNet checkpoints fit by torchvision's names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rtatl_core.errors import RecipeError
from rtatl_core.models.backbone import build_backbone
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.training.initial import Beginning, load_checkpoint, start_backbone, start_from


def network(aus: tuple[int, ...], **choices: object) -> RTATL:
    return RTATL(RTATLConfig(aus=aus, **({"width": 8, "token": 16, "geometry": 16} | choices)), flow=False)  # type: ignore[arg-type]


def checkpoint(path: Path, source: RTATL) -> Path:
    """As earlier versions wrote it."""
    people = {"subjects": ["anna"], "people": {"judging": ["bob"]}}
    torch.save({"network": source.state_dict(), "config": source.config.to_json(), **people}, path)
    return path


@pytest.mark.parametrize(("sides", "outputs"), [(False, 2), (True, 3)])
def test_aus_take_their_own_weights_and_new_ones_start_anew(tmp_path: Path, sides: bool, outputs: int) -> None:
    torch.manual_seed(0)
    source, target = network((1, 12, 25), sides=sides), network((12, 9, 1), sides=sides)
    fresh = {name: value.clone() for name, value in target.state_dict().items()}
    beginning = Beginning.read(checkpoint(tmp_path / "best.pt", source))
    assert (beginning.subjects, beginning.judges) == (["anna"], ["bob"])
    start_from(target, beginning)
    a, b = source.state_dict(), target.state_dict()
    for name in ("regions.project", "relation.identity", "head.local"):
        torch.testing.assert_close(b[name][[0, 2]], a[name][[1, 0]])
        torch.testing.assert_close(b[name][1], fresh[name][1])
    for name in ("head.whole.weight", "geometry.head.weight"):
        given, taken, own = (state[name].unflatten(0, (3, outputs)) for state in (a, b, fresh))
        torch.testing.assert_close(taken[[0, 2]], given[[1, 0]])
        torch.testing.assert_close(taken[1], own[1])
    torch.testing.assert_close(b["backbone.conv1.weight"], a["backbone.conv1.weight"])
    same = network((1, 12, 25), sides=sides)
    start_from(same, beginning)
    for name, value in same.state_dict().items():
        torch.testing.assert_close(value, a[name])


def test_another_network_is_told_apart_in_words(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "best.pt", network((1,)))
    with pytest.raises(RecipeError, match="token is 16 there and 32 here"):
        start_from(network((1,), token=32), Beginning.read(path))
    with pytest.raises(RecipeError, match="which is missing"):
        Beginning.read(tmp_path / "gone.pt")
    (tmp_path / "bad.pt").write_bytes(b"no checkpoint")
    with pytest.raises(RecipeError, match=r"bad.pt is no checkpoint of 'rtatl train'"):
        load_checkpoint(tmp_path / "bad.pt")


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_imagenet_checkpoints_load_from_a_file(tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    given = build_backbone(name, 8).state_dict()
    extra = {"fc.weight": torch.zeros(2, 2)} if name == "resnet18" else {"classifier.1.weight": torch.zeros(2, 2)}
    torch.save(given | extra, tmp_path / "imagenet.pth")
    save_file(given | extra, tmp_path / "imagenet.safetensors")
    for file in ("imagenet.pth", "imagenet.safetensors"):
        torch.manual_seed(1)
        fresh = network((1,), backbone=name, standardise="imagenet")
        start_backbone(fresh, str(tmp_path / file))
        for key, value in fresh.backbone.state_dict().items():
            torch.testing.assert_close(value, given[key])
    other = "resnet34" if name == "resnet18" else "resnet18"
    with pytest.raises(RecipeError, match=f"does not fit backbone {other}"):
        start_backbone(network((1,), backbone=other), str(tmp_path / "imagenet.pth"))
    (tmp_path / "bad.pth").write_bytes(b"x")
    with pytest.raises(RecipeError, match="cannot be read as weights"):
        start_backbone(network((1,)), str(tmp_path / "bad.pth"))
