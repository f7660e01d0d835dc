"""From a trained network to a model: its zero and gain, and what its card says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import rtatl_core.training.level_sides as levelling
import rtatl_core.training.publish as publishing
from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.loader import Source
from rtatl_core.datasets.parts import Frame
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation import pose
from rtatl_core.evaluation.readings import predict_store
from rtatl_core.training import fit_calibration
from rtatl_core.training.crossed import runs_apart
from rtatl_core.training.fit_calibration import Heard, Judged
from rtatl_core.training.publish import _Labelled, _side_agreement, publish
from rtatl_core.training.recipe import load_recipe
from rtatl_core.training.trainer import Trainer
from rtatl_core.weights import load_model
from tests.core.stores import AUS, face, write_clips, write_labelled, write_store
from tests.core.training.conftest import recipe


def watch_calibration(monkeypatch: pytest.MonkeyPatch) -> list[Heard]:
    """What will be asked for zero and gain."""
    judged: list[Heard] = []
    real_output = publishing.real_output

    def watch(heard: Sequence[Heard], aus: tuple[int, ...], *, coded: bool) -> list[Judged]:
        judged.extend(heard)
        return real_output(heard, aus, coded=coded)

    monkeypatch.setattr(publishing, "real_output", watch)
    return judged


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
    monkeypatch.setattr(pose, "FEW", 4)
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
    assert card["measured"]["strangers"]["pose"]["AU12"]["faces"] == 4, "a face of each person whom raters saw lack it"
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


def test_folders_of_one_name_cannot_both_be_left_out(data: Path, tmp_path: Path) -> None:
    folders = json.dumps([(tmp_path / place / "ann").as_posix() for place in ("here", "there")])
    with pytest.raises(RecipeError, match="have the same name"):
        runs_apart(recipe(data, f"data.calibration={folders}", f"data.unlabelled={folders}"), tmp_path / "run")


@pytest.mark.parametrize("absent", [np.nan, 0.0])
def test_occurrence_alone_is_shown_as_a_probability(tmp_path: Path, absent: float) -> None:
    """As with BP4D: AU12 has codes of presence only, AU25 intensities too. absent: intensity of AU12 where it is coded
    absent, 0 as of events of which nobody said how strong."""
    rng = np.random.default_rng(0)
    faces = []
    for k in range(40):
        smile = float(rng.uniform(0, 1))
        image, points = face(smile, rng)
        coded = np.array([np.nan if smile > 0.5 else absent, 5 * smile], np.float32)
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


def test_what_is_published_leans_to_no_side_on_real_faces(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levelling, "FEW", 3)
    monkeypatch.setattr(fit_calibration, "FRAMES_PER_CLIP", 4)
    coded = f"data.labelled={write_labelled(tmp_path / 'coded', sides=True).as_posix()}"
    trainer = Trainer(recipe(data, coded, "network.sides=true", "optim.epochs=1"), tmp_path / "run")
    trainer.run()
    videos, validation = trainer.data.unlabelled[0].store, trainer.data.validation
    assert validation is not None
    faces = publishing._real_faces(trainer.data)
    assert [one.store.folder for one in faces] == [videos.folder, validation.store.folder]
    assert [len(one.rows) for one in faces] == [2 * 4, len(validation.rows)]
    networks = [publishing._best(trainer, trainer.out)[0], load_model(publish(trainer)).network]
    before, after = ([levelling._both_ways(network, one) for one in faces] for network in networks)
    lean, left_over = (
        np.concatenate([part[..., 0] - part[..., 1] for part in said], axis=1).mean(axis=(0, 1))
        for said in (before, after)
    )
    assert np.abs(lean).max() > 1e-3, "else there is nothing to level"
    np.testing.assert_allclose(left_over, 0, atol=1e-5)
    validation.store.rendered[:] = True
    assert [one.store.folder for one in publishing._real_faces(trainer.data)] == [videos.folder]
    videos.rendered[:] = True
    assert [one.store.folder for one in publishing._real_faces(trainer.data)] == [validation.store.folder]
    trainer.device = torch.device("meta")
    assert next(publishing._best(trainer, trainer.out)[0].parameters()).is_meta, "it is measured where it was trained"


def test_sides_are_measured_where_they_are_told() -> None:
    sides = np.full((8, 1, 2), np.nan, np.float32)
    sides[:4, 0] = [(0, 1), (1, 1), (3, 1), (4, 1)]
    source = Source(SimpleNamespace(sides=sides), np.arange(8), labels=True)
    told = SimpleNamespace(sides=np.nan_to_num(sides) / 5)
    found = _side_agreement(_Labelled(source, told, sides[..., 0], sides[..., 0]), (12,))
    assert found == {"pcc_left_minus_right": {"AU12": 1.0}}
