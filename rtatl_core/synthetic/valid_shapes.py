"""VALID avatars' morphs for each AU, as data, and where their landmarks lie in the texture.

The pairing and the weights are ours, judged by eye on renders. ``{S}`` stands for the side's letter, R or L; shapes of
sculpt.py are written ``:name``. Poor: AU20 (a faint morph), AU23 and AU28 (imitations).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rtatl_core.handoffs import Float32
from rtatl_core.synthetic.rig import LEFT, RIGHT, Action, Shapes

LETTER = {LEFT: "L", RIGHT: "R"}

SIDED: Shapes = {
    1: (("{S}browUp", 1.5), ("{S}pityful", 0.5)),
    2: (("{S}{S}browUp", 2.3),),
    4: (("{S}browDown", 1.0), ("{S}{S}browDown", 0.4), (":browSqueeze", 1.1), (":browLower", 1.4)),
    5: (("{S}eyeOpen", 1.6),),
    6: (("{S}squint", 0.3), ("{S}lowLid", 0.2), (":cheekLift", 1.0)),
    7: (("{S}lowLid", 0.85), ("{S}squint", 0.15), (":lidBag", 0.6)),
    9: (("{S}disgust", 1.0), ("{S}nostril", 0.9), ("{S}browDown", 0.45), ("{S}lowLid", 0.3), (":cornerDown", -0.6)),
    10: (("{S}lipUp", 0.9),),
    12: (("{S}smileClose", 1.55),),
    14: (("{S}lipCorner", 0.55), (":cornerTuck", 1.7), (":cornerDown", 0.25)),
    15: (("{S}mouthSad", 1.0), (":cornerDown", 0.6)),
    16: (("{S}lipDown", 0.9),),
    17: ((":chinBoss", 1.0), (":lipsUp", 1.0)),
    20: (("{S}lipSide", 1.0), (":cornerOut", 1.2)),
    23: ((":cornerIn", 0.8),),
    24: ((":overLip", 1.0), (":underLip", 1.0)),
    25: (("{S}lipDown", 0.45), ("{S}lipUp", 0.25)),
    43: (("{S}eyeClose", 1.0),),
}
WHOLE: Shapes = {
    17: (("Chin", 2.2),),
    18: (("Kiss", 1.0),),
    22: (("UW_U", 0.6), ("SH_CH", 0.5)),
    20: (("MPB_Up", 0.15), ("MPB_Down", 0.15)),
    23: (("JawCompress", 0.5), ("MPB_Up", 0.3), ("MPB_Down", 0.3)),
    24: (("JawCompress", 1.0), ("MPB_Up", 0.3)),
    25: (("MouthOpen", 0.3),),
    26: (("MouthOpen", 0.9),),
    27: (("MouthOpen", 0.6), ("Shout", 0.55)),
    28: (("MPB_Up", 1.05), ("MPB_Down", 1.05), ("JawCompress", 0.5)),
}
EXTRA_MORPHS: Mapping[str, str] = {
    "jaw_forward": "JawFront",
    "jaw_left": "Ljaw",
    "jaw_right": "Rjaw",
    "cheek_puff_left": "Lblow",
    "cheek_puff_right": "Rblow",
}
NEUTRAL_MORPHS = (
    *(("{S}browUp", 1.5), ("{S}{S}browUp", 1.2), ("{S}browDown", 1.2), ("{S}eyeOpen", 1.0), ("{S}squint", 0.7)),
    *(("{S}lowLid", 1.0), ("{S}smileClose", 1.2), ("{S}mouthSad", 1.2), ("{S}lipUp", 0.25), ("{S}lipDown", 0.25)),
    *(("{S}disgust", 0.5), ("{S}lipCorner", 1.0)),
)
"""Sided morphs by which resting faces differ, with the share of the common spread."""
NEUTRAL_WHOLE = ("Kiss", "Chin", "JawCompress", "MPB_Up")
LIDS_RISE, WIDEST = 3.5, 2.4
"""Weight of the morph that opens the lids for each radian that the eyes look up, and the largest of all."""
OPENING = ("MouthOpen", "Shout")
"""Morphs that lower the jaw."""


def morph_names() -> tuple[str, ...]:
    """Every morph of the avatars that is used here."""
    sided = {name for parts in (*SIDED.values(), NEUTRAL_MORPHS) for name, _ in parts if not name.startswith(":")}
    whole = {name for parts in WHOLE.values() for name, _ in parts} | {*EXTRA_MORPHS.values(), *NEUTRAL_WHOLE}
    return tuple(sorted(whole | {name.replace("{S}", letter) for name in sided for letter in "LR"}))


def morph_weights(action: Action, neutral: Mapping[str, float]) -> dict[str, float]:
    """Morph or brush (``:name_L``) -> weight, of a person whose resting face has the weights ``neutral``."""
    weights = action.weights(SIDED, WHOLE, lambda name, side: on_side(name, LETTER[side]))
    closed = max(action.both(au) for au in (23, 24, 28))
    for name in OPENING:  # lips that are pressed, tightened or sucked in stay closed
        weights[name] *= 1 - min(1.0, 2 * closed)
    for name, value in neutral.items():
        weights[name] += value
    for extra, amount in action.extras.items():
        if extra in EXTRA_MORPHS:
            weights[EXTRA_MORPHS[extra]] += 0.6 * amount
    down, up = max(0.0, -action.gaze[1]) * 0.5, max(0.0, action.gaze[1]) * LIDS_RISE
    for letter in LETTER.values():
        opening = f"{letter}eyeOpen"
        weights[opening] = min(weights[opening] + up, WIDEST)  # the lid follows the eye
        closing = f"{letter}eyeClose"
        weights[closing] += down * (1 - weights[closing])
        weights[closing] = min(weights[closing], 1.0)
        open_lids = 1 - 0.9 * max(0.0, weights[closing])
        for name in (f"{letter}squint", f"{letter}lowLid", f"{letter}eyeOpen"):
            if name in weights:
                weights[name] *= open_lids
    return weights


def on_side(name: str, letter: str) -> str:
    return f"{name}_{letter}" if name.startswith(":") else name.replace("{S}", letter)


LANDMARK_UV: Float32 = np.array(
    [
        *((0.147, 0.278), (0.153, 0.302), (0.162, 0.324), (0.170, 0.345), (0.176, 0.366), (0.190, 0.395)),
        *((0.214, 0.427), (0.268, 0.437), (0.327, 0.439), (0.385, 0.437), (0.440, 0.427), (0.463, 0.395)),
        *((0.477, 0.366), (0.483, 0.345), (0.491, 0.324), (0.500, 0.302), (0.506, 0.278), (0.200, 0.198)),
        *((0.220, 0.184), (0.246, 0.176), (0.271, 0.178), (0.296, 0.178), (0.357, 0.178), (0.382, 0.178)),
        *((0.407, 0.176), (0.433, 0.184), (0.454, 0.198), (0.327, 0.213), (0.327, 0.238), (0.327, 0.267)),
        *((0.327, 0.284), (0.282, 0.302), (0.301, 0.309), (0.327, 0.303), (0.353, 0.309), (0.371, 0.302)),
        *((0.2408, 0.2172), (0.2490, 0.2151), (0.2695, 0.2125), (0.2874, 0.2155), (0.2732, 0.2198)),
        *((0.2553, 0.2197), (0.3658, 0.2155), (0.3838, 0.2125), (0.4043, 0.2151), (0.4125, 0.2172)),
        *((0.3979, 0.2197), (0.3801, 0.2198), (0.2679, 0.3573), (0.2841, 0.3420), (0.2995, 0.3353)),
        *((0.3266, 0.3399), (0.3537, 0.3353), (0.3691, 0.3420), (0.3854, 0.3573), (0.3657, 0.3791)),
        *((0.3452, 0.3868), (0.3266, 0.3915), (0.3081, 0.3868), (0.2876, 0.3791), (0.2732, 0.3570)),
        *((0.3105, 0.3552), (0.3266, 0.3519), (0.3428, 0.3552), (0.3801, 0.3570), (0.3388, 0.3641)),
        *((0.3266, 0.3690), (0.3144, 0.3641)),
    ],
    np.float32,
)
"""(68, 2) of the avatars' common texture layout, v down. Found with MediaPipe's face mesh on a frontal render."""
