"""What a painted person looks like: chosen once, then painted by skin.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtatl_core.handoffs import Float32

# sRGB of skin from very light to very dark, evenly spaced on ``tone``; between photographs of faces, ours.
_SKINS = np.array(
    [
        *((244, 210, 190), (234, 190, 164), (219, 168, 138), (200, 147, 116), (174, 121, 91)),
        *((143, 95, 69), (110, 71, 51), (82, 53, 40), (60, 40, 32)),
    ],
    np.float32,
)
_HAIRS = np.array(
    [(16, 13, 12), (34, 24, 19), (58, 40, 28), (92, 64, 42), (138, 100, 62), (186, 150, 98), (142, 66, 34)], np.float32
)
_HAIRS_OF_LIGHT = (0.12, 0.2, 0.23, 0.18, 0.13, 0.1, 0.04)
# Undertones shift the colour in proportion, so that dark skins stay skins.
_GOLDEN = np.array([0.008, 0.0, -0.03], np.float32)
_ROSY = np.array([0.012, -0.035, -0.02], np.float32)
_IRISES = np.array([(64, 40, 22), (88, 56, 30), (46, 28, 18), (96, 110, 122), (84, 104, 78), (112, 92, 54)], np.float32)


BeardStyle = Literal["full", "goatee", "moustache"]
_BEARDS: tuple[BeardStyle, ...] = ("full", "goatee", "moustache")


@dataclass(frozen=True, slots=True)
class Complexion:
    tone: float
    """0 very light, 1 very dark."""
    skin: Float32
    """(3,) sRGB 0-255, as are all colours here."""
    male: float
    """0-1: how much of beard, thick brows and a bare scalp to expect."""
    age: float
    """0 = 18, 1 = 80 years or so."""
    hair: Float32
    iris: Float32
    cloth: Float32
    redness: float
    shadows_under_eyes: float
    freckles: float
    pores: float
    beard: float
    """0 shaved, .3 stubble, 1 dense."""
    beard_style: BeardStyle
    shave: float
    """How dark the roots of a shaved beard shine through."""
    brow_thickness: float
    brow_density: float
    brow_height: float
    """Pixels of a 512 texture, + up; 0 is where real brows lie on this face, below the rig's own brow points."""
    brow_arch: float
    lips: Float32
    lip_strength: float
    liner: float
    shadow: Float32 | None
    """Eye shadow's colour."""
    lashes: float
    pupil: float
    """Share of the iris."""

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Complexion:
        tone = float(rng.uniform())
        at = tone * (len(_SKINS) - 1)
        low = min(int(at), len(_SKINS) - 2)
        skin = _SKINS[low] * (low + 1 - at) + _SKINS[low + 1] * (at - low)
        golden, rosy = rng.normal(size=2).clip(-1.8, 1.8)
        skin = skin * np.exp(_GOLDEN * golden + _ROSY * rosy) * rng.uniform(0.92, 1.07)
        skin = skin.clip(20, 252).astype(np.float32)
        male, age = float(rng.random() < 0.5) * 0.8 + float(rng.uniform(0, 0.2)), float(rng.beta(1.2, 2.0))
        grey = float(np.clip((age - 0.45) * 1.8 + rng.normal(0, 0.15), 0, 1)) if rng.random() < 0.7 else 0.0
        hair = _hair(rng, tone, grey)
        made_up = rng.random() < (0.45 if male < 0.5 else 0.02)
        green = rng.uniform(0.52, 0.74)
        lips = skin * np.array([rng.uniform(0.78, 0.98), green, min(0.84, green * rng.uniform(1.0, 1.16))])
        if made_up and rng.random() < 0.7:
            red = rng.uniform(100, 205)
            lips = np.array([red, red * rng.uniform(0.2, 0.5), red * rng.uniform(0.3, 0.6)])
        dark_eyes = tone > 0.45 or rng.random() < 0.35
        iris = _IRISES[rng.integers(3)] if dark_eyes else _IRISES[rng.integers(len(_IRISES))]
        return cls(
            tone=tone,
            skin=skin,
            male=male,
            age=age,
            hair=hair,
            iris=(iris * rng.uniform(0.7, 1.1)).astype(np.float32),
            cloth=rng.uniform(8, 240, 3).astype(np.float32),
            redness=float(rng.uniform(0, 1.2)),
            shadows_under_eyes=float(rng.uniform(0, 0.25) + 0.1 * age),
            freckles=float(rng.uniform(0.3, 1)) if rng.random() < 0.25 * (1 - tone) else 0.0,
            pores=float(rng.uniform(0.2, 1) * (0.7 + 0.6 * age)),
            beard=float(rng.uniform(0.1, 1) ** 1.4) if male > 0.5 and rng.random() < 0.65 else 0.0,
            beard_style=_BEARDS[rng.choice(len(_BEARDS), p=(0.6, 0.25, 0.15))],
            shave=float(rng.uniform(0, 1)) * (1 - grey) if male > 0.5 else 0.0,
            brow_thickness=float(rng.uniform(3.4, 8.0) * (0.75 + 0.35 * male)),
            brow_density=float(rng.uniform(0.35, 1) * (0.8 + 0.3 * male)),
            brow_height=float(rng.normal(0, 2.5)),
            brow_arch=float(rng.uniform(-2.5, 4)),
            lips=lips.astype(np.float32),
            lip_strength=float(rng.uniform(0.5, 0.95)),
            liner=float(rng.uniform(0.3, 0.9)) if made_up else float(rng.uniform(0, 0.35)),
            shadow=_eye_shadow(rng, skin) if made_up and rng.random() < 0.6 else None,
            lashes=float(rng.uniform(0.1, 0.6) * (1 - 0.4 * male)),
            pupil=float(rng.uniform(0.28, 0.52)),
        )


def _eye_shadow(rng: np.random.Generator, skin: Float32) -> Float32:
    """Mostly a darker skin or rose, now and then any colour."""
    if rng.random() < 0.25:
        return rng.uniform(40, 200, 3).astype(np.float32)
    shadow: Float32 = (skin * rng.uniform((0.5, 0.4, 0.4), (0.85, 0.65, 0.75))).astype(np.float32)
    return shadow


def _hair(rng: np.random.Generator, tone: float, grey: float) -> Float32:
    row = rng.choice(len(_HAIRS), p=_HAIRS_OF_LIGHT) if tone < 0.5 and rng.random() < 0.8 else rng.integers(2)
    colour = _HAIRS[row] * rng.uniform(0.75, 1.25) * (1 - grey) + np.array([188, 186, 183]) * grey
    return np.asarray(colour.clip(5, 235), np.float32)
