"""Numbers for the Lab Streaming Layer (https://labstreaminglayer.org), in which laboratories record many devices on one
clock: an outlet for each face, and one for markers.

A camera drops frames, so samples are irregular (nominal rate 0) and each has the time of its capture. Channels are
named as the columns of frames.csv; a face that is not there reads NaN.
"""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from typing import Any

from au_desktop.sinks.outlet import Heading, Sample
from rtatl_core.errors import StreamError
from rtatl_core.sessions.rows import SIDES, FaceRecord, RowFormat
from rtatl_core.system import how_to_install

FACES, MARKERS = "FACS", "Markers"
"""Types of our streams; the second is everybody's."""
IDENTITY = f"au-desktop {platform.node()} "
"""What every source_id of this computer's begins with."""
LOOKS = 5
"""At the two clocks, to tell one by the other."""


class LslOutlet:
    def __init__(self, heading: Heading) -> None:
        """Raises StreamError without pylsl, and where it finds no liblsl for this system."""
        try:
            import pylsl
        except (ImportError, RuntimeError, OSError) as error:
            raise StreamError(f"The Lab Streaming Layer needs pylsl ({error}); {how_to_install('streams')}") from error
        self._pylsl = pylsl
        self._heading = heading
        described = RowFormat(heading.aus, heading.sides).columns
        self._channels = {name: described[name]["unit"] for name in described if _is_sent(name)}
        self._faces = [
            self._open(f"{heading.source}_AU{place or ''}", FACES, list(self._channels))
            for place in (0, *range(2, heading.faces + 1))
        ]
        self._markers = self._open(f"{heading.source}_Markers", MARKERS, ["marker"], text=True)

    def send(self, sample: Sample) -> None:
        stamp = self._on_lsl_clock(sample.captured_at)
        for outlet, face in zip(self._faces, sample.faces, strict=True):
            outlet.push_sample(self._values(sample.number, face), stamp)

    def mark(self, label: str, at: float) -> None:
        self._markers.push_sample([label], self._on_lsl_clock(at))

    def close(self) -> None:
        """Outlets end when nobody holds them any more."""
        self._faces, self._markers = [], None

    def _on_lsl_clock(self, at: float) -> float:
        return at + clocks_apart(self._pylsl.local_clock)

    def _values(self, number: int, face: FaceRecord | None) -> list[float]:
        if face is None:
            return [number, math.nan, math.nan, 0.0, *[math.nan] * (len(self._channels) - 4)]
        result = face.result
        sides = result.sides.reshape(-1).tolist() if self._heading.sides and result.sides is not None else []
        return [number, face.face_id, face.confidence, 1.0, *face.pose.tolist(), *result.intensity.tolist(), *sides]

    def _open(self, name: str, kind: str, channels: list[str], *, text: bool = False) -> Any:
        """source_id: the same after a restart, so that recorders find the stream again."""
        form = self._pylsl.cf_string if text else self._pylsl.cf_double64
        identity = f"{IDENTITY}{name}"
        info = self._pylsl.StreamInfo(name, kind, len(channels), self._pylsl.IRREGULAR_RATE, form, identity)
        description = info.desc()
        description.append_child_value("manufacturer", "AU Desktop")
        description.append_child_value("model", self._heading.model)
        listed = description.append_child("channels")
        for channel in channels:
            one = listed.append_child("channel")
            one.append_child_value("label", channel)
            one.append_child_value("unit", self._channels.get(channel, ""))
            one.append_child_value("type", "Intensity" if channel.startswith("AU") else "")
        return self._pylsl.StreamOutlet(info)


def clocks_apart(local_clock: Callable[[], float]) -> float:
    """Seconds by which the clock of the layer is ahead of ``time.perf_counter``. They are read one after the other, and
    on a busy machine milliseconds may lie between; of LOOKS the quickest counts."""
    looks = []
    for _ in range(LOOKS):
        before, theirs, after = time.perf_counter(), local_clock(), time.perf_counter()
        looks.append((after - before, theirs - (before + after) / 2))
    return min(looks)[1]


def _is_sent(column: str) -> bool:
    """Of the columns of frames.csv."""
    first = ("frame", "face_id", "confidence", "success", "pose_")
    return column.startswith(first) or (column.startswith("AU") and column.endswith(("_r", *SIDES)))
