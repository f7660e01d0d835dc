"""A person, an expression, a place -> a picture and everything that is true of it.

Enters: rigs, surroundings and seeds. Leaves: ``Shot``s. One studio per process; the same seeds give the same pictures
in any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from rtatl_core.errors import InputError
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.synthetic.degrade import degrade
from rtatl_core.synthetic.ict import IctRig
from rtatl_core.synthetic.in_front import GlassesStyle, glasses, occlude
from rtatl_core.synthetic.render import Finish, Renderer, Stance
from rtatl_core.synthetic.rig import Action, Head, Rig
from rtatl_core.synthetic.surroundings import Light, Surroundings
from rtatl_core.synthetic.wrinkles import Wrinkles

SIDE, LEAST_SIDE = 256, 32
"""Of the pictures; on smaller ones there is no room for what is painted behind a head."""
WITH_GLASSES = 0.15
OCCLUDED = 0.07
HEAD_CM = 25.0
"""Crown to chin, about; sets the distance at which a head fills a given share of the picture."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a studio takes its material from; travels to worker processes."""

    rigs: tuple[Path, ...]
    """FaceXModel folders of ICT-FaceKit, folders of VALID avatars (.glb)."""
    hdri: tuple[Path, ...] = ()
    """.hdr surroundings, as ``surroundings.hdr_files`` finds them; none = painted ones only."""
    side: int = SIDE

    def __post_init__(self) -> None:
        if self.side < LEAST_SIDE:
            raise InputError(f"a face cannot be drawn on {self.side} pixels; write --size {LEAST_SIDE} or more")

    def open_rigs(self) -> list[Rig]:
        """Raises InputError when one cannot be used."""
        return [open_rig(folder) for folder in self.rigs]


@dataclass(frozen=True, slots=True)
class Scene:
    """What stays the same while a clip runs."""

    light: Light
    background: UInt8
    """(fine, fine, 3) RGB."""
    distance: float
    field: float
    shift: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Person:
    head: Head
    wrinkles: Wrinkles
    finish: Finish
    glasses: GlassesStyle | None


@dataclass(frozen=True, slots=True)
class Shot:
    image: UInt8
    """(side, side, 3) RGB."""
    labels: Float32
    """(len(AUS), 2) what is to be seen, 0-1, left and right."""
    landmarks: Float32
    """(68, 2) pixels, projected from the rig."""
    stance: Stance
    action: Action
    vertices: Float32 = field(repr=False)


def open_rig(folder: Path) -> Rig:
    """The rig in that folder, told by its files. Raises InputError when it is none of those we know."""
    if any(folder.glob("*.glb")):
        from rtatl_core.synthetic.valid import ValidRig

        return ValidRig(folder)
    if any(folder.glob("*.obj")):
        return IctRig(folder)
    raise InputError(
        f"{folder} holds no rig; name the FaceXModel folder of ICT-FaceKit (.obj) or a folder of VALID avatars (.glb)"
    )


class Studio:
    """Rigs, renderer and surroundings, opened once. Raises InputError for a rig or an OpenGL that cannot be used."""

    def __init__(self, sources: Sources) -> None:
        cv2.setNumThreads(1)
        self.side = sources.side
        self.rigs: Sequence[Rig] = sources.open_rigs()
        self.renderer = Renderer(sources.side)
        self._surroundings = Surroundings(sources.hdri)
        self._loaded: Head | None = None

    def person(self, rng: np.random.Generator, rig: Rig | None = None) -> Person:
        """A new person; of any rig in turn by chance."""
        head = (rig or self.rigs[rng.integers(len(self.rigs))]).head(rng)
        age = head.age
        return Person(
            head=head,
            wrinkles=Wrinkles.sample(age, rng),
            finish=Finish(
                shine=float(rng.uniform(0.05, 0.45)),
                gloss=float(rng.uniform(8, 35)),
                relief=float(rng.uniform(0.5, 1.3)),
                hollows=float(rng.uniform(0.6, 1.4)),
            ),
            glasses=GlassesStyle.sample(rng) if rng.random() < WITH_GLASSES else None,
        )

    def scene(self, rng: np.random.Generator) -> Scene:
        angle = float(np.radians(rng.uniform(12, 45)))
        fill = rng.uniform(0.62, 1.3)
        light, background = self._surroundings.sample(rng, self.renderer.fine, angle)
        return Scene(
            light=light,
            background=background,
            distance=float(HEAD_CM / fill / 2 / np.tan(angle / 2) + 5),
            field=angle,
            shift=(float(rng.normal(0, 0.8)), float(rng.normal(0, 0.8))),
        )

    @staticmethod
    def stance(scene: Scene, pose: tuple[float, float, float]) -> Stance:
        return Stance(*pose, scene.shift, scene.distance, scene.field)

    def shoot(
        self,
        person: Person,
        action: Action,
        scene: Scene,
        pose: tuple[float, float, float],
        rng: np.random.Generator,
        *,
        flawless: bool = False,
    ) -> Shot:
        """One picture. pose: (yaw, pitch, roll) radians. ``flawless`` leaves out what cameras and things in the way
        do."""
        if self._loaded is not person.head:
            self.renderer.load(person.head)
            self._loaded = person.head
        vertices = person.head.vertices(action)
        stance = self.stance(scene, pose)
        drawn = self.renderer.draw(vertices, stance, scene.light, person.finish, person.wrinkles.relief(action))
        image = _before(scene.background, drawn)
        marks = stance.project(vertices[person.head.mesh.landmarks], self.side)
        if person.glasses is not None:
            image = glasses(image, _on_fine(marks, self.side, len(image)), person.glasses)
        if not flawless and rng.random() < OCCLUDED:
            image = occlude(image, _on_fine(marks, self.side, len(image)), rng)
        image = cv2.resize(image, (self.side, self.side), interpolation=cv2.INTER_AREA)
        if not flawless:
            image = degrade(image, rng)
        return Shot(image, person.head.labels(action, vertices), marks, stance, action, vertices)


def _before(background: UInt8, drawn: UInt8) -> UInt8:
    """The head, (h, w, 4) RGBA as ``Renderer.draw`` gives it, in front of its background (h, w, 3)."""
    image = background.copy()
    cv2.copyTo(cv2.cvtColor(drawn, cv2.COLOR_RGBA2RGB), (drawn[..., 3] == 255).view(np.uint8), image)
    return image


def _on_fine(points: Float32, side: int, fine: int) -> Float32:
    """Pixels of the picture -> pixels of the oversampled one."""
    return ((points + 0.5) * (fine / side) - 0.5).astype(np.float32)
