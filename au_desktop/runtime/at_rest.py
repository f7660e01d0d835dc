"""The picture at rest: while no frame comes, because of a pause, the end, or a photo, the last one is analysed again
when a layer or the engine has changed; else the change would show with the next frame only.

In: the frame on the screen, as observed, and what changes. Out: an AnalysedFrame for the picture only.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from au_desktop.runtime.capture import Capture
from rtatl_core.handoffs import AnalysedFrame, FramePacket, ObservedFrame

if TYPE_CHECKING:
    from rtatl_core.engine import Engine


class PictureAtRest:
    """Belongs to the analysis thread; ``outdate`` may be called in any."""

    def __init__(self) -> None:
        self._seen: tuple[Capture, ObservedFrame | FramePacket] | None = None
        """The frame on the screen; without its faces where the engine that found them is gone."""
        self._outdated = threading.Event()
        """Something was wished for since it was analysed."""

    def is_now(self, capture: Capture, observed: ObservedFrame) -> None:
        """To be called just before that frame is analysed, with everything wished for until then."""
        self._outdated.clear()
        self._seen = capture, observed

    def outdate(self) -> None:
        """Something was wished for, and the engine has it."""
        self._outdated.set()

    def forget_faces(self) -> None:
        """The engine that found them is gone. Another one looks for them anew: it may follow more."""
        if self._seen is not None and isinstance(self._seen[1], ObservedFrame):
            self._seen = self._seen[0], self._seen[1].packet
        self._outdated.set()

    def again(self, engine: Engine, capture: Capture | None) -> AnalysedFrame | None:
        """The frame once more, or None where it is not outdated or that capture has not shown it. Raises what the
        engine raises."""
        outdated = self._outdated.is_set()
        self._outdated.clear()
        if not outdated or self._seen is None or self._seen[0] is not capture:
            return None
        seen = self._seen[1]
        observed = engine.observe(seen) if isinstance(seen, FramePacket) else seen
        self._seen = capture, observed
        frame = engine.analyse(observed)
        packet = replace(frame.packet, captured_at=time.perf_counter())  # its delay is no delay of the camera's
        return replace(frame, packet=packet)
