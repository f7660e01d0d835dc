"""Frames as rows of text: AnalysedFrames in, lines of frames.csv out, and back to numbers. No files, no threads.

Column names are OpenFace's wherever the meaning is the same, so scripts written for it read our files. Where
OpenFace writes 0 for a lost face, the fields are empty here: a zero would pass for a measured rest.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rtatl_core.facs import ACTION_UNITS, OCCURS, au_label
from rtatl_core.handoffs import AnalysedFace, AnalysedFrame, AUResult, Float64

SIDES = ("left", "right")
"""Of the subject."""
_CARD = "not for every AU does its difference from the other side mean something, see the model's card"
FILE = "file"
"""The column that holds words, if there is one."""


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """What is written of one face; unlike AnalysedFace it keeps no picture alive."""

    face_id: int
    confidence: float
    pose: Float64
    """(6,) Tx Ty Tz in mm, Rx Ry Rz in radians."""
    result: AUResult
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, face: AnalysedFace) -> FaceRecord:
        seen = face.observation
        pose = np.concatenate([seen.pose.translation_mm, seen.pose.rotation_rad])
        return cls(seen.face_id, seen.confidence, pose, face.result, seen.box)


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One captured frame, analysed or not."""

    number: int
    timestamp: float
    """NaN: it has none."""
    faces: tuple[FaceRecord, ...] = ()
    """In order of their ids."""
    analysed: bool = False


def records(frame: AnalysedFrame) -> tuple[FrameRecord, ...]:
    """The captured frames that were given up or lost before `frame`, then `frame` itself."""
    faces = sorted((FaceRecord.of(face) for face in frame.faces), key=lambda face: face.face_id)
    packet = frame.packet
    return (
        *(FrameRecord(number, timestamp) for number, timestamp in frame.dropped),
        FrameRecord(packet.number, packet.timestamp, tuple(faces), analysed=True),
    )


@dataclass(frozen=True)
class RowFormat:
    """How the frames of a session are written. AUs that the model lacks have no column."""

    aus: tuple[int, ...]
    sides: bool = False
    """The model tells left from right."""
    files: tuple[str, ...] = ()
    """Names of the pictures in the order of their frames, where these are files of their own."""

    @cached_property
    def columns(self) -> dict[str, dict[str, str]]:
        """Name -> description and unit of every column, in their order."""
        units = [(au_label(number), ACTION_UNITS[number].name) for number in self.aus]
        both = [(*unit, side) for unit in units for side in SIDES] if self.sides else []
        columns = {
            "frame": ("number of the captured frame, from 1", ""),
            "face_id": ("stays with a face while it is followed; in photos counted anew in each; empty without", ""),
            "timestamp": (
                "since the first frame: time of capture (live), or of the file (+ source.start_s: since its start); "
                "empty for photos",
                "s",
            ),
            "confidence": (
                "how much of the face lies in the picture, times how frontal it is (cos yaw cos pitch), 0-1; what "
                "covers a face does not lower it, and thresholds of OpenFace's confidence do not hold",
                "",
            ),
            "success": ("1: a face was found; 0: none was, or the frame was not analysed", "0/1"),
            "pose_Tx": ("midpoint between the eyes, + to the right of the picture", "mm"),
            "pose_Ty": ("midpoint between the eyes, + down", "mm"),
            "pose_Tz": ("midpoint between the eyes, + away from the camera", "mm"),
            "pose_Rx": ("pitch, + looks down", "rad"),
            "pose_Ry": ("yaw, + turns to the left of the picture", "rad"),
            "pose_Rz": ("roll, + tilts clockwise in the picture", "rad"),
            **{f"{label}_r": (f"{name}: intensity after smoothing", "0-5") for label, name in units},
            **{f"{label}_c": (f"{name}: present (probability >= {OCCURS})", "0/1") for label, name in units},
            **{f"{label}_raw": (f"{name}: intensity before smoothing", "0-5") for label, name in units},
            **{
                f"{label}_{side}": (f"{name}: intensity of the subject's {side} after smoothing; {_CARD}", "0-5")
                for label, name, side in both
            },
            "face_x0": ("left edge of the face in the picture", "px"),
            "face_y0": ("upper edge of the face", "px"),
            "face_x1": ("right edge of the face", "px"),
            "face_y1": ("lower edge of the face", "px"),
            "analysed": (
                "0: captured, but given up because a newer frame was there, or it could not be decoded or analysed",
                "0/1",
            ),
            **({FILE: ("the picture, in the folder that session.json names", "")} if self.files else {}),
        }
        return {name: {"description": description, "unit": unit} for name, (description, unit) in columns.items()}

    def lines(self, record: FrameRecord) -> list[str]:
        """A line per face; without a face one line whose values are empty, never 0."""
        time_s = _text(record.timestamp, 6)
        end = f",{_quoted(self.files[record.number - 1])}\n" if self.files else "\n"
        if not record.faces:
            after_success = len(self.columns) - 6 - bool(self.files)
            return [f"{record.number},,{time_s},,0{',' * after_success},{int(record.analysed)}{end}"]
        return [
            f"{record.number},{face.face_id},{time_s},{_text(face.confidence, 3)},1,{_values(face, self.sides)},1{end}"
            for face in record.faces
        ]


def parse(lines: Iterable[str], only: Collection[str] | None = None) -> tuple[dict[str, Float64], int]:
    """A whole frames.csv, line by line with their breaks -> its columns of numbers, NaN for empty fields, and how many
    rows at its end were cut off. ``only``: these columns, in little memory however long the file is; of the others it
    is not looked at what they hold.

    Only what a line break ends is complete. Raises ValueError when there is no header or a row in the middle is bad.
    """
    lines = iter(lines)
    header, ended, _ = next(lines, "").partition("\n")
    names = header.split(",")
    if names[0] != "frame" or not ended:
        raise ValueError("it has no header")
    files = names[-1] == FILE
    names = names[: len(names) - files]
    places = [place for place, name in enumerate(names) if only is None or name in only]
    values, cut = array("d"), 0
    for number, line in enumerate(lines, 2):
        row = _parse_row(line, len(names), places, files=files)
        if row is None:
            cut += 1
        elif cut:
            raise ValueError(f"line {number - cut} is damaged")
        else:
            values.extend(row)
    table = np.array(values, np.float64).reshape(-1, len(places))
    return {names[place]: table[:, i].copy() for i, place in enumerate(places)}, cut


def _parse_row(line: str, fields: int, places: Sequence[int], *, files: bool) -> list[float] | None:
    """The fields at these places. ``files``: the name of a file follows, which may hold commas."""
    row, ended, _ = line.partition("\n")
    parts = row.split(",", fields if files else -1)
    if not ended or len(parts) != fields + files:
        return None
    try:
        return [float(parts[place]) if parts[place] else math.nan for place in places]
    except ValueError:
        return None


def _values(face: FaceRecord, sides: bool) -> str:
    """The fields from pose_Tx to face_y1."""
    result = face.result
    fields = [_text(value, 1) for value in face.pose[:3].tolist()]
    fields += [_text(value, 4) for value in face.pose[3:].tolist()]
    fields += [_text(value, 3) for value in result.intensity.tolist()]
    fields += [str(int(probability >= OCCURS)) for probability in result.occurrence.tolist()]
    fields += [_text(value, 3) for value in result.raw_intensity.tolist()]
    if sides:
        both = result.sides if result.sides is not None else np.full((len(result.intensity), 2), np.nan)
        fields += [_text(value, 3) for value in both.ravel().tolist()]
    fields += [_text(value, 1) for value in face.box]
    return ",".join(fields)


def _quoted(name: str) -> str:
    """As one field on one line."""
    name = name.replace("\n", " ").replace("\r", " ")
    return '"' + name.replace('"', '""') + '"' if {",", '"'} & set(name) else name


def _text(value: float, digits: int) -> str:
    return f"{value:z.{digits}f}" if math.isfinite(value) else ""
