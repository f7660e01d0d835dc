"""Prepared folders of made-up faces, for tests: no FaceMesh, a second for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from rtatl_core.datasets.chips import part_folder, write_meta
from rtatl_core.datasets.parts import Frame, PartWriter, Plan
from rtatl_core.datasets.rendered import OCCURRENCE_RULE
from rtatl_core.face.mesh import mean_face
from rtatl_core.handoffs import Float32

AUS = (12, 25)


def face(smile: float, rng: np.random.Generator) -> tuple[np.ndarray, Float32]:
    """A grey picture whose mouth corners move up and whose brightness tells nothing; landmarks in pixels."""
    points = np.concatenate([mean_face(), np.zeros((10, 3))]).astype(np.float32)
    points[468:] = points[33]
    points[[61, 291], 1] -= 8 * smile
    points += rng.normal(0, 0.2, points.shape).astype(np.float32)
    points[:, :2] += (120, 80)
    image = np.full((240, 240, 3), int(rng.integers(80, 160)), np.uint8)
    for x, y in points[[61, 291], :2].astype(int):
        image[y - 4 : y + 4, x - 4 : x + 4] = 255
    return image, points


def write_store(
    folder: Path,
    faces: Iterable[tuple[Frame, Float32, Float32 | None]],
    *,
    aus: tuple[int, ...] = (),
    rule: str = OCCURRENCE_RULE,
    flow: str = "",
    part: str = "all",
) -> Path:
    """faces: (frame, landmarks (478, 3) pixels, teacher values or None)."""
    plan = Plan(kind="test", aus=aus, occurrence_rule=rule, flow=flow)
    with PartWriter(part_folder(folder, part), plan) as writer:
        for frame, landmarks, teacher in faces:
            writer.count(frame)
            writer.add(frame, landmarks, teacher)
    parts = [path.name for path in part_folder(folder, "").iterdir()]
    rule = rule if aus else ""
    write_meta(folder, parts=parts, layout=plan.layout, aus=aus, occurrence_rule=rule, origin={"kind": "test"})
    return folder


def write_labelled(
    folder: Path, count: int = 60, people: int = 10, seed: int = 0, prefix: str = "s", sides: bool = False
) -> Path:
    """AU12 always coded, AU25 in every third face only. ``sides``: the left of each AU is told as 1 more than the
    right."""
    rng = np.random.default_rng(seed)
    faces = []
    for k in range(count):
        smile = float(rng.uniform(0, 1))
        image, points = face(smile, rng)
        intensity = np.array([5 * smile, np.nan if k % 3 else 1.0], np.float32)
        occurrence = np.where(np.isfinite(intensity), intensity >= 1, np.nan).astype(np.float32)
        halves = intensity[:, None] + np.array([0.5, -0.5], np.float32) if sides else None
        frame = Frame(f"{k}", f"{prefix}{k % people}", image, intensity=intensity, occurrence=occurrence, sides=halves)
        faces.append((frame, points, None))
    return write_store(folder, faces, aus=AUS)


def write_clips(
    folder: Path, *, teacher: bool = False, clips: int = 2, flow: str = "", name: str = "c", part: str = "all"
) -> Path:
    """Twelve frames a clip, 0.1 s apart, of a smile that comes and goes."""
    rng = np.random.default_rng(1)
    faces = []
    for k in range(12 * clips):
        smile = 0.5 + 0.5 * np.sin(k / 3)
        image, points = face(float(smile), rng)
        clip = f"{name}{k // 12}"
        values = np.full(18, smile, np.float32) if teacher else None
        faces.append((Frame(f"{k}", clip, image, clip=clip, time=k % 12 / 10), points, values))
    return write_store(folder, faces, flow=flow, part=part)


def write_half_known_flow(folder: Path) -> Path:
    """Two clips in parts of their own; only the second, b, has flow, with a motion in its upper cells that no picture
    shows."""
    write_clips(folder, name="a", clips=1, part="a")
    write_clips(folder, name="b", clips=1, part="b", flow="dis")
    known = folder / "parts" / "b" / "flow.npy"
    fields = np.load(known)
    fields[:, :10] = 0.03
    np.save(known, fields)
    return folder
