"""Facial Action Coding System vocabulary: AU numbers, names, muscles, regions, scales and data sets' AU sets.

Names and muscles follow Ekman, Friesen & Hager, *Facial Action Coding System* (2002). No torch, no OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MAX_INTENSITY = 5.0
OCCURS = 0.5
"""Probability from which on an AU counts as present."""
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
    look: str
    """What is to be seen, in one sentence."""


_ALL = (
    ActionUnit(
        1,
        "Inner brow raiser",
        "frontalis, pars medialis",
        Part.BROW,
        "The inner ends of the brows go up, often with short wrinkles in the middle of the forehead.",
    ),
    ActionUnit(
        2,
        "Outer brow raiser",
        "frontalis, pars lateralis",
        Part.BROW,
        "The outer ends of the brows go up and arch; wrinkles run over the outer forehead.",
    ),
    ActionUnit(
        4,
        "Brow lowerer",
        "corrugator supercilii, depressor supercilii",
        Part.BROW,
        "The brows come down and together; furrows stand between them.",
    ),
    ActionUnit(
        5,
        "Upper lid raiser",
        "levator palpebrae superioris",
        Part.EYE,
        "The upper lids go up, so that more of the iris, perhaps the white above it, is seen.",
    ),
    ActionUnit(
        6,
        "Cheek raiser",
        "orbicularis oculi, pars orbitalis",
        Part.CHEEK,
        "The cheeks go up and narrow the eyes from below; crow's feet and bags under the eyes appear.",
    ),
    ActionUnit(
        7,
        "Lid tightener",
        "orbicularis oculi, pars palpebralis",
        Part.EYE,
        "The lids tighten and the eyes narrow, most of all from the lower lid, without the cheeks' help.",
    ),
    ActionUnit(
        9,
        "Nose wrinkler",
        "levator labii superioris alaeque nasi",
        Part.NOSE,
        "The skin along the nose is drawn up and wrinkles its root; the nostril wings and upper lip go up with it.",
    ),
    ActionUnit(
        10,
        "Upper lip raiser",
        "levator labii superioris",
        Part.MOUTH,
        "The middle of the upper lip goes up, the fold beside the nose deepens, the nose itself stays smooth.",
    ),
    ActionUnit(
        12,
        "Lip corner puller",
        "zygomaticus major",
        Part.MOUTH,
        "The lip corners are pulled back and up towards the cheekbones, as in a smile.",
    ),
    ActionUnit(
        14,
        "Dimpler",
        "buccinator",
        Part.MOUTH,
        "The lip corners are pulled inwards against the teeth and tighten, often with a dimple; often on one side.",
    ),
    ActionUnit(
        15,
        "Lip corner depressor",
        "depressor anguli oris",
        Part.MOUTH,
        "The lip corners are pulled down; the skin under them may bulge.",
    ),
    ActionUnit(
        16,
        "Lower lip depressor",
        "depressor labii inferioris",
        Part.MOUTH,
        "The lower lip is pulled down and flattened; lower teeth may show.",
    ),
    ActionUnit(
        17,
        "Chin raiser",
        "mentalis",
        Part.CHIN,
        "The chin boss is pushed up and wrinkles; the lower lip goes up with it.",
    ),
    ActionUnit(
        18,
        "Lip pucker",
        "incisivii labii",
        Part.MOUTH,
        "The lips are pushed forward and drawn together, as if to kiss.",
    ),
    ActionUnit(
        20,
        "Lip stretcher",
        "risorius",
        Part.MOUTH,
        "The lip corners are pulled straight to the sides; the mouth gets longer and flatter.",
    ),
    ActionUnit(
        22,
        "Lip funneler",
        "orbicularis oris",
        Part.MOUTH,
        "The lips turn outwards like a funnel, as in 'sh'.",
    ),
    ActionUnit(
        23,
        "Lip tightener",
        "orbicularis oris",
        Part.MOUTH,
        "The lips are tightened and get narrower, their red part thinner, without being pressed together.",
    ),
    ActionUnit(
        24,
        "Lip pressor",
        "orbicularis oris",
        Part.MOUTH,
        "The lips are pressed together; no jaw movement, the red parts get thinner.",
    ),
    ActionUnit(
        25,
        "Lips part",
        "depressor labii inferioris, relaxed mentalis",
        Part.MOUTH,
        "The lips part; teeth or the mouth's inside may show.",
    ),
    ActionUnit(
        26,
        "Jaw drop",
        "masseter, relaxed temporalis",
        Part.CHIN,
        "The jaw drops by relaxing; the teeth part, the mouth opens no further than the jaw's own weight.",
    ),
    ActionUnit(
        27,
        "Mouth stretch",
        "pterygoids, digastric",
        Part.CHIN,
        "The mouth is stretched open by pulling the jaw down.",
    ),
    ActionUnit(
        28,
        "Lip suck",
        "orbicularis oris",
        Part.MOUTH,
        "The lips are sucked in over the teeth; their red part disappears.",
    ),
    ActionUnit(
        43,
        "Eyes closed",
        "relaxed levator palpebrae superioris",
        Part.EYE,
        "The eyes are closed without strain; a blink is a short one (AU45).",
    ),
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


def au_label(number: int) -> str:
    """As in column names: AU01, AU12."""
    return f"AU{number:02d}"


def parse_label(label: str) -> int:
    """``"AU12"``, ``"AU12_r"``, ``"au_12"`` or ``"12"`` -> 12. Raises ValueError for anything else."""
    digits = label.upper().removeprefix("AU").lstrip("_").split("_")[0]
    if not digits.isdigit():
        raise ValueError(f"{label!r} names no action unit; write AU12 or 12")
    return int(digits)
