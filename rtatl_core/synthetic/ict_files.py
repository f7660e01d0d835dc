"""ICT-FaceKit's published files -> numbers.

Enters: the ``FaceXModel`` folder of .obj files as published (MIT, (c) USC Institute for Creative Technologies). Leaves:
vertices, shapes, identity modes, faces. Reading 387 MB of text takes a minute, so the numbers are kept in the user's
cache folder, keyed by the folder's files.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32
from rtatl_core.progress import progress
from rtatl_core.synthetic.ict_shapes import shape_names
from rtatl_core.synthetic.kept import kept
from rtatl_core.synthetic.rig import LANDMARKS

IDENTITIES = 100
VERTICES, POLYGONS = 26719, 26384
_BASE = "generic_neutral_mesh"


@dataclass(frozen=True, slots=True)
class IctNumbers:
    """The published model. Differences are from the base; centimetres, x to the subject's left, y up, z forward."""

    base: Float32
    """(VERTICES, 3)."""
    shapes: Mapping[str, int]
    """Name -> row of ``deltas``."""
    deltas: NDArray[np.float16]
    """(n, 26719, 3)."""
    modes: NDArray[np.float16]
    """(100, 26719, 3), one standard deviation each."""
    corners: NDArray[np.int32]
    """(T, 3) vertices."""
    places: NDArray[np.int32]
    """(T, 3) texture coordinates."""
    uv: Float32
    """v up, each material in its own unit square."""
    landmarks: NDArray[np.int32]
    """(68,) vertices."""


def read_model(folder: Path) -> IctNumbers:
    needed = _names()
    missing = [name for name in (_BASE, *needed) if not (folder / f"{name}.obj").is_file()]
    if missing or not (folder / "vertex_indices.json").is_file():
        what = f"{missing[0]}.obj" if missing else "vertex_indices.json"
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise InputError(
            f"rig folder {folder} lacks {what}{more}; name the FaceXModel folder of ICT-FaceKit as published"
        )
    parts = kept(f"ict-{_fingerprint(folder)}", lambda: _convert(folder, needed))
    names = {name: row for row, name in enumerate(needed) if not name.startswith("identity")}
    split = len(names)
    return IctNumbers(
        base=parts["base"],
        shapes=names,
        deltas=parts["deltas"][:split],
        modes=parts["deltas"][split:],
        corners=parts["corners"],
        places=parts["places"],
        uv=parts["uv"],
        landmarks=parts["landmarks"],
    )


def _names() -> tuple[str, ...]:
    return (*shape_names(), *(f"identity{mode:03d}" for mode in range(IDENTITIES)))


def _fingerprint(folder: Path) -> str:
    files = sorted(folder.glob("*.obj"))
    text = "\n".join(f"{file.name} {file.stat().st_size}" for file in files)
    return hashlib.sha256((text + "\n".join(_names())).encode()).hexdigest()[:16]


def _convert(folder: Path, names: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    landmarks = _landmarks(folder / "vertex_indices.json")
    base = _vertices(folder / f"{_BASE}.obj")
    corners, places, uv = _faces(folder / f"{_BASE}.obj")
    deltas = np.empty((len(names), *base.shape), np.float16)
    for row, name in enumerate(progress(names, desc="reading the rig", unit="shape")):
        deltas[row] = _vertices(folder / f"{name}.obj") - base
    return {
        "base": base.astype(np.float32),
        "deltas": deltas,
        "corners": corners,
        "places": places,
        "uv": uv,
        "landmarks": landmarks,
    }


def _landmarks(file: Path) -> NDArray[np.int32]:
    """(68,) vertices. Raises InputError for a file that names others."""
    try:
        vertices = np.array(json.loads(file.read_text(encoding="utf-8"))["idx_to_landmark_verts"], np.int32)
        if vertices.shape != (LANDMARKS,):
            raise ValueError(f"it names {vertices.size} landmarks instead of {LANDMARKS}")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} is damaged or of another version ({type(error).__name__}: {error}); fetch ICT-FaceKit again"
        ) from error
    return vertices


def _vertices(file: Path) -> NDArray[np.float64]:
    """(26719, 3). Raises InputError for a file that has others."""
    lines = [line[2:] for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("v ")]
    try:
        numbers = np.array(" ".join(lines).split(), np.float64)
    except ValueError as error:
        raise InputError(f"rig shape {file} is damaged ({error}); fetch it again") from error
    if numbers.size != 3 * VERTICES:
        raise InputError(
            f"rig shape {file} has {numbers.size // 3} vertices instead of {VERTICES}; it is cut short or of another "
            "version, fetch ICT-FaceKit again"
        )
    return numbers.reshape(-1, 3)


def _faces(file: Path) -> tuple[NDArray[np.int32], NDArray[np.int32], Float32]:
    """Corners, places and uv as of ``IctNumbers``. Raises InputError for a file that has others: polygons come last, so
    a head whose file was cut short has all its vertices, and holes."""
    uv, corners, places, polygons = [], [], [], 0
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("vt "):
            uv.append([float(number) for number in line.split()[1:3]])
        elif line.startswith("f "):
            polygons += 1
            pairs = [tuple(int(index) - 1 for index in corner.split("/")[:2]) for corner in line.split()[1:]]
            for last in range(2, len(pairs)):
                triangle = (pairs[0], pairs[last - 1], pairs[last])
                corners.append([pair[0] for pair in triangle])
                places.append([pair[1] for pair in triangle])
    if polygons != POLYGONS:
        raise InputError(
            f"rig shape {file} has {polygons} polygons instead of {POLYGONS}; it is cut short or of another version, "
            "fetch ICT-FaceKit again"
        )
    return np.array(corners, np.int32), np.array(places, np.int32), np.array(uv, np.float32)
