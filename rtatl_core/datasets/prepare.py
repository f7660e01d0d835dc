"""Data sets -> prepared chips, in parallel and resumable.

A data set is a list of *units* (a sequence, a video, a batch of photos). Each unit yields its frames with their
labels; here the face is found by the same FaceMesh as in the live program, aligned, and written to the unit's own
part of the prepared folder, which appears whole or not at all. Running the same command again does only the units
that are missing. Every frame that does not become a chip is counted with its reason.
"""

from __future__ import annotations

import csv
import errno
import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import INDEX, is_complete, later_rows, part_folder, write_meta
from rtatl_core.datasets.flow_target import FlowTarget, exact_flow
from rtatl_core.datasets.teacher import Teacher
from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout, align_face
from rtatl_core.face.observe import FaceMesh
from rtatl_core.face.pose import head_pose
from rtatl_core.handoffs import AlignedFace, Float32, UInt8
from rtatl_core.progress import progress

NO_FACE = "no face found"
UNREADABLE = "picture missing or unreadable"


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a unit, with what is known about it."""

    name: str
    subject: str
    image: UInt8 | None
    """(h, w, 3) BGR; None = it could not be had, for the reason in ``lost``."""
    clip: str = ""
    time: float = 0.0
    """Seconds within the clip."""
    intensity: Float32 | None = None
    """(n_aus,) on 0-5, NaN = not coded; None for unlabelled data."""
    occurrence: Float32 | None = None
    """(n_aus,) 0 or 1, NaN = not coded; None for unlabelled data."""
    flow: Float32 | None = None
    """(h, w, 2) exact motion in image pixels to the frame named ``flow_to``, NaN where there is no face."""
    flow_to: str = ""
    lost: str = UNREADABLE


class Unit(Protocol):
    """What is prepared, and skipped when it is there already, as one. Units travel to worker processes, so they hold
    paths and labels rather than pictures."""

    @property
    def name(self) -> str:
        """Unique in the data set; the name of a folder."""
        ...

    @property
    def tracking(self) -> bool:
        """Whether neighbouring frames follow each other in time."""
        ...

    def frames(self) -> Iterator[Frame]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a data set becomes chips; the same for all its units."""

    kind: str
    aus: tuple[int, ...] = ()
    occurrence_rule: str = ""
    """What counts as present, in words; needed with ``aus``."""
    side: int = 112
    margin: int = 16
    teacher: Path | None = None
    """face_landmarker.task whose blendshapes are stored beside."""
    flow: str = ""
    """``tvl1`` or ``dis``: store that flow to the frame ``gap_s`` later; empty = training finds it as it goes (DIS).
    Exact flow that comes with the frames is stored always."""
    gap_s: float = 0.2

    @property
    def layout(self) -> ChipLayout:
        return ChipLayout(self.side, self.margin)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "aus": list(self.aus),
            "side": self.side,
            "margin": self.margin,
            "teacher": self.teacher is not None,
            "flow": self.flow,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the frames."""

    used: int
    lost: dict[str, int]
    """Reason -> frames."""
    units: dict[str, dict[str, int]]
    """Unit -> the same counts, with "used"."""
    positives: dict[int, tuple[int, int]] = field(default_factory=dict)
    """AU -> (frames coded present, frames coded) over all frames read, lost ones included."""

    def rates(self) -> dict[int, float]:
        """AU -> positive rate in percent; AUs that were never coded are left out."""
        return {au: 100 * present / coded for au, (present, coded) in self.positives.items() if coded}


def prepare(
    units: Sequence[Unit], out: Path, plan: Plan, *, jobs: int = 1, origin: dict[str, Any] | None = None
) -> Report:
    """Prepare the units that ``out`` lacks, then declare it complete.

    Raises RecipeError when nothing could be used, ``out`` was prepared in another way, or the disk is full; what was
    finished by then stays.
    """
    names = [unit.name for unit in units]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise RecipeError(f"two sources are called {twice[0]!r}; rename one of them")
    _claim(out, plan)
    missing = [unit for unit in units if not part_folder(out, unit.name).is_dir()]
    try:
        for _ in progress(
            _run(missing, out, plan, jobs), desc=f"preparing {plan.kind}", unit="part", total=len(missing)
        ):
            pass
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise RecipeError(
                f"the disk of {out} is full; make room and run the same command again, finished parts are kept"
            ) from error
        raise
    report = _collect(out, names, plan)
    if report.used == 0:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.lost.items()) or "there were no frames"
        raise RecipeError(f"no face could be used for {out} ({reasons}); check that --root names the right folder")
    with (out / "report.json").open("w", encoding="utf-8") as file:
        rates = {f"AU{au:02d}": round(rate, 2) for au, rate in report.rates().items()}
        content = {"used": report.used, "lost": report.lost, "positive_rate_percent": rates, "units": report.units}
        json.dump(content, file, indent=1)
    write_meta(
        out,
        layout=plan.layout,
        aus=plan.aus,
        occurrence_rule=plan.occurrence_rule,
        origin={**plan.to_json(), **(origin or {}), "faces": report.used},
    )
    return report


def _claim(out: Path, plan: Plan) -> None:
    """Make ``out`` this plan's folder, or find that it already is."""
    note = out / "plan.json"
    if note.is_file():
        before = json.loads(note.read_text(encoding="utf-8"))
        if before != plan.to_json():
            differing = next(key for key in plan.to_json() if before.get(key) != plan.to_json()[key])
            raise RecipeError(
                f"{out} was begun with {differing} {before.get(differing)!r}, now it is {plan.to_json()[differing]!r}; "
                "prepare into another folder, or delete this one"
            )
    elif is_complete(out) or (out.is_dir() and any(out.iterdir())):
        raise RecipeError(f"{out} is not empty and not a folder of 'rtatl prepare'; name an empty or a new one")
    else:
        try:
            part_folder(out, "").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"{out} cannot be made ({error.strerror}); name a folder that you may write") from error
        note.write_text(json.dumps(plan.to_json(), indent=1) + "\n", encoding="utf-8")
    for stale in part_folder(out, "").glob("*.unfinished"):
        shutil.rmtree(stale)


def _run(units: Sequence[Unit], out: Path, plan: Plan, jobs: int) -> Iterator[None]:
    if jobs <= 1 or len(units) <= 1:
        for unit in units:
            _prepare_unit(unit, out, plan)
            yield
        return
    # spawn: MediaPipe's threads do not survive a fork
    with ProcessPoolExecutor(min(jobs, len(units)), multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(_prepare_unit, unit, out, plan) for unit in units]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _prepare_unit(unit: Unit, out: Path, plan: Plan) -> None:
    final = part_folder(out, unit.name)
    unfinished = final.with_name(f"{final.name}.unfinished")
    unfinished.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            teacher = stack.enter_context(Teacher(plan.teacher)) if plan.teacher else None
            mesh = stack.enter_context(FaceMesh(tracking=unit.tracking))
            part = stack.enter_context(PartWriter(unfinished, plan))
            for frame in unit.frames():
                part.count(frame)
                if frame.image is None:
                    part.lose(frame.lost)
                    continue
                faces = mesh(frame.image)
                if not faces:
                    part.lose(NO_FACE)
                    continue
                part.add(frame, faces[0], teacher(frame.image) if teacher else None)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    os.replace(unfinished, final)


class PartWriter:
    """Writes one part: pictures as they come, so that memory stays flat in the length of a video; the small rest at
    the end."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._folder, self._plan = folder, plan
        folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = (folder / "chips.npy").open("w+b")
        self._header(0)
        self._small: dict[str, list[NDArray[Any]]] = {name: [] for name in ("landmarks", "geometry")}
        for name in ("intensity", "occurrence") if plan.aus else ():
            self._small[name] = []
        self._index: list[tuple[str, ...]] = []
        self._matrices: list[NDArray[np.float64]] = []
        self._exact: dict[int, tuple[str, Float32]] = {}
        self._lost: Counter[str] = Counter()
        self._coded = np.zeros((2, len(plan.aus)), np.int64)

    def count(self, frame: Frame) -> None:
        """Take the labels of a frame into the positive rates, whether or not its face will be found."""
        if frame.occurrence is not None:
            self._coded += np.stack([frame.occurrence == 1, np.isfinite(frame.occurrence)])

    def lose(self, reason: str) -> None:
        self._lost[reason] += 1

    def add(self, frame: Frame, landmarks: Float32, teacher: Float32 | None = None) -> None:
        """landmarks: (478, 3) pixels of the frame's image."""
        assert frame.image is not None
        height, width = frame.image.shape[:2]
        try:
            face = align_face(frame.image, landmarks, self._plan.layout)
            yaw = float(np.degrees(head_pose(landmarks, width, height).rotation_rad[1]))
        except ValueError:
            self.lose(NO_FACE)
            return
        self._file.write(np.ascontiguousarray(face.chip).tobytes())
        self._keep(frame, face, teacher)
        self._index.append((frame.name, frame.subject, frame.clip, f"{frame.time:.4f}", f"{yaw:.2f}"))
        if frame.flow is not None:
            self._exact[len(self._index) - 1] = (frame.flow_to, frame.flow)
        self._matrices.append(face.matrix)

    def _keep(self, frame: Frame, face: AlignedFace, teacher: Float32 | None) -> None:
        self._small["landmarks"].append(face.landmarks.astype(np.float16))
        self._small["geometry"].append(face.geometry.astype(np.float16))
        if self._plan.aus:
            for name, values in (("intensity", frame.intensity), ("occurrence", frame.occurrence)):
                if values is None or values.shape != (len(self._plan.aus),):
                    raise ValueError(f"{frame.name}: {name} of {len(self._plan.aus)} AUs is needed")
                self._small[name].append(values.astype(np.float16))
        if teacher is not None:
            self._small.setdefault("teacher", []).append(teacher.astype(np.float16))

    def __enter__(self) -> PartWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._header(len(self._index))
        finally:
            self._file.close()
        if kind is None:
            self._finish()

    def _header(self, count: int) -> None:
        """numpy leaves room in the header for the first axis to grow."""
        side = self._plan.layout.canvas
        self._file.seek(0)
        description = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
        np.lib.format.write_array_header_1_0(self._file, description)  # type: ignore[no-untyped-call]
        self._file.seek(0, os.SEEK_END)

    def _finish(self) -> None:
        for name, rows in self._small.items():
            if rows:
                np.save(self._folder / f"{name}.npy", np.stack(rows))
        if self._index and (self._exact or self._plan.flow):
            self._write_flow()
        with (self._folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(INDEX)
            writer.writerows(self._index)
        coded = {str(au): self._coded[:, j].tolist() for j, au in enumerate(self._plan.aus)}
        counts = {"used": len(self._index), **self._lost}
        (self._folder / "report.json").write_text(json.dumps({"counts": counts, "coded": coded}) + "\n")

    def _write_flow(self) -> None:
        count, cells = len(self._index), self._plan.layout.canvas // 4
        fields = np.full((count, cells, cells, 2), np.nan, np.float16)
        to = np.full(count, -1, np.int32)
        rows = {row[0]: i for i, row in enumerate(self._index)}
        for i, (name, motion) in self._exact.items():
            if (later := rows.get(name)) is not None:
                fields[i] = exact_flow(motion, self._matrices[i], self._matrices[later], self._plan.layout)
                to[i] = later
        if self._plan.flow:
            target = FlowTarget(self._plan.flow)
            chips = np.load(self._folder / "chips.npy", mmap_mode="r")
            clips, times = np.array([row[2] for row in self._index]), np.array([float(row[3]) for row in self._index])
            partner = later_rows(clips, times, self._plan.gap_s)
            scale = self._plan.layout.canvas / self._plan.side
            for i in np.flatnonzero((to < 0) & (partner >= 0)):
                fields[i] = target(np.asarray(chips[i]), np.asarray(chips[partner[i]])) * scale
                to[i] = partner[i]
        np.save(self._folder / "flow.npy", fields)
        np.save(self._folder / "flow_to.npy", to)


def _collect(out: Path, names: Sequence[str], plan: Plan) -> Report:
    units: dict[str, dict[str, int]] = {}
    coded = {au: np.zeros(2, np.int64) for au in plan.aus}
    for name in names:
        said = json.loads((part_folder(out, name) / "report.json").read_text())
        units[name] = said["counts"]
        for au in plan.aus:
            coded[au] += said["coded"][str(au)]
    lost: Counter[str] = Counter()
    for counts in units.values():
        lost.update({reason: count for reason, count in counts.items() if reason != "used"})
    return Report(
        used=sum(counts["used"] for counts in units.values()),
        lost=dict(lost),
        units=units,
        positives={au: (int(pair[0]), int(pair[1])) for au, pair in coded.items()},
    )
