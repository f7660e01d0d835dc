"""Published F1 tables of BP4D and DISFA, and the positive rates of both sets. Data only.

Protocol of every row: three subject-exclusive folds, F1 per AU over the frames of a test fold at threshold 0.5; all
numbers in percent. MDHR states that it prints the average of the three folds; whether every other row is that average
or pools the folds could not be confirmed. The public code of JAA-Net and ME-GraphAU looks at the test fold after every
epoch and has no fold for choosing one, so a printed number may be the best epoch's.

RTATL's own row is not here: its tables (arXiv 2107.14399) could not be read, and no other paper that could be read
prints them. ``WSRTL``, its weakly supervised extension (arXiv 2204.00379), stands as MDHR prints it.

Status: CONFIRMED where the source is the method's own table, SECONDARY where another work prints it. Left out, since
cells and printed average contradict each other: HSTR-Net, UGN-B and SMA-Net on DISFA.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from rtatl_core.facs import BP4D_AUS, DISFA_AUS


class Status(Enum):
    """Who vouches for a number."""

    CONFIRMED = "own table"
    SECONDARY = "as another work prints it"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One method's line of a table."""

    method: str
    year: int
    f1: tuple[float, ...]
    """Percent, in the order of the table's ``aus``."""
    average: float
    """Percent, as printed."""
    source: str
    """Where the line was read."""
    status: Status
    note: str = ""
    """What is odd about the line; empty when cells and average agree."""


@dataclass(frozen=True, slots=True)
class Published:
    """One data set's table with what an evaluation must share to stand beside it."""

    name: str
    key: str
    """Key in ``PUBLISHED`` and ``POSITIVE_RATES``."""
    aus: tuple[int, ...]
    frames: int
    """Labelled frames; the works drop up to 4 % of them for want of landmarks."""
    fold_subjects: tuple[int, ...]
    """Subjects per fold, largest first."""
    rows: tuple[PublishedRow, ...]
    """Ascending by printed average."""


_MDHR = "MDHR (arXiv 2404.06443)"
_MEG = "ME-GraphAU (github.com/CVI-SZU/ME-GraphAU)"
_AUNCE = "AUNCE (arXiv 2402.06165)"
_FMAE = "FMAE-IAT (arXiv 2407.11243)"


def _row(method: str, year: int, cells: str, average: float, *sources: str, note: str = "") -> PublishedRow:
    """A line that others print."""
    f1 = tuple(float(cell) for cell in cells.split())
    return PublishedRow(method, year, f1, average, ", ".join(sources), Status.SECONDARY, note)


def _own(method: str, year: int, cells: str, average: float, source: str) -> PublishedRow:
    """A line of the source's own method."""
    f1 = tuple(float(cell) for cell in cells.split())
    return PublishedRow(method, year, f1, average, source, Status.CONFIRMED)


_EAC_BP4D = "the twelve cells average 55.6"
_EAC_DISFA = "AU9 is inferred: copies print 80.5, with which the average would be 57.4; 8.5 gives the printed one"
_WSRTL = "weakly supervised extension of RTATL"

_BP4D_ROWS = (
    _row(
        "EAC-Net",
        2018,
        "39.0 35.2 48.6 76.1 72.9 81.9 86.2 58.8 37.5 59.1 35.9 35.8",
        55.9,
        _MDHR,
        _MEG,
        note=_EAC_BP4D,
    ),
    _row("JAA-Net", 2018, "47.2 44.0 54.9 77.5 74.6 84.0 86.9 61.9 43.6 60.3 42.7 41.9", 60.0, _MDHR, _MEG),
    _row("LP-Net", 2019, "43.4 38.0 54.2 77.1 76.7 83.8 87.2 63.3 45.3 60.5 48.1 54.2", 61.0, _MEG),
    _row("ARL", 2019, "45.8 39.8 55.1 75.7 77.2 82.3 86.6 58.8 47.6 62.1 47.4 55.4", 61.1, _MDHR, _MEG),
    _row("JAA-Net (IJCV)", 2021, "53.8 47.8 58.2 78.5 75.8 82.7 88.2 63.7 43.3 61.8 45.6 49.9", 62.4, _AUNCE),
    _row("SRERL", 2019, "46.9 45.3 55.6 77.1 78.4 83.5 87.6 63.9 52.2 63.9 47.1 53.3", 62.9, _MDHR, _MEG),
    _row("STRAL", 2020, "48.2 47.7 58.1 75.8 78.1 81.6 87.6 60.5 50.2 64.0 51.2 55.2", 63.2, _MDHR),
    _row("UGN-B", 2021, "54.2 46.4 56.8 76.2 76.7 82.4 86.1 64.7 51.2 63.1 48.5 53.6", 63.3, _MEG),
    _row("HMP-PS", 2021, "53.1 46.1 56.0 76.5 76.9 82.1 86.4 64.8 51.5 63.0 49.9 54.5", 63.4, _MEG, _FMAE),
    _row("SEV-Net", 2021, "58.2 50.4 58.3 81.9 73.9 87.8 87.5 61.6 52.6 62.2 44.6 47.6", 63.9, _MEG, _FMAE),
    _row("FAUDT", 2021, "51.7 49.3 61.0 77.8 79.5 82.9 86.3 67.6 51.9 63.0 43.7 56.3", 64.2, _MDHR, _MEG, _FMAE),
    _row("PIAP", 2021, "55.0 50.3 51.2 80.0 79.7 84.7 90.1 65.6 51.4 63.8 50.5 50.9", 64.4, _FMAE),
    _row("KSRL", 2022, "53.3 47.4 56.2 79.4 80.7 85.1 89.0 67.4 55.9 61.9 48.5 49.0", 64.5, _AUNCE, _FMAE),
    _row("HSTR-Net", 2022, "55.5 49.5 61.9 76.6 80.2 84.2 87.4 62.6 54.8 64.1 47.1 52.1", 64.7, _MDHR),
    _row("KS", 2023, "55.3 48.6 57.1 77.5 81.8 83.3 86.4 62.8 52.3 61.3 51.6 58.3", 64.7, _MDHR),
    _own("ME-GraphAU, ResNet-50", 2022, "53.7 46.9 59.0 78.5 80.0 84.4 87.8 67.3 52.5 63.2 50.6 52.4", 64.7, _MEG),
    _row("FAN-Trans", 2023, "55.4 46.0 59.8 78.7 77.7 82.7 88.6 64.7 51.4 65.7 50.9 56.0", 64.8, _MDHR),
    _own("ME-GraphAU, Swin-B", 2022, "52.7 44.3 60.9 79.9 80.1 85.3 89.2 69.4 55.4 64.4 49.8 55.1", 65.5, _MEG),
    _row("SACL", 2023, "57.8 48.8 59.4 79.1 78.8 84.0 88.2 65.2 56.1 63.8 50.8 55.2", 65.6, _AUNCE),
    _row("CLEF", 2023, "55.8 46.8 63.3 79.5 77.6 83.6 87.8 67.3 55.2 63.5 53.0 57.8", 65.9, _AUNCE, _FMAE),
    _row("WSRTL", 2022, "59.7 51.7 61.6 80.3 80.9 85.2 89.7 67.8 52.2 63.4 51.4 46.9", 65.9, _MDHR, note=_WSRTL),
    _own("AUNCE", 2024, "53.6 49.8 61.6 78.4 78.8 84.7 89.6 67.4 55.1 65.4 50.9 58.0", 66.1, _AUNCE),
    _own("MDHR, ResNet-50", 2024, "58.3 50.9 58.9 78.4 80.3 84.9 88.2 69.5 56.0 65.5 49.5 59.3", 66.6, _MDHR),
    _own("FMAE", 2024, "59.2 50.0 62.7 80.0 79.2 84.7 89.8 63.5 52.8 65.1 55.3 56.9", 66.6, _FMAE),
    _own("FMAE-IAT", 2024, "62.7 51.9 62.7 79.8 80.1 84.8 89.9 64.6 54.9 65.4 53.1 54.7", 67.1, _FMAE),
)

_DISFA_ROWS = (
    _row("EAC-Net", 2018, "41.5 26.4 66.4 50.7 8.5 89.3 88.9 15.6", 48.5, _MDHR, _MEG, note=_EAC_DISFA),
    _row("SRERL", 2019, "45.7 47.8 59.6 47.1 45.6 73.5 84.3 43.6", 55.9, _MDHR, _MEG),
    _row("JAA-Net", 2018, "43.7 46.2 56.0 41.4 44.7 69.6 88.3 58.4", 56.0, _MDHR, _MEG),
    _row("LP-Net", 2019, "29.9 24.7 72.7 46.8 49.6 72.9 93.8 65.0", 56.9, _MEG),
    _row("ARL", 2019, "43.9 42.1 63.6 41.8 40.0 76.2 95.2 66.8", 58.7, _MDHR, _MEG),
    _row("SEV-Net", 2021, "55.3 53.1 61.5 53.6 38.2 71.6 95.7 41.5", 58.8, _MEG),
    _row("HMP-PS", 2021, "38.0 45.9 65.2 50.9 50.8 76.0 93.3 67.6", 61.0, _MEG),
    _row("FAUDT", 2021, "46.1 48.6 72.8 56.7 50.0 72.1 90.8 55.4", 61.5, _MDHR, _MEG, _FMAE),
    _row("KS", 2023, "53.8 59.9 69.2 54.2 50.8 75.8 92.2 46.8", 62.8, _MDHR, _FMAE),
    _row("STRAL", 2020, "52.2 47.4 68.9 47.8 56.7 72.5 91.3 67.6", 63.0, _MDHR),
    _own("ME-GraphAU, ResNet-50", 2022, "54.6 47.1 72.9 54.0 55.7 76.7 91.1 53.0", 63.1, _MEG),
    _row("JAA-Net (IJCV)", 2021, "62.4 60.7 67.1 41.1 45.1 73.5 90.9 67.4", 63.5, _AUNCE),
    _row("PIAP", 2021, "50.2 51.8 71.9 50.6 54.5 79.7 94.1 57.2", 63.8, _FMAE),
    _row("FAN-Trans", 2023, "56.4 50.2 68.6 49.2 57.6 75.6 93.6 58.8", 63.8, _MDHR),
    _row("KSRL", 2022, "60.4 59.2 67.5 52.7 51.5 76.1 91.3 57.7", 64.5, _AUNCE, _FMAE),
    _row("WSRTL", 2022, "57.3 51.8 74.3 49.8 44.8 79.3 94.6 64.6", 64.6, _MDHR, note=_WSRTL),
    _row("CLEF", 2023, "64.3 61.8 68.4 49.0 55.2 72.9 89.9 57.0", 64.8, _AUNCE, _FMAE),
    _row("SACL", 2023, "62.0 65.7 74.5 53.2 43.1 76.9 95.6 53.1", 65.5, _AUNCE, _FMAE),
    _own("MDHR, Swin-B", 2024, "65.4 60.2 75.2 50.2 52.4 74.3 93.7 58.2", 66.2, _MDHR),
    _own("AUNCE", 2024, "61.8 58.9 74.9 49.7 56.2 73.5 92.1 64.2", 66.4, _AUNCE),
    _own("FMAE", 2024, "62.7 59.5 67.3 55.6 61.8 77.9 95.0 69.8", 68.7, _FMAE),
    _own("FMAE-IAT", 2024, "64.7 61.3 70.8 58.1 59.4 79.9 95.2 71.3", 70.1, _FMAE),
)

PUBLISHED: dict[str, Published] = {
    "bp4d": Published("BP4D", "bp4d", BP4D_AUS, 146_847, (14, 14, 13), _BP4D_ROWS),
    "disfa": Published("DISFA", "disfa", DISFA_AUS, 130_814, (9, 9, 9), _DISFA_ROWS),
}
