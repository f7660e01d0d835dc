"""Prepared chips on disk: what ``rtatl prepare`` writes and training reads.

A folder with

    chips.npy      (N, C, C, 3) uint8 RGB, C = side + 2 * margin (memory-mapped when read)
    landmarks.npy  (N, 478, 2) float16, fractions of the chip's side without margin
    geometry.npy   (N, 468, 3) float16, see AlignedFace.geometry
    intensity.npy  (N, n_aus) float16 on 0-5, NaN = not labelled; absent for unlabelled data
    teacher.npy    (N, n) float16 blendshape stand-ins, see teacher.py; absent unless asked for
    index.csv      one row a chip: image, subject, clip, time (seconds in the clip; clip empty for stills)
    meta.json      layout, aus, landmark backend, where the data came from
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout, align_face
from rtatl_core.face.observe import BACKEND
from rtatl_core.handoffs import AlignedFace, Float32, UInt8

PREPARED_LAYOUT = ChipLayout(side=112, margin=16)
_INDEX = ("image", "subject", "clip", "time")


@dataclass(frozen=True, slots=True)
class ChipStore:
    """A prepared folder, opened for reading. Arrays are aligned on their first axis."""

    folder: Path
    layout: ChipLayout
    aus: tuple[int, ...]
    chips: UInt8
    landmarks: NDArray[np.float16]
    geometry: NDArray[np.float16]
    intensity: Float32 | None
    teacher: Float32 | None
    subjects: NDArray[np.str_]
    clips: NDArray[np.str_]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.chips)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Raises RecipeError when the folder was not prepared by ``rtatl prepare``, or is damaged."""
        try:
            meta = json.loads((folder / "meta.json").read_text())
            arrays = {
                name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("chips", "landmarks", "geometry")
            }
            intensity = np.load(folder / "intensity.npy").astype(np.float32) if meta["aus"] else None
            teacher = folder / "teacher.npy"
            with (folder / "index.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            layout = ChipLayout(**meta["layout"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecipeError(
                f"{folder} is no prepared data folder ({error}); make one with 'rtatl prepare'"
            ) from error
        lengths = {name: len(array) for name, array in arrays.items()} | {"index": len(rows)}
        if len(set(lengths.values())) != 1:
            raise RecipeError(f"{folder} is damaged, its files differ in length ({lengths}); prepare it again")
        if meta["landmark_backend"] != BACKEND:
            raise RecipeError(
                f"{folder} was prepared with landmarks of {meta['landmark_backend']}, this version uses {BACKEND}; "
                "prepare it again"
            )
        return cls(
            folder=folder,
            layout=layout,
            aus=tuple(meta["aus"]),
            intensity=intensity,
            teacher=np.load(teacher).astype(np.float32) if teacher.is_file() else None,
            subjects=np.array([row["subject"] for row in rows]),
            clips=np.array([row["clip"] for row in rows]),
            times=np.array([float(row["time"] or 0) for row in rows]),
            **arrays,
        )


@dataclass
class ChipWriter:
    """Collects aligned faces and writes a ``ChipStore`` folder in one go."""

    aus: tuple[int, ...] = ()
    layout: ChipLayout = PREPARED_LAYOUT
    _faces: list[AlignedFace] = field(default_factory=list)
    _intensity: list[Float32] = field(default_factory=list)
    _teacher: list[Float32] = field(default_factory=list)
    _rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(
        self,
        image: UInt8,
        landmarks: Float32,
        *,
        name: str,
        subject: str,
        clip: str = "",
        time: float = 0.0,
        intensity: Float32 | None = None,
        teacher: Float32 | None = None,
    ) -> None:
        """image: BGR; landmarks: (478, 3) pixels; intensity: (n_aus,) on 0-5, NaN = unknown."""
        self._faces.append(align_face(image, landmarks, self.layout))
        self._rows.append((name, subject, clip, f"{time:.4f}"))
        if self.aus:
            if intensity is None or intensity.shape != (len(self.aus),):
                raise ValueError(f"{name}: labels for {len(self.aus)} AUs are needed")
            self._intensity.append(intensity)
        if teacher is not None:
            self._teacher.append(teacher)

    def __len__(self) -> int:
        return len(self._faces)

    def write(self, folder: Path, origin: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "chips.npy", np.stack([face.chip for face in self._faces]))
        np.save(folder / "landmarks.npy", np.stack([face.landmarks for face in self._faces]).astype(np.float16))
        np.save(folder / "geometry.npy", np.stack([face.geometry for face in self._faces]).astype(np.float16))
        if self.aus:
            np.save(folder / "intensity.npy", np.stack(self._intensity).astype(np.float16))
        if self._teacher:
            np.save(folder / "teacher.npy", np.stack(self._teacher).astype(np.float16))
        with (folder / "index.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_INDEX)
            writer.writerows(self._rows)
        meta = {
            "layout": {"side": self.layout.side, "margin": self.layout.margin},
            "aus": list(self.aus),
            "landmark_backend": BACKEND,
            "origin": origin,
        }
        (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")


def frame_pairs(store: ChipStore, gap_s: float) -> NDArray[np.int64]:
    """(n, 2) rows of frames of one clip that are ``gap_s`` apart, to within a quarter of it."""
    pairs = []
    for clip in np.unique(store.clips):
        rows = np.flatnonzero(store.clips == clip)
        times = store.times[rows]
        later = np.searchsorted(times, times + gap_s - 1e-6)
        for i, j in enumerate(later):
            if j < len(rows) and abs(times[j] - times[i] - gap_s) <= gap_s / 4:
                pairs.append((rows[i], rows[j]))
    return np.array(pairs, np.int64).reshape(-1, 2)
