"""Own coded videos -> frames with their codes. docs/coding.md says what coding files may look like."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PureWindowsPath
from typing import ClassVar

import numpy as np

from rtatl_core.datasets.codings.coding import VideoCoding
from rtatl_core.datasets.codings.labels import OCCURS_FROM
from rtatl_core.datasets.codings.read import read_codings
from rtatl_core.datasets.parts import Frame
from rtatl_core.datasets.videos import Video, find_files, unit_name
from rtatl_core.errors import RecipeError
from rtatl_core.video import VIDEO_SUFFIXES

OCCURRENCE_RULE = f"as coded; where only an intensity was coded, {OCCURS_FROM:g} (FACS A) or more"
NOT_CODED = "frame without a code"
NO_FRAME = "code without a frame"
_BEYOND_S = 0.5
"""How long after the last picture a code may end: sound often lasts longer, and programs round differently."""


@dataclass(frozen=True, slots=True)
class CodedVideo:
    name: str
    path: Path
    coding: VideoCoding
    tracking: ClassVar[bool] = True

    def frames(self) -> Iterator[Frame]:
        """At the end one without a picture for each code that no frame has. Raises RecipeError when there are codes
        beyond the end."""
        number, time_s = 0, 0.0
        times: list[float] = []
        for count, frame in enumerate(Video(self.name, self.path).frames(), start=1):
            times.append(frame.time)
            if frame.image is None:
                yield frame
                continue
            number, time_s = count, frame.time
            intensity, occurrence = self.coding.at(number, frame.time)
            coded = bool(np.isfinite(occurrence).any() or np.isfinite(intensity).any())
            yield replace(
                frame,
                subject=self.coding.subject,
                image=frame.image if coded else None,
                intensity=intensity,
                occurrence=occurrence,
                lost=NOT_CODED,
            )
        if number:
            self._require_within(number, times[0], time_s)
            for _ in range(self.coding.without_frame(np.sort(times))):
                yield Frame(self.name, self.coding.subject, None, lost=NO_FRAME)

    def _require_within(self, frames: int, first_s: float, time_s: float) -> None:
        """first_s, time_s: of the first and the last frame. If codes lie beyond the end, all would read as zeros."""
        step_s = (time_s - first_s) / (frames - 1) if frames > 1 and time_s > first_s else 0.04
        end_s = time_s + step_s
        last_frame, last_s = self.coding.last()
        coded = f"{self.coding.source} codes {self.path.name} up to"
        perhaps = "are these milliseconds, or is it another video or a cut-off copy?"
        if last_s > end_s + _BEYOND_S:
            raise RecipeError(
                f"{coded} {last_s:g} s, and the video ends at {end_s:.2f} s; seconds are expected: {perhaps}"
            )
        if last_frame > frames + _BEYOND_S / step_s:
            raise RecipeError(
                f"{coded} frame {last_frame:.0f}, and the video has {frames} frames ({end_s:.2f} s); "
                f"the first frame is 1: {perhaps}"
            )


def find_coded(root: Path, codes: Path | None = None) -> tuple[tuple[int, ...], list[CodedVideo], list[str]]:
    """(AUs, videos, notes for the person). ``codes`` is the coding file or folder, by default ``root``.

    Raises RecipeError when a coded video is missing, two files fit its name or two names fit its file.
    """
    codings = read_codings(codes or root)
    paths = find_files(root, VIDEO_SUFFIXES, "video")
    base = root if root.is_dir() else root.parent
    units: list[CodedVideo] = []
    coded: dict[Path, VideoCoding] = {}
    for coding in codings:
        path = _file_of(coding, paths, base)
        if (other := coded.setdefault(path, coding)) is not coding:
            raise RecipeError(
                f"{coding.source} codes {coding.video!r}, which {other.source.name} calls {other.video!r}; write it in "
                "one way everywhere, or keep one of the codings"
            )
        units.append(CodedVideo(unit_name(path, base), path, coding))
    uncoded = sorted({*paths} - {unit.path for unit in units})
    return codings[0].aus, units, _notes(codings, [path.relative_to(base).as_posix() for path in uncoded])


def _notes(codings: list[VideoCoding], uncoded: list[str]) -> list[str]:
    """What was left out or looks like a mistake."""
    notes = []
    if uncoded:
        more = f" and {len(uncoded) - 5} more" if len(uncoded) > 5 else ""
        notes.append(f"videos without codes, which are left out: {', '.join(uncoded[:5])}{more}")
    ignored: Counter[str] = Counter()
    for coding in codings:
        ignored.update(coding.ignored)
    if ignored:
        listed = ", ".join(f"{what} ({count})" for what, count in ignored.most_common(8))
        notes.append(f"in the codings, passed over because they name no known AU or intensity: {listed}")
    unused = {coding.source: coding.unused for coding in codings if coding.unused}
    notes += [f"{source}: columns not used: {', '.join(columns)}" for source, columns in unused.items()]
    if {strength for coding in codings for strength in coding.strengths()} in ({1.0}, {0.0, 1.0}):
        notes.append(
            "CHECK: all intensities in the codings are 0 or 1, which is FACS A; if 1 says that an AU is there, however "
            "strong, rename the columns to AU12_c ..., or in a table of events leave the intensity empty"
        )
    return notes


def _file_of(coding: VideoCoding, paths: list[Path], base: Path) -> Path:
    written = coding.video or coding.source.stem
    wanted = _plain(PureWindowsPath(written.removeprefix("file://")))
    for matching in (_same_place, _same_name):
        found = [path for path in paths if matching(path.relative_to(base), wanted)]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            raise RecipeError(
                f"{coding.source} codes {written!r}, and both {found[0]} and {found[1]} are called so; write the path "
                "below --root"
            )
    remedy = "check the name"
    if written == coding.source.stem:
        remedy = "name the videos in a column 'video', or the file like its video"
    raise RecipeError(f"{coding.source} codes {written!r}, and there is no such video below {base}; {remedy}")


def _plain(path: PurePath) -> tuple[str, ...]:
    """The parts in small letters, with accents put together: macOS takes them apart in file names."""
    return tuple(unicodedata.normalize("NFC", part).lower() for part in path.parts)


def _same_place(path: Path, wanted: tuple[str, ...]) -> bool:
    """The written path ends like this one, with or without suffix."""
    have, bare = _plain(path), _plain(path.with_suffix(""))
    return len(wanted) > 1 and (wanted[-len(have) :] == have or wanted[-len(have) :] == bare)


def _same_name(path: Path, wanted: tuple[str, ...]) -> bool:
    return bool(wanted) and (wanted[-1],) in (_plain(Path(path.name)), _plain(Path(path.stem)))
