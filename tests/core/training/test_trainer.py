"""A few tiny epochs on made-up chips: the loop learns, resumes exactly, and leaves a model that loads."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import rtatl_core.training.publish as publishing
from rtatl_core.assets import asset
from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.flow_pairs import frame_pairs
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.parts import Frame
from rtatl_core.datasets.protocols import test_subjects as subjects_of
from rtatl_core.errors import RecipeError, TrainingError
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.tasks.base import Batch
from rtatl_core.training.crossed import runs_apart
from rtatl_core.training.fit_calibration import Heard, Judged
from rtatl_core.training.publish import _Labelled, _side_agreement, publish
from rtatl_core.training.recipe import Recipe, load_recipe
from rtatl_core.training.trainer import Trainer
from rtatl_core.weights import load_model
from tests.core.stores import AUS, face, write_clips, write_labelled, write_store

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_labelled(folder / "labelled")
    write_clips(folder / "videos")
    write_clips(folder / "selection", teacher=True, name="k")
    return folder


def recipe(data: Path, *overrides: str) -> Recipe:
    path = data / "recipe.toml"
    path.write_text(
        f'name = "tiny"\ntrained_on = "made-up faces"\n[data]\nlabelled = "{(data / "labelled").as_posix()}"\n'
        f'aside = "{(data / "selection").as_posix()}"\n'
        f'unlabelled = "{(data / "videos").as_posix()}"\nselection = "{(data / "selection").as_posix()}"\n'
        "[network]\nwidth = 8\ntoken = 16\ngeometry = 16\n"
        "[optim]\nepochs = 2\nlabelled_batch = 16\nunlabelled_batch = 4\nworkers = 0\nwarmup_steps = 2\n"
        '[card.trust]\n12 = "good"\n'
    )
    return load_recipe(path, overrides)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "faces_per_s")} for row in csv.DictReader(file)]


def test_training_leaves_a_model_and_resumes_exactly(data: Path, tmp_path: Path) -> None:
    whole = Trainer(recipe(data), tmp_path / "whole")
    whole.run()
    half = Trainer(recipe(data), tmp_path / "half")
    with pytest.raises(KeyboardInterrupt):
        half.run(interrupt)
    earlier = torch.load(tmp_path / "half" / "last.pt", weights_only=True)
    torch.save(earlier | {"held_out": {"pcc": 0.5}}, tmp_path / "half" / "last.pt")  # as earlier versions wrote it
    again = Trainer(recipe(data), tmp_path / "half")
    again.resume()
    again.run()
    assert rows(tmp_path / "half" / "log.csv") == rows(tmp_path / "whole" / "log.csv")
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value, rtol=0, atol=0)
    assert {"loss_intensity", "loss_occurrence", "loss_inpainting", "loss_flow"} <= set(
        rows(tmp_path / "whole" / "log.csv")[0]
    )
    assert list((tmp_path / "whole" / "tensorboard").glob("events.*"))
    model = load_model(publish(whole))
    assert model.facts["trust"] == {"12": "good", "25": "experimental"}
    assert model.facts["measured"]["aside_video"]["flow"]["pairs"] == 20
    assert 0 <= model.facts["flow_gain"] <= 1
    assert set(model.facts["measured"]) == {"held_out_labelled", "selection_video", "aside_video"}


def test_faces_of_calibration_are_judged_in_place_of_trained_ones(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(recipe(data, f"data.calibration={(data / 'selection').as_posix()}", "optim.epochs=1"), tmp_path)
    people = set(trainer.data.calibration[0].subjects)
    assert not any(people & set(source.store.subjects[source.rows]) for source in trainer.data.unlabelled)
    trainer.run()
    judged = watch_calibration(monkeypatch)
    publish(trainer)
    assert [heard.source.store.folder for heard in judged] == [data / "selection", data / "selection"]
    with pytest.raises(RecipeError, match="no teacher values"):
        Trainer(recipe(data, f"data.calibration={write_clips(tmp_path / 'plain', name='p').as_posix()}"), tmp_path)


def watch_calibration(monkeypatch: pytest.MonkeyPatch) -> list[Heard]:
    """What will be asked for zero and gain."""
    judged: list[Heard] = []
    real_output = publishing.real_output

    def watch(heard: Sequence[Heard], aus: tuple[int, ...]) -> list[Judged]:
        judged.extend(heard)
        return real_output(heard, aus)

    monkeypatch.setattr(publishing, "real_output", watch)
    return judged


def test_faces_that_train_and_calibrate_are_read_by_a_network_trained_without_them(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [write_clips(tmp_path / name, teacher=True, name=name) for name in ("ann", "bob")]
    table = tmp_path / "rated.csv"
    stores = [ChipStore.open(folder) for folder in folders]
    for folder in folders:  # frames of one name each
        index = folder / "parts" / "all" / "index.csv"
        head, *lines = index.read_text().splitlines()
        index.write_text("\n".join([head, *(f"{folder.name}{line}" for line in lines)]) + "\n")
    names = [f"{folder.name}{image}" for folder, store in zip(folders, stores, strict=True) for image in store.images]
    rated = names[4:]
    table.write_text("image,AU12\n" + "".join(f"{name},{3 * (k % 2)}\n" for k, name in enumerate(rated)))
    file = data / "recipe.toml"
    recipe(data)
    both = json.dumps([folder.as_posix() for folder in folders])
    everything = json.dumps([(data / "videos").as_posix(), *(folder.as_posix() for folder in folders)])
    (tmp_path / "who.csv").write_text("file,hat\nann0,hat\nbob0,none\nbob1,none\n")
    settings = [f"data.calibration={both}", f"data.unlabelled={everything}", f"data.ratings={table.as_posix()}"]
    settings.append(f"data.groups={(tmp_path / 'who.csv').as_posix()}")
    flags = [part for one in (*settings, "optim.epochs=1", "optim.steps=2") for part in ("--set", one)]
    judged = watch_calibration(monkeypatch)
    out = tmp_path / "run"
    assert main(["train", str(file), "--out", str(out), *flags]) == 0
    assert f"{out / 'without-ann'}:" in capsys.readouterr().err
    networks = {name: Trainer(load_recipe(file, tuple(settings)), tmp_path / "x").network for name in ("ann", "bob")}
    for heard in judged[:2]:
        name = heard.source.store.folder.name
        state = torch.load(out / f"without-{name}" / "best.pt", weights_only=True)
        assert f"{name}0" not in state["subjects"]
        networks[name].load_state_dict(state["network"])
        said = predict_store(networks[name], heard.source.store, heard.source.rows).intensity
        np.testing.assert_allclose(heard.said, said, atol=1e-6)
    assert [heard.source.store.folder.name for heard in judged] == ["ann", "bob", "selection"]
    card = json.loads((out / "tiny.json").read_text())
    assert {"ann0", "bob0"} <= set(card["training"]["subjects"])
    assert card["measured"]["strangers"]["faces"] == len(rated) == 44
    assert card["measured"]["strangers"]["against_ratings"]["AU12"]["seen"] == 22
    hats = card["measured"]["strangers"]["groups"]["hat"]
    assert {group: entry["rated"] for group, entry in hats.items()} == {"none": 24}, "too few faces wear one"
    before = card["calibration"]
    (out / "last.pt").unlink()  # as if the whole run had been interrupted before it began
    assert main(["train", str(file), "--out", str(out), *flags]) == 2
    assert "without-ann holds a run already; add --resume" in capsys.readouterr().err
    trained = (out / "without-ann" / "best.pt").stat().st_mtime_ns
    assert main(["train", str(file), "--out", str(out), *flags, "--resume"]) == 0
    assert (out / "without-ann" / "best.pt").stat().st_mtime_ns == trained, "what is done is not done again"
    assert json.loads((out / "tiny.json").read_text())["calibration"] == before
    (tmp_path / "bare.csv").write_text("file\nann0\n")
    bare = [*flags, "--set", f"data.groups={(tmp_path / 'bare.csv').as_posix()}", "--resume"]
    assert main(["train", str(file), "--out", str(out), *bare]) == 0, "the card's groups may change on the way"
    (out / "without-bob" / "last.pt").unlink()
    other = [*flags, "--set", "optim.seed=5", "--resume"]
    assert main(["train", str(file), "--out", str(out), *other]) == 2
    assert not (out / "without-bob" / "last.pt").exists(), "refused before anything is trained"
    init = f"optim.init={(out / 'best.pt').as_posix()}"
    with pytest.raises(RecipeError, match=r"ann0.* in data.calibration"):
        Trainer(runs_apart(load_recipe(file, (*settings, init)), out)[0][0], tmp_path / "x")
    shutil.copytree(folders[0], tmp_path / "y" / "ann")
    same = json.dumps([folders[0].as_posix(), (tmp_path / "y" / "ann").as_posix()])
    with pytest.raises(RecipeError, match="have the same name"):
        runs_apart(recipe(data, f"data.calibration={same}", f"data.unlabelled={same}"), out)


def test_sides_need_data_that_tell_them(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not tell left from right"):
        Trainer(recipe(data, "network.sides=true"), tmp_path)


def test_a_network_that_compares_learns_how_far_faces_vary_around_their_own_mean(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(data, "network.reference=true", "optim.epochs=1"), tmp_path)
    trainer.run()
    stream = trainer.network.geometry
    assert stream is not None
    source = trainer.data.labelled
    assert source is not None
    faces = source.store.geometry.take(source.rows).astype(np.float32).reshape(len(source.rows), -1)
    names = source.store.subjects[source.rows]
    own = np.stack([face - faces[names == name].mean(axis=0) for face, name in zip(faces, names, strict=True)])
    np.testing.assert_allclose(stream.own_spread.numpy(), own.std(axis=0) + 0.003, rtol=1e-3, atol=1e-5)
    model = load_model(publish(trainer))
    assert model.card.config.reference
    assert "own_spread" in str(list(model.network.state_dict()))


def test_mixed_precision_trains_float32_weights(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(data, "optim.precision=bfloat16", "optim.epochs=1", "optim.steps=1"), tmp_path)
    before = trainer.network.backbone.conv1.weight.detach().clone()
    trainer.run()
    after = trainer.network.backbone.conv1.weight
    assert after.dtype == torch.float32
    assert not torch.equal(after, before)
    with pytest.raises(RecipeError, match="write float32, bfloat16 or auto"):
        Trainer(recipe(data, "optim.precision=int8"), tmp_path)


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
    torch.testing.assert_close(trainer.network.regions.weight, before.network.regions.weight[index])
    trainer.run()
    after = load_model(publish(trainer))
    assert after.card.config.sides, "these data do not tell sides, the model began with them"
    for people in ("subjects", "judged_by"):
        assert set(before.facts["training"][people]) < set(after.facts["training"][people])
    with pytest.raises(RecipeError, match="backbone is 'face_mesh' there and 'resnet18' here"):
        Trainer(load_recipe(ROOT / "runs" / "finetune.toml", (*given, "network.backbone=resnet18")), tmp_path)
    with pytest.raises(RecipeError, match="which is missing"):
        Trainer(recipe(data, "optim.init=nowhere.pt"), tmp_path)


def test_a_run_goes_on_with_the_people_it_began_with(data: Path, tmp_path: Path) -> None:
    folds = ("data.protocol=subjects:3", "optim.epochs=1", "optim.steps=1")
    first = Trainer(recipe(data, *folds, "data.fold=1"), tmp_path)
    best = first.run()
    with pytest.raises(RecipeError, match=r"another recipe: data.fold is 1 there and 2 here"):
        Trainer(recipe(data, *folds, "data.fold=2"), tmp_path).resume()
    with pytest.raises(RecipeError, match=r"optim\.seed is 0 there and 4 here"):
        Trainer(recipe(data, *folds, "data.fold=1", "optim.seed=4"), tmp_path).resume()
    with pytest.raises(RecipeError, match="token is 16 there and 8 here"):
        Trainer(recipe(data, *folds, "data.fold=1", "network.token=8"), tmp_path).resume()
    with pytest.raises(RecipeError, match=r"tasks.flow is 0.1 there and 0.0 here"):
        Trainer(recipe(data, *folds, "data.fold=1", "tasks.flow=0"), tmp_path).resume()
    Trainer(recipe(data, *folds, "data.fold=1"), tmp_path).resume()
    more = tmp_path / "more"
    shutil.copytree(data / "labelled", more)
    index = more / "parts" / "all" / "index.csv"
    another = Trainer(recipe(data, *folds, "data.fold=1", f"data.labelled={more.as_posix()}"), tmp_path / "more-run")
    another.run()
    index.write_text(index.read_text().replace(",s4,", ",someone,"))
    with pytest.raises(RecipeError, match="other people: the data were prepared anew"):
        Trainer(another.recipe, another.out).resume()
    with pytest.raises(RecipeError, match=r"is in the training of .*best.pt and in the test fold"):
        Trainer(recipe(data, *folds, "data.fold=2", f"optim.init={best.as_posix()}"), tmp_path / "other")


def begun(trainer: Trainer, name: str = "last.pt") -> Path:
    """A checkpoint as it is before the first step."""
    trainer.out.mkdir(parents=True, exist_ok=True)
    trainer._save(name)
    return trainer.out / name


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("optim.choose=icc", "optim.choose is 'auto' there and 'icc' here"),
        ("optim.weight_decay=0.5", r"optim.weight_decay is 0\.05 there and 0\.5 here"),
        ("optim.backbone_rate=0.1", "optim.backbone_rate is 1"),
        ('optim.frozen=["backbone.layer1"]', "optim.frozen is"),
        ("augment.flip=0", r"augment.flip is 0\.5 there and 0\.0 here"),
        ("inpainting.most=1", "inpainting.most is 3 there and 1 here"),
        ("consistency.confidence=0.8", r"consistency.confidence is 0\.9 there and 0\.8 here"),
    ],
)
def test_what_a_resumed_run_would_not_follow_is_refused(data: Path, tmp_path: Path, change: str, sentence: str) -> None:
    begun(Trainer(recipe(data), tmp_path))
    with pytest.raises(RecipeError, match=rf"another recipe: {sentence}"):
        Trainer(recipe(data, change), tmp_path).resume()


def test_an_epoch_ends_with_the_steps_that_it_began_with(data: Path, tmp_path: Path) -> None:
    between = Trainer(recipe(data), tmp_path)
    changes = ("optim.steps=2", "optim.labelled_batch=8", "optim.unlabelled_batch=8")
    other = ("optim.epochs=3", "optim.patience=1", "optim.threads=1", "optim.workers=1", "optim.learning_rate=1e-4")
    begun(between)
    Trainer(recipe(data, *changes, *other), tmp_path).resume()
    between.step = 1
    begun(between)
    for change in changes:
        with pytest.raises(RecipeError, match=f"another recipe: {change.split('=')[0]} is"):
            Trainer(recipe(data, change), tmp_path).resume()
    again = Trainer(recipe(data, *other), tmp_path)
    again.resume()
    assert again.step == 1


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


def test_parts_can_be_frozen_and_the_backbone_learn_slowly(data: Path, tmp_path: Path) -> None:
    overrides = ("optim.epochs=1", "optim.steps=1", "optim.backbone_rate=0.25", "network.placed=4")
    trainer = Trainer(recipe(data, *overrides, 'optim.frozen=["backbone.layer1", "regions"]'), tmp_path)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.run()
    after = trainer.network.state_dict()
    assert torch.equal(after["backbone.layer1.0.bn1.running_mean"], before["backbone.layer1.0.bn1.running_mean"])
    assert not torch.equal(after["backbone.layer2.0.bn1.running_mean"], before["backbone.layer2.0.bn1.running_mean"])
    rates = {id(p): group["lr"] for group in trainer.optimiser.param_groups for p in group["params"]}
    for name, value in trainer.network.named_parameters():
        frozen = name.startswith(("backbone.layer1.", "regions."))
        assert (id(value) in rates) != frozen, name
        assert not frozen or torch.equal(value, before[name]), name
    slow, rest = rates[id(trainer.network.backbone.conv1.weight)], rates[id(trainer.network.head.whole.weight)]
    assert slow == pytest.approx(0.25 * rest)
    assert trainer.network.head.whole.in_features == 4 * 16
    with pytest.raises(RecipeError, match=r"optim\.frozen names 'backbone\.layer9', which the network lacks"):
        Trainer(recipe(data, 'optim.frozen=["backbone.layer9"]'), tmp_path)
    whole = '"backbone","regions","relation","head","geometry","flow","inpainting"'
    with pytest.raises(RecipeError, match=r"optim\.frozen names .*, and nothing is left to learn; name fewer parts"):
        Trainer(recipe(data, f"optim.frozen=[{whole}]"), tmp_path)


def test_a_checkpoint_is_chosen_by_what_the_held_out_people_can_tell(data: Path, tmp_path: Path) -> None:
    alone = ("data.selection=", "data.aside=")
    with pytest.raises(RecipeError, match=r"optim\.choose is loss, but the data hold nothing to measure that by"):
        Trainer(recipe(data, *alone, "optim.choose=loss"), tmp_path)
    calm = tmp_path / "calm"
    shutil.copytree(data / "labelled", calm)
    part = calm / "parts" / "all"
    np.save(part / "occurrence.npy", np.zeros_like(np.load(part / "occurrence.npy")))
    np.save(part / "intensity.npy", np.full_like(np.load(part / "intensity.npy"), np.nan))
    labelled = f"data.labelled={calm.as_posix()}"
    with pytest.raises(RecipeError, match=r"optim\.choose is f1, but the data hold nothing to measure that by"):
        Trainer(recipe(data, *alone, labelled, "optim.choose=f1"), tmp_path)
    assert Trainer(recipe(data, *alone, labelled), tmp_path).choice.by == "last"


def test_a_checkpoint_is_not_chosen_by_what_no_task_learns(data: Path, tmp_path: Path) -> None:
    uncoded = ("data.labelled=[]", "data.aside=", "data.aus=[12, 25]", "data.held_out=0.5")
    assert Trainer(recipe(data, *uncoded), tmp_path).choice.by == "loss", "no head learns"
    assert Trainer(recipe(data, *uncoded, "tasks.teacher=1"), tmp_path).choice.by == "teacher"
    assert Trainer(recipe(data, "tasks.intensity=0"), tmp_path).choice.by == "f1"
    with pytest.raises(RecipeError, match=r"optim\.choose is icc, .* or no task learns it"):
        Trainer(recipe(data, "tasks.intensity=0", "optim.choose=icc"), tmp_path)


def test_ctrl_c_within_an_epoch_saves_and_the_rest_is_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    whole = Trainer(recipe(data), tmp_path / "whole")
    whole.run()
    stopped = Trainer(recipe(data), tmp_path / "stopped")
    step = stopped.train_step
    steps = iter(range(100))

    def one_step_then_signal(objective: torch.nn.Module, batch: Batch) -> dict[str, float]:
        if next(steps) == stopped.plan.steps:  # the first step of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return step(objective, batch)

    stopped.train_step = one_step_then_signal  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert signal.getsignal(signal.SIGINT) is before
    again = Trainer(recipe(data), tmp_path / "stopped")
    again.resume()
    assert (again.epoch, again.step) == (1, 1)
    again.run()
    assert rows(tmp_path / "stopped" / "log.csv") == rows(tmp_path / "whole" / "log.csv")
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(again.network.state_dict()[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("last", ["validation", "publishing"])
def test_one_ctrl_c_ends_the_whole_command_and_resume_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], last: str
) -> None:
    """In the last validation of a run before the whole one, and when all is trained."""
    video = (data / "selection").as_posix()
    both = json.dumps([(data / "videos").as_posix(), video])
    recipe(data)
    settings = [f'data.calibration=["{video}"]', f"data.unlabelled={both}", 'data.selection=""', 'data.aside=""']
    flags = [part for one in (*settings, "optim.epochs=1", "optim.steps=1") for part in ("--set", one)]
    command = ["train", str(data / "recipe.toml"), "--out", str(tmp_path / "run"), *flags]

    def ctrl_c(*given: object) -> tuple[dict[str, float], float]:
        os.kill(os.getpid(), signal.SIGINT)
        return {}, 0.5

    with monkeypatch.context() as patched:
        if last == "validation":
            patched.setattr("rtatl_core.training.trainer.validate", ctrl_c)
        else:
            patched.setattr("rtatl_core.training.publish.save_model", interrupt)
        assert main(command) == 130
    assert (tmp_path / "run" / "without-selection" / "last.pt").is_file()
    assert (tmp_path / "run" / "last.pt").is_file() == (last == "publishing")
    assert not (tmp_path / "run" / "tiny.safetensors").exists()
    said = capsys.readouterr().err
    assert "stopped and saved; go on with: rtatl train" in said
    assert said.strip().endswith("--resume")
    trained = (tmp_path / "run" / "without-selection" / "best.pt").stat().st_mtime_ns
    assert main([*command, "--resume"]) == 0
    assert (tmp_path / "run" / "without-selection" / "best.pt").stat().st_mtime_ns == trained
    assert (tmp_path / "run" / "tiny.safetensors").is_file()


def test_ctrl_c_before_anything_is_trained_says_to_begin_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(data)
    monkeypatch.setattr("rtatl_core.training.trainer.split", interrupt)
    assert main(["train", str(data / "recipe.toml"), "--out", str(tmp_path / "run")]) == 130
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith(f"stopped; go on with: rtatl train {data / 'recipe.toml'} --out {tmp_path / 'run'}")
    )


def test_full_disk_keeps_the_checkpoint_before(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(recipe(data, "optim.epochs=1"), tmp_path)
    trainer.run()
    before = (tmp_path / "last.pt").read_bytes()

    def full(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("[enforce fail] file write failed, no space left")

    monkeypatch.setattr(torch, "save", full)
    more = Trainer(recipe(data, "optim.epochs=2"), tmp_path)
    more.resume()
    with pytest.raises(TrainingError, match=r"cannot be written .*; the one before is kept; make room"):
        more.run()
    assert (tmp_path / "last.pt").read_bytes() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_patience_ends_a_run_that_gets_no_better(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    monkeypatch.setattr("rtatl_core.training.trainer.validate", lambda *_: ({}, next(scores)))
    trainer = Trainer(recipe(data, "optim.epochs=9", "optim.patience=2", "optim.steps=1"), tmp_path)
    best = trainer.run()
    assert trainer.epoch == 4
    assert torch.load(best, weights_only=True)["epoch"] == 2


def test_patience_ends_a_run_that_cannot_be_measured(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (given, epochs, best) in enumerate((([np.nan] * 9, 2, 2), ([np.nan, 0.5, np.nan, np.nan, 0.9], 4, 2))):
        scores = iter(given)
        monkeypatch.setattr("rtatl_core.training.trainer.validate", lambda *_, scores=scores: ({}, next(scores)))
        wanted = recipe(data, "optim.epochs=9", "optim.patience=2", "optim.steps=1")
        trainer = Trainer(wanted, tmp_path / str(number))
        path = trainer.run()
        assert trainer.epoch == epochs
        assert torch.load(path, weights_only=True)["epoch"] == best


def test_self_supervised_alone_then_fine_tuning(data: Path, tmp_path: Path) -> None:
    pre = ("data.labelled=[]", "data.selection=", "data.aside=", "data.aus=[25, 12, 1]", "data.held_out=0.5")
    first = Trainer(recipe(data, *pre, "optim.steps=2"), tmp_path / "pre")
    assert first.choice.by == "loss"
    best = first.run()
    measured = rows(tmp_path / "pre" / "log.csv")[0]
    assert {"loss_inpainting", "loss_flow", "held_out_inpainting", "held_out_flow"} <= set(measured)
    assert float(measured["selection"]) < 0
    with pytest.raises(RecipeError, match="has no AUs to publish"):
        publish(first)
    second = Trainer(recipe(data, f"optim.init={best.as_posix()}", "tasks.consistency=0.1"), tmp_path / "fine")
    assert second.network.config.aus == AUS
    torch.testing.assert_close(
        second.network.regions.weight[0], torch.load(best, weights_only=True)["network"]["regions.weight"][1]
    )
    assert set(second.subjects) == set(second.data.subjects) | set(first.subjects)
    second.run()
    assert "loss_consistency" in rows(tmp_path / "fine" / "log.csv")[0]


def test_occurrence_alone_is_shown_as_a_probability(tmp_path: Path) -> None:
    """As with BP4D: AU12 has codes of presence only, AU25 intensities too."""
    rng = np.random.default_rng(0)
    faces = []
    for k in range(40):
        smile = float(rng.uniform(0, 1))
        image, points = face(smile, rng)
        coded = np.array([np.nan, 5 * smile], np.float32)
        occurrence = np.array([smile > 0.5, smile > 0.4], np.float32)
        frame = Frame(f"{k}", f"s{k % 8}", image, intensity=coded, occurrence=occurrence)
        faces.append((frame, points, None))
    write_store(tmp_path / "labelled", faces, aus=AUS, rule="coded present")
    path = tmp_path / "r.toml"
    path.write_text(
        f'name = "tiny"\ntrained_on = "made-up faces"\n[data]\nlabelled = "{(tmp_path / "labelled").as_posix()}"\n'
        "[network]\nwidth = 8\ntoken = 16\ngeometry = 16\n[tasks]\ninpainting = 0\nflow = 0\noccurrence = 1\n"
        "[optim]\nepochs = 1\nlabelled_batch = 16\nworkers = 0\nchoose = 'f1'\n"
    )
    trainer = Trainer(load_recipe(path), tmp_path / "run")
    trainer.run()
    judges = trainer.data.validation
    assert judges is not None
    assert judges.store.intensity is not None
    judges.store.intensity[judges.rows] = (3.0, np.nan)  # what the held-out people have codes of teaches nothing
    model = load_model(publish(trainer))
    assert model.facts["calibration"]["intensity_is_5_times_probability"] == [12]
    assert model.facts["calibration"]["occurrence"] == "occurrence head"
    assert model.facts["occurrence_rule"] == "coded present"
    assert model.facts["training"]["subjects"] == trainer.subjects
    logits = np.array([[0.0, 2.0]], np.float32)
    intensity, probability = model.calibration.read(np.array([[9.0, 0.0]], np.float32), logits)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-logits)), rtol=1e-6)
    assert intensity[0, 0] == pytest.approx(2.5)
    assert intensity[0, 1] != pytest.approx(5 * probability[0, 1])
    tasks = replace(trainer.recipe.tasks, intensity=0.0)
    trainer.recipe = replace(trainer.recipe, name="tiny-1.0", tasks=tasks)
    path = publish(trainer)
    assert path.name == "tiny-1.0.safetensors"
    untaught = load_model(path)
    assert untaught.facts["calibration"]["intensity_is_5_times_probability"] == [12, 25]


def test_sides_are_measured_where_they_are_told() -> None:
    sides = np.full((8, 1, 2), np.nan, np.float32)
    sides[:4, 0] = [(0, 1), (1, 1), (3, 1), (4, 1)]
    source = Source(SimpleNamespace(sides=sides), np.arange(8), labels=True)
    told = SimpleNamespace(sides=np.nan_to_num(sides) / 5)
    found = _side_agreement(_Labelled(source, told, sides[..., 0], sides[..., 0]), (12,))
    assert found == {"pcc_left_minus_right": {"AU12": 1.0}}


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_nan_loss_stops_and_names_the_task(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(data), tmp_path)
    with torch.no_grad():
        trainer.network.flow.out.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss of flow is not finite"):
        trainer.run()


def test_unusable_data_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no prepared data folder"):
        Trainer(recipe(data, f"data.labelled={tmp_path.as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="no AU codes"):
        Trainer(recipe(data, f"data.labelled={(data / 'videos').as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="no teacher values"):
        Trainer(recipe(data, f"data.selection={(data / 'videos').as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="fewer than optim"):
        Trainer(recipe(data, "optim.labelled_batch=500"), tmp_path)
    with pytest.raises(RecipeError, match="nothing to resume"):
        Trainer(recipe(data), tmp_path / "none").resume()
    Trainer(recipe(data, "optim.epochs=1"), tmp_path / "other").run()
    with pytest.raises(RecipeError, match="another network than the recipe describes: width is 8 there and 16 here"):
        Trainer(recipe(data, "network.width=16"), tmp_path / "other").resume()


def test_stored_flow_of_another_gap_is_refused(data: Path, tmp_path: Path) -> None:
    stored = write_clips(tmp_path / "stored", flow="dis", teacher=True, name="f")
    pairs = frame_pairs(ChipStore.open(stored), "later", 0.2)
    np.testing.assert_array_equal(pairs, frame_pairs(ChipStore.open(data / "selection"), "later", 0.2))
    sentence = r"stored holds flow to the frame 0\.2 s later, but .*gap_s is 0\.4; write network\.flow_gap_s = 0\.2"
    with pytest.raises(RecipeError, match=sentence):
        frame_pairs(ChipStore.open(stored), "later", 0.4)
    gap, unlabelled, aside = "network.flow_gap_s=0.4", f'data.unlabelled="{stored}"', f'data.aside="{stored}"'
    with pytest.raises(RecipeError, match=sentence):
        Trainer(recipe(data, gap, unlabelled), tmp_path / "out").run()
    with pytest.raises(RecipeError, match=sentence):
        Trainer(recipe(data, gap, aside), tmp_path / "out")
    Trainer(recipe(data, gap, aside, "tasks.flow=0"), tmp_path / "out")
    Trainer(recipe(data, aside), tmp_path / "out")
