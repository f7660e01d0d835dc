"""Three questions to ask of a rig before a hundred thousand pictures are made of it.

1. Do its resting faces have the proportions of real ones, as the landmark finder of the live program sees them? (Brows
   painted half a centimetre too high once made every neutral face read as AU1 and AU2.)
2. Does each AU, alone and full on one head, move the landmarks that it should?
3. Is a face found in nearly every picture?

``rtatl synth --check`` answers them for a rig and exits with 1 if one fails.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from rtatl_core.face.align import frontal_geometry
from rtatl_core.face.find import FaceMesh
from rtatl_core.face.mesh import OUTER_EYE_MM, mean_face
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.expressions import sample_pose, sample_still
from rtatl_core.synthetic.rig import Rig, full, neutral_action
from rtatl_core.synthetic.studio import Person, Studio

INSIDE = 0.75
"""Share of resting renders that must lie within the real 5-95 % range, over all measures; and the median of each
measure must lie within it."""
FOUND = 0.99
FOUND_OF = 20
"""Pictures of each head, so many that one face in a hundred can be told from one in three hundred."""
PROBE_SHARE = 0.75
"""Share of heads on which an AU must move its measure the right way by the probe's ``millimetres``."""
_PROBE_POSE = (0.0, 0.0, 0.0)


def _below(a: int, b: int) -> Callable[[Float32], float]:
    """How far point b lies over point a, mm."""
    return lambda p: float(p[a, 1] - p[b, 1])


def _apart(a: int, b: int) -> Callable[[Float32], float]:
    return lambda p: float(np.linalg.norm(p[a] - p[b]))


def _mean(*measures: Callable[[Float32], float]) -> Callable[[Float32], float]:
    return lambda p: float(np.mean([measure(p) for measure in measures]))


MEASURES: Mapping[str, Callable[[Float32], float]] = {
    "inner_brow_height": _mean(_below(133, 55), _below(362, 285)),
    "outer_brow_height": _mean(_below(33, 46), _below(263, 276)),
    "middle_brow_height": _mean(_below(159, 105), _below(386, 334)),
    "between_brows": _apart(55, 285),
    "eye_opening": _mean(_apart(159, 145), _apart(386, 374)),
    "nose_width": _apart(129, 358),
    "nose_length": _below(2, 168),
    "upper_lip_length": _below(0, 2),
    "mouth_width": _apart(61, 291),
    "lips_height": _apart(0, 17),
    "lip_gap": _apart(13, 14),
    "corner_drop": _mean(_below(61, 13), _below(291, 13)),
    "lip_forward": lambda p: float(-(p[13, 2] + p[14, 2]) / 2),
    "chin_drop": _below(152, 2),
    "chin_height": _below(152, 17),
}
"""Name -> millimetres of a frontal face whose outer eye corners are 89 mm apart."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Which measure an AU must move, and which way."""

    measure: str
    sign: int
    millimetres: float = 0.5


PROBES: Mapping[int, Probe] = {
    1: Probe("inner_brow_height", 1),
    2: Probe("outer_brow_height", 1),
    4: Probe("inner_brow_height", -1, 0.3),
    5: Probe("eye_opening", 1, 0.3),
    6: Probe("eye_opening", -1),
    7: Probe("eye_opening", -1),
    9: Probe("upper_lip_length", -1),
    10: Probe("upper_lip_length", -1),
    12: Probe("mouth_width", 1, 1.0),
    15: Probe("corner_drop", 1, 0.3),
    16: Probe("lips_height", 1, 0.3),
    18: Probe("mouth_width", -1, 1.0),
    20: Probe("mouth_width", 1, 0.3),
    22: Probe("mouth_width", -1),
    24: Probe("lips_height", -1, 0.3),
    25: Probe("lip_gap", 1, 1.0),
    26: Probe("chin_drop", 1, 2.0),
    27: Probe("chin_drop", 1, 2.0),
    28: Probe("lips_height", -1, 1.0),
    43: Probe("eye_opening", -1, 2.0),
}
"""AU14, 17 and 23 change the skin more than the landmarks; they are not probed."""


def measure(landmarks: Float32) -> dict[str, float]:
    """(478, 3) pixels -> ``MEASURES``."""
    points = frontal_geometry(landmarks) * OUTER_EYE_MM + mean_face()
    return {name: of(points) for name, of in MEASURES.items()}


@cache
def real_ranges() -> Mapping[str, tuple[float, float, float]]:
    """Measure -> 5 %, 50 % and 95 % of real resting faces: photographs and frames in which MediaPipe's blendshapes say
    that the face is at rest (scripts/make_real_ranges.py)."""
    text = (resources.files("rtatl_core.synthetic") / "real_ranges.json").read_text(encoding="utf-8")
    return {name: tuple(values) for name, values in json.loads(text)["ranges_mm"].items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate found; ``lines`` are for a person."""

    name: str
    passed: bool
    lines: tuple[str, ...]


def check(studio: Studio, rig: Rig, heads: int, seed: int) -> list[Verdict]:
    """All three gates on ``heads`` people of a rig."""
    rng = np.random.default_rng(seed)
    people = [studio.person(rng, rig) for _ in range(heads)]
    with FaceMesh(tracking=False) as mesh:
        return [
            _found(studio, people, mesh, rng),
            _proportions(studio, people, mesh, rng),
            _probes(studio, people, mesh, rng),
        ]


def _found(studio: Studio, people: list[Person], mesh: FaceMesh, rng: np.random.Generator) -> Verdict:
    shots = [
        studio.shoot(person, sample_still(rng), studio.scene(rng), sample_pose(rng), rng)
        for person in people
        for _ in range(FOUND_OF)
    ]
    found = float(np.mean([bool(mesh(_bgr(shot.image))) for shot in shots]))
    return Verdict("faces found", found >= FOUND, (f"{found:.1%} of {len(shots)} pictures (needed {FOUND:.0%})",))


def _proportions(studio: Studio, people: list[Person], mesh: FaceMesh, rng: np.random.Generator) -> Verdict:
    measured = []
    for person in people:
        yaw, pitch, roll = sample_pose(rng)
        pose = (0.4 * yaw, 0.4 * pitch, 0.4 * roll)
        shot = studio.shoot(person, neutral_action(), studio.scene(rng), pose, rng, flawless=True)
        if faces := mesh(_bgr(shot.image)):
            measured.append(measure(faces[0]))
    lines, shares, passed = [], [], True
    for name, (low, middle, high) in real_ranges().items():
        values = np.array([one[name] for one in measured])
        inside = float(((values >= low) & (values <= high)).mean())
        typical = float(np.median(values))
        fits = low <= typical <= high
        passed &= fits
        shares.append(inside)
        lines.append(
            f"{name}: median {typical:.1f} mm, real {low:.1f} to {high:.1f} (median {middle:.1f}), {inside:.0%} inside"
            + ("" if fits else "  <- outside")
        )
    overall = float(np.mean(shares))
    lines.append(f"inside over all measures: {overall:.0%} (needed {INSIDE:.0%})")
    return Verdict("proportions at rest", passed and overall >= INSIDE, tuple(lines))


def _probes(studio: Studio, people: list[Person], mesh: FaceMesh, rng: np.random.Generator) -> Verdict:
    moves: dict[int, list[float]] = {au: [] for au in PROBES}
    for person in people[: max(8, len(people) // 2)]:
        scene = studio.scene(rng)
        faces = mesh(_bgr(studio.shoot(person, neutral_action(), scene, _PROBE_POSE, rng, flawless=True).image))
        if not faces:
            continue
        rest = measure(faces[0])
        for au, probe in PROBES.items():
            shot = studio.shoot(person, full(au), scene, _PROBE_POSE, rng, flawless=True)
            if faces := mesh(_bgr(shot.image)):
                moves[au].append(probe.sign * (measure(faces[0])[probe.measure] - rest[probe.measure]))
    lines, passed = [], True
    for au, probe in PROBES.items():
        share = float(np.mean([move >= probe.millimetres for move in moves[au]])) if moves[au] else 0.0
        passed &= share >= PROBE_SHARE
        which = "up" if probe.sign > 0 else "down"
        lines.append(
            f"AU{au}: {probe.measure} {which} by {np.median(moves[au] or [0.0]):.1f} mm, on {share:.0%} of the heads "
            f"by {probe.millimetres:g} or more" + ("" if share >= PROBE_SHARE else "  <- too little")
        )
    return Verdict("each AU moves what it should", passed, tuple(lines))


def _bgr(image: UInt8) -> UInt8:
    return np.ascontiguousarray(image[..., ::-1])
