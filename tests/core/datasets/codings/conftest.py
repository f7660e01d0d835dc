"""What the tests of human codings share: a file is written, read, and asked about an AU at a time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from rtatl_core.datasets.codings.coding import VideoCoding
from rtatl_core.datasets.codings.read import read_codings

NAN = math.nan


def sample(name: str) -> str:
    """A file as the program of that name writes it."""
    return (Path(__file__).parent / "samples" / name).read_text()


def read(folder: Path, text: str, name: str = "coding.csv", encoding: str = "utf-8") -> list[VideoCoding]:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return read_codings(path)


def seen(coding: VideoCoding, time_s: float, au: int, frame: int = 0) -> tuple[float, float]:
    """(intensity, occurrence) of one AU."""
    index = coding.aus.index(au)
    intensity, occurrence = coding.at(frame, time_s)
    assert intensity.shape == occurrence.shape == (len(coding.aus),)
    return float(intensity[index]), float(occurrence[index])


def same(found: tuple[float, float], *wanted: float) -> None:
    assert found == pytest.approx(wanted, nan_ok=True)
