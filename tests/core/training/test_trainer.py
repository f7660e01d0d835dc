"""A few tiny epochs on made-up chips: what learns, what stays, and data that cannot be used."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.flow_pairs import frame_pairs
from rtatl_core.errors import RecipeError, TrainingError
from rtatl_core.training.publish import publish
from rtatl_core.training.recipe import OptimConfig
from rtatl_core.training.trainer import Trainer, _precision
from rtatl_core.weights import load_model
from tests.core.stores import AUS, write_clips
from tests.core.training.conftest import recipe, rows


def test_mixed_precision_trains_float32_weights(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(data, "optim.precision=bfloat16", "optim.epochs=1", "optim.steps=1"), tmp_path)
    before = trainer.network.backbone.conv1.weight.detach().clone()
    trainer.run()
    after = trainer.network.backbone.conv1.weight
    assert after.dtype == torch.float32
    assert not torch.equal(after, before)
    with pytest.raises(RecipeError, match="write float32, bfloat16 or auto"):
        Trainer(recipe(data, "optim.precision=int8"), tmp_path)


@pytest.mark.parametrize(("native", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_cards_that_only_imitate_bfloat16_train_in_float32(
    native: bool, expected: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert _precision("auto", torch.device("cuda:0")) == expected
    assert _precision("auto", torch.device("cpu")) == torch.float32
    assert _precision("bfloat16", torch.device("cuda:0")) == torch.bfloat16


def test_processes_of_one_machine_share_its_cores(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(recipe(data, "optim.workers=-1"), tmp_path)
    monkeypatch.setattr("rtatl_core.training.trainer.cores", lambda: 64)
    assert trainer._workers == 63
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert trainer._workers == 7, "nobody says that others are elsewhere"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert trainer._workers == 15, "two machines: the other's processes have cores of their own"


def test_an_au_of_data_aus_that_nothing_teaches_is_named(data: Path, tmp_path: Path) -> None:
    asked = "data.aus=[12, 25, 17]"
    with pytest.raises(RecipeError, match=r"nothing teaches AU17 of data\.aus: .*tasks\.teacher is 0; leave them out"):
        Trainer(recipe(data, asked), tmp_path)
    assert Trainer(recipe(data, asked, "tasks.teacher=0.5"), tmp_path).data.uncoded == [17]
    Trainer(recipe(data, asked, "tasks.intensity=0", "tasks.occurrence=0"), tmp_path)


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


def test_the_learning_rate_rises_at_first_and_falls_to_nothing() -> None:
    optim = OptimConfig(epochs=10, learning_rate=0.1, warmup_steps=5)
    run = SimpleNamespace(recipe=SimpleNamespace(optim=optim), plan=SimpleNamespace(steps=10))
    rates = [Trainer._learning_rate(run, step) for step in range(100)]  # type: ignore[arg-type]
    assert rates[:3] == pytest.approx([0.02, 0.04, 0.06], rel=0.01)
    assert rates[50] == pytest.approx(0.05)
    assert 0 < rates[99] < 1e-4


def test_parts_can_be_frozen_and_the_backbone_learn_slowly(data: Path, tmp_path: Path) -> None:
    overrides = (
        "optim.epochs=1",
        "optim.steps=1",
        "optim.backbone_rate=0.25",
        "optim.clip_norm=0.001",
        "network.placed=4",
    )
    trainer = Trainer(recipe(data, *overrides, 'optim.frozen=["backbone.layer1", "regions"]'), tmp_path)
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    trainer.run()
    after = trainer.network.state_dict()
    assert torch.equal(after["backbone.layer1.0.bn1.running_mean"], before["backbone.layer1.0.bn1.running_mean"])
    assert not torch.equal(after["backbone.layer2.0.bn1.running_mean"], before["backbone.layer2.0.bn1.running_mean"])
    slopes = [value.grad.norm() for value in trainer.network.parameters() if value.grad is not None]
    assert float(torch.stack(slopes).norm()) == pytest.approx(0.001, rel=0.01)
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
        second.network.regions.project[0], torch.load(best, weights_only=True)["network"]["regions.project"][1]
    )
    assert set(second.subjects) == set(second.data.subjects) | set(first.subjects)
    second.run()
    assert "loss_consistency" in rows(tmp_path / "fine" / "log.csv")[0]


def test_nan_loss_stops_and_names_the_task(data: Path, tmp_path: Path) -> None:
    trainer = Trainer(recipe(data), tmp_path)
    with torch.no_grad():
        trainer.network.flow.out.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="loss of flow is not finite"):
        trainer.run()


def test_unusable_data_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no prepared data folder \(meta\.json is missing\)"):
        Trainer(recipe(data, f"data.labelled={tmp_path.as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="away does not exist"):
        Trainer(recipe(data, f"data.labelled={(tmp_path / 'away').as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="no AU codes"):
        Trainer(recipe(data, f"data.labelled={(data / 'videos').as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="no teacher values"):
        Trainer(recipe(data, f"data.selection={(data / 'videos').as_posix()}"), tmp_path)
    with pytest.raises(RecipeError, match="fewer than optim"):
        Trainer(recipe(data, "optim.labelled_batch=500"), tmp_path)
    with pytest.raises(RecipeError, match="nothing to resume"):
        Trainer(recipe(data), tmp_path / "none").resume()


def test_sides_need_data_that_tell_them(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not tell left from right"):
        Trainer(recipe(data, "network.sides=true"), tmp_path)


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
