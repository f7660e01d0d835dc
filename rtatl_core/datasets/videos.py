"""Unlabelled videos -> chips in time order, for the self-supervised tasks."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from rtatl_core.datasets.chips import ChipWriter
from rtatl_core.datasets.teacher import Teacher
from rtatl_core.errors import RecipeError, SourceError
from rtatl_core.face.observe import FaceMesh
from rtatl_core.progress import progress
from rtatl_core.video import VideoReader

VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"})


def prepare_videos(root: Path, out: Path, teacher_file: Path | None = None) -> dict[str, int]:
    """Every video below ``root`` (or the one file ``root``), its largest face. Each file counts as one
    subject. With a teacher file its blendshapes are stored beside. Returns counts of frames used and lost, by
    reason. Raises RecipeError when nothing could be used."""
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES)
    if not paths:
        raise RecipeError(f"{root} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))})")
    writer = ChipWriter()
    report = {"used": 0, "no face found": 0, "unreadable file": 0}
    with Teacher(teacher_file) if teacher_file else nullcontext() as teacher:
        for path in progress(paths, desc=f"preparing {root.name}", unit="video"):
            try:
                reader = VideoReader(path)
            except SourceError:
                report["unreadable file"] += 1
                continue
            with FaceMesh() as mesh, reader:
                for packet in reader:
                    faces = mesh(packet.image)
                    if not faces:
                        report["no face found"] += 1
                        continue
                    writer.add(
                        packet.image,
                        faces[0],
                        name=f"{path.stem}@{packet.timestamp:.3f}",
                        subject=path.stem,
                        clip=path.stem,
                        time=packet.timestamp,
                        teacher=teacher(packet.image) if teacher else None,
                    )
                    report["used"] += 1
    if not len(writer):
        raise RecipeError(f"no face was found in any video of {root}")
    writer.write(out, {"kind": "videos", "files": [path.name for path in paths]})
    return report
