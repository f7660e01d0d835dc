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
from rtatl_core.video import VideoReader


@dataclass(frozen=True, slots=True)
class Analysed:
    """What became of one video."""

    folder: Path
    frames: int
    warning: str | None
    """One sentence when the file was cut off or showed no face."""


def analyse_video(
    path: Path,
    out: Path,
    engine: Engine,
    *,
    source: Mapping[str, Any] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Analysed:
    """Analyse every frame of ``path`` into a new session folder in ``out``. ``source``: more to tell of the file in
    session.json; ``on_frame`` gets the number of each frame that is done. Raises SourceError and SessionError."""
    with VideoReader(path) as reader, closing(engine.ahead(reader)) as results:
        engine.reset(new_ids=True)
        source = {
            "kind": "file",
            "target": str(path),
            "name": path.name,
            "size": reader.size,
            "fps": reader.fps,
            **(source or {}),
        }
        frames, with_face = 0, False
        writer: SessionWriter | None = None
        try:
            for packet, analysed in results:
                if writer is None:
                    clock = ClockPair.at(packet.captured_at)
                    writer = SessionWriter(out, path.stem, engine.aus, source, engine.model, engine.settings, clock)
                frames += 1
                try:
                    frame = analysed.result()
                except PredictionError as error:
                    writer.write(FrameRecord(packet.number, packet.timestamp))
                    writer.event("warning", str(error), packet.timestamp, packet.number)
                else:
                    writer.append(frame)
                    with_face |= bool(frame.faces)
                if said := engine.take_warning():
                    writer.event("warning", said, packet.timestamp, packet.number)
                if on_frame is not None:
                    on_frame(packet.number)
            assert writer is not None  # a reader that opened has a first frame
            warning = reader.warning
            if not with_face:
                warning = f"no face was found in any of the {frames} frames of {path}; its rows hold success 0"
            if warning:
                writer.event("warning", warning, packet.timestamp, packet.number)
        except BaseException as error:
            if writer is not None:
                writer.close(f"stopped: {error or type(error).__name__}")
            raise
        writer.close("complete")
    return Analysed(writer.folder, frames, warning)
