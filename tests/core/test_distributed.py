"""Two Gloo processes on this machine against one process with the same global batch."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from rtatl_core import distributed
from rtatl_core.datasets.loader import load_steps
from rtatl_core.training.recipe import Recipe, load_recipe
from rtatl_core.training.trainer import Trainer
from tests.core.stores import write_clips, write_labelled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_labelled(folder / "labelled", count=40)
    write_clips(folder / "videos")
    path = folder / "recipe.toml"
    path.write_text(
        'name = "tiny"\ntrained_on = "made-up faces"\n'
        f'[data]\nlabelled = "{(folder / "labelled").as_posix()}"\nunlabelled = "{(folder / "videos").as_posix()}"\n'
        "[network]\nwidth = 8\ntoken = 16\ngeometry = 16\ndropout = 0.0\ngeometry_noise = 0.0\n"
        "[tasks]\noccurrence = 1.0\ninpainting = 1.0\nflow = 1.0\nconsistency = 0.5\n"
        "[consistency]\nconfidence = 0.5\n"
        "[optim]\nepochs = 1\nsteps = 2\nlabelled_batch = 8\nunlabelled_batch = 4\nworkers = 0\nwarmup_steps = 1\n"
        'choose = "last"\ndevice = "cpu"\nthreads = 1\n'
    )
    return path


WORKER = """
import sys, torch
from pathlib import Path
from rtatl_core import distributed
from rtatl_core.training.recipe import load_recipe
from tests.core.test_distributed import gradients
recipe, out = load_recipe(Path(sys.argv[1])), Path(sys.argv[2])
with distributed.process_group(torch.device("cpu")):
    found = gradients(recipe, out)
    if distributed.rank() == 0:
        torch.save(found, out / "gradients.pt")
"""


def gradients(recipe: Recipe, out: Path) -> dict[str, torch.Tensor]:
    """Of the first step, and the running statistics after it; in float64, so that what is compared is the arithmetic
    and not its rounding, which batch norm over a dozen faces magnifies to percents."""
    trainer = Trainer(recipe, out)
    network = trainer.network.double().train()
    assert network.flow is not None
    torch.manual_seed(1)
    torch.nn.init.normal_(network.flow.out.weight, std=0.1)  # as it starts, at zero, nothing flows back
    objective: torch.nn.Module = trainer.objective
    if distributed.world_size() > 1:
        objective = DistributedDataParallel(objective, find_unused_parameters=True)
    batch = next(load_steps(trainer.plan, 0, 0, 0)).to_batch(torch.device("cpu"))
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if value is not None and value.is_floating_point():
            setattr(batch, field.name, value.double())
    losses = objective(batch)
    assert all(float(loss.detach()) > 0 for loss in losses.values())
    sum(getattr(recipe.tasks, name) * loss for name, loss in losses.items()).backward()
    found = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
    return found | {name: b.clone() for name, b in network.named_buffers() if "running" in name}


def torchrun(*arguments: str) -> subprocess.CompletedProcess[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launch = ["--nproc-per-node=2", "--master-addr=127.0.0.1", f"--master-port={port}"]
    command = [sys.executable, "-m", "torch.distributed.run", *launch, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


def test_batch_norm_over_processes_keeps_the_spread_of_a_channel_far_from_zero() -> None:
    torch.manual_seed(0)
    x = 100 + 0.01 * torch.randn(8, 3, 14, 14)
    expected = torch.nn.BatchNorm2d(3)(x)
    torch.distributed.init_process_group("gloo", rank=0, world_size=1, store=torch.distributed.HashStore())
    try:
        together = distributed._GlobalBatchNorm2d(3)
        torch.testing.assert_close(together(x), expected, rtol=1e-2, atol=1e-2)
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_each_process_of_a_machine_takes_its_own_card(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    assert distributed.local_device(device) == torch.device("cuda:3")
    assert distributed.local_device("cuda:1") == torch.device("cuda:1")


def test_the_others_wait_for_the_first_process_for_longer_than_nccl_would(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[timedelta] = []
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda backend, timeout: begun.append(timeout))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: None)
    with distributed.process_group(torch.device("cuda")):
        pass
    assert begun[0] >= timedelta(hours=1), "reading half an hour of video to choose by takes more than ten minutes"


@pytest.mark.slow
def test_gradients_of_two_processes_are_those_of_one(recipe_file: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    one = gradients(load_recipe(recipe_file), tmp_path)
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    done = torchrun(str(script), str(recipe_file), str(tmp_path))
    assert done.returncode == 0, done.stderr
    two = torch.load(tmp_path / "gradients.pt", weights_only=True)
    assert one.keys() == two.keys()
    assert any(name.startswith("flow.") for name in one)
    assert any(name.startswith("inpainting.") for name in one)
    for name, value in one.items():
        assert float(value.abs().max()) > 0, name
        torch.testing.assert_close(
            two[name], value, rtol=1e-6, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.slow
def test_the_same_command_under_torchrun_trains_and_resumes(recipe_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["-m", "rtatl_core", "train", str(recipe_file), "--out", str(out), "--set", "optim.epochs=2"]
    done = torchrun(*command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("tiny.safetensors")
    assert done.stderr.count("epoch 2/2") == 1  # one process speaks
    assert (out / "log.csv").read_text().count("\n") == 3
    done = torchrun(*command[:-1], "optim.epochs=3", "--resume")
    assert done.returncode == 0, done.stderr
    assert (out / "log.csv").read_text().count("\n") == 4
    settings = ("data.labelled=[]", "data.aus=[12,25]", "data.held_out=0.5", "optim.choose=loss")
    flags = [part for setting in settings for part in ("--set", setting)]
    alone = torchrun(*command[:4], "--out", str(tmp_path / "pre"), *flags)
    assert alone.returncode == 0, alone.stderr
    assert "loss -" in alone.stderr  # chosen by the held-out self-supervised loss
    odd = torchrun(*command[:4], "--out", str(tmp_path / "odd"), "--set", "optim.labelled_batch=7")
    assert "optim.labelled_batch is 7, not a multiple of the 2 processes" in odd.stderr
