"""Where a person was said to rest, as one writes it: between two moments of each video, or all through a file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any, Self

import numpy as np

from rtatl_core.engine import Engine
from rtatl_core.errors import InputError
from rtatl_core.facs import MAX_INTENSITY, au_label
from rtatl_core.handoffs import Float32, FramePacket
from rtatl_core.photos import PhotoReader, is_photo
from rtatl_core.reference import MEMORY_S, REST_S, Rest
from rtatl_core.sessions.inputs import Input
from rtatl_core.video import VideoReader

TOLD = 0.05
"""Less is nothing to speak of."""
_SHORT_S = 0.5
"""A video may end so much sooner than the rest: programs round differently."""
FAR = 2.0
"""People at rest rarely read as much, AUs that part the lips aside."""


@dataclass(frozen=True, slots=True)
class RestWhere:
    """One of both."""

    between: tuple[float, float] | None = None
    """First and last second, in each video."""
    file: Path | None = None
    """A photo or a video, for all that is analysed."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """``0-3`` (seconds), or a file. Raises InputError."""
        if between := stretch(text):
            return cls(between=between)
        if not Path(text).is_file():
            raise InputError(f"{text} is neither seconds, such as 0-3, nor a photo or video of the person at rest")
        return cls(file=Path(text))

    def absolute(self) -> Self:
        """The same wherever it is read."""
        return self if self.file is None else replace(self, file=self.file.absolute())

    def to_json(self) -> dict[str, Any]:
        if self.file is not None:
            return {"file": self.file.name, "sha256": Input(self.file).content_hash()}
        return {"between_s": list(self.between or ())}

    def measure(self, engine: Engine, analysed: Input, fps: float | None = None) -> Rest:
        """What the engine's largest face reads there. ``analysed``: what it may be a part of, a video or, with ``fps``,
        pictures that are frames. Raises InputError, also if there is no face."""
        file = self.file
        one = analysed if file is None else Input(file, (file,) if is_photo(file) else ())
        first, last = self.between or (-math.inf, math.inf)
        is_alone = file is not None and bool(one.photos)  # no frame, whatever counts from it
        with PhotoReader(one.photos, None if is_alone else fps) if one.photos else VideoReader(one.path) as reader:
            packets = _Noted(_held(next(iter(reader))) if engine.tracking and is_alone else reader, reader.fps)
            before = dropwhile(lambda packet: packet.timestamp < first - MEMORY_S, packets)
            raw = engine.rest_in(takewhile(lambda packet: not packet.timestamp > last, before), first)
        at = "" if self.between is None else f" between {first:g} and {last:g} s"
        ended = f"{one.path} ends at {packets.until_s:.1f} s, and its person should rest{at}"
        if raw is None:
            unseen = f"{one.path} shows no face{at}, where its person should rest"
            raise InputError(f"{ended if packets.until_s <= first else unseen}; say where one does")
        is_short = self.between is not None and last > packets.until_s + _SHORT_S
        return Rest(raw, self.to_json(), f"{ended}; what there is of it counts as rest." if is_short else "")


class _Noted:
    """Frames as they come, and until when they are shown: each as long as the one before."""

    def __init__(self, packets: Iterable[FramePacket], fps: float | None) -> None:
        self._packets, self._fps = packets, fps
        self.until_s = -math.inf

    def __iter__(self) -> Iterator[FramePacket]:
        before_s = -1 / self._fps if self._fps else 0.0
        for packet in self._packets:
            self.until_s, before_s = 2 * packet.timestamp - before_s, packet.timestamp
            yield packet


def _held(photo: FramePacket) -> Iterator[FramePacket]:
    """A photo as two seconds of video: the frames that count from it are compared with those before them, and so is
    this face then."""
    for number in range(1, 21):
        yield replace(photo, number=number, timestamp=REST_S / 20 * (number - 1), still=False)


def describe_rest(aus: tuple[int, ...], rest: Float32, difference: Float32 | None = None) -> str:
    """rest, difference: ``AnalysedFace.rest`` and ``rest_difference`` -> what is subtracted from this face's readings,
    in words."""
    whole, sides = _told(aus, rest), "" if difference is None else _told(aus, difference)
    parts = [part for part in (whole, sides and f"from left minus right {sides}") if part]
    return f"subtracted {'; '.join(parts)}" if parts else "nothing to subtract"


def _told(aus: tuple[int, ...], values: Float32) -> str:
    pairs = zip(aus, values.tolist(), strict=True)
    return ", ".join(f"{au_label(au)} {value:.1f}" for au, value in pairs if abs(value) >= TOLD)


def far_from_rest(aus: tuple[int, ...], rest: Float32) -> str:
    """The AUs that make it doubtful whether it was rest, for people; empty where none does."""
    most = np.minimum(rest, MAX_INTENSITY).tolist()
    far = [f"AU{au} {value:.1f}" for au, value in zip(aus, most, strict=True) if value >= FAR]
    return ", ".join(far)


def stretch(text: str) -> tuple[float, float] | None:
    """``0-3`` -> its seconds; None: the text means something else. Raises InputError."""
    if not (found := re.fullmatch(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)):
        return None
    first, last = map(float, found.groups())
    if first >= last:
        raise InputError(f"{text} is no stretch of time; write the earlier second first, e.g. 0-3")
    return first, last


def identity_of(said: Mapping[str, Any] | None) -> str | None:
    """said: ``RestWhere.to_json``, of a session perhaps -> what decides the numbers."""
    if said is None:
        return None
    return str(said["sha256"]) if "sha256" in said else "-".join(str(float(moment)) for moment in said["between_s"])
