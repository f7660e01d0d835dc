"""Prepared chips -> augmented batches, one whole step at a time, in loader processes.

Everything random about one face in one step follows from (seed, epoch, step, place in the global batch). A step can
therefore be made again after an interruption, and N training processes together make the very batch that one would.
"""

from __future__ import annotations

import atexit
import math
import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import BaseContext
from typing import NamedTuple, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from rtatl_core.datasets.augment import AugmentConfig, augment, mirror_geometry, warp
from rtatl_core.datasets.chips import ChipStore
from rtatl_core.datasets.flow_pairs import partners
from rtatl_core.datasets.flow_target import CELL, FlowTarget, warp_flow
from rtatl_core.datasets.references import References
from rtatl_core.datasets.teacher import weak_labels
from rtatl_core.face.regions import au_regions
from rtatl_core.facs import MAX_INTENSITY
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.models.backbone import to_tensor
from rtatl_core.reference import unknown_reference
from rtatl_core.tasks.base import Batch, Draw


class Source(NamedTuple):
    """Rows of a store that training draws from."""

    store: ChipStore
    rows: NDArray[np.int64]
    labels: bool
    """Whether their AU codes may be used."""
    repeat: int = 1
    """How often each row counts where unlabelled faces are drawn."""

    @classmethod
    def whole(cls, store: ChipStore) -> Self:
        """All rows, without their codes."""
        return cls(store, np.arange(len(store)), labels=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """How steps are made of sources."""

    aus: tuple[int, ...]
    labelled: Source | None
    unlabelled: tuple[Source, ...]
    labelled_batch: int
    """Labelled faces of a step, over all processes; each is taken once an epoch, in random order."""
    unlabelled_batch: int
    """Unlabelled faces of a step, over all processes; drawn with replacement, each source by its number of rows
    times its ``repeat``."""
    steps: int
    """Steps of an epoch."""
    seed: int
    augment: AugmentConfig
    flow_to: str
    flow_gap_s: float
    want_flow: bool
    flow_share: float = 1.0
    """Of the faces whose flow is known; the others come without."""
    want_plain: bool
    want_taught: bool = False
    want_reference: bool = False
    rank: int = 0
    world: int = 1


class RawBatch(NamedTuple):
    """A batch as it travels from a loader process: pictures still as bytes."""

    chips: Tensor
    plain: Tensor
    centres: Tensor
    geometry: Tensor
    reference: Tensor
    intensity: Tensor
    occurrence: Tensor
    sides: Tensor
    taught: Tensor
    flow: Tensor
    seeds: Tensor

    def to_batch(self, device: torch.device) -> Batch:
        moved = {name: tensor.to(device, non_blocking=True) for name, tensor in self._asdict().items()}
        chips, plain = moved.pop("chips"), moved.pop("plain")
        return Batch(chips=to_tensor(chips), plain=to_tensor(plain) if len(plain) else None, **moved)


class _Face(NamedTuple):
    """One face of a step, named as in ``RawBatch``; ``flow`` (2, S/4, S/4)."""

    chips: UInt8
    plain: UInt8
    landmarks: Float32
    geometry: Float32
    reference: Float32
    intensity: Float32
    occurrence: Float32
    sides: Float32
    taught: Float32
    flow: Float32


class Steps(Dataset[RawBatch]):
    """Item k is step k of the epoch, this process's share of it."""

    def __init__(self, plan: StepPlan, epoch: int) -> None:
        self._plan, self._epoch = plan, epoch
        self._sources = (*((plan.labelled,) if plan.labelled else ()), *plan.unlabelled)
        self._partners = [
            partners(source.store, plan.flow_to, plan.flow_gap_s) for source in self._sources if plan.want_flow
        ]
        self._references = [References(source.store) for source in self._sources] if plan.want_reference else []
        self._pool = np.cumsum([0, *(len(source.rows) * source.repeat for source in plan.unlabelled)])
        self._order = np.empty(0, np.int64)
        if plan.labelled is not None:
            rows = plan.labelled.rows
            rng = np.random.default_rng((plan.seed, epoch))
            rounds = math.ceil(plan.steps * plan.labelled_batch / max(1, len(rows)))
            self._order = np.concatenate([rng.permutation(rows) for _ in range(rounds)])
        self._flow_target: FlowTarget | None = None

    def __len__(self) -> int:
        return self._plan.steps

    def __getitem__(self, step: int) -> RawBatch:
        plan = self._plan
        chosen = self._choose(step)
        faces = [self._face(which, row, seed) for which, row, seed in chosen]
        stacked = {name: np.stack([getattr(face, name) for face in faces]) for name in _Face._fields}
        stacked["centres"] = au_regions(stacked.pop("landmarks"), plan.aus)
        batch = {name: torch.from_numpy(values) for name, values in stacked.items()}
        if not plan.want_plain:
            batch["plain"] = torch.empty(0)
        return RawBatch(**batch, seeds=torch.tensor([seed for _, _, seed in chosen]))

    def _choose(self, step: int) -> list[tuple[int, int, int]]:
        """(index of the source, row, seed) of each face of this process."""
        plan = self._plan
        rng = np.random.default_rng((plan.seed, self._epoch, step))
        seeds = rng.integers(2**62, size=plan.labelled_batch + plan.unlabelled_batch)
        chosen: list[tuple[int, int, int]] = []
        if plan.labelled is not None:
            start = step * plan.labelled_batch
            mine = _share(plan.labelled_batch, plan)
            chosen += [(0, int(self._order[start + k]), int(seeds[k])) for k in mine]
        if plan.unlabelled and plan.unlabelled_batch:
            picks = rng.integers(self._pool[-1], size=plan.unlabelled_batch)
            for k in _share(plan.unlabelled_batch, plan):
                which = int(np.searchsorted(self._pool, picks[k], side="right")) - 1
                rows = plan.unlabelled[which].rows
                row = int(rows[(picks[k] - self._pool[which]) % len(rows)])
                chosen.append((which + bool(plan.labelled), row, int(seeds[plan.labelled_batch + k])))
        return chosen

    def _face(self, which: int, row: int, seed: int) -> _Face:
        plan, source = self._plan, self._sources[which]
        store = source.store
        canvas = np.ascontiguousarray(store.chips[row])
        landmarks, geometry = store.landmarks[row].astype(np.float32), store.geometry[row].astype(np.float32)
        made = augment(canvas, landmarks, geometry, store.layout, plan.augment, Draw.AUGMENTATION.by(seed))
        reference = self._reference(which, row, seed)
        intensity, occurrence, sides = _codes(source, row, len(plan.aus))
        return _Face(
            chips=made.chip,
            plain=made.plain,
            landmarks=made.landmarks,
            geometry=made.geometry,
            reference=mirror_geometry(reference) if made.flipped else reference,
            intensity=intensity,
            occurrence=occurrence,
            sides=sides[:, ::-1] if made.flipped else sides,
            taught=self._taught(source, row),
            flow=self._flow(which, row, seed, made.matrix),
        )

    def _reference(self, which: int, row: int, seed: int) -> Float32:
        if not self._references:
            return unknown_reference()
        return self._references[which].draw(row, Draw.REFERENCE.by(seed))

    def _taught(self, source: Source, row: int) -> Float32:
        """(n_aus,) weak labels on 0-1; NaN where nothing is known or wanted, or codes teach."""
        if source.labels or not self._plan.want_taught:
            return np.full(len(self._plan.aus), np.nan, np.float32)
        teacher, rated = (None if table is None else table[row] for table in (source.store.teacher, source.store.rated))
        return weak_labels(teacher, rated, self._plan.aus)

    def _flow(self, which: int, row: int, seed: int, matrix: Float32) -> Float32:
        """(2, S/4, S/4); NaN when there is no frame for it to lead to, or nobody wants it of this face."""
        store = self._sources[which].store
        partner = int(self._partners[which][row]) if self._partners else -1
        cells = store.layout.side // CELL
        if partner < 0 or Draw.FLOW.by(seed).random() >= self._plan.flow_share:
            return np.full((2, cells, cells), np.nan, np.float32)
        stored = store.stored_flow(row) if store.flow_to[row] == partner else None
        if stored is not None:
            field = warp_flow(stored, matrix, store.layout, self._plan.flow_to)
        else:
            self._flow_target = self._flow_target or FlowTarget(to=self._plan.flow_to)
            first, second = (warp(store.chips[r], matrix, store.layout.side) for r in (row, partner))
            field = self._flow_target(first, second)
        return np.ascontiguousarray(field.transpose(2, 0, 1))

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_flow_target": None}  # OpenCV's objects do not travel; each process makes its own


def _codes(source: Source, row: int, n_aus: int) -> tuple[Float32, Float32, Float32]:
    """Intensity (n_aus,) on 0-1, occurrence (n_aus,), sides (n_aus, 2) on 0-1; NaN where not coded or not to be
    used."""
    store = source.store
    unknown, sides = np.full(n_aus, np.nan, np.float32), np.full((n_aus, 2), np.nan, np.float32)
    if not source.labels or store.intensity is None or store.occurrence is None:
        return unknown, unknown, sides
    if store.sides is not None:
        sides = store.sides[row] / np.float32(MAX_INTENSITY)
    return store.intensity[row] / np.float32(MAX_INTENSITY), store.occurrence[row], sides


def _share(count: int, plan: StepPlan) -> range:
    """This process's part of ``count`` faces."""
    part = count // plan.world
    return range(plan.rank * part, (plan.rank + 1) * part)


def load_steps(plan: StepPlan, epoch: int, first: int, workers: int) -> Iterator[RawBatch]:
    """The steps ``first``, ``first`` + 1, ... of an epoch, made ahead in ``workers`` processes (0 = in this one)."""
    steps = Steps(plan, epoch)
    loader: DataLoader[RawBatch] = DataLoader(
        steps,
        batch_size=None,
        sampler=range(first, plan.steps),
        num_workers=workers,
        multiprocessing_context=_context() if workers else None,
        prefetch_factor=4 if workers else None,
        worker_init_fn=_begin if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(0),  # takes nothing from the generator that the network uses
    )
    return iter(loader)


def _context() -> BaseContext:
    """Processes that do not begin as a copy of this one: OpenCV's and torch's thread pools do not survive a fork, and a
    loader that waits for the threads of its parent waits for ever."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # imported once, before the first loader of a run
    # SIGTERM of a batch system reaches all processes; the first one ends the step in peace, and waits for them if need
    # be. What is blocked here is blocked in them; it has to be begun with the tracker running, which unblocks it.
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    return context


@atexit.register
def _end_loaders() -> None:
    """Of those that still work at the end of the program, as when something was raised in the middle of an epoch,
    Python asks by SIGTERM, which is blocked in them (``_context``), and would wait for ever."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


def _begin(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one ends the step in peace
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
