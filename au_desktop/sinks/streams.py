"""AU values out of the running program: what a frame showed, as numbers, to whoever listens.

Enters: analysed frames and markers, from threads that never wait for it; leaves: samples of the Lab Streaming Layer
(lsl.py) and OSC messages (osc.py), sent by a thread of its own, and other programs' markers (lsl_markers.py). Nothing
is sent unless the person turned it on.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from au_desktop.settings import Settings, host_and_port
from au_desktop.sinks.lsl import LslOutlet
from au_desktop.sinks.lsl_markers import LslMarkers
from au_desktop.sinks.osc import OscOutlet
from au_desktop.sinks.outlet import Heading, Opener, Outlet, Sample
from rtatl_core.errors import StreamError
from rtatl_core.handoffs import AnalysedFrame
from rtatl_core.sessions.rows import FaceRecord, FrameRecord, records

log = logging.getLogger(__name__)

ROOM = 2000
"""Frames that may wait to be sent, about 5 MB: more than a minute at 30 per second, so that none is left out while a
name is looked up in a network that does not answer. Of more, the newest are left out."""
STOP_S = 2.0


def openers(settings: Settings) -> dict[str, Opener]:
    """Of the outlets that are chosen, by names: one that keeps its name goes on as it is."""
    chosen: dict[str, Opener] = {"LSL": LslOutlet} if settings.lsl else {}
    if settings.osc:
        chosen[f"OSC to {settings.osc_address}"] = partial(OscOutlet, *host_and_port(settings.osc_address))
    return chosen


class Places:
    """Who stands in which place, so that a receiver can rely on a small number: a face keeps its place while it is
    followed, a new one takes the first place that nobody has in this frame. All `count` places are there from the
    first frame on: a recorder in the network records the streams that it finds when it starts."""

    def __init__(self, count: int) -> None:
        self._ids: list[int | None] = [None] * count

    def of(self, faces: Sequence[FaceRecord]) -> tuple[FaceRecord | None, ...]:
        seen: dict[int | None, FaceRecord] = {face.face_id: face for face in faces}
        for face_id in seen:
            if face_id not in self._ids:
                free = next(place for place, held in enumerate(self._ids) if held not in seen)
                self._ids[free] = face_id
        return tuple(seen.get(face_id) for face_id in self._ids)


class _Frame(NamedTuple):
    heading: Heading
    record: FrameRecord
    captured_at: float


class _Mark(NamedTuple):
    label: str
    at: float


class _Choice(NamedTuple):
    openers: dict[str, Opener]


class Streams:
    """Sends what is analysed through the outlets that are chosen. Every method returns at once but `close`."""

    def __init__(self, on_fault: Callable[[str], None], on_marker: Callable[[str, str, float], object]) -> None:
        """`on_fault(text)` is called in the thread that sends when something cannot be sent, with "" when all can;
        `on_marker`: see ``LslMarkers``, which listens while the Lab Streaming Layer is chosen."""
        self._on_fault, self._on_marker = on_fault, on_marker
        self._markers: LslMarkers | None = None
        self._queue: queue.SimpleQueue[_Frame | _Mark | _Choice | None] = queue.SimpleQueue()
        self._openers: dict[str, Opener] = {}
        self._outlets: dict[str, Outlet] = {}
        self._to_open = False
        self._early: list[_Mark] = []
        """Markers that wait for the outlets, which open with the first frame."""
        self._heading: Heading | None = None
        self._places = Places(1)
        self._refused = self._told = ""
        self._thread: threading.Thread | None = None
        self.names: tuple[str, ...] = ()
        """Of what is chosen."""
        self._marked = 0
        """Markers set while nothing was recorded."""
        self.left_out = 0
        """Frames that found no room."""

    def choose(self, settings: Settings) -> None:
        """Outlets that these settings do not name end; those that are missing begin with the next frame."""
        if settings.lsl and self._markers is None:
            self._markers = LslMarkers(self._on_marker)
        elif self._markers is not None and not settings.lsl:
            self._markers.close()
            self._markers = None
        self.use(openers(settings))

    def use(self, openers: dict[str, Opener]) -> None:
        self.names = tuple(openers)
        if self._thread is None and openers:
            self._thread = threading.Thread(target=self._run, name="streams", daemon=True)
            self._thread.start()
        self._queue.put(_Choice(openers))

    def put(self, source: str, frame: AnalysedFrame, model: Mapping[str, Any], faces: int) -> None:
        """faces: the most that are followed."""
        if not self.names:
            return
        if self._queue.qsize() >= ROOM:
            self.left_out += 1
            return
        heading = Heading.of(source, frame, model, faces)
        self._queue.put(_Frame(heading, records(frame)[-1], frame.packet.captured_at))

    def mark(self, number: int | None, at: float) -> int | None:
        """number: of a marker in a recording; without one it is counted here. None where nothing is sent either."""
        if self.names:
            if number is None:
                self._marked += 1
                number = self._marked
            self._queue.put(_Mark(str(number), at))
        return number

    def close(self) -> None:
        """Sends what waits, and ends."""
        if self._markers is not None:
            self._markers.close()
        self.names = ()
        if self.left_out:
            log.warning("%d frames found no room and were not sent to other programs", self.left_out)
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(STOP_S)
            if self._thread.is_alive():
                log.warning("the streams did not end in time")

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self._take(item)
            except Exception as error:
                log.exception("streams")
                self._tell(f"Numbers cannot be sent to other programs ({error}); turn it off and on again.")
        self._end(self._outlets)

    def _take(self, item: _Frame | _Mark | _Choice) -> None:
        match item:
            case _Choice(openers):
                self._openers, self._to_open, self._refused = openers, True, ""
                self._end(self._outlets.keys() - openers.keys())
                self._tell("")
            case _Mark() if self._to_open and not self._outlets:
                self._early.append(item)
            case _Mark():
                self._mark(item)
            case _Frame(heading, record, captured_at):
                if heading != self._heading:
                    self._end(self._outlets)
                    self._heading, self._places, self._to_open = heading, Places(heading.faces), True
                if self._to_open:
                    self._open(heading)
                    while self._early:
                        self._mark(self._early.pop(0))
                sample = Sample(record.number, captured_at, self._places.of(record.faces))
                self._each(lambda outlet: outlet.send(sample))

    def _open(self, heading: Heading) -> None:
        """Once for each choice and heading: a name that nobody knows takes seconds to be looked up."""
        self._to_open, self._refused = False, ""
        for name, open_outlet in self._openers.items():
            if name not in self._outlets:
                try:
                    self._outlets[name] = open_outlet(heading)
                except Exception as error:  # the others are sent to all the same
                    self._refused = _sentence(name, error)

    def _mark(self, mark: _Mark) -> None:
        self._each(lambda outlet: outlet.mark(mark.label, mark.at))

    def _each(self, act: Callable[[Outlet], None]) -> None:
        """After a fault it is tried again with the next frame: a network may come back."""
        fault = self._refused
        for name, outlet in self._outlets.items():
            try:
                act(outlet)
            except Exception as error:  # likewise
                fault = _sentence(name, error)
        self._tell(fault)

    def _tell(self, fault: str) -> None:
        if fault != self._told:
            self._told = fault
            self._on_fault(fault)

    def _end(self, names: Iterable[str]) -> None:
        for name in tuple(names):
            self._outlets.pop(name).close()


def _sentence(name: str, error: Exception) -> str:
    if isinstance(error, StreamError):
        return str(error)
    log.error("%s", name, exc_info=error)
    return f"{name}: numbers cannot be sent ({error}); turn it off and on again."
