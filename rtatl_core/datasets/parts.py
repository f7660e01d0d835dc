"""One part of a prepared folder: aligned faces with their labels, written as they come."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.chips import INDEX
from rtatl_core.datasets.flow_pairs import later_rows
from rtatl_core.datasets.flow_target import CELL, FlowTarget, exact_flow, flow_of_landings, landings
from rtatl_core.face.align import ChipLayout, align_face
from rtatl_core.face.pose import head_pose
from rtatl_core.handoffs import CHIP_SIDE, AlignedFace, Float32, UInt8

NO_FACE = "no face found"
UNREADABLE = "picture missing or unreadable"
FLOW_GAP_S = 0.2
"""How much later the frame is that stored flow leads to, unless that is at rest."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a unit, with what is known about it."""

    name: str
    subject: str
    image: UInt8 | None
    """(h, w, 3) BGR; None = there is none, for the reason in ``lost``."""
    clip: str = ""
    time: float = 0.0
    """Seconds within the clip."""
    intensity: Float32 | None = None
    """(n_aus,) on 0-5, NaN = not coded; None for unlabelled data."""
    occurrence: Float32 | None = None
    """(n_aus,) 0 or 1, NaN = not coded; None for unlabelled data."""
    sides: Float32 | None = None
    """(n_aus, 2) intensity of the subject's left and right on 0-5, NaN = not coded; None where sides are not told."""
    flow: Float32 | None = None
    """(h, w, 2) exact motion in image pixels to the frame named ``flow_to``, or if that is its own name to the same
    face in the same pose at rest; NaN where there is no face."""
    flow_to: str = ""
    lost: str = UNREADABLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a data set becomes chips; the same for all its units."""

    kind: str
    aus: tuple[int, ...] = ()
    occurrence_rule: str = ""
    """What counts as present, in words; needed with ``aus``."""
    side: int = CHIP_SIDE
    teacher: Path | None = None
    """face_landmarker.task whose blendshapes are stored beside."""
    flow: str = ""
    """``tvl1`` or ``dis``: store that flow to the frame ``FLOW_GAP_S`` later; empty = training finds it as it goes
    (DIS). Exact flow that comes with the frames is stored always."""
    made_of: str = ""
    """Of rendered pictures: what they are made from, since another seed or rig makes other ones."""

    @property
    def layout(self) -> ChipLayout:
        return ChipLayout.with_room(self.side)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "aus": list(self.aus),
            "side": self.side,
            "margin": self.layout.margin,
            "teacher": self.teacher is not None,
            "flow": self.flow,
            **({"made_of": self.made_of} if self.made_of else {}),
        }


class PartWriter:
    """Writes one part: pictures as they come, so that memory stays flat in the length of a video; the small rest at
    the end."""

    def __init__(self, folder: Path, plan: Plan, fingerprint: str | None = None) -> None:
        self._folder, self._plan, self._fingerprint = folder, plan, fingerprint
        folder.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = (folder / "chips.npy").open("w+b")
        self._header(0)
        self._small: dict[str, list[NDArray[Any]]] = {name: [] for name in ("landmarks", "geometry")}
        for name in ("intensity", "occurrence") if plan.aus else ():
            self._small[name] = []
        self._index: list[tuple[str, ...]] = []
        self._matrices: list[NDArray[np.float64]] = []
        self._to_rest: dict[int, NDArray[np.float16]] = {}
        self._later: dict[int, tuple[str, Float32]] = {}
        self._lost: Counter[str] = Counter()
        self._coded = np.zeros((2, len(plan.aus)), np.int64)

    def count(self, frame: Frame) -> None:
        """Count a frame's labels in the positive rates, whether or not its face will be found."""
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
            pitch, yaw, _ = np.degrees(head_pose(landmarks, width, height).rotation_rad)
        except ValueError:
            self.lose(NO_FACE)
            return
        self._file.write(np.ascontiguousarray(face.chip).tobytes())
        self._keep(frame, face, teacher)
        self._index.append((frame.name, frame.subject, frame.clip, f"{frame.time:.4f}", f"{yaw:.2f}", f"{pitch:.2f}"))
        self._matrices.append(face.matrix)
        row = len(self._index) - 1
        # at once: the motion of every pixel, kept for a whole part of photos or a long clip, filled the memory
        if frame.flow is not None and frame.flow_to == frame.name:
            flow = exact_flow(frame.flow, face.matrix, face.matrix, self._plan.layout, "rest")
            self._to_rest[row] = flow.astype(np.float16)
        elif frame.flow is not None:
            self._later[row] = (frame.flow_to, landings(frame.flow, face.matrix, self._plan.layout))

    def _keep(self, frame: Frame, face: AlignedFace, teacher: Float32 | None) -> None:
        self._small["landmarks"].append(face.landmarks.astype(np.float16))
        self._small["geometry"].append(face.geometry.astype(np.float16))
        if self._plan.aus:
            for name, values in (("intensity", frame.intensity), ("occurrence", frame.occurrence)):
                if values is None or values.shape != (len(self._plan.aus),):
                    raise ValueError(f"{frame.name}: {name} of {len(self._plan.aus)} AUs is needed")
                self._small[name].append(values.astype(np.float16))
        if frame.sides is not None:
            self._small.setdefault("sides", []).append(frame.sides.astype(np.float16))
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
        if self._index and (self._to_rest or self._later or self._plan.flow):
            self._write_flow()
        with (self._folder / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(INDEX)
            writer.writerows(self._index)
        coded = {str(au): self._coded[:, j].tolist() for j, au in enumerate(self._plan.aus)}
        counts = {"used": len(self._index), **self._lost}
        report = {"counts": counts, "coded": coded, "fingerprint": self._fingerprint}
        (self._folder / "report.json").write_text(json.dumps(report) + "\n", encoding="utf-8")

    def _write_flow(self) -> None:
        count, cells = len(self._index), self._plan.layout.canvas // CELL
        fields = np.full((count, cells, cells, 2), np.nan, np.float16)
        to = np.full(count, -1, np.int32)
        rows = {row[0]: i for i, row in enumerate(self._index)}
        for i, field in self._to_rest.items():
            fields[i], to[i] = field, i
        for i, (name, landed) in self._later.items():
            if (later := rows.get(name)) is not None:
                fields[i] = flow_of_landings(landed, self._matrices[later], self._plan.layout)
                to[i] = later
        if self._plan.flow:
            target = FlowTarget(self._plan.flow)
            chips = np.load(self._folder / "chips.npy", mmap_mode="r")
            clips, times = np.array([row[2] for row in self._index]), np.array([float(row[3]) for row in self._index])
            partner = later_rows(clips, times, FLOW_GAP_S)
            scale = self._plan.layout.canvas / self._plan.side
            for i in np.flatnonzero((to < 0) & (partner >= 0)):
                fields[i] = target(np.asarray(chips[i]), np.asarray(chips[partner[i]])) * scale
                to[i] = partner[i]
        np.save(self._folder / "flow.npy", fields)
        np.save(self._folder / "flow_to.npy", to)
