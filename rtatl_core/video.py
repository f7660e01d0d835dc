"""Video files: path in, FramePackets with their media time out. The window and the command line read by this one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from rtatl_core import matroska, mp4
from rtatl_core.errors import SourceError
from rtatl_core.files import check_ends, is_text
from rtatl_core.handoffs import FramePacket, UInt8
from rtatl_core.reader import Reader
from rtatl_core.system import FOLDERS_ELSEWHERE, rtatl_command

VIDEO_SUFFIXES = frozenset(
    (
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv"),
        *(".3gp", ".mts", ".m2ts", ".ts", ".ogv", ".mjpeg", ".gif"),
    )
)
"""Endings by which videos are found in folders; a file that is named itself may have any."""
_CUT_OFF_S = 0.25
"""How much earlier than announced a whole file may end: edit lists and estimated lengths are off by a few
frames (measured: 0.18 s)."""
_TRIES = 25
"""Reads in a row that may fail where the container promises no more frames: some only estimate how many there are."""
_MOST_TRIES = 10_000
"""And where it promises any number: a failed read takes some microseconds."""
_REORDERED = 16
"""By how many frames a frame may lie later in the container than it is shown."""
_SAME_S = 0.0005
_SQUARE = 0.02
"""Share by which pixels may be wider than high and still count as square: what other programs leave when they round."""
_WIDEST = 4.0
"""Times as wide as high: no pixel is wider."""
_PACKETS = ((0, 188), (4, 192))
"""Where the first packet of a transport stream (.ts; .mts) begins and how far it is to the next, in bytes."""
_NEAR_BEGINNING_S = 10.0
"""So much can be decoded from the first frame on while somebody waits."""
_NO_TIME = -1e15
"""Anything less is FFmpeg's way to say that it does not know a time."""
_MOST_START_S = 60.0
"""A file whose first picture lies later than this counts from some clock of its own, not from its beginning."""

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # it complains line by line; the reader says it in a sentence
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.setLogLevel(1)  # OpenCV itself too: from now on what ends the program only


class VideoReader(Reader):
    """Decodes one file from its first frame to its last.

    The rotation a phone writes into its files is obeyed, and pictures whose pixels are not square (DV, HDV, DVDs) are
    widened or heightened to what players show. Timestamps come from the container, so files with a
    variable frame rate are right, and never go backwards; without any they are counted from the frame rate.

    If every read fails from some point up to the announced last frame, the video is taken to end there, so nothing is
    ``lost_at_end``. It counts as ``truncated`` when it ends long before the announced length, or within a picture, and
    ``warning`` also tells of one that is whole but whose pictures end early.

    Raises SourceError when there is not a single picture to be had from `path`, and when it is gone before its end.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        _check_file(self.path)
        # The path is made absolute so that a file named like a protocol ("rtsp:") is still a file; FFmpeg
        # only, so that a clip gives the same frames and times on every platform.
        self._capture = cv2.VideoCapture(str(self.path.resolve()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            self._capture.release()
            raise SourceError(
                f"{self.path} cannot be read as a video: it is not one, is damaged, or the program that wrote it did "
                "not finish; play it elsewhere, or convert it to MP4."
            )
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        self._wide = _pixel_width(self._capture)
        self.fps = _sensible(self._capture.get(cv2.CAP_PROP_FPS), 1000.0)
        """Frames per second as the container says; None when it does not, or says nonsense."""
        count = _sensible(self._capture.get(cv2.CAP_PROP_FRAME_COUNT), 1e9)
        self.frame_count = int(count) if count else None
        """Frames as the container says: exact for most MP4 files, an estimate in others, None when unknown."""
        shown = mp4.shown_s(self.path)
        if shown and self.fps and self.duration_s and shown < self.duration_s - _CUT_OFF_S:  # trimmed, not coded anew
            self.frame_count = max(1, round(shown * self.fps))
        self._number = 0
        """Of the last frame."""
        self._lost = 0
        self._start_s = 0.0
        self._step_s = 1 / (self.fps or 25)
        """From one frame to the next, as it was last."""
        self._last_s = -self._step_s
        self._packets = _Packets(self.path, 0.0)
        self._first = self._decode()
        if self._first is None:
            coding = _coding(self._capture)
            self._capture.release()
            raise SourceError(
                f"{self.path} holds no picture that can be decoded: it is damaged, or its coding{coding} is not known "
                "here; play it elsewhere, and copy it again or convert it to MP4 with H.264."
            )
        self.size = self._first.image.shape[1], self._first.image.shape[0]
        """Width and height in square pixels, upright."""
        self._begins_s = begins_s = self._begins_at(self._first.timestamp)
        known = begins_s == 0 or (-1 < (begins_s or -1) <= _MOST_START_S and _counts_from_zero(self.path))
        self.start_s = max(0.0, begins_s or 0.0) if known else None
        """Seconds of the file at which frame 1 is shown, to the nearest frame: mostly 0, more where the sound begins
        first. Players count from the file's beginning, timestamps from frame 1. None where it cannot be known."""

    @property
    def duration_s(self) -> float | None:
        """Length as the container says."""
        return self.frame_count / self.fps if self.frame_count and self.fps else None

    def read(self) -> FramePacket | None:
        """The next frame, or None at the end. `captured_at` is the moment it was decoded."""
        packet, self._first = self._first, None
        packet = packet or self._decode()
        if packet is None and self._number and self.warning is None:
            self.warning = self._fault_at_end()
        return packet

    def _fault_at_end(self) -> str | None:
        """What ``warning`` says; sets ``truncated``."""
        name, pictures_s = self.path.name, f"{self._last_s:.1f} s"
        rest = "so it was cut off; all frames up to there are analysed, copy the file again for the rest."
        lacks_s = (self.duration_s or 0.0) - (self._last_s + 1 / (self.fps or 25))
        early = lacks_s > _CUT_OFF_S and self._number < (self.frame_count or 0)
        if early:
            _check_file(self.path)  # is it the file that ends, or was its disk unplugged?
        own_length = early and _length_is_its_own(self.path)
        if early and not own_length:
            early = lacks_s - self._late_s() > _CUT_OFF_S
        with contextlib.suppress(OSError):  # gone since its end was reached
            no_length = self.duration_s is None
            self.truncated = mp4.breaks_off(self.path) or (no_length and matroska.breaks_off(self.path))
        if self.truncated:
            return f"{name} breaks off after {pictures_s}, {rest}"
        if not early:
            return None
        self.truncated = not (own_length or matroska.is_whole(self.path))
        if self.truncated:
            return f"{name} ends after {pictures_s} of {self.duration_s:.1f} s, {rest}"
        has = f"{name} has pictures for {pictures_s} of {self.duration_s:.1f} s"
        if own_length:
            sound = "so its sound probably begins before or ends after them"
            return f"{has}, {sound}; play both ends to see whether pictures are missing."
        # damaged pictures at its end would look the same
        return f"{has} and is whole, so its sound is probably longer; play its end to see whether pictures are missing."

    def _late_s(self) -> float:
        """How much of the announced length lies before frame 1, where that is the file's, as in Matroska, and not that
        of its pictures."""
        begins_s = self._begins_s or 0.0
        is_within = 0 < begins_s < (self.duration_s or 0.0)
        return begins_s if is_within and not mp4.lists_pictures(self.path) else 0.0

    def describe_lost(self, lost: Sequence[tuple[int, float]]) -> str:
        return describe_lost(self.path.name, lost)

    def close(self) -> None:
        self._capture.release()
        self._packets.close()

    def _decode(self) -> FramePacket | None:
        failed = 0
        while True:
            try:
                found, image = self._capture.read()
            except cv2.error:  # OpenCV cannot hold what damage makes of a picture's size
                found = False
            if not found:
                failed += 1
                if failed >= min(max((self.frame_count or 0) - self._number, _TRIES), _MOST_TRIES):
                    return None
                continue
            said = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if not (self._lost and self._is_late(said - self._start_s)):
                break
        lost = self._advance(failed, said)
        self._lost += len(lost)
        image = _squared(np.asarray(image, np.uint8), self._wide)
        return FramePacket(image, self._number, self._last_s, time.perf_counter(), lost)

    def _is_late(self, now_s: float) -> bool:
        """Whether the frame of that time was given up as lost before. Where recordings were joined, times go back by
        more."""
        return now_s > 0 and 0 < self._last_s - now_s <= _REORDERED * self._step_s

    def _begins_at(self, timestamp: float) -> float | None:
        """The file's own time less the timestamp, of the frame that was just read; None where it tells no times."""
        frames = self._capture.get(cv2.CAP_PROP_PTS)  # since the file's zero, in steps of 1 / fps
        if frames < _NO_TIME:  # the header tells no rate, as browsers write it
            return matroska.first_picture_s(self.path)
        if frames == 0:
            return 0.0
        return frames / self.fps - timestamp if self.fps else None

    def _advance(self, failed: int, said: float) -> tuple[tuple[int, float], ...]:
        """The frame that was just read gets its number and a time later than the last; what was lost in between.
        ``said``: its time by the container. A failed read is not always a lost frame, because decoders keep some back
        and give them out later, and some leave one out without a word: so the time that passed decides, and what lies
        in the container."""
        if self._number == 0:
            self._start_s = said - min(failed, max(0, round(said / self._step_s))) * self._step_s
            self._packets = _Packets(self.path, self._start_s)
        now_s, before_s, number = said - self._start_s, self._last_s, self._number
        if now_s <= before_s:
            now_s = before_s + (failed + 1) / (self.fps or 25)
        lost = max(0, round((now_s - before_s) / self._step_s) - 1)
        if lost > failed:
            lost = min(lost, max(failed, self._packets.until(said) - number - 1))
        self._number, self._last_s, self._step_s = number + lost + 1, now_s, (now_s - before_s) / (lost + 1)
        return tuple((number + i, before_s + i * self._step_s) for i in range(1, lost + 1))


class VideoPictures(VideoReader):
    """Single pictures of a video, by their time, in any order."""

    def at(self, timestamp: float) -> UInt8 | None:
        """(height, width, 3) BGR: the frame that a reader gives this timestamp, or the one nearest to it; None where it
        cannot be had. Takes as long as decoding from the key frame before it: mostly some hundredths of a second."""
        at_s = self._start_s + timestamp
        for back_s in (0.0, 1.0, 4.0):  # some containers find a later frame than asked for
            self._capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * max(0.0, at_s - self._step_s / 2 - back_s))
            if (image := self._nearest(at_s)) is not None:
                return image
        if timestamp > _NEAR_BEGINNING_S:
            return None
        self._capture.open(str(self.path.resolve()), cv2.CAP_FFMPEG)
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)  # opening forgets it
        return self._nearest(at_s, is_before=True)

    def _nearest(self, at_s: float, *, is_before: bool = False) -> UInt8 | None:
        """The frame nearest to a moment of the container, of those from half a step before it on; None where it may lie
        before what comes next."""
        before: tuple[float, UInt8] | None = None
        failed = 0
        while failed < _TRIES:
            if not self._capture.grab():
                failed += 1
                continue
            now_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if now_s < at_s - self._step_s / 2:
                is_before = True
                continue
            if not is_before:
                return None
            if before is not None and at_s - before[0] <= abs(now_s - at_s):
                break
            try:
                found, image = self._capture.retrieve()
            except cv2.error:  # see ``_decode``
                found = False
            if found:
                before = now_s, _squared(np.asarray(image, np.uint8), self._wide)
                if now_s >= at_s:
                    break
        return before[1] if before is not None else None


class _Packets:
    """What frames a file holds, whether they can be decoded or not. Looked at only where time is left out: in a whole
    file of a variable rate there is nothing in between."""

    def __init__(self, path: Path, start_s: float) -> None:
        self._path, self._start_s = path, start_s
        self._capture: cv2.VideoCapture | None = None
        self._count = 0
        self._ended = False
        self._ahead: set[float] = set()

    def until(self, time_s: float) -> int:
        """How many from the first frame to the one of that time; times grow from call to call."""
        if self._capture is None:
            parameters = [cv2.CAP_PROP_FORMAT, -1]  # as they lie there, not decoded
            self._capture = cv2.VideoCapture(str(self._path.resolve()), cv2.CAP_FFMPEG, parameters)
        until_s, failed = time_s + _SAME_S, 0
        passed = {at for at in self._ahead if at <= until_s}
        self._ahead -= passed
        while not self._ended and len(self._ahead) < _REORDERED:
            if not self._capture.grab():
                failed += 1
                self._ended = failed >= _MOST_TRIES
                continue
            self._count, failed = self._count + failed, 0  # so many are damaged
            at = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            if at > self._start_s - _SAME_S:
                (passed if at <= until_s else self._ahead).add(at)
        self._count += len(passed)
        return self._count

    def close(self) -> None:
        if self._capture is not None:
            self._capture.release()


def describe_lost(name: str, lost: Sequence[tuple[int, float]]) -> str:
    """One sentence on frames in a row that could not be decoded."""
    first, last = lost[0], lost[-1]
    if len(lost) == 1:
        return f"Frame {first[0]} of {name} ({first[1]:.1f} s) is damaged and cannot be decoded; its row is empty."
    where = f"Frames {first[0]} to {last[0]} of {name} ({first[1]:.1f} to {last[1]:.1f} s)"
    return f"{where} are damaged and cannot be decoded; their rows are empty."


def _check_file(path: Path) -> None:
    try:
        if path.is_dir():
            command = rtatl_command("analyze", str(path), "--out", "sessions")
            all_of_it = f"or analyse all of it with: {command}" if command else FOLDERS_ELSEWHERE
            raise SourceError(f"{path} is a folder; name a file in it{', ' if command else '; '}{all_of_it}")
        check_ends(path)
        with path.open("rb") as file:
            if not file.read(1):
                raise SourceError(f"{path} is empty (0 bytes); copy or record it again.")
        if not is_text(path):
            raise SourceError(f"The name of {path}, or of a folder it lies in, is not valid text (UTF-8); rename it.")
    except FileNotFoundError:
        raise SourceError(f"There is no file {path}; check the name and the folder.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be opened ({error.strerror}); check that you may read it.") from None


def _length_is_its_own(path: Path) -> bool:
    """Whether this is a transport or program stream. Nothing in one tells its length: the last of all its times is
    taken for it, so one that was cut off looks whole, and its pictures often begin some time after the sound."""
    with path.open("rb") as file:
        head = file.read(200)
    is_transport = any(head[at : at + 1] == head[at + step : at + step + 1] == b"G" for at, step in _PACKETS)
    return is_transport or head[:4] == b"\0\0\1\xba"


def _counts_from_zero(path: Path) -> bool:
    """Whether a time in this file is one since its beginning: MP4, MOV, Matroska and WebM. A transport or program
    stream (.ts, .mts, .mpg) counts from any moment, and AVI has no times."""
    with path.open("rb") as file:
        head = file.read(8)
    return head[4:] in (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide") or head[:4] == b"\x1aE\xdf\xa3"


def _coding(capture: cv2.VideoCapture) -> str:
    """The four letters that name it, in brackets, such as AV01; empty where there are none."""
    letters = int(_sensible(capture.get(cv2.CAP_PROP_FOURCC), 0xFFFFFFFF) or 0).to_bytes(4, "little")
    return f" ({letters.decode()})" if letters.isalnum() else ""


def _pixel_width(capture: cv2.VideoCapture) -> float:
    """Width of a pixel of the upright picture by its height; 1 where the file does not say, or says nonsense."""
    wide: float = capture.get(cv2.CAP_PROP_SAR_NUM) / (_sensible(capture.get(cv2.CAP_PROP_SAR_DEN), 1e9) or 1.0)
    if not 1 / _WIDEST <= wide <= _WIDEST or abs(wide - 1) < _SQUARE:
        return 1.0
    return 1 / wide if capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 else wide


def _squared(image: UInt8, wide: float) -> UInt8:
    """The picture as players show it, with no row or column less. ``wide``: see ``_pixel_width``."""
    if wide == 1:
        return image
    height, width = image.shape[:2]
    size = (round(width * wide), height) if wide > 1 else (width, round(height / wide))
    return np.asarray(cv2.resize(image, size), np.uint8)


def _sensible(value: float, most: float) -> float | None:
    return value if np.isfinite(value) and 0 < value <= most else None
