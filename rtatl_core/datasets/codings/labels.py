"""What coders write in a cell: the name of an AU and how strong it is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from rtatl_core.facs import INTENSITY_LETTERS, MAX_INTENSITY

OCCURS_FROM = 1.0
"""Where the coder gave no occurrence, an AU of at least this intensity counts as present: A, a trace."""

NOT_CODED = frozenset({"9", "NA", "NAN"})
"""Written where the coder could not tell, as DISFA, BP4D and spreadsheets do; compared in capitals."""

STRENGTHS = f"0-{MAX_INTENSITY:.0f} or {INTENSITY_LETTERS[0]}-{INTENSITY_LETTERS[-1]}; 9 or NA is not coded"

_CODE = re.compile(
    r"(?P<prefix>AU)?[ _-]?[LR]?(?P<number>\d{1,2})(?P<letter>[A-E])?([ _-]?(L|R|left|right))?(?P<rest>[\W_].*)?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Code:
    """One AU as coded. A one-sided code (L12, AU12_R) is the AU: of both sides the larger intensity counts."""

    au: int
    """FACS number; not necessarily one that this program knows."""
    letter: str
    """Intensity letter written behind the number, empty without one."""


def parse_codes(label: str) -> tuple[Code, ...]:
    """``"AU12"``, ``"12"``, ``"AU12 smile"``, ``"12C"``, ``"L12"``, ``"AU12_R"``, ``"6B+12C"`` -> the AUs named.
    Empty if it names none. Words may follow only after "AU": "12 months" is no AU."""
    matches = [_CODE.fullmatch(part.strip()) for part in label.split("+")]
    codes = []
    for match in matches:
        if match is None or (match["rest"] and not match["prefix"]):
            return ()
        codes.append(Code(int(match["number"]), (match["letter"] or "").upper()))
    return tuple(codes)


def number(text: str) -> float:
    """A decimal point or a decimal comma. Raises ValueError for anything that is no finite number."""
    value = float(text.strip().replace(",", "."))
    if not math.isfinite(value) or "_" in text:  # 1_0 is 10 to Python
        raise ValueError(f"{text!r} is no number")
    return value


def seconds(text: str) -> float:
    """``"1.5"``, ``"1,5"`` or ``"00:00:01.500"`` -> 1.5. Raises ValueError for anything else."""
    total = 0.0
    parts = text.split(":")
    for part in parts if len(parts) <= 3 and "-" not in text else [text]:
        total = total * 60 + number(part)
    return total


def parse_strength(text: str) -> tuple[float, float]:
    """(intensity, occurrence) of a cell. Empty is present with unknown intensity (NaN, 1), 9 and NA are not coded
    (NaN, NaN). Raises OverflowError for numbers beyond 0-5, ValueError for text."""
    text = text.strip().upper()
    if not text:
        return math.nan, 1.0
    if text in NOT_CODED:
        return math.nan, math.nan
    letter = INTENSITY_LETTERS.find(text) + 1 if len(text) == 1 else 0
    intensity = float(letter) if letter else number(text)
    if not 0 <= intensity <= MAX_INTENSITY:
        raise OverflowError(f"{text} is beyond 0-{MAX_INTENSITY:.0f}")
    return intensity, float(intensity >= OCCURS_FROM)
