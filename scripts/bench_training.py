"""How fast training is fed, and how much of a training step is not the network.

    .venv/bin/python scripts/bench_training.py [--side 144] [--width 32] [--device cpu]

In: nothing, it makes its own faces. Out: a table on stdout.
  loader: chips read and augmented per second by as many processes as there are cores.
  step / bare: time of a whole training step of the program (batch from a loader process, transfer, losses, checks,
               clipping, update) over forward, backward and update of the same network on one batch already there.
The two are measured in turns, so that what else the machine does hits both.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from rtatl_core.datasets.augment import AugmentConfig
from rtatl_core.datasets.chips import ChipStore, part_folder, write_meta
from rtatl_core.datasets.loader import Source, StepPlan, load_steps
from rtatl_core.datasets.parts import Frame, PartWriter, Plan
from rtatl_core.face.mesh import mean_face
from rtatl_core.handoffs import CHIP_SIDE
from rtatl_core.training.recipe import build_recipe
from rtatl_core.training.trainer import Trainer

AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
FACES, ROUNDS = 1200, 12


def make_store(folder: Path, side: int) -> Path:
    """Blurred noise with landmarks of the mean face: as much work as faces, and nobody's picture."""
    rng = np.random.default_rng(0)
    plan = Plan(kind="bench", aus=AUS, occurrence_rule="made up", side=side)
    points = np.concatenate([mean_face(), np.zeros((10, 3))]).astype(np.float32) * 2
    points[:, :2] += (240, 160)
    images = [cv2.GaussianBlur(rng.integers(0, 256, (480, 480, 3), np.uint8), (0, 0), 3) for _ in range(8)]
    with PartWriter(part_folder(folder, "all"), plan) as writer:
        for k in range(FACES):
            codes = rng.integers(0, 6, len(AUS)).astype(np.float32)
            present = (codes > 1).astype(np.float32)
            writer.add(Frame(f"{k}", f"s{k % 20}", images[k % 8], intensity=codes, occurrence=present), points)
    write_meta(folder, parts=["all"], layout=plan.layout, aus=AUS, occurrence_rule="made up", origin={})
    return folder


def loader_rate(folder: Path, workers: int) -> float:
    """Chips per second, without the start of the processes."""
    store = ChipStore.open(folder)
    plan = StepPlan(
        aus=AUS,
        labelled=Source(store, np.arange(len(store)), labels=True),
        unlabelled=(),
        labelled_batch=64,
        unlabelled_batch=0,
        steps=140,
        seed=0,
        augment=AugmentConfig(),
        flow_to="later",
        flow_gap_s=0.2,
        want_flow=False,
        want_plain=False,
    )
    rates = []
    for epoch in range(3):
        steps = load_steps(plan, epoch, 0, workers)
        for _ in range(20):
            next(steps)
        start = time.perf_counter()
        count = sum(len(raw.chips) for raw in steps)
        rates.append(count / (time.perf_counter() - start))
    return max(rates)


def step_times(folder: Path, width: int, device: str, out: Path) -> tuple[float, float]:
    """Median seconds of a training step and of the bare network, measured in turns."""
    recipe = build_recipe(
        {
            "name": "bench",
            "trained_on": "noise",
            "data": {"labelled": str(folder)},
            "network": {"width": width},
            "tasks": {"inpainting": 0.0, "flow": 0.0},
            "optim": {"labelled_batch": 48, "steps": 10_000, "device": device, "workers": 1},
        }
    )
    trainer = Trainer(recipe, out)
    trainer.network.train()
    steps = load_steps(trainer.plan, 0, 0, 1)
    batch = next(steps).to_batch(trainer.device)
    optimiser = torch.optim.AdamW(trainer.network.parameters())

    def whole() -> None:
        trainer.train_step(trainer.objective, next(steps).to_batch(trainer.device))

    def bare() -> None:
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.precision == torch.bfloat16):
            output = trainer.network(batch.chips, batch.centres, batch.geometry)
            loss = output.intensity.square().mean() + output.occurrence.square().mean()
            for streams in output.streams:
                loss = loss + streams[0].square().mean() + streams[1].square().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    times: dict[str, list[float]] = {"whole": [], "bare": []}
    for k in range(ROUNDS + 2):
        for name, run in (("whole", whole), ("bare", bare)):
            seconds = timed(run, trainer.device)
            if k >= 2:
                times[name].append(seconds)
    return statistics.median(times["whole"]), statistics.median(times["bare"])


def timed(run: Callable[[], None], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=CHIP_SIDE)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_store(Path(temporary) / "store", options.side)
        rate = loader_rate(folder, cores)
        print(f"loader, {cores} processes, {options.side} px: {rate:.0f} chips/s")
        whole, bare = step_times(folder, options.width, options.device, Path(temporary) / "run")
        print(f"step {whole * 1000:.0f} ms, bare network {bare * 1000:.0f} ms, ratio {whole / bare:.2f}")


if __name__ == "__main__":
    main()
