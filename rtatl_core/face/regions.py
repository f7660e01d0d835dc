"""AU regions of interest (RoIs): landmarks -> the two places of the face where each AU shows.

Centres follow the rules that JAA-Net, ROI-Nets and EAC-Net share (Shao et al., IJCV 2021; Li et al., CVPR
2017; Li et al., PAMI 2018), carried over from the 68-point scheme to MediaPipe's mesh. Offsets are in units
of D, the distance of the inner eye corners in the upright chip. AUs without a published centre (5, 16, 18,
20, 22, 27, 28, 43) are ours. The window's side is 0.14 of the chip, as in JAA-Net.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from rtatl_core.face.mesh import EYE_INNER, MESH_POINTS, mirror_index
from rtatl_core.facs import Part, action_unit
from rtatl_core.handoffs import Float32

WINDOW = 0.14
"""Side of a region as a fraction of the chip's side."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Mean of mesh points, moved by ``shift`` (outwards, down) in units of D."""

    points: tuple[int, ...]
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One place on the subject's right, mirrored to the left; or an upper and a lower place on the
    midline."""

    first: _Place
    second: _Place | None = None


_UPPER_LIP, _LOWER_LIP = _Place((0,)), _Place((17,))
_LIPS = _Rule(_UPPER_LIP, _LOWER_LIP)
_MOUTH_CORNERS = _Rule(_Place((61,)))
_CHIN = _Rule(_Place((84,), (0.0, 0.5)))

_RULES: dict[int, _Rule] = {
    1: _Rule(_Place((55, 107), (0.0, -0.5))),
    2: _Rule(_Place((63, 70), (0.0, -1 / 3))),
    4: _Rule(_Place((52, 105), (0.0, 1 / 3))),
    5: _Rule(_Place((159,))),
    6: _Rule(_Place((144, 145), (0.0, 1.0))),
    7: _Rule(_Place((158,))),
    9: _Rule(_Place((98,), (0.0, -0.5))),
    10: _Rule(_Place((39,))),
    12: _MOUTH_CORNERS,
    14: _MOUTH_CORNERS,
    15: _MOUTH_CORNERS,
    16: _Rule(_Place((84,), (0.0, 0.25))),
    17: _CHIN,
    18: _LIPS,
    20: _Rule(_Place((61,), (0.15, 0.1))),
    22: _LIPS,
    23: _LIPS,
    24: _LIPS,
    25: _LIPS,
    26: _CHIN,
    27: _Rule(_Place((13, 14)), _Place((17, 152))),
    28: _Rule(_Place((13,)), _Place((14,))),
    43: _Rule(_Place((159, 145))),
}

REGION_AUS = tuple(_RULES)
"""AUs that have a region."""


def au_regions(landmarks: Float32, aus: tuple[int, ...]) -> Float32:
    """Centres of the AUs' regions.

    landmarks: (..., 478 or 468, 2) in an upright chip, as fractions of its side. Returns (..., n_aus, 2, 2):
    per AU the region on the subject's right then left (upper then lower lip for AUs of the midline), x then
    y, kept inside the chip so that a whole window fits. Raises ValueError for an AU without a rule.
    """
    weights, shifts = _rule_matrix(aus)
    unit = np.abs(landmarks[..., EYE_INNER[1], 0] - landmarks[..., EYE_INNER[0], 0])
    centres: Float32 = weights @ landmarks[..., :MESH_POINTS, :2] + unit[..., None, None] * shifts
    return centres.reshape(*centres.shape[:-2], len(aus), 2, 2).clip(WINDOW / 2, 1 - WINDOW / 2)


@cache
def _rule_matrix(aus: tuple[int, ...]) -> tuple[Float32, Float32]:
    """The rules of these AUs as one product: (n_aus * 2, 468) shares of mesh points, (n_aus * 2, 2) shifts in D."""
    unknown = [au for au in aus if au not in _RULES]
    if unknown:
        raise ValueError(f"no region is known for AU {', '.join(map(str, unknown))}; known are {REGION_AUS}")
    mirror = mirror_index()
    weights = np.zeros((len(aus), 2, MESH_POINTS), np.float32)
    shifts = np.zeros((len(aus), 2, 2), np.float32)
    for i, au in enumerate(aus):
        first, second = _RULES[au].first, _RULES[au].second
        if second is None:
            second = _Place(tuple(mirror[point] for point in first.points), first.shift)
        for side, (place, outwards) in enumerate(((first, -1.0), (second, 1.0))):
            weights[i, side, list(place.points)] = 1 / len(place.points)
            shifts[i, side] = (outwards * place.shift[0], place.shift[1])
    return weights.reshape(-1, MESH_POINTS), shifts.reshape(-1, 2)


_PARTS = ((Part.BROW,), (Part.CHEEK, Part.EYE), (Part.MOUTH,))


def erased_live(aus: tuple[int, ...]) -> tuple[int, ...]:
    """Indices into ``aus`` of the AUs whose regions are erased: the first of the brows, the first of cheeks and eyes,
    the first of the mouth, as far as the model has them; else the first of all. Always the same, so that the picture
    does not flicker, and at most three, as many as a face loses in training."""
    parts = [action_unit(au).part for au in aus]
    firsts = (next((i for i, part in enumerate(parts) if part in group), None) for group in _PARTS)
    return tuple(i for i in firsts if i is not None) or (0,)
