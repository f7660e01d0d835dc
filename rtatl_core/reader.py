"""What the readers of files have in common: ``video.VideoReader`` and ``photos.PhotoReader``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from rtatl_core.handoffs import FramePacket


class Reader(ABC):
    """Files in, FramePackets out, from the first to the last; iterable, and a context manager. A frame that cannot be
    read is passed over: the packet after it names it in ``lost``."""

    path: Path
    """The file, or the folder of several."""
    files: tuple[Path, ...] = ()
    """By frame, where each is a file of its own."""
    size: tuple[int, int]
    """Width and height in pixels of the first frame."""
    fps: float | None
    """Frames per second; None where frames have no time, or the file does not tell."""
    frame_count: int | None
    """As far as it is known before they are read."""
    start_s: float | None = None
    """Seconds of a video file at which frame 1 is shown; None where there is no such time, or it cannot be known."""
    lost_at_end: tuple[tuple[int, float], ...] = ()
    """After the end: (number, timestamp) of frames that no packet follows to name them."""
    truncated: bool = False
    """After the end: the file was cut off."""
    warning: str | None = None
    """After the end at the latest: a sentence or more for the person about what is odd."""

    @abstractmethod
    def read(self) -> FramePacket | None:
        """The next frame, or None at the end."""

    @abstractmethod
    def describe_lost(self, lost: Sequence[tuple[int, float]]) -> str:
        """One sentence on frames in a row that could not be read. ``lost``: as in ``FramePacket``."""

    @abstractmethod
    def close(self) -> None: ...

    def __iter__(self) -> Iterator[FramePacket]:
        while (packet := self.read()) is not None:
            yield packet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
