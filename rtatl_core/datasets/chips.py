"""Prepared chips on disk: what ``rtatl prepare`` writes and training reads.

A folder with

    meta.json            layout, aus, landmark backend, origin, the parts that count; written last, so its presence says
                         "complete"
    report.json          frames used and lost, by reason, and the positive rates of the labels
    parts/<unit>/        one folder for each sequence, video or batch of photos:
        chips.npy        (N, C, C, 3) uint8 RGB, C = side + 2 * margin
        landmarks.npy    (N, 478, 2) float16, fractions of the chip's side without margin
        geometry.npy     (N, 468, 3) float16, see AlignedFace.geometry
        intensity.npy    (N, n_aus) float16 on 0-5, NaN = not coded        } absent for
        occurrence.npy   (N, n_aus) float16, 0 absent, 1 present, NaN      } unlabelled data
        sides.npy        (N, n_aus, 2) float16 intensity of the subject's left and right; absent where unknown
        teacher.npy      (N, n) float16 blendshape stand-ins, see teacher.py; absent unless asked for
        flow.npy         (N, C/4, C/4, 2) float16 motion to the frame in flow_to.npy; absent unless known or asked for
        flow_to.npy      (N,) int32 row of that frame in this part, its own = the same face at rest, -1 = none
        index.csv        one row a chip: image, subject, clip (empty for stills), time (s), yaw, pitch (degrees)
        report.json      frames used and lost, codes, and the fingerprint of what the part was made from

Arrays are memory-mapped; a store may be several such folders read as one.
"""

from __future__ import annotations

import contextlib
import csv
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import RecipeError
from rtatl_core.face.align import ChipLayout
from rtatl_core.face.find import BACKEND
from rtatl_core.files import replace_file
from rtatl_core.handoffs import Float32

INDEX = ("image", "subject", "clip", "time", "yaw", "pitch")
MOST_FILES = 10_240
"""The most that macOS grants a process."""
_META, _PARTS = "meta.json", "parts"
_RENDERED = ("synthetic", "rendered")
"""Kinds of folders whose subjects are not real people."""
_CODED = ("bp4d", "disfa", "coded")
"""Kinds of folders of real people whose FACS codes are people's; moved photos have ratings and what a rig added."""


def _allow_many_files() -> None:
    """Every mapped array keeps its file open: BP4D's 328 sequences have three or four each, and unless it asks for more
    a process may open 1,024 files on most Linuxes and 256 on macOS."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limit
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Rows:
    """Equal arrays of several .npy files as one along their first axis, read from disk row by row.

    Only paths travel when it is pickled, so loader processes map the files themselves instead of receiving a copy.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)

    def __reduce__(self) -> tuple[type[Rows], tuple[tuple[Path, ...]]]:
        return Rows, (self._files,)

    @cached_property
    def _arrays(self) -> list[NDArray[Any]]:
        _allow_many_files()
        return [np.asarray(np.load(file, mmap_mode="r")) for file in self._files]  # plain views index faster

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.cumsum([0, *(len(array) for array in self._arrays)])

    def __getitem__(self, row: int) -> NDArray[Any]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        item: NDArray[Any] = self._arrays[part][row - self._starts[part]]
        return item

    def take(self, rows: Iterable[int]) -> NDArray[Any]:
        """(len(rows), ...) a copy of these rows."""
        return np.stack([self[int(row)] for row in rows])


@dataclass(frozen=True, slots=True)
class ChipStore:
    """Prepared folders, opened for reading. Arrays are aligned on their first axis."""

    folder: Path
    """The first of the folders, to name the store in messages."""
    layout: ChipLayout
    aus: tuple[int, ...]
    occurrence_rule: str
    """What counts as present in ``occurrence``, in words."""
    chips: Rows
    landmarks: Rows
    geometry: Rows
    intensity: Float32 | None
    """(N, n_aus) on 0-5, NaN = not coded; None for unlabelled data."""
    occurrence: Float32 | None
    """(N, n_aus) 0 or 1, NaN = not coded; None for unlabelled data."""
    sides: Float32 | None
    """(N, n_aus, 2) intensity of the subject's left and right on 0-5; NaN in folders that do not tell sides, None where
    none does."""
    teacher: Float32 | None
    flow: Rows | None
    """Of the parts that hold flow; None where none does. ``stored_flow`` reads it."""
    flow_row: NDArray[np.int64]
    """(N,) row of ``flow``; -1 in parts that hold none."""
    flow_to: NDArray[np.int64]
    """(N,) row of the frame that the stored flow leads to, its own = the same face at rest; -1 = none."""
    images: NDArray[np.str_]
    """(N,) a photo's name; of a frame its video's, @ and its time in seconds, 0.000."""
    subjects: NDArray[np.str_]
    rendered: NDArray[np.bool_]
    """(N,) faces that are no real person's."""
    coded: NDArray[np.bool_]
    """(N,) faces of data that FACS coders coded."""
    clips: NDArray[np.str_]
    """(N,) clip of each row; empty for stills. A name that several folders use has its folder in front."""
    times: NDArray[np.float64]
    yaw: Float32
    """(N,) head yaw in degrees, + towards the subject's right."""
    pitch: Float32
    """(N,) head pitch in degrees, + looks down; NaN in folders of an earlier version."""
    rated: Float32 | None = None
    """(N, n) what raters saw (ratings.py), 0-5 for each AU of the network, NaN = unknown; not stored in the folder."""

    def __len__(self) -> int:
        return len(self.subjects)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) rows with at least one coded AU."""
        if self.intensity is None or self.occurrence is None:
            return np.zeros(len(self), np.bool_)
        known: NDArray[np.bool_] = np.isfinite(self.intensity).any(axis=1) | np.isfinite(self.occurrence).any(axis=1)
        return known

    @property
    def is_rated(self) -> NDArray[np.bool_]:
        """(N,) rows on which raters could tell an AU's presence or absence."""
        if self.rated is None:
            return np.zeros(len(self), np.bool_)
        rated: NDArray[np.bool_] = np.isfinite(self.rated).any(axis=1)
        return rated

    def stored_flow(self, row: int) -> Float32 | None:
        """(C/4, C/4, 2) motion of its canvas; None where its part holds no flow."""
        if self.flow is None or self.flow_row[row] < 0:
            return None
        return self.flow[int(self.flow_row[row])].astype(np.float32)

    @classmethod
    def open(cls, *folders: Path) -> Self:
        """Raises RecipeError when a folder was not prepared by ``rtatl prepare``, is unfinished or damaged, or when
        several do not fit together or are one."""
        if twice := [folder for folder, count in Counter(map(Path.resolve, folders)).items() if count > 1]:
            raise RecipeError(f"{twice[0]} is named twice, and its faces would count twice; name it once")
        metas = [_read_meta(folder) for folder in folders]
        for folder, meta in zip(folders, metas, strict=True):
            for key in ("layout", "aus", "occurrence_rule"):
                if meta[key] != metas[0][key]:
                    raise RecipeError(
                        f"{folder} and {folders[0]} differ in {key} ({meta[key]} and {metas[0][key]}); "
                        "prepare them alike or train on one of them"
                    )
        parts = [part for folder, meta in zip(folders, metas, strict=True) for part in _read_parts(folder, meta)]
        if not parts:
            raise RecipeError(f"{folders[0]} holds no face; prepare it again")
        aus = tuple(metas[0]["aus"])
        index = [row for part in parts for row in part.index]
        flowing = [part for part in parts if part.has("flow")]
        flow_row, flow_to = _flow(parts)
        return cls(
            folder=folders[0],
            layout=ChipLayout(**metas[0]["layout"]),
            aus=aus,
            occurrence_rule=metas[0]["occurrence_rule"],
            chips=_rows(parts, "chips"),
            landmarks=_rows(parts, "landmarks"),
            geometry=_rows(parts, "geometry"),
            intensity=_whole(parts, "intensity") if aus else None,
            occurrence=_whole(parts, "occurrence") if aus else None,
            sides=_sides(parts, len(aus)),
            teacher=_whole(parts, "teacher") if all(part.has("teacher") for part in parts) else None,
            flow=_rows(flowing, "flow") if flowing else None,
            flow_row=flow_row,
            flow_to=flow_to,
            images=np.array([row["image"] for row in index]),
            subjects=np.array([row["subject"] for row in index]),
            rendered=np.array([part.kind in _RENDERED for part in parts for _ in part.index]),
            coded=np.array([part.kind in _CODED for part in parts for _ in part.index]),
            clips=_clips(parts),
            times=np.array([float(row["time"] or 0) for row in index]),
            yaw=np.array([float(row["yaw"]) for row in index], np.float32),
            pitch=np.array([float(row.get("pitch") or "nan") for row in index], np.float32),
        )


def write_meta(
    folder: Path,
    *,
    parts: Sequence[str],
    layout: ChipLayout,
    aus: tuple[int, ...],
    occurrence_rule: str,
    origin: dict[str, Any],
) -> None:
    """Declare a prepared folder complete. Other parts than these are not read."""
    meta = {
        "layout": {"side": layout.side, "margin": layout.margin},
        "aus": list(aus),
        "occurrence_rule": occurrence_rule,
        "landmark_backend": BACKEND,
        "origin": origin,
        "parts": sorted(parts),
    }
    replace_file(folder / _META, json.dumps(meta, indent=2) + "\n")


def declare_incomplete(folder: Path) -> None:
    """Withdraws that, before something is added to the folder."""
    (folder / _META).unlink(missing_ok=True)


def part_folder(folder: Path, unit: str) -> Path:
    return folder / _PARTS / unit


def _read_meta(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((folder / _META).read_text(encoding="utf-8"))
        meta["layout"]["side"], meta["aus"], meta["occurrence_rule"], meta["origin"]["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if (folder / _PARTS).is_dir() and not (folder / _META).is_file():
            raise RecipeError(f"{folder} is not prepared to the end; run its 'rtatl prepare' again to go on") from error
        wrong = "does not exist" if not folder.exists() else f"is no prepared data folder ({_short(error)})"
        raise RecipeError(f"{folder} {wrong}; name another one, or make it with 'rtatl prepare'") from error
    if meta["landmark_backend"] != BACKEND:
        raise RecipeError(
            f"{folder} was prepared with landmarks of {meta['landmark_backend']}, this version uses {BACKEND}; "
            "prepare it again"
        )
    return meta


def _short(error: Exception) -> str:
    return f"{_META} is missing" if isinstance(error, FileNotFoundError | NotADirectoryError) else str(error)


@dataclass(frozen=True, slots=True)
class _Part:
    """One part of a prepared folder, opened for reading."""

    path: Path
    folder: Path
    """The prepared folder it belongs to."""
    kind: str
    """As ``rtatl prepare`` has it."""
    index: list[dict[str, str]]
    """A row for each chip."""

    def file(self, name: str) -> Path:
        return self.path / f"{name}.npy"

    def has(self, name: str) -> bool:
        return self.file(name).is_file()

    def load(self, name: str) -> Float32:
        """(n, ...)"""
        values: Float32 = np.load(self.file(name)).astype(np.float32)
        return values


def _read_parts(folder: Path, meta: dict[str, Any]) -> list[_Part]:
    """The parts that hold a face. Raises RecipeError when one is damaged."""
    if "parts" in meta:
        paths = [part_folder(folder, name) for name in meta["parts"]]
    else:  # an earlier version listed none: all count
        paths = sorted(path for path in (folder / _PARTS).iterdir() if path.is_dir())
    needed = ["chips", "landmarks", "geometry", *(("intensity", "occurrence") if meta["aus"] else ())]
    kind = meta["origin"]["kind"]
    return [_Part(path, folder, kind, index) for path in paths if (index := _checked_index(path, needed))]


def _checked_index(part: Path, needed: list[str]) -> list[dict[str, str]]:
    """The rows of a part; none where it holds no face. Raises RecipeError when it is damaged."""
    try:
        with (part / "index.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            return rows
        lengths = {name: len(np.load(part / f"{name}.npy", mmap_mode="r")) for name in needed}
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"{part} is damaged ({error}); delete that folder and prepare again") from error
    if set(lengths.values()) != {len(rows)}:
        raise RecipeError(
            f"{part} is damaged, its files differ in length ({lengths}, index {len(rows)}); prepare it again"
        )
    return rows


def _clips(parts: Sequence[_Part]) -> NDArray[np.str_]:
    """(N,) as ``ChipStore.clips``."""
    folders = list(dict.fromkeys(part.folder for part in parts))
    called = {folder: folder.name for folder in folders}
    if len(set(called.values())) < len(folders):
        called = {folder: f"{folder.name}-{number}" for number, folder in enumerate(folders, start=1)}
    rows = [(called[part.folder], row["clip"]) for part in parts for row in part.index]
    folders_with = Counter(clip for _, clip in set(rows))
    return np.array([f"{name}/{clip}" if clip and folders_with[clip] > 1 else clip for name, clip in rows])


def _rows(parts: Sequence[_Part], name: str) -> Rows:
    return Rows([part.file(name) for part in parts])


def _whole(parts: Sequence[_Part], name: str) -> Float32:
    return np.concatenate([part.load(name) for part in parts])


def _sides(parts: Sequence[_Part], n_aus: int) -> Float32 | None:
    if not any(part.has("sides") for part in parts):
        return None
    unknown = np.float32(np.nan)
    sides: Float32 = np.concatenate(
        [part.load("sides") if part.has("sides") else np.full((len(part.index), n_aus, 2), unknown) for part in parts]
    )
    return sides


def _flow(parts: Sequence[_Part]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) row among those of the parts that hold flow, and row that it leads to; -1 where there is none."""
    rows, leads = [], []
    start = stored = 0
    for part in parts:
        count = len(part.index)
        row = to = np.full(count, -1, np.int64)
        if part.has("flow"):
            within = np.load(part.file("flow_to")).astype(np.int64)
            row, to = np.arange(stored, stored + count), np.where(within < 0, -1, within + start)
            stored += count
        rows.append(row)
        leads.append(to)
        start += count
    return np.concatenate(rows), np.concatenate(leads)
