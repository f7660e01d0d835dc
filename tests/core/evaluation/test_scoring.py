"""`rtatl evaluate`: the right subjects, the right fold, and a report on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rtatl_core.assets import asset
from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.parts import Frame
from rtatl_core.datasets.protocols import test_subjects as subjects_of
from rtatl_core.datasets.rendered import OCCURRENCE_RULE
from rtatl_core.errors import RecipeError
from rtatl_core.evaluation.readings import read_store
from rtatl_core.evaluation.scoring import score
from rtatl_core.weights import load_model
from tests.core.stores import AUS, face, write_labelled, write_store


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of folds 1 and 2 of own data, trained by the command."""
    folder = tmp_path_factory.mktemp("study")
    write_labelled(folder / "data", count=72, people=12)
    recipe = folder / "recipe.toml"
    recipe.write_text(
        'name = "own"\ntrained_on = "made-up faces"\n'
        f'[data]\nlabelled = "{(folder / "data").as_posix()}"\nprotocol = "subjects:3"\n'
        "[network]\nwidth = 8\ntoken = 16\ngeometry = 16\n[tasks]\ninpainting = 0\nflow = 0\n"
        "[optim]\nepochs = 1\nlabelled_batch = 16\nworkers = 0\nlearning_rate = 0.01\nwarmup_steps = 1\n"
    )
    for fold in (1, 2):
        flags = ["--out", str(folder / f"fold{fold}"), "--set", f"data.fold={fold}"]
        assert main(["train", str(recipe), *flags]) == 0
    return folder


def model(study: Path, fold: int) -> str:
    return str(study / f"fold{fold}" / "own.safetensors")


def test_each_model_is_tested_on_its_own_fold(study: Path) -> None:
    models = [model(study, 1), model(study, 2)]
    scored, trained_on = score(models, [study / "data"], "subjects:3", device="cpu")
    assert trained_on == "made-up faces"
    assert scored.aus == AUS
    store = ChipStore.open(study / "data")
    names = [str(name) for name in np.unique(store.subjects)]
    for fold in (1, 2):
        rows = scored.folds == fold
        assert set(scored.subjects[rows]) == subjects_of("subjects:3", fold, names)
        assert not set(scored.subjects[rows]) & set(load_model(models[fold - 1]).facts["training"]["subjects"])
    assert store.intensity is not None
    truth = store.intensity[np.isin(store.subjects, sorted(subjects_of("subjects:3", 1, names)))]
    np.testing.assert_array_equal(scored.true_intensity[scored.folds == 1], truth)
    assert scored.intensity.min() >= 0
    assert scored.intensity.max() <= 5
    loaded = load_model(models[0])
    raw = np.zeros((1, 2), np.float32)
    assert loaded.calibration.read(raw, raw)[0].shape == (1, 2)


def test_seen_subjects_and_wrong_folds_are_refused(study: Path) -> None:
    data = [study / "data"]
    shutil.copytree(data[0], small := study / "small")
    meta = json.loads((small / "meta.json").read_text())
    (small / "meta.json").write_text(json.dumps(meta | {"layout": {"side": 64, "margin": 8}}))
    with pytest.raises(RecipeError, match=r"small has chips of 64 px, and the model takes 144; prepare it with --side"):
        score([model(study, 1)], [small], "subjects:3", device="cpu")
    with pytest.raises(RecipeError, match=r"is in the training of own and in .*data"):
        score([model(study, 1)], data, "subjects:3", fold=2, device="cpu")
    with pytest.raises(RecipeError, match=r"is in the training of own and in .*data"):
        score([model(study, 1)], data, "", device="cpu")
    with pytest.raises(RecipeError, match="two models were trained for fold 1"):
        score([model(study, 1)] * 2, data, "subjects:3", device="cpu")
    with pytest.raises(RecipeError, match="names no fold of subjects:4"):
        score([model(study, 1)], data, "subjects:4", device="cpu")
    with pytest.raises(RecipeError, match="several models need --protocol"):
        score([model(study, 1), model(study, 2)], data, "", device="cpu")
    for models, protocol in (([model(study, 1)], ""), ([model(study, 1), model(study, 2)], "subjects:3")):
        with pytest.raises(RecipeError, match="--fold is for one model and the folds of a --protocol"):
            score(models, data, protocol, fold=2, device="cpu")


def test_who_set_the_gain_is_no_test(study: Path, tmp_path: Path) -> None:
    training = load_model(model(study, 1)).facts["training"]
    (judge, *_) = training["judged_by"]
    assert judge not in training["subjects"]
    others = write_labelled(tmp_path / "others", count=4, people=1, prefix="x")
    index = others / "parts" / "all" / "index.csv"
    index.write_text(index.read_text().replace(",x0,", f",{judge},"))
    with pytest.raises(RecipeError, match=f"subject {judge} is in the calibration of own"):
        score([model(study, 1)], [others], "", device="cpu")


def test_who_was_trained_on_uncoded_is_known_by_the_name_of_the_file(study: Path, tmp_path: Path) -> None:
    for file in ("own.safetensors", "own.json"):
        shutil.copy(study / "fold1" / file, tmp_path)
    card = json.loads((tmp_path / "own.json").read_text())
    card["training"]["subjects"].append("LeftCamera--LeftVideoSN001_comp.avi")
    (tmp_path / "own.json").write_text(json.dumps(card))
    disfa = write_labelled(tmp_path / "disfa", count=4, people=1, prefix="x")
    index = disfa / "parts" / "all" / "index.csv"
    index.write_text(index.read_text().replace(",x0,", ",SN001,"))
    with pytest.raises(RecipeError, match="subject SN001 is in the training of own"):
        score([tmp_path / "own.safetensors"], [disfa], "", device="cpu")


def test_a_clip_is_read_as_the_window_reads_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    faces = []
    for k in range(30):
        image, points = face(max(0.0, float(np.sin(k / 5))), rng)
        codes = np.array([2.5, np.nan if k % 2 else 1.0], np.float32)
        frame = Frame(f"{k}", "v", image, clip="v", time=k / 5, intensity=codes, occurrence=np.minimum(codes, 1))
        faces.append((frame, points, None))
    folder = write_store(tmp_path / "coded", faces, aus=AUS)
    scored, _ = score([asset("models/rtatl-synth.safetensors")], [folder], "", device="cpu")
    bundled = load_model(None)
    intensity, probability = read_store(bundled.network, bundled.calibration, ChipStore.open(folder))
    columns = [bundled.aus.index(au) for au in AUS]
    np.testing.assert_array_equal(scored.intensity, intensity[:, columns])
    np.testing.assert_array_equal(scored.probability, probability[:, columns])
    assert bundled.network.config.reference
    some = np.flatnonzero(np.arange(30) % 3 == 0)  # the frames between are seen all the same
    np.testing.assert_array_equal(
        read_store(bundled.network, bundled.calibration, ChipStore.open(folder), some)[0], intensity[some]
    )


def test_strangers_are_measured_without_a_protocol(study: Path, tmp_path: Path) -> None:
    strangers = write_labelled(tmp_path / "strangers", count=30, people=6, seed=5, prefix="x")
    meta = strangers / "meta.json"
    meta.write_text(meta.read_text().replace(OCCURRENCE_RULE, "coded present"))
    out = tmp_path / "report"
    command = ["evaluate", "--model", model(study, 1), "--data", str(strangers), "--out", str(out), "--resamples", "50"]
    assert main([*command, "--device", "cpu"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["frames"] == 30
    assert report["subjects"] == 6
    text = (out / "report.md").read_text()
    assert f"made-up faces (present means there: {OCCURRENCE_RULE}; in these data: coded present)" in text
    assert {p.name for p in out.glob("*.png")} >= {"per_au.png", "pr.png", "intensity.png"}


@pytest.mark.parametrize(
    ("kind", "card", "decides"),
    [("disfa", "own", True), ("coded", "other", False), ("moved", "own", False), ("rendered", "own", False)],
)
def test_codes_of_real_people_decide_trust(tmp_path: Path, kind: str, card: str, decides: bool) -> None:
    """Of this very model; not what is known of rendered faces, nor of photos to which a rig added AUs."""
    folder = write_labelled(tmp_path / "data", count=12, people=6)
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "origin": {"kind": kind}}))
    for name in {"own", card}:
        for suffix in (".safetensors", ".json"):
            shutil.copy(asset(f"models/rtatl-synth{suffix}"), tmp_path / f"{name}{suffix}")
    command = ["evaluate", "--model", str(tmp_path / "own.safetensors"), "--data", str(folder), "--resamples", "5"]
    command += ["--device", "cpu", "--out", str(tmp_path / "r"), "--card", str(tmp_path / f"{card}.safetensors")]
    assert main(command) == 0
    kept = json.loads((tmp_path / f"{card}.json").read_text())["measured"]["evaluations"]["own on data"]
    assert ("against_codes" in kept) == decides
    if decides:
        assert kept["against_codes"]["AU12"]["seen"] + kept["against_codes"]["AU12"]["absent"] == 12


@pytest.mark.parametrize(("coded", "said"), [([12, 4], "AU04"), ([12, 25], "")])
def test_coded_aus_that_the_model_lacks_are_named(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], coded: list[int], said: str
) -> None:
    strangers = write_labelled(tmp_path / "strangers", count=6, people=3, prefix="x")
    meta = json.loads((strangers / "meta.json").read_text())
    (strangers / "meta.json").write_text(json.dumps(meta | {"aus": coded}))
    command = ["evaluate", "--model", model(study, 1), "--data", str(strangers), "--out", str(tmp_path / "r")]
    assert main([*command, "--resamples", "5", "--device", "cpu"]) == 0
    sentence = f"Coded in these data, but unknown to the model and in no number: {said}."
    assert (sentence in capsys.readouterr().err) == bool(said)
    assert (sentence in (tmp_path / "r" / "report.md").read_text("utf-8")) == bool(said)
    assert json.loads((tmp_path / "r" / "report.json").read_text())["not_in_model"] == ([said] if said else [])


def test_a_report_on_folds_names_their_model_once(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study / "data")
    command = ["evaluate", "--model", model(study, 1), model(study, 2), "--data", ".", "--protocol", "subjects:3"]
    command += ["--resamples", "10", "--device", "cpu", "--out"]
    assert main([*command, str(tmp_path / "r")]) == 0
    assert (tmp_path / "r" / "report.md").read_text("utf-8").startswith("# own on data\n")
    (tmp_path / "file").write_text("")
    monkeypatch.delattr("rtatl_core.evaluation.scoring.read_store")
    assert main([*command, str(tmp_path / "file")]) == 2, "before any face is read"


def test_uncoded_data_are_refused(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.core.stores import write_clips

    clips = write_clips(tmp_path / "clips")
    assert main(["evaluate", "--model", model(study, 1), "--data", str(clips), "--out", str(tmp_path / "r")]) == 2
    assert "has no AU codes to evaluate against" in capsys.readouterr().err
    command = ["evaluate", "--model", model(study, 1), "--data", str(clips), "--out", str(tmp_path / "r")]
    assert main([*command, "--title", "mine"]) == 2
    assert "--title names the numbers in a card" in capsys.readouterr().err
