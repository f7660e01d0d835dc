"""Video file -> session folder, by the same engine as the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtatl_core.engine import Engine
from rtatl_core.errors import PredictionError
from rtatl_core.rows import FrameRecord
from rtatl_core.session import ClockPair, SessionWriter
from rtatl_core.video import VideoReader, describe_lost


@dataclass(frozen=True, slots=True)
class Analysed:
    """What became of one video."""

    folder: Path
    frames: int
    warning: str | None
    """A sentence or more when the file was cut off or damaged, or showed no face."""


def analyse_video(
    path: Path,
    out: Path,
    engine: Engine,
    *,
    name: str | None = None,
    source: Mapping[str, Any] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Analysed:
    """Analyse every frame of ``path`` into a new session folder in ``out``. ``name``: what the folder's begins with,
    that of the file if not given; ``source``: more to tell of the file in session.json; ``on_frame`` gets the number of
    each frame that is done. Raises SourceError and SessionError."""
    with VideoReader(path) as reader, closing(engine.ahead(reader)) as results:
        engine.reset(new_ids=True)
        source = {
            "kind": "file",
            "target": str(path.absolute()),
            "name": path.name,
            "size": reader.size,
            "fps": reader.fps,
            **(source or {}),
        }
        frames, lost, with_face = 0, 0, False
        writer: SessionWriter | None = None
        try:
            for packet, analysed in results:
                if writer is None:
                    clock = ClockPair.at(packet.captured_at)
                    stem = name or path.stem
                    writer = SessionWriter(out, stem, engine.aus, source, engine.model, engine.settings, clock)
                frames += 1 + len(packet.lost)
                if packet.lost:
                    lost += len(packet.lost)
                    number, timestamp = packet.lost[0]
                    writer.event("warning", describe_lost(path.name, packet.lost), timestamp, number)
                try:
                    frame = analysed.result()
                except PredictionError as error:
                    for number, timestamp in (*packet.lost, (packet.number, packet.timestamp)):
                        writer.write(FrameRecord(number, timestamp))
                    writer.event("warning", str(error), packet.timestamp, packet.number)
                else:
                    writer.append(frame)
                    with_face |= bool(frame.faces)
                if said := engine.take_warning():
                    writer.event("warning", said, packet.timestamp, packet.number)
                if on_frame is not None:
                    on_frame(packet.number)
            assert writer is not None  # a reader that opened has a first frame
            warnings = [reader.warning] if reader.warning else []
            if not with_face:
                warnings.append(f"No face was found in any of the {frames} frames of {path}; its rows hold success 0.")
            for said in warnings:
                writer.event("warning", said, packet.timestamp, packet.number)
        except BaseException as error:
            if writer is not None:
                writer.close(f"stopped: {str(error) or type(error).__name__}")
            raise
        if lost:  # each has its event
            these = "1 frame" if lost == 1 else f"{lost} frames"
            warnings.append(f"{these} of {path} cannot be decoded, so rows of it are empty; copy the file again.")
        warning = " ".join(warnings) or None
        writer.close("cut off" if reader.truncated else "complete", warning)
    return Analysed(writer.folder, frames, warning)
