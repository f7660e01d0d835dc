"""ICT-FaceKit's shapes for each AU, as data: which shape, how much of it at intensity 1 (FACS 5).

The rig follows ARKit's blend shapes, not FACS; the pairing and the weights are ours, judged by eye on renders and by
what MediaPipe's landmarks do. Weights above 1 stretch shapes that are too faint for a FACS E. Not expressible:
AU23 (no lip-tightening shape; an imitation that is close to 24). Faint and helped by brushes (sculpt.py): AU4, AU6,
AU7, AU14, AU15, AU17; faint all the same: AU24. No left and right of their own: 17, 18, 22, 25-28.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from rtatl_core.synthetic.rig import LEFT, RIGHT, SINGLE, Action, Shapes
from rtatl_core.synthetic.sculpt import BRUSHES

SUFFIX = {LEFT: "_L", RIGHT: "_R"}

SIDED: Shapes = {
    1: (("browInnerUp", 1.5),),
    2: (("browOuterUp", 1.25),),
    4: (("browDown", 1.55), ("browSqueeze", 1.0), ("browLower", 1.0)),
    5: (("eyeWide", 1.5),),
    6: (("cheekSquint", 1.0), ("cheekRaiser", 0.4), ("eyeSquint", 0.35), ("cheekLift", 1.0)),
    7: (("eyeSquint", 1.4), ("eyeBlink", 0.12), ("lidBag", 1.0)),
    9: (("noseSneer", 1.1), ("browDown", 0.35), ("browSqueeze", 0.3), ("lidBag", 0.4)),
    10: (("mouthUpperUp", 1.0), ("noseSneer", 0.12)),
    12: (("mouthSmile", 1.0),),
    14: (("mouthDimple", 1.0), ("cornerTuck", 1.4), ("cornerDown", 0.4)),
    15: (("mouthFrown", 1.6), ("cornerDown", 0.7)),
    16: (("mouthLowerDown", 1.0),),
    17: (("chinBoss", 1.0), ("lipsUp", 1.0)),
    20: (("mouthStretch", 1.25),),
    23: (("mouthPress", 0.5), ("cornerIn", 0.8)),
    24: (("mouthPress", 1.4), ("overLip", 1.0), ("underLip", 1.0)),
    25: (("mouthLowerDown", 0.22), ("mouthUpperUp", 0.15)),
    43: (("eyeBlink", 1.0),),
}
"""Shapes that come as ``_L`` and ``_R``."""

WHOLE: Shapes = {
    17: (("mouthShrugLower", 1.0), ("mouthShrugUpper", 0.25)),
    18: (("mouthPucker", 1.0),),
    22: (("mouthFunnel", 1.0),),
    20: (("mouthRollUpper", 0.12), ("mouthRollLower", 0.12)),
    23: (("mouthRollUpper", 0.4), ("mouthRollLower", 0.4), ("mouthPucker", 0.2)),
    24: (("mouthRollUpper", 0.35), ("mouthRollLower", 0.3), ("mouthShrugLower", 0.15)),
    25: (("jawOpen", 0.13),),
    26: (("jawOpen", 0.45),),
    27: (("jawOpen", 0.75),),
    28: (("mouthRollUpper", 1.0), ("mouthRollLower", 1.0)),
}
"""Shapes of the whole face; moved by the mean of the two sides."""

EXTRA_SHAPES: Mapping[str, str] = {
    "jaw_forward": "jawForward",
    "jaw_left": "jawLeft",
    "jaw_right": "jawRight",
    "mouth_left": "mouthLeft",
    "mouth_right": "mouthRight",
    "cheek_puff_left": "cheekPuff_L",
    "cheek_puff_right": "cheekPuff_R",
}

NEUTRAL_SHAPES = (
    *(("browInnerUp", 1.0), ("browOuterUp", 1.0), ("browDown", 1.0), ("eyeWide", 1.0), ("eyeSquint", 1.0)),
    *(("mouthSmile", 1.0), ("mouthFrown", 1.0), ("mouthPress", 1.0), ("mouthDimple", 1.0), ("mouthStretch", 1.0)),
    *(("noseSneer", 0.5), ("cheekSquint", 1.0), ("mouthUpperUp", 0.25), ("mouthLowerDown", 0.25)),
)
"""Sided shapes by which resting faces differ, with the share of the common spread."""
NEUTRAL_WHOLE = ("mouthPucker", "mouthRollUpper", "mouthRollLower", "mouthShrugLower", "mouthShrugUpper")

FULL_LOOK = 0.6
"""Gaze angle in radians at which the rig's eyeLook shapes, which move the lids alone, are at 1."""
LIDS_RISE = 1.0
"""How much of eyeWide goes with eyeLookUp, which alone lets the iris hide under the lid."""
FULL_JAW = (0.45, 0.35, 0.4)
"""jawOpen at AU26 = 1; where AU27 begins; how much further it reaches 1."""
MOST = 1.7
"""Weight beyond which a shape breaks the mesh; of those that fold lids, jaw or lips 1."""
_FOLDING = ("eyeBlink", "jawOpen", "mouthRoll", "cheekR")


def shape_weights(action: Action, neutral: Mapping[str, float]) -> dict[str, float]:
    """Shape name -> weight, of an action of a person whose resting face has the weights ``neutral``."""
    weights = action.weights(SIDED, WHOLE, lambda shape, side: shape + SUFFIX[side])
    for name in weights:
        weights[name] = min(weights[name], 1.0 if name.startswith(_FOLDING) else MOST)
    # Lips that are pressed, tightened or sucked in stay closed over an open jaw.
    closed = max(action.both(au) for au in (23, 24, 28))
    if closed > 0 and weights["jawOpen"] > 0:
        weights["mouthClose"] += weights["jawOpen"] * min(1.0, 2 * closed)
    for name, value in neutral.items():
        weights[name] += value
    for extra, amount in action.extras.items():
        weights[EXTRA_SHAPES[extra]] += amount
    _look(action.gaze, weights)
    for suffix in SUFFIX.values():  # closed lids hide what else the lids do
        weights["eyeWide" + suffix] = min(weights["eyeWide" + suffix], MOST)
        open_lids = 1 - 0.8 * min(1.0, max(0.0, weights.get(f"eyeBlink{suffix}", 0.0)))
        for shape in ("eyeSquint", "eyeWide", "eyeLookDown", "eyeLookUp"):
            if shape + suffix in weights:
                weights[shape + suffix] *= open_lids
    return weights


def _look(gaze: tuple[float, float], weights: defaultdict[str, float]) -> None:
    """The lids follow the eyes."""
    yaw, pitch = (max(-1.0, min(1.0, angle / FULL_LOOK)) for angle in gaze)
    outwards = "_L" if yaw > 0 else "_R"
    inwards = "_R" if yaw > 0 else "_L"
    weights[f"eyeLookOut{outwards}"] += abs(yaw)
    weights[f"eyeLookIn{inwards}"] += abs(yaw)
    for suffix in SUFFIX.values():
        weights[("eyeLookUp" if pitch > 0 else "eyeLookDown") + suffix] += abs(pitch)
        weights["eyeWide" + suffix] += LIDS_RISE * max(0.0, pitch)


def shape_names() -> tuple[str, ...]:
    """Every shape of the rig that is used here."""
    sided = {shape for parts in SIDED.values() for shape, _ in parts} | {shape for shape, _ in NEUTRAL_SHAPES}
    sided |= {"eyeLookOut", "eyeLookIn", "eyeLookUp", "eyeLookDown"}
    whole = {shape for parts in WHOLE.values() for shape, _ in parts}
    whole |= {*NEUTRAL_WHOLE, *EXTRA_SHAPES.values(), "mouthClose"}
    return tuple(sorted(whole | {shape + suffix for shape in sided - BRUSHES.keys() for suffix in SUFFIX.values()}))


assert not set(SIDED) - {17, 25} & SINGLE, "an AU of one side has no shapes by sides"
