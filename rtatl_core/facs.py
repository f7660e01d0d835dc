"""Facial Action Coding System vocabulary: AU numbers, names, muscles, regions, scales and data sets' AU sets.

Names and muscles follow Ekman, Friesen & Hager, *Facial Action Coding System* (2002). No torch, no OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_INTENSITY = 5.0
INTENSITY_LETTERS = "ABCDE"
"""FACS letters of the integer intensities 1-5: A trace, B slight, C marked, D severe, E maximum."""


class Part(Enum):
    """Coarse part of the face, for grouping and colour."""

    BROW = "brow"
    EYE = "eye"
    NOSE = "nose"
    CHEEK = "cheek"
    MOUTH = "mouth"
    CHIN = "chin"


@dataclass(frozen=True, slots=True)
class ActionUnit:
    number: int
    name: str
    """FACS name."""
    muscle: str
    part: Part

    @property
    def label(self) -> str:
        """Short label as written in column names: AU01, AU12."""
        return f"AU{self.number:02d}"


_ALL = (
    ActionUnit(1, "Inner brow raiser", "frontalis, pars medialis", Part.BROW),
    ActionUnit(2, "Outer brow raiser", "frontalis, pars lateralis", Part.BROW),
    ActionUnit(4, "Brow lowerer", "corrugator supercilii, depressor supercilii", Part.BROW),
    ActionUnit(5, "Upper lid raiser", "levator palpebrae superioris", Part.EYE),
    ActionUnit(6, "Cheek raiser", "orbicularis oculi, pars orbitalis", Part.CHEEK),
    ActionUnit(7, "Lid tightener", "orbicularis oculi, pars palpebralis", Part.EYE),
    ActionUnit(9, "Nose wrinkler", "levator labii superioris alaeque nasi", Part.NOSE),
    ActionUnit(10, "Upper lip raiser", "levator labii superioris", Part.MOUTH),
    ActionUnit(12, "Lip corner puller", "zygomaticus major", Part.MOUTH),
    ActionUnit(14, "Dimpler", "buccinator", Part.MOUTH),
    ActionUnit(15, "Lip corner depressor", "depressor anguli oris", Part.MOUTH),
    ActionUnit(16, "Lower lip depressor", "depressor labii inferioris", Part.MOUTH),
    ActionUnit(17, "Chin raiser", "mentalis", Part.CHIN),
    ActionUnit(18, "Lip pucker", "incisivii labii", Part.MOUTH),
    ActionUnit(20, "Lip stretcher", "risorius", Part.MOUTH),
    ActionUnit(22, "Lip funneler", "orbicularis oris", Part.MOUTH),
    ActionUnit(23, "Lip tightener", "orbicularis oris", Part.MOUTH),
    ActionUnit(24, "Lip pressor", "orbicularis oris", Part.MOUTH),
    ActionUnit(25, "Lips part", "depressor labii inferioris, relaxed mentalis", Part.MOUTH),
    ActionUnit(26, "Jaw drop", "masseter, relaxed temporalis", Part.CHIN),
    ActionUnit(27, "Mouth stretch", "pterygoids, digastric", Part.CHIN),
    ActionUnit(28, "Lip suck", "orbicularis oris", Part.MOUTH),
    ActionUnit(43, "Eyes closed", "relaxed levator palpebrae superioris", Part.EYE),
)

ACTION_UNITS: dict[int, ActionUnit] = {unit.number: unit for unit in _ALL}

BP4D_AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
DISFA_AUS = (1, 2, 4, 6, 9, 12, 25, 26)
DISFA_INTENSITY_AUS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def action_unit(number: int) -> ActionUnit:
    """The AU of that FACS number. Raises KeyError with the known numbers if there is none."""
    try:
        return ACTION_UNITS[number]
    except KeyError:
        raise KeyError(f"AU{number} is unknown; known are {', '.join(map(str, ACTION_UNITS))}") from None


def parse_label(label: str) -> int:
    """``"AU12"``, ``"AU12_r"``, ``"au_12"`` or ``"12"`` -> 12. Raises ValueError for anything else."""
    digits = label.upper().removeprefix("AU").lstrip("_").split("_")[0]
    if not digits.isdigit():
        raise ValueError(f"{label!r} names no action unit; write AU12 or 12")
    return int(digits)
