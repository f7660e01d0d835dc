"""Contact sheets: what the generator makes, on one picture, for a person to look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from rtatl_core.errors import InputError
from rtatl_core.handoffs import UInt8
from rtatl_core.synthetic.expressions import sample_pose, sample_still
from rtatl_core.synthetic.moved import MovedPhotos
from rtatl_core.synthetic.rig import AUS, Action, Rig, full, neutral_action
from rtatl_core.synthetic.studio import SIDE, Person, Scene, Studio
from rtatl_core.synthetic.surroundings import Light, unit

_SCREEN = (128, 126, 122)
_COLUMNS = 6
_PHOTOS = 8


def random_sheet(studio: Studio, people: int, per_person: int, seed: int) -> UInt8:
    """RGB, a row for each person: random expressions as they go into training."""
    rows = []
    for who in range(people):
        rng = np.random.default_rng((seed, who))
        person = studio.person(rng, studio.rigs[who % len(studio.rigs)])
        shots = [
            studio.shoot(person, sample_still(rng), studio.scene(rng), sample_pose(rng), rng).image
            for _ in range(per_person)
        ]
        rows.append(np.hstack(shots))
    return np.vstack(rows)


def au_sheet(studio: Studio, rig: Rig, seed: int) -> UInt8:
    """RGB, one head: at rest, then each AU alone at FACS 5, with its number."""
    rng = np.random.default_rng(seed)
    person = dataclasses.replace(studio.person(rng, rig), glasses=None)
    scene = portrait_scene(studio)
    named = [("rest", neutral_action())] + [(f"AU{au}", full(au)) for au in AUS]
    pictures = []
    for name, action in named:
        image = studio.shoot(person, action, scene, (0.15, 0.0, 0.0), rng, flawless=True).image.copy()
        cv2.putText(image, name, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
        pictures.append(image)
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % _COLUMNS)
    return np.vstack([np.hstack(pictures[i : i + _COLUMNS]) for i in range(0, len(pictures), _COLUMNS)])


def moved_sheet(units: Sequence[MovedPhotos]) -> UInt8:
    """RGB, a row for each of some photos: as it is, and moved. Raises InputError when no face is found on them."""
    rows: dict[str, list[UInt8]] = {}
    for frame in units[0].frames():
        if frame.image is not None and (frame.subject in rows or len(rows) < _PHOTOS):
            rows.setdefault(frame.subject, []).append(_squared(frame.image[..., ::-1]))
    if not rows:
        raise InputError(f"{units[0].root}: no face was found on the photos; name others")
    return np.vstack([np.hstack(row) for row in rows.values()])


def _squared(image: UInt8) -> UInt8:
    """The middle of the picture, ``SIDE`` pixels wide and high."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = image[top : top + side, left : left + side]
    return cv2.resize(middle, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def portrait_scene(studio: Studio, *, distance: float = 60.0, up: float = -1.5) -> Scene:
    """A quiet light from the upper left of the sitter, a plain screen behind."""
    ambient = np.zeros((9, 3), np.float32)
    ambient[0], ambient[1] = 0.45 / 0.282095, 0.08 / 0.488603
    light = Light(
        ambient=ambient,
        key_direction=unit(0.5, 0.55, 0.75),
        key_colour=np.array([0.72, 0.70, 0.67], np.float32),
        fill_direction=unit(-0.8, 0.1, 0.6),
        fill_colour=np.array([0.14, 0.14, 0.16], np.float32),
        rim_direction=unit(-0.4, 0.3, -0.9),
        rim_colour=np.array([0.15, 0.15, 0.16], np.float32),
        shadow=0.6,
    )
    fine = studio.renderer.fine
    background = np.broadcast_to(np.array(_SCREEN, np.uint8), (fine, fine, 3))
    return Scene(light, background, distance, 0.40, (0.0, up))


def strip(
    studio: Studio, person: Person, scene: Scene, actions: Sequence[Action], pose: tuple[float, float, float]
) -> UInt8:
    """RGB, one picture beside the other, without camera faults."""
    rng = np.random.default_rng(0)
    return np.hstack([studio.shoot(person, action, scene, pose, rng, flawless=True).image for action in actions])
