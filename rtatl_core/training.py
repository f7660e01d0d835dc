"""Joint training of the RTATL tasks: one step takes labelled faces and unlabelled video frames together.

    recipe -> data (chips, augmented) -> network -> task losses -> AdamW -> after each epoch: validation,
    checkpoint

Everything random in an epoch follows from (seed, epoch), so an interrupted run continued from its last epoch
gives the losses of an uninterrupted one.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtatl_core.datasets.augment import augment, warp
from rtatl_core.datasets.chips import ChipStore, frame_pairs
from rtatl_core.errors import RecipeError, TrainingError
from rtatl_core.evaluation import predict_store, teacher_agreement
from rtatl_core.face.regions import au_regions
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32
from rtatl_core.metrics import icc31, pcc
from rtatl_core.models.backbone import to_tensor
from rtatl_core.models.rtatl import RTATL, RTATLConfig
from rtatl_core.recipe import Recipe
from rtatl_core.tasks.au_recognition import AURecognition
from rtatl_core.tasks.base import Batch, Task
from rtatl_core.tasks.optical_flow import FlowTarget, OpticalFlow, to_target
from rtatl_core.tasks.roi_inpainting import RoIInpainting


@dataclass(frozen=True, slots=True)
class EpochReport:
    epoch: int
    losses: dict[str, float]
    """Mean of each unweighted loss over the epoch."""
    held_out: dict[str, float]
    """Mean PCC and ICC(3,1) over AUs on held-out labelled faces."""
    selection: float
    """What the checkpoint is chosen by: mean over AUs of the mean per-clip PCC with the teacher on real
    video, or the held-out ICC when the recipe names no selection data."""
    seconds: float


class Trainer:
    """One run: ``run()`` trains to the end, saving ``last.pt`` (to resume) and ``best.pt`` (to ship) in
    ``out``."""

    def __init__(self, recipe: Recipe, out: Path) -> None:
        self.recipe, self.out = recipe, out
        optim = recipe.optim
        if optim.threads:
            torch.set_num_threads(optim.threads)
        self.labelled = ChipStore.open(Path(recipe.data.labelled))
        if self.labelled.intensity is None:
            raise RecipeError(f"{recipe.data.labelled} has no AU labels; data.labelled needs some")
        self.videos = ChipStore.open(Path(recipe.data.videos)) if recipe.data.videos else None
        self.selection = ChipStore.open(Path(recipe.data.selection)) if recipe.data.selection else None
        self.aside = ChipStore.open(Path(recipe.data.aside)) if recipe.data.aside else None
        for store in (self.selection, self.aside):
            if store is not None and store.teacher is None:
                raise RecipeError(f"{store.folder} has no teacher values; prepare it with --teacher")
        self.train_rows, self.held_out_rows = split_subjects(self.labelled.subjects, recipe.data.held_out, optim.seed)
        torch.manual_seed(optim.seed)
        side = self.labelled.layout.side
        config = RTATLConfig(aus=self.labelled.aus, chip_side=side, **dataclasses.asdict(recipe.network))
        weights = recipe.tasks
        self.network = RTATL(config, flow=weights.flow > 0, inpainting=weights.inpainting > 0)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        labels = torch.from_numpy(self.labelled.intensity[self.train_rows] / MAX_INTENSITY)
        self.tasks: list[Task] = [AURecognition(labels)]
        if weights.inpainting > 0:
            self.tasks.append(RoIInpainting())
        if weights.flow > 0:
            self.tasks.append(OpticalFlow())
        self._fit_geometry_scale()
        if optim.init:
            self._start_from(Path(optim.init))
        if optim.only:
            self._freeze_all_but(optim.only)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), optim.learning_rate, weight_decay=optim.weight_decay
        )
        self.steps_per_epoch = len(self.train_rows) // optim.labelled_batch
        if self.steps_per_epoch == 0:
            raise RecipeError(
                f"{recipe.data.labelled} holds {len(self.train_rows)} training faces, fewer than optim.labelled_batch"
            )
        self.pairs = frame_pairs(self.videos, config.flow_gap_s) if self.videos else None
        self.epoch, self.best = 0, -math.inf
        self._flow_target = FlowTarget()

    def _fit_geometry_scale(self) -> None:
        """Mean and spread of each landmark coordinate over the training faces, and their mirror images."""
        stream = self.network.geometry
        if stream is None:
            return
        flat = self.labelled.geometry[self.train_rows].astype(np.float32).reshape(len(self.train_rows), -1)
        stream.feature_mean.copy_(torch.from_numpy(flat.mean(axis=0)))
        stream.feature_spread.copy_(torch.from_numpy(flat.std(axis=0)) + 0.004)

    def _start_from(self, checkpoint: Path) -> None:
        """Take over another run's weights; decoders that this run has no use for are left out."""
        if not checkpoint.is_file():
            raise RecipeError(f"optim.init names {checkpoint}, which is missing; name the best.pt of a finished run")
        state = torch.load(checkpoint, weights_only=True)
        if state["config"] != self.network.config.to_json():
            raise RecipeError(f"{checkpoint} holds another network than the recipe describes; make [network] equal")
        wanted = self.network.state_dict()
        self.network.load_state_dict({name: state["network"].get(name, wanted[name]) for name in wanted})

    def _freeze_all_but(self, part: str) -> None:
        names = [name for name, _ in self.network.named_children()]
        if part not in names:
            raise RecipeError(f"optim.only names {part!r}, which the network lacks; it has {', '.join(names)}")
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name.startswith(f"{part}."))

    # ---- data --------------------------------------------------------------------------------

    def _batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self.recipe.optim.seed, epoch))
        size, video_size = self.recipe.optim.labelled_batch, self.recipe.optim.video_batch
        order = rng.permutation(self.train_rows)
        assert self.labelled.intensity is not None
        for step in range(self.steps_per_epoch):
            faces = [self._face(self.labelled, int(row), rng) for row in order[step * size : (step + 1) * size]]
            labels = [self.labelled.intensity[row] for row in order[step * size : (step + 1) * size]]
            if self.videos is not None and self.pairs is not None and len(self.pairs):
                chosen = self.pairs[rng.integers(len(self.pairs), size=video_size)]
                faces += [self._face(self.videos, int(a), rng, then=int(b)) for a, b in chosen]
                labels += [np.full(len(self.labelled.aus), np.nan, np.float32)] * video_size
            yield Batch(
                chips=to_tensor(torch.from_numpy(np.stack([face[0] for face in faces]))),
                centres=torch.from_numpy(au_regions(np.stack([face[1] for face in faces]), self.labelled.aus)),
                geometry=torch.from_numpy(np.stack([face[2] for face in faces])),
                intensity=torch.from_numpy(np.stack(labels) / np.float32(MAX_INTENSITY)),
                flow=torch.stack([face[3] for face in faces]),
            )

    def _face(
        self, store: ChipStore, row: int, rng: np.random.Generator, then: int | None = None
    ) -> tuple[NDArray[np.uint8], Float32, Float32, Tensor]:
        canvas = np.ascontiguousarray(store.chips[row])
        landmarks = store.landmarks[row].astype(np.float32)
        geometry = store.geometry[row].astype(np.float32)
        made = augment(canvas, landmarks, geometry, store.layout, self.recipe.augment, rng)
        quarter = store.layout.side // 4
        if then is None:
            flow = torch.full((2, quarter, quarter), math.nan)
        else:
            pair = (warp(frame, made.matrix, store.layout.side) for frame in (canvas, store.chips[then]))
            flow = to_target(self._flow_target(*pair))
        return made.chip, made.landmarks, made.geometry, flow

    # ---- training --------------------------------------------------------------------------------

    def run(self, on_epoch: Callable[[EpochReport], None] | None = None) -> Path:
        """Train until the recipe's last epoch. Returns the best checkpoint's path. Raises TrainingError on a
        NaN loss."""
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "recipe.json").write_text(json.dumps(self.recipe.to_json(), indent=2) + "\n")
        while self.epoch < self.recipe.optim.epochs:
            start = time.perf_counter()
            losses = self._train_epoch(self.epoch)
            self.epoch += 1
            held_out, selection = self._validate()
            report = EpochReport(self.epoch, losses, held_out, selection, time.perf_counter() - start)
            if selection >= self.best:
                self.best = selection
                self._save("best.pt")
            self._save("last.pt")
            self._log(report)
            if on_epoch:
                on_epoch(report)
        return self.out / "best.pt"

    def _train_epoch(self, epoch: int) -> dict[str, float]:
        optim = self.recipe.optim
        generator = torch.Generator().manual_seed(optim.seed * 100_003 + epoch)
        torch.manual_seed(optim.seed * 100_003 + epoch)  # dropout and geometry noise
        self.network.train(not optim.only)
        if optim.only:
            self.network.get_submodule(optim.only).train()
        sums: dict[str, float] = {}
        for step, batch in enumerate(self._batches(epoch)):
            rate = self._learning_rate(epoch * self.steps_per_epoch + step)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            inputs = batch.chips
            for task in self.tasks:
                changed = task.corrupt(batch, generator)
                inputs = changed if changed is not batch.chips else inputs
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=optim.bfloat16):
                output = self.network(inputs, batch.centres, batch.geometry)
                losses = {k: v for task in self.tasks for k, v in task.losses(batch, output, self.network).items()}
            total = torch.stack(
                [getattr(self.recipe.tasks, name) * loss.float() for name, loss in losses.items()]
            ).sum()
            if not torch.isfinite(total):
                bad = [name for name, loss in losses.items() if not torch.isfinite(loss)]
                raise TrainingError(
                    f"the loss of {', '.join(bad) or 'the step'} is not finite in epoch {epoch + 1}; the last good "
                    f"state is in {self.out / 'last.pt'}; lower optim.learning_rate and resume"
                )
            self.optimiser.zero_grad(set_to_none=True)
            total.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), optim.clip_norm)
            self.optimiser.step()
            for name, loss in losses.items():
                sums[name] = sums.get(name, 0.0) + float(loss.detach())
        return {name: value / self.steps_per_epoch for name, value in sums.items()}

    def _learning_rate(self, step: int) -> float:
        optim = self.recipe.optim
        total = optim.epochs * self.steps_per_epoch
        warm = min(1.0, (step + 1) / max(1, optim.warmup_steps))
        return optim.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / total))

    # ---- validation --------------------------------------------------------------------------------

    def _validate(self) -> tuple[dict[str, float], float]:
        assert self.labelled.intensity is not None
        predicted = predict_store(self.network, self.labelled, self.held_out_rows)[0]
        truth = self.labelled.intensity[self.held_out_rows] / MAX_INTENSITY
        columns = range(truth.shape[1])
        held_out = {
            "pcc": float(np.nanmean([pcc(predicted[:, j], truth[:, j]) for j in columns])),
            "icc31": float(np.nanmean([icc31(predicted[:, j], truth[:, j]) for j in columns])),
        }
        if self.selection is None:
            return held_out, held_out["icc31"]
        values = predict_store(self.network, self.selection, np.arange(len(self.selection)))[0]
        return held_out, float(np.nanmean(list(teacher_agreement(self.selection, values, self.labelled.aus).values())))

    # ---- files --------------------------------------------------------------------------------

    def _save(self, name: str) -> None:
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "config": self.network.config.to_json(),
            "recipe": self.recipe.to_json(),
            "epoch": self.epoch,
            "best": self.best,
        }
        temporary = self.out / f"{name}.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.out / name)

    def resume(self) -> None:
        """Go on from ``last.pt``. Raises RecipeError when there is none or it belongs to another network."""
        path = self.out / "last.pt"
        if not path.is_file():
            raise RecipeError(f"{path} is missing, there is nothing to resume; leave --resume out")
        state = torch.load(path, weights_only=True)
        if state["config"] != self.network.config.to_json():
            raise RecipeError(f"{path} holds another network than the recipe describes; train into another folder")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.best = state["epoch"], state["best"]

    def _log(self, report: EpochReport) -> None:
        row = {"epoch": report.epoch, **{f"loss_{k}": v for k, v in report.losses.items()}}
        row |= {f"held_out_{k}": v for k, v in report.held_out.items()}
        row |= {"selection": report.selection, "seconds": report.seconds}
        path = self.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(row))
            if new:
                writer.writeheader()
            writer.writerow({k: v if isinstance(v, int) else f"{v:.5f}" for k, v in row.items()})


def split_subjects(
    subjects: NDArray[np.str_], held_out: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows for training and for validation; no subject is in both."""
    names = np.unique(subjects)
    if len(names) < 2:
        raise RecipeError("at least two subjects are needed to hold some out")
    count = min(len(names) - 1, max(1, round(len(names) * held_out)))
    kept_out = np.random.default_rng(seed).permutation(names)[:count]
    outside = np.isin(subjects, kept_out)
    return np.flatnonzero(~outside), np.flatnonzero(outside)
