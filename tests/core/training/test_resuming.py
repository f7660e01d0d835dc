"""A run that was interrupted goes on exactly, or is refused where it would not be the same run."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
import torch

from rtatl_core.cli import main
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.errors import RecipeError, TrainingError
from rtatl_core.tasks.base import Batch
from rtatl_core.training.publish import publish
from rtatl_core.training.trainer import Trainer
from rtatl_core.weights import load_model
from tests.core.training.conftest import begun, interrupt, recipe, rows


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


def test_a_run_goes_on_with_the_people_it_began_with(data: Path, tmp_path: Path) -> None:
    folds = ("data.protocol=subjects:3", "optim.epochs=1", "optim.steps=1")
    first = Trainer(recipe(data, *folds, "data.fold=1"), tmp_path)
    begun(first)
    best = begun(first, "best.pt")
    with pytest.raises(RecipeError, match=r"another recipe: data.fold is 1 there and 2 here"):
        Trainer(recipe(data, *folds, "data.fold=2"), tmp_path).resume()
    with pytest.raises(RecipeError, match=r"optim\.seed is 0 there and 4 here"):
        Trainer(recipe(data, *folds, "data.fold=1", "optim.seed=4"), tmp_path).resume()
    with pytest.raises(RecipeError, match="another network than the recipe describes: token is 16 there and 8 here"):
        Trainer(recipe(data, *folds, "data.fold=1", "network.token=8"), tmp_path).resume()
    with pytest.raises(RecipeError, match=r"tasks.flow is 0.1 there and 0.0 here"):
        Trainer(recipe(data, *folds, "data.fold=1", "tasks.flow=0"), tmp_path).resume()
    Trainer(recipe(data, *folds, "data.fold=1"), tmp_path).resume()
    more = tmp_path / "more"
    shutil.copytree(data / "labelled", more)
    index = more / "parts" / "all" / "index.csv"
    another = Trainer(recipe(data, *folds, "data.fold=1", f"data.labelled={more.as_posix()}"), tmp_path / "more-run")
    begun(another)
    index.write_text(index.read_text().replace(",s4,", ",someone,"))
    with pytest.raises(RecipeError, match="other people: the data were prepared anew"):
        Trainer(another.recipe, another.out).resume()
    with pytest.raises(RecipeError, match=r"is in the training of .*best.pt and in the test fold"):
        Trainer(recipe(data, *folds, "data.fold=2", f"optim.init={best.as_posix()}"), tmp_path / "other")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("optim.choose=icc", "optim.choose is 'auto' there and 'icc' here"),
        ("optim.weight_decay=0.5", r"optim.weight_decay is 0\.05 there and 0\.5 here"),
        ("optim.backbone_rate=0.1", "optim.backbone_rate is 1"),
        ('optim.frozen=["backbone.layer1"]', "optim.frozen is"),
        ("optim.clip_norm=1", r"optim.clip_norm is 5\.0 there and 1\.0 here"),
        ("optim.warmup_steps=5", "optim.warmup_steps is 2 there and 5 here"),
        ("optim.precision=bfloat16", "optim.precision is 'auto' there and 'bfloat16' here"),
        ("flow.share=0.4", r"flow.share is 1\.0 there and 0\.4 here"),
        ("augment.flip=0", r"augment.flip is 0\.5 there and 0\.0 here"),
        ("inpainting.most=1", "inpainting.most is 3 there and 1 here"),
        ("consistency.confidence=0.8", r"consistency.confidence is 0\.9 there and 0\.8 here"),
    ],
)
def test_what_a_resumed_run_would_not_follow_is_refused(data: Path, tmp_path: Path, change: str, sentence: str) -> None:
    begun(Trainer(recipe(data), tmp_path))
    with pytest.raises(RecipeError, match=rf"another recipe: {sentence}"):
        Trainer(recipe(data, change), tmp_path).resume()


def test_a_checkpoint_from_before_shares_of_the_flow_learnt_all_of_it(data: Path, tmp_path: Path) -> None:
    path = begun(Trainer(recipe(data), tmp_path))
    state = torch.load(path, weights_only=True)
    del state["recipe"]["flow"]
    torch.save(state, path)
    Trainer(recipe(data), tmp_path).resume()
    with pytest.raises(RecipeError, match=r"another recipe: flow.share is 1\.0 there and 0\.4 here"):
        Trainer(recipe(data, "flow.share=0.4"), tmp_path).resume()


def test_a_run_goes_on_with_the_ratings_it_began_with(data: Path, tmp_path: Path) -> None:
    """Not only with a table of the same name."""
    table = tmp_path / "rated.csv"
    image = ChipStore.open(data / "videos").images[0]
    table.write_text(f"image,AU12\n{image},3\n")
    rated = recipe(data, f"data.ratings={table.as_posix()}", 'data.selection=""', 'data.aside=""')
    path = begun(Trainer(rated, tmp_path / "run"))
    Trainer(rated, tmp_path / "run").resume()
    table.write_text(f"image,AU12\n{image},0\n")
    changed = Trainer(rated, tmp_path / "run")
    with pytest.raises(RecipeError, match=r"last.pt was begun with other ratings: what .*rated.csv says has changed"):
        changed.resume()
    state = torch.load(path, weights_only=True)
    del state["ratings"]
    torch.save(state, path)
    changed.resume()  # nobody knows what was in it then


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


def test_a_checkpoint_that_is_being_read_is_waited_for(data: Path, tmp_path: Path, busy_files: list[Path]) -> None:
    """Hours of training must not end by a scanner for viruses."""
    Trainer(recipe(data), tmp_path)._save("last.pt")
    assert (tmp_path / "last.pt").is_file()
    assert [path.name for path in busy_files] == ["last.pt.tmp"] * 4


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


def test_ctrl_c_within_an_epoch_saves_and_the_rest_is_as_if_nothing_had_happened(data: Path, tmp_path: Path) -> None:
    whole = Trainer(recipe(data), tmp_path / "whole")
    whole.run()
    stopped = Trainer(recipe(data), tmp_path / "stopped")
    step = stopped.train_step
    steps = iter(range(100))

    def one_step_then_signal(objective: torch.nn.Module, batch: Batch) -> dict[str, float]:
        if next(steps) == stopped.plan.steps:  # the first step of the second epoch
            signal.raise_signal(signal.SIGINT)
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
        signal.raise_signal(signal.SIGINT)
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
