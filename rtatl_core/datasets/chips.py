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
"""More a process may not ask for on macOS."""
_SAME_S = 1e-6
"""Times that differ by less are the same."""
_META, _PARTS, _FLOW = "meta.json", "parts", "flow.npy"
_RENDERED = ("synthetic", "rendered")
"""Kinds of folders in which subjects are no persons."""


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

    @property
    def shape(self) -> tuple[int, ...]:
        return (int(self._starts[-1]), *self._arrays[0].shape[1:])

    def __len__(self) -> int:
        return int(self._starts[-1])

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
    """(N,) faces that are nobody's."""
    clips: NDArray[np.str_]
    """Clip of each row; empty for stills. Where several folders have one of that name, its folder stands before it."""
    times: NDArray[np.float64]
    yaw: Float32
    """(N,) head yaw in degrees, + towards the subject's right."""
    pitch: Float32
    """(N,) head pitch in degrees, + looks down; NaN in folders of an earlier version."""
    rated: Float32 | None = None
    """(N, n) what raters saw (ratings.py), 0-5 for each AU of the network, NaN = nobody can tell; not of the folder."""

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
        told: NDArray[np.bool_] = np.isfinite(self.rated).any(axis=1)
        return told

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
        parts = [part for folder, meta in zip(folders, metas, strict=True) for part in _parts(folder, meta)]
        made = [folder for folder, meta in zip(folders, metas, strict=True) if meta["origin"]["kind"] in _RENDERED]
        aus = tuple(metas[0]["aus"])
        names = ["chips", "landmarks", "geometry", *(("intensity", "occurrence") if aus else ())]
        indices = {part: rows for part in parts if (rows := _checked_index(part, names))}
        if not indices:
            raise RecipeError(f"{folders[0]} holds no face; prepare it again")
        paths = list(indices)
        index = [row for rows in indices.values() for row in rows]
        taught = all((path / "teacher.npy").is_file() for path in paths)
        flow_row, flow_to = _flow(indices)
        flowing = [path for path in paths if (path / _FLOW).is_file()]
        return cls(
            folder=folders[0],
            layout=ChipLayout(**metas[0]["layout"]),
            aus=aus,
            occurrence_rule=metas[0]["occurrence_rule"],
            chips=_rows(paths, "chips"),
            landmarks=_rows(paths, "landmarks"),
            geometry=_rows(paths, "geometry"),
            intensity=_whole(paths, "intensity") if aus else None,
            occurrence=_whole(paths, "occurrence") if aus else None,
            sides=_sides(indices, len(aus)),
            teacher=_whole(paths, "teacher") if taught else None,
            flow=_rows(flowing, "flow") if flowing else None,
            flow_row=flow_row,
            flow_to=flow_to,
            images=np.array([row["image"] for row in index]),
            subjects=np.array([row["subject"] for row in index]),
            rendered=np.array([part.parent.parent in made for part, rows in indices.items() for _ in rows]),
            clips=_clips(indices),
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
    """Before something is added to it."""
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


def _parts(folder: Path, meta: dict[str, Any]) -> list[Path]:
    """Those that count; in folders of an earlier version, which list none, all."""
    if "parts" in meta:
        return [part_folder(folder, name) for name in meta["parts"]]
    return sorted(part for part in (folder / _PARTS).iterdir() if part.is_dir())


def _checked_index(part: Path, names: list[str]) -> list[dict[str, str]]:
    """The rows of a part; none where it holds no face. Raises RecipeError when it is damaged."""
    try:
        rows = _read_index(part)
        if not rows:
            return rows
        lengths = {name: len(np.load(part / f"{name}.npy", mmap_mode="r")) for name in names}
    except (OSError, ValueError, KeyError) as error:
        raise RecipeError(f"{part} is damaged ({error}); delete that folder and prepare again") from error
    if set(lengths.values()) != {len(rows)}:
        raise RecipeError(
            f"{part} is damaged, its files differ in length ({lengths}, index {len(rows)}); prepare it again"
        )
    return rows


def _read_index(part: Path) -> list[dict[str, str]]:
    with (part / "index.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _clips(indices: dict[Path, list[dict[str, str]]]) -> NDArray[np.str_]:
    folders = list(dict.fromkeys(part.parent.parent for part in indices))
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [f"{name}-{number}" for number, name in enumerate(names, start=1)]
    name_of = dict(zip(folders, names, strict=True))
    rows = [(name_of[part.parent.parent], row["clip"]) for part, rows in indices.items() for row in rows]
    having = Counter(clip for _, clip in set(rows))
    return np.array([f"{name}/{clip}" if clip and having[clip] > 1 else clip for name, clip in rows])


def _rows(paths: list[Path], name: str) -> Rows:
    return Rows([path / f"{name}.npy" for path in paths])


def _whole(paths: list[Path], name: str) -> Float32:
    whole: Float32 = np.concatenate([np.load(path / f"{name}.npy") for path in paths]).astype(np.float32)
    return whole


def _flow(indices: dict[Path, list[dict[str, str]]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(N,) row among those of the parts that hold flow, and row that it leads to; -1 where there is none."""
    rows, leads = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    start = stored = 0
    for part, index in indices.items():
        row = to = np.full(len(index), -1, np.int64)
        if (part / _FLOW).is_file():
            within = np.load(part / "flow_to.npy").astype(np.int64)
            row, to = np.arange(stored, stored + len(index)), np.where(within < 0, -1, within + start)
            stored += len(index)
        rows.append(row)
        leads.append(to)
        start += len(index)
    return np.concatenate(rows), np.concatenate(leads)


def _sides(indices: dict[Path, list[dict[str, str]]], n_aus: int) -> Float32 | None:
    files = {part: part / "sides.npy" for part in indices}
    if not any(file.is_file() for file in files.values()):
        return None
    unknown = np.float32(np.nan)
    sides: Float32 = np.concatenate(
        [
            np.load(file).astype(np.float32) if file.is_file() else np.full((len(indices[part]), n_aus, 2), unknown)
            for part, file in files.items()
        ]
    )
    return sides
