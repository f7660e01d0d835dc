"""What stands between two threads: a slot where the newest wins, and the box from capture to analysis.

Queued signals showed a picture 3 s old after 6 s with a slow window; a slot never shows more than the newest, and a
live frame that has waited in the box for ``PATIENCE_S`` gives way to the next.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from rtatl_core.handoffs import FramePacket

T = TypeVar("T")

PATIENCE_S = 0.12
"""How long a live frame may wait, so that a moment in which the machine is busy costs no frame."""
HURRIES_FOR_S = 1.0
"""When a frame had to be dropped after all, only the newest frame is kept for this many seconds: waiting would save no
frame and only add delay."""


class Slot(Generic[T]):
    """Room for one item; a newer one replaces an older one that nobody took. ``on_filled`` is called by whoever puts
    something into the empty slot: once, however many follow before somebody takes."""

    def __init__(self) -> None:
        self.on_filled: Callable[[], object] = lambda: None
        self._lock = threading.Lock()
        self._item: T | None = None

    def put(self, item: T) -> None:
        with self._lock:
            was_empty = self._item is None
            self._item = item
        if was_empty:
            self.on_filled()

    def take_nowait(self) -> T | None:
        with self._lock:
            item, self._item = self._item, None
            return item


class Taken(NamedTuple):
    """One frame to analyse, and the captured ones given up or lost just before it as (number, timestamp), oldest
    first."""

    packet: FramePacket
    dropped: tuple[tuple[int, float], ...]


class FrameBox:
    """From capture to analysis.

    live: `put` never waits; a frame that must be given up is counted and remembered by number and time, so that
    the recording keeps its row. Otherwise, for files: `put` waits while `room` frames lie in the box.
    """

    def __init__(self, *, live: bool, room: int = 2) -> None:
        self._live = live
        self._room = room
        self._change = threading.Condition()
        self._packets: deque[FramePacket] = deque()
        self._given_up: list[tuple[int, float]] = []
        self._dropped = 0
        self._newest = 0
        self._hurries_until = -math.inf
        self._ended = False

    @property
    def dropped(self) -> int:
        """Frames given up for newer ones, discarded, or lost by the source, so far."""
        return self._dropped

    @property
    def newest(self) -> int:
        """Number of the last frame that was put in, 0 before the first."""
        return self._newest

    @property
    def exhausted(self) -> bool:
        """True when no frame is left and none will come."""
        with self._change:
            return self._ended and not self._packets

    def put(self, packet: FramePacket) -> bool:
        """Hands a frame over. False: the box was ended, the frame is not taken."""
        with self._change:
            if not self._live:
                self._change.wait_for(lambda: self._ended or len(self._packets) < self._room)
            if self._ended:
                return False
            if self._live and self._packets and self._is_late(self._packets[0], packet.captured_at):
                old = self._packets.popleft()
                self._given_up.append((old.number, old.timestamp))
                self._dropped += 1
                self._hurries_until = packet.captured_at + HURRIES_FOR_S
            self._dropped += len(packet.lost)
            self._packets.append(packet)
            self._newest = packet.number
            self._change.notify_all()
            return True

    def take(self, timeout: float) -> Taken | None:
        """The oldest frame; None when none came within `timeout` seconds, or at once when the box is exhausted."""
        until = time.monotonic() + timeout
        with self._change:
            while not self._packets:
                rest = until - time.monotonic()
                if self._ended or rest <= 0:
                    return None
                self._change.wait(rest)
            packet = self._packets.popleft()
            taken = Taken(packet, (*self._given_up, *packet.lost))
            self._given_up.clear()
            self._change.notify_all()
            return taken

    def waiting(self) -> Taken | None:
        """All that lies in the box, which stays there, as if only the last frame were analysed; None when it is
        empty."""
        with self._change:
            if not self._packets:
                return None
            *earlier, last = self._packets
            before = list(self._given_up)
            for packet in earlier:
                before += (*packet.lost, (packet.number, packet.timestamp))
            return Taken(last, (*before, *last.lost))

    def _is_late(self, packet: FramePacket, now: float) -> bool:
        return now < self._hurries_until or now - packet.captured_at > PATIENCE_S

    def end(self, *, discard: bool = False) -> None:
        """No more frames come. Those inside can still be taken, unless they are discarded."""
        with self._change:
            self._ended = True
            if discard:
                self._dropped += len(self._packets)
                self._packets.clear()
            self._change.notify_all()
