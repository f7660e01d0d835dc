"""A run that begins with the network of another: its weights, its people and its judges come along."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rtatl_core.assets import asset
from rtatl_core.datasets.protocols import test_subjects as subjects_of
from rtatl_core.errors import RecipeError
from rtatl_core.training.publish import publish
from rtatl_core.training.recipe import load_recipe
from rtatl_core.training.trainer import Trainer
from rtatl_core.weights import load_model
from tests.core.stores import AUS, write_clips
from tests.core.training.conftest import begun, recipe

ROOT = Path(__file__).parents[3]


def test_a_model_can_be_trained_on_with_nothing_said_of_its_network(data: Path, tmp_path: Path) -> None:
    """The bundled one, by the recipe for own coded videos."""
    bundled = asset("models/rtatl-synth.safetensors")
    overrides = {
        "data.labelled": data / "labelled",
        "data.unlabelled": data / "videos",
        "optim.init": bundled,
        "optim.epochs": 1,
        "optim.steps": 1,
        "optim.labelled_batch": 4,
        "optim.unlabelled_batch": 4,
        "optim.workers": 0,
    }
    given = tuple(f"{key}={value}" for key, value in overrides.items())
    trainer = Trainer(load_recipe(ROOT / "runs" / "finetune.toml", given), tmp_path)
    before = load_model(bundled)
    assert trainer.network.config == replace(before.card.config, aus=AUS)
    index = [before.aus.index(au) for au in AUS]
    torch.testing.assert_close(trainer.network.regions.project, before.network.regions.project[index])
    trainer.run()
    after = load_model(publish(trainer))
    assert after.card.config.sides, "these data do not tell sides, the model began with them"
    for people in ("subjects", "judged_by"):
        assert set(before.facts["training"][people]) < set(after.facts["training"][people])
    with pytest.raises(RecipeError, match="backbone is 'face_mesh' there and 'resnet18' here"):
        Trainer(load_recipe(ROOT / "runs" / "finetune.toml", (*given, "network.backbone=resnet18")), tmp_path)
    with pytest.raises(RecipeError, match="which is missing"):
        Trainer(recipe(data, "optim.init=nowhere.pt"), tmp_path)


def test_the_people_of_the_run_before_stay_on_record_and_do_not_validate(data: Path, tmp_path: Path) -> None:
    first = Trainer(recipe(data), tmp_path / "first")
    best = begun(first, "best.pt")
    init = f"optim.init={best.as_posix()}"
    other = ("data.selection=", "data.aside=", "optim.seed=3", "data.held_out=0.1")
    second = Trainer(recipe(data, init, *other), tmp_path / "second")
    assert second.data.validation is not None
    store, rows = second.data.validation.store, second.data.validation.rows
    assert not set(store.subjects[rows]) & set(first.subjects)
    assert set(first.subjects) | set(second.data.subjects) == set(second.subjects)
    assert {"k0", "k1"} <= set(first.judges) <= set(second.judges), "by whom the beginning was chosen"
    third = Trainer(recipe(data, f"optim.init={begun(second, 'best.pt').as_posix()}", *other), tmp_path / "third")
    assert set(second.judges) <= set(third.judges)
    last = begun(second)
    with pytest.raises(RecipeError, match=r"another recipe: optim\.init is '.*best.pt' there and '' here"):
        Trainer(recipe(data, *other), tmp_path / "second").resume()
    state = torch.load(last, weights_only=True)
    torch.save(state | {"subjects": [*state["subjects"], "gone"], "judges": ["gone too"]}, last)
    again = Trainer(recipe(data, init, *other), tmp_path / "second")
    again.resume()
    assert "gone" in again.subjects
    assert {"gone too", "k0"} <= set(again.judges)
    judge = f"data.aside={write_clips(tmp_path / 'taught', teacher=True).as_posix()}"  # the very people of videos
    with pytest.raises(RecipeError, match=r"is in the training of .*best\.pt and in data\.aside"):
        Trainer(recipe(data, init, judge, "data.unlabelled=[]"), tmp_path / "fourth")


def test_who_chose_the_beginning_is_no_test_either(data: Path, tmp_path: Path) -> None:
    first = Trainer(recipe(data, "data.protocol=subjects:3", "data.fold=1"), tmp_path / "first")
    best = begun(first, "best.pt")
    state = torch.load(best, weights_only=True)
    torch.save(state | {"subjects": []}, best)
    second = [f"optim.init={best.as_posix()}", "data.protocol=subjects:3"]
    held = next(name for name in first.judges if name.startswith("s"))
    fold = next(fold for fold in (2, 3) if held in subjects_of("subjects:3", fold, (f"s{k}" for k in range(10))))
    with pytest.raises(RecipeError, match=rf"subject {held} is among those by whom .* and in the test fold"):
        Trainer(recipe(data, *second, f"data.fold={fold}"), tmp_path / "second")
