"""Joint training of the RTATL tasks: one step takes labelled and unlabelled faces together.

    recipe -> data (split, loader) -> network -> task losses -> AdamW -> after each epoch: validation, checkpoint

Everything random in a step follows from (seed, epoch, step), and dropout and noise from the process, too. So a run that
was interrupted anywhere and continued gives, on a CPU with as many threads, the losses of an uninterrupted one, and
several processes under ``torchrun`` train on the batches of one.
"""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from rtatl_core import distributed
from rtatl_core.card import file_hash
from rtatl_core.datasets.flow_pairs import require_flow_gap
from rtatl_core.datasets.loader import StepPlan, load_steps
from rtatl_core.datasets.references import means_of_people
from rtatl_core.datasets.split import split
from rtatl_core.errors import RecipeError, TrainingError
from rtatl_core.facs import MAX_INTENSITY, au_label
from rtatl_core.files import put
from rtatl_core.models.config import RTATLConfig
from rtatl_core.models.rtatl import RTATL
from rtatl_core.progress import progress
from rtatl_core.system import cores
from rtatl_core.tasks.au_recognition import AURecognition
from rtatl_core.tasks.base import Batch, Task
from rtatl_core.tasks.consistency import Consistency
from rtatl_core.tasks.objective import Objective
from rtatl_core.tasks.optical_flow import OpticalFlow
from rtatl_core.tasks.roi_inpainting import RoIInpainting
from rtatl_core.tasks.weak_teacher import WeakTeacher
from rtatl_core.training.choosing import Choice, validate
from rtatl_core.training.initial import (
    Beginning,
    judges_of,
    load_checkpoint,
    require_strangers,
    start_backbone,
    start_from,
)
from rtatl_core.training.learning import freeze, parameter_groups, set_modes
from rtatl_core.training.recipe import Recipe
from rtatl_core.training.resuming import require_same_run
from rtatl_core.training.runlog import EpochReport, RunLog


class Trainer:
    """One run: ``run()`` trains to the end, saving ``last.pt`` (to resume) and ``best.pt`` (to ship) in ``out``.

    Under ``torchrun`` every process makes one, inside ``distributed.process_group``; the first one writes files.
    """

    def __init__(self, recipe: Recipe, out: Path, *, quiet: bool = False) -> None:
        """``quiet``: no progress bar."""
        self.recipe, self.out = recipe, out
        self._quiet = quiet or distributed.rank() > 0
        optim, weights = recipe.optim, recipe.tasks
        if optim.threads:
            torch.set_num_threads(optim.threads)
        self.device = distributed.local_device(optim.device)
        self.precision = _precision(optim.precision, self.device)
        begun = Beginning.read(Path(optim.init)) if optim.init else None
        self.data = split(recipe.data, optim.seed, frozenset(begun.subjects if begun else ()))
        self._ratings = file_hash(Path(recipe.data.ratings)) if recipe.data.ratings else ""
        if max(weights.intensity, weights.occurrence) > 0 and weights.teacher == 0 and (uncoded := self.data.uncoded):
            raise RecipeError(
                f"nothing teaches {', '.join(map(au_label, uncoded))} of data.aus: nobody who trains has codes, and "
                "tasks.teacher is 0; leave them out of data.aus, or code more people"
            )
        if recipe.network.sides and not optim.init and self.data.labelled and self.data.labelled.store.sides is None:
            raise RecipeError(
                f"network.sides is true, but {self.data.labelled.store.folder} does not tell left from right; "
                "leave it false, or train on data that do (rtatl synth)"
            )
        for store in (self.data.selection, self.data.aside):  # read at the end only; the others as training begins
            if weights.flow > 0 and recipe.network.flow_to == "later" and store is not None:
                require_flow_gap(store, recipe.network.flow_gap_s)
        self.choice = Choice.of(recipe, self.data)
        torch.manual_seed(optim.seed)
        config = RTATLConfig(aus=self.data.aus, chip_side=self.data.side, **dataclasses.asdict(recipe.network))
        self.network = RTATL(config, flow=weights.flow > 0, inpainting=weights.inpainting > 0)
        self._fit_geometry_scale()
        if optim.init_backbone:
            start_backbone(self.network, optim.init_backbone)
        self.subjects, self.judges = self.data.subjects, self.data.judges
        """Everybody trained on, and by whom was chosen and calibrated, in this run and the one it started from
        (``names_of``)."""
        if begun:
            start_from(self.network, begun)
            require_strangers(begun, self.data)
            self._add_people(begun.subjects, begun.judges)
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        distributed.synchronise_batch_norms(self.network, self.device)
        freeze(self.network, optim.frozen)
        self.objective = Objective(self.network, self._make_tasks())
        if optim.compile:
            self.network.compile()
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.network, optim.backbone_rate),
            optim.learning_rate,
            weight_decay=optim.weight_decay,
            fused=self.device.type == "cuda",
        )
        self.plan = self._plan_steps()
        self.epoch, self.step, self.best, self.best_epoch = 0, 0, -math.inf, 0
        self._sums: dict[str, float] = {}
        self._stop = False

    # ---- set-up ------------------------------------------------------------------------------

    def _add_people(self, subjects: Iterable[str], judges: Iterable[str]) -> None:
        self.subjects, self.judges = sorted({*self.subjects, *subjects}), sorted({*self.judges, *judges})

    def _fit_geometry_scale(self) -> None:
        """Mean and spread of each landmark coordinate over the training faces, and its spread around people's means."""
        stream = self.network.geometry
        if stream is None:
            return
        source = self.data.labelled or self.data.unlabelled[0]
        rows = source.rows if len(source.rows) <= 20_000 else source.rows[:: len(source.rows) // 20_000 + 1]
        flat = source.store.geometry.take(rows).astype(np.float32).reshape(len(rows), -1)
        stream.feature_mean.copy_(torch.from_numpy(flat.mean(axis=0)))
        stream.feature_spread.copy_(torch.from_numpy(flat.std(axis=0)) + 0.004)
        if stream.compares:
            own = flat - means_of_people(flat, source.store.subjects[rows])
            stream.own_spread.copy_(torch.from_numpy(own.std(axis=0)) + 0.003)

    def _make_tasks(self) -> list[Task]:
        weights, tasks = self.recipe.tasks, list[Task]()
        if self.data.labelled is not None:
            store, rows = self.data.labelled.store, self.data.labelled.rows
            assert store.intensity is not None
            assert store.occurrence is not None
            tasks.append(
                AURecognition(
                    torch.from_numpy(store.intensity[rows] / MAX_INTENSITY), torch.from_numpy(store.occurrence[rows])
                )
            )
        if weights.inpainting > 0:
            tasks.append(RoIInpainting(self.recipe.inpainting))
        if weights.flow > 0:
            tasks.append(OpticalFlow())
        if weights.teacher > 0:
            tasks.append(WeakTeacher())
        if weights.consistency > 0:
            tasks.append(Consistency(self.recipe.consistency))
        if not tasks:
            raise RecipeError("nothing to train: no labelled data and no self-supervised task with a weight over 0")
        return tasks

    def _plan_steps(self) -> StepPlan:
        optim, weights, data = self.recipe.optim, self.recipe.tasks, self.data
        world = distributed.world_size()
        for key in ("labelled_batch", "unlabelled_batch"):
            if getattr(optim, key) % world:
                raise RecipeError(f"optim.{key} is {getattr(optim, key)}, not a multiple of the {world} processes")
        uses_unlabelled = max(weights.inpainting, weights.flow, weights.consistency, weights.teacher) > 0
        unlabelled = data.unlabelled if uses_unlabelled and optim.unlabelled_batch else ()
        if data.labelled is not None:
            steps = optim.steps or len(data.labelled.rows) // optim.labelled_batch
            if steps == 0:
                raise RecipeError(
                    f"{data.labelled.store.folder} holds {len(data.labelled.rows)} training faces, fewer than "
                    "optim.labelled_batch; lower it or set optim.steps"
                )
        else:
            count = sum(len(source.rows) for source in unlabelled)
            steps = optim.steps or max(1, count // max(1, optim.unlabelled_batch))
            if not count:
                raise RecipeError("without labelled data optim.unlabelled_batch must be over 0")
        return StepPlan(
            aus=data.aus,
            labelled=data.labelled,
            unlabelled=unlabelled,
            labelled_batch=optim.labelled_batch if data.labelled is not None else 0,
            unlabelled_batch=optim.unlabelled_batch if unlabelled else 0,
            steps=steps,
            seed=optim.seed,
            augment=self.recipe.augment,
            flow_to=self.network.config.flow_to,
            flow_gap_s=self.network.config.flow_gap_s,
            want_flow=weights.flow > 0,
            flow_share=self.recipe.flow.share,
            want_plain=weights.consistency > 0,
            want_taught=weights.teacher > 0,
            want_reference=self.network.config.reference,
            rank=distributed.rank(),
            world=world,
        )

    @property
    def _workers(self) -> int:
        wanted = self.recipe.optim.workers
        return wanted if wanted >= 0 else max(0, cores() // distributed.processes_here() - 1)

    # ---- training ------------------------------------------------------------------------------

    def run(self, on_epoch: Callable[[EpochReport], None] | None = None) -> Path:
        """Train until the recipe's last epoch, or its patience ends. Returns the best checkpoint's path.

        Raises TrainingError when a loss is not finite or a checkpoint cannot be written; the last good one is kept.
        Ctrl-C and SIGTERM end the current step or validation, save ``last.pt`` and raise KeyboardInterrupt.
        """
        first = distributed.rank() == 0
        if first:
            self._write_recipe()
        log = RunLog(self.out) if first else None
        objective: nn.Module = self.objective
        if distributed.world_size() > 1:
            # a head without a task, such as that of AUs in pre-training, gets no gradient
            objective = DistributedDataParallel(self.objective, find_unused_parameters=True)
        try:
            with self._stopping_gently():
                while self.epoch < self.recipe.optim.epochs and not self._out_of_patience():
                    report = self._run_epoch(objective)
                    if log:
                        log.write(report)
                        if on_epoch:
                            on_epoch(report)
                    if self._asked_to_stop():
                        raise KeyboardInterrupt
        finally:
            if log:
                log.close()
        return self.out / "best.pt"

    def _run_epoch(self, objective: nn.Module) -> EpochReport:
        start, first_step = time.perf_counter(), self.step
        losses = self._train_epoch(objective)
        seconds = time.perf_counter() - start
        faces = (self.plan.steps - first_step) * (self.plan.labelled_batch + self.plan.unlabelled_batch)
        self.epoch, self.step, self._sums = self.epoch + 1, 0, {}
        held_out, selection = self._validate()
        better = selection >= self.best
        if better and math.isfinite(selection):  # while nothing could be measured, the latest is kept as the best
            self.best, self.best_epoch = selection, self.epoch
        if distributed.rank() == 0:
            for name in ("best.pt", "last.pt") if better else ("last.pt",):
                self._save(name)
        distributed.wait_for_all()
        return EpochReport(
            epoch=self.epoch,
            losses=losses,
            held_out=held_out,
            selection=selection,
            chosen_by=self.choice.by,
            learning_rate=self._learning_rate(self.epoch * self.plan.steps - 1),
            faces_per_s=faces / max(seconds, 1e-9),
            seconds=time.perf_counter() - start,
        )

    def _train_epoch(self, objective: nn.Module) -> dict[str, float]:
        set_modes(self.network, self.recipe.optim.frozen)
        steps = load_steps(self.plan, self.epoch, self.step, self._workers)
        left = self.plan.steps - self.step
        for raw in progress(steps, desc=f"epoch {self.epoch + 1}", unit="step", total=left, quiet=self._quiet):
            losses = self.train_step(objective, raw.to_batch(self.device))
            for name, value in losses.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self.step += 1
            if self._asked_to_stop():
                if distributed.rank() == 0:
                    self._save("last.pt")
                raise KeyboardInterrupt
        return {name: value / self.plan.steps for name, value in self._sums.items()}

    def train_step(self, objective: nn.Module, batch: Batch) -> dict[str, float]:
        """One update. Returns the losses, means over all processes. Raises TrainingError before the weights change when
        one is not finite."""
        optim = self.recipe.optim
        seed = (optim.seed * 1_000_003 + self.epoch) * 1_000_003 + self.step
        torch.manual_seed((seed * 1_009 + distributed.rank()) % 2**63)  # dropout and geometry noise
        rate = self._learning_rate(self.epoch * self.plan.steps + self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["relative_rate"]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == torch.bfloat16):
            losses = objective(batch)
            total = torch.stack([getattr(self.recipe.tasks, name) * loss for name, loss in losses.items()]).sum()
        values = distributed.summed(torch.stack(list(losses.values())).detach()) / distributed.world_size()
        named = dict(zip(losses, values.tolist(), strict=True))
        if bad := [name for name, value in named.items() if not math.isfinite(value)]:
            raise TrainingError(
                f"the loss of {', '.join(bad)} is not finite in epoch {self.epoch + 1}, step {self.step + 1}; lower "
                f"optim.learning_rate and train again, with --resume if {self.out / 'last.pt'} is there"
            )
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), optim.clip_norm)
        self.optimiser.step()
        return named

    def _learning_rate(self, step: int) -> float:
        optim = self.recipe.optim
        total = optim.epochs * self.plan.steps
        warm = min(1.0, (step + 1) / max(1, optim.warmup_steps))
        return optim.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / total))

    def _validate(self) -> tuple[dict[str, float], float]:
        """The first process measures; all learn what came out, so that they stop together."""
        held_out: dict[str, float] = {}
        selection = 0.0
        if distributed.rank() == 0:
            with distributed.alone():
                held_out, selection = validate(self.objective, self.data, self.choice, self.recipe)
            if self.choice.by == "last":
                selection = float(self.epoch)
            if not math.isfinite(selection):
                selection = -math.inf
        return held_out, distributed.from_first(selection)

    # ---- stopping ------------------------------------------------------------------------------

    def _out_of_patience(self) -> bool:
        patience = self.recipe.optim.patience
        return patience > 0 and self.epoch - self.best_epoch >= patience

    def _asked_to_stop(self) -> bool:
        """In any process: all must stop at the same step."""
        if distributed.world_size() == 1:
            return self._stop
        return bool(distributed.summed(torch.tensor(float(self._stop), device=self.device)) > 0)

    @contextmanager
    def _stopping_gently(self) -> Iterator[None]:
        def ask(number: int, frame: FrameType | None) -> None:
            self._stop = True

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not in the main thread: whoever runs it there stops it otherwise
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if self._stop:  # asked for after the last epoch: what comes after this run must not begin
            raise KeyboardInterrupt

    # ---- files ------------------------------------------------------------------------------

    def _write_recipe(self) -> None:
        """The recipe as resolved, before the first step."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "recipe.json").write_text(json.dumps(self.recipe.to_json(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise RecipeError(f"{self.out} cannot be written ({error.strerror}); name another --out") from error

    def _save(self, name: str) -> None:
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "config": self.network.config.to_json(),
            "recipe": self.recipe.to_json(),
            "subjects": self.subjects,
            "judges": self.judges,
            "people": self._people(),
            "ratings": self._ratings,
            "epoch": self.epoch,
            "step": self.step,
            "sums": self._sums,
            "best": self.best,
            "best_epoch": self.best_epoch,
        }
        temporary = self.out / f"{name}.tmp"
        try:
            torch.save(state, temporary)
            put(temporary, self.out / name)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            temporary.unlink(missing_ok=True)
            raise TrainingError(
                f"{self.out / name} cannot be written ({error}); the one before is kept; make room and use --resume"
            ) from error

    def _people(self) -> dict[str, list[str]]:
        return {"trained": self.data.subjects, "judging": self.data.judges, "tested": sorted(self.data.test)}

    def resume(self) -> None:
        """Go on from ``last.pt``. Raises RecipeError when there is none or it belongs to another run."""
        path = self.out / "last.pt"
        if not path.is_file():
            raise RecipeError(f"{path} is missing, there is nothing to resume; leave --resume out")
        state = load_checkpoint(path)
        require_same_run(path, state, self.network.config, self.recipe, self._people(), self._ratings)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch, self.step, self._sums = state["epoch"], state["step"], state["sums"]
        self.best, self.best_epoch = state["best"], state["best_epoch"]
        self._add_people(state.get("subjects", []), judges_of(state))


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    if wanted == "auto":  # cards before Ampere only imitate bfloat16, which is slower than float32
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if native else torch.float32
    if wanted not in ("float32", "bfloat16"):
        raise RecipeError(f"optim.precision is {wanted!r}; write float32, bfloat16 or auto")
    return torch.bfloat16 if wanted == "bfloat16" else torch.float32
