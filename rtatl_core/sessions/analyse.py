"""A video, or photos -> session folder, by the same engine as the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtatl_core.engine import Engine
from rtatl_core.errors import InputError, PredictionError
from rtatl_core.photos import SAVE_AS, PhotoReader
from rtatl_core.reader import Reader
from rtatl_core.sessions.rest import far_from_rest
from rtatl_core.sessions.rows import FrameRecord
from rtatl_core.sessions.session import ClockPair, SessionWriter
from rtatl_core.video import VideoReader

_NAMED = 3
"""So many files that cannot be read are named in a sentence; events.csv names all."""


@dataclass(frozen=True, slots=True)
class Analysed:
    """What became of one video or folder of photos."""

    folder: Path
    frames: int
    warning: str | None
    """A sentence or more when something was cut off or damaged, showed no face or gave no numbers, or when the engine
    moved to another device."""


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
    each frame that is done. Raises SourceError and SessionError, and PredictionError when there are faces but not one
    frame gave numbers."""
    with VideoReader(path) as reader:
        about = {"kind": "file", "size": reader.size, "fps": reader.fps}
        about |= {"duration_s": reader.duration_s, "start_s": reader.start_s, **(source or {})}
        return _analyse(reader, out, engine, name or path.stem, about, on_frame)


def analyse_photos(
    files: Sequence[Path],
    out: Path,
    engine: Engine,
    *,
    fps: float | None = None,
    name: str | None = None,
    source: Mapping[str, Any] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Analysed:
    """The same for pictures of one folder, a row or more each: photos that have nothing to do with each other, for
    which the engine must not be ``tracking``, or with ``fps`` the frames of a video. Raises InputError, too."""
    if engine.tracking and not fps:
        raise InputError(
            "this engine follows faces from picture to picture, and photos have nothing to do with each other; make it "
            "with Engine(tracking=False), or give fps if they are the frames of a video"
        )
    with PhotoReader(files, fps) as reader:
        about: dict[str, Any] = {"kind": "frames", "size": reader.size, "fps": fps} if fps else {"kind": "photos"}
        return _analyse(reader, out, engine, name or reader.path.stem, {**about, **(source or {})}, on_frame)


def _analyse(
    reader: Reader,
    out: Path,
    engine: Engine,
    name: str,
    source: Mapping[str, Any],
    on_frame: Callable[[int], None] | None,
) -> Analysed:
    source = {"target": str(reader.path.absolute()), "name": reader.path.absolute().name, **source}
    files = [file.name for file in reader.files]
    what = "photo" if files and reader.fps is None else "frame"
    frames, with_face = 0, 0
    lost: list[int] = []
    failed: list[str] = []  # not the errors, which keep their pictures alive
    changes: list[str] = []
    writer: SessionWriter | None = None
    with closing(engine.ahead(reader)) as results:
        engine.reset(new_ids=True)
        try:
            for packet, analysed in results:
                if writer is None:
                    clock = ClockPair.at(packet.captured_at)
                    writer = SessionWriter(out, name, engine.aus, source, engine.model, engine.settings, clock, files)
                frames += 1 + len(packet.lost)
                lost += [number for number, _ in packet.lost]
                if packet.lost:
                    number, timestamp = packet.lost[0]
                    writer.event("warning", reader.describe_lost(packet.lost), timestamp, number)
                try:
                    frame = analysed.result()
                except PredictionError as error:
                    for number, timestamp in (*packet.lost, (packet.number, packet.timestamp)):
                        writer.write(FrameRecord(number, timestamp))
                    writer.event("warning", str(error), packet.timestamp, packet.number)
                    failed.append(str(error))
                else:
                    writer.append(frame)
                    with_face += bool(frame.faces)
                if said := engine.take_warning():
                    changes.append(said)
                    writer.event("warning", said, packet.timestamp, packet.number)
                if on_frame is not None:
                    on_frame(packet.number)
            assert writer is not None  # a reader that opened has a first frame
            if reader.lost_at_end:
                frames += len(reader.lost_at_end)
                for number, timestamp in reader.lost_at_end:
                    lost.append(number)
                    writer.write(FrameRecord(number, timestamp))
                number, timestamp = reader.lost_at_end[0]
                writer.event("warning", reader.describe_lost(reader.lost_at_end), timestamp, number)
            warnings = [reader.warning] if reader.warning else []
            warnings += _doubtful_rest(engine, reader.path)
            warnings += _without_face(reader, what, frames, len(lost), with_face + len(failed))  # which had one
            for said in warnings:
                writer.event("warning", said, packet.timestamp, packet.number)
            if failed and not with_face:
                raise PredictionError(f"No {what} of {reader.path} gave numbers ({failed[0]}).")
        except BaseException as error:
            if writer is not None:
                writer.close(f"stopped: {str(error) or type(error).__name__}")
            raise
    if lost:  # each has its event
        warnings.append(_undecoded(reader.path, [files[number - 1] for number in lost] if files else len(lost)))
    if failed:
        warnings.append(_unanalysed(reader.path, what, failed))
    warning = " ".join([*warnings, *changes]) or None
    writer.close("cut off" if reader.truncated else "complete", warning)
    return Analysed(writer.folder, frames, warning)


def _doubtful_rest(engine: Engine, path: Path) -> list[str]:
    """A sentence if what was named as the person's rest shows AUs, and one if the video ended before."""
    if (rest := engine.everyones_rest) is None:
        return []
    far = far_from_rest(engine.aus, engine.rest_intensity(rest.raw))
    read = f"Where the person of {path} was said to rest, {far} is read; look whether that is rest." if far else ""
    return [said for said in (rest.doubt, read) if said]


def _undecoded(path: Path, lost: Sequence[str] | int) -> str:
    """A sentence on pictures that could not be had. ``lost``: their files, or how many frames of the one file."""
    if isinstance(lost, int):
        count, these, again = lost, f"{lost} frame{'s' if lost > 1 else ''}", "copy the file again"
    else:
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        count, these = len(lost), ", ".join(lost[:_NAMED]) + more
        again = f"copy {'it' if count == 1 else 'them'} again, or save as {SAVE_AS}"
    rows = "its row is" if count == 1 else "their rows are"
    return f"{these} of {path} cannot be decoded, so {rows} empty; {again}."


def _unanalysed(path: Path, what: str, failed: Sequence[str]) -> str:
    """A sentence on pictures with a face for which the network gave no numbers."""
    count, rows = (f"1 {what}", "its row is") if len(failed) == 1 else (f"{len(failed)} {what}s", "their rows are")
    return f"{count} of {path} could not be analysed ({failed[0]}), so {rows} empty."


def _without_face(reader: Reader, what: str, frames: int, lost: int, with_face: int) -> list[str]:
    """A sentence on photos without a face, or on a video without any. ``lost``: how many frames nobody could see."""
    missed = frames - lost - with_face
    if not with_face:
        which = f"{reader.path}" if frames == 1 else f"any of the {frames} {what}s of {reader.path}"
    elif missed and what == "photo":
        which = f"{missed} of the {frames} photos of {reader.path}"
    else:
        return []
    small = "faces narrower than a twentieth of the picture are rarely found"
    return [f"No face was found in {which} ({small}); success is 0 there."]
