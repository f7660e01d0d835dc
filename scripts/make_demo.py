"""The face generator -> assets/demo.mp4 and demo.csv: several people in turn, each AU alone, then expressions, then two
people together; what each face truly shows stands beside it, frame by frame.

    python scripts/make_demo.py --rig valid-avatars --rig FaceXModel --hdri HDRI

The clip in the repository was rendered from ICT-FaceKit (MIT, (c) USC Institute for Creative Technologies) and VALID
avatars (MIT, T. Do et al.) in surroundings from HDRI Haven (CC0). No real person is in it.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtatl_core.assets import asset
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32, UInt8
from rtatl_core.progress import progress
from rtatl_core.synthetic.render import Stance
from rtatl_core.synthetic.rig import AUS, Rig
from rtatl_core.synthetic.script import Moment, Script, Step
from rtatl_core.synthetic.sheet import portrait_scene
from rtatl_core.synthetic.studio import Person, Sources, Studio
from rtatl_core.synthetic.surroundings import Surroundings, hdr_files

RATE, WIDTH, HEIGHT = 25, 640, 480
FIELD = 0.54
"""Angle of view over the picture's width, radians."""
_QUICK = {"onset": 0.28, "apex": 0.28, "offset": 0.28, "pause": 0.1}


def alone(*aus: int) -> list[Step]:
    return [Step({au: 1.0}, **_QUICK) for au in aus]


def together(*expressions: dict[int, float | tuple[float, float]]) -> list[Step]:
    return [Step(aus, 0.4, 0.45, 0.4, 0.12) for aus in expressions]


BROWS_AND_EYES = alone(1, 2, 4, 5, 6, 7, 43) + together({1: 0.9, 2: 0.9, 5: 0.8})
NOSE_AND_CORNERS = [
    *alone(9, 10, 12),
    Step({14: (1.0, 0.0)}, **_QUICK),
    *alone(15, 16, 17),
    *together({6: 0.9, 12: 1.0, 25: 0.6}, {12: (0.9, 0.2)}),
]
LIPS_AND_JAW = alone(18, 20, 22, 23, 24, 25, 26, 27, 28)
EXPRESSIONS = together(
    {6: 0.9, 12: 1.0, 25: 0.8},
    {1: 1.0, 2: 1.0, 5: 0.8, 26: 0.9, 25: 0.8},
    {4: 1.0, 5: 0.5, 7: 0.8, 24: 0.8},
    {9: 1.0, 10: 0.7, 25: 0.5},
    {1: 0.9, 4: 0.7, 15: 1.0, 17: 0.6},
)
FIRST_OF_TWO = together({1: 1.0, 2: 1.0, 5: 0.6}, {6: 0.8, 12: 1.0, 25: 0.6}, {4: 1.0, 7: 0.6})
SECOND_OF_TWO = together({6: 0.8, 12: 1.0}, {4: 0.9, 24: 0.8}, {1: 0.9, 2: 0.9, 26: 0.8, 25: 0.6})


@dataclass(frozen=True, slots=True)
class Act:
    """Who is seen, and what each does."""

    people: tuple[int, ...]
    scripts: tuple[Script, ...]

    @property
    def seconds(self) -> float:
        return max(script.seconds for script in self.scripts) + 0.25


ACTS = (
    Act((0,), (Script.sequence(BROWS_AND_EYES),)),
    Act((1,), (Script.sequence(NOSE_AND_CORNERS),)),
    Act((2,), (Script.sequence(LIPS_AND_JAW),)),
    Act((3,), (Script.sequence(EXPRESSIONS),)),
    Act((0, 1), (Script.sequence(FIRST_OF_TWO), Script.sequence(SECOND_OF_TWO))),
)
"""``people`` are places in the cast, from the left of the picture to the right."""


def sway(moment: Moment, t: float, phase: float) -> Moment:
    """Nobody holds the head still; the eyes stay on the camera."""
    yaw = np.radians(7 * np.sin(0.9 * t + phase) + 2.5 * np.sin(2.1 * t + 2 * phase))
    pitch, roll = np.radians(3.5 * np.sin(0.7 * t + 1.7 * phase)), np.radians(2.5 * np.sin(0.5 * t + phase))
    action = dataclasses.replace(moment.action, gaze=(float(-yaw), float(-pitch)))
    return Moment(action, (float(yaw), float(pitch), float(roll)))


class Stage:
    """Draws the acts on backgrounds of the surroundings."""

    def __init__(self, studio: Studio, cast: Sequence[Person], hdri: Sequence[Path]) -> None:
        self._studio, self._cast = studio, cast
        self._surroundings = Surroundings(hdri)
        self._scene = portrait_scene(studio, distance=78.0, up=0.0)

    def play(self, number: int, act: Act) -> Iterator[tuple[UInt8, list[Float32]]]:
        """(HEIGHT, WIDTH, 3) RGB and the truth of each face, frame by frame."""
        _, room = self._surroundings.sample(np.random.default_rng(40 + number), WIDTH, 0.8)
        room = cv2.GaussianBlur(room[(WIDTH - HEIGHT) // 2 :][:HEIGHT], (0, 0), 6)
        for index in range(round(act.seconds * RATE)):
            t = index / RATE
            image, truths = room.astype(np.float32), []
            for place, (who, script) in enumerate(zip(act.people, act.scripts, strict=True)):
                drawn, truth = self._draw(who, sway(script.at(t), t, 1.3 * who), len(act.people))
                left = round(WIDTH * (2 * place + 1) / (2 * len(act.people)) - WIDTH / 2)
                _lay(image, drawn, left)
                truths.append(truth)
            noise = np.random.default_rng((number, index)).normal(0, 1.6, image.shape)
            yield (image + noise).clip(0, 255).astype(np.uint8), truths

    def _draw(self, who: int, moment: Moment, crowd: int) -> tuple[UInt8, Float32]:
        person, scene = self._cast[who], self._scene
        self._studio.renderer.load(person.head)
        vertices = person.head.vertices(moment.action)
        shift, distance = (0.0, -2.0 - 1.4 * (crowd - 1)), scene.distance + 8 * (crowd - 1)
        stance = Stance(*moment.pose, shift, distance, FIELD)
        relief = person.wrinkles.relief(moment.action)
        drawn = self._studio.renderer.draw(vertices, stance, scene.light, person.finish, relief)
        small = cv2.resize(drawn, (WIDTH, WIDTH), interpolation=cv2.INTER_AREA)
        return small[(WIDTH - HEIGHT) // 2 :][:HEIGHT], person.head.labels(moment.action, vertices)


def _lay(image: Float32, drawn: UInt8, left: int) -> None:
    """Put RGBA over the picture in place, cut off at its edges. Made smaller, its colours hold the black around the
    head in proportion to alpha already; multiplied by alpha once more they would draw a dark rim."""
    start, stop = max(left, 0), min(left + WIDTH, WIDTH)
    part = drawn[:, start - left : stop - left].astype(np.float32)
    alpha = part[..., 3:] / 255
    image[:, start:stop] = image[:, start:stop] * (1 - alpha) + part[..., :3]


def cast_of(studio: Studio, seeds: Sequence[tuple[Rig, int]]) -> list[Person]:
    made = [studio.person(np.random.default_rng(seed), rig) for rig, seed in seeds]
    return [dataclasses.replace(person, glasses=None) for person in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rig", type=Path, action="append", required=True)
    parser.add_argument("--hdri", type=Path)
    parser.add_argument("--seeds", type=int, nargs=4, default=(0, 129, 25, 120))
    parser.add_argument("--out", type=Path, default=asset("demo.mp4"))
    options = parser.parse_args()
    studio = Studio(Sources(tuple(options.rig), side=WIDTH))
    rigs = [studio.rigs[place % len(studio.rigs)] for place in range(4)]
    stage = Stage(studio, cast_of(studio, list(zip(rigs, options.seeds, strict=True))), hdr_files(options.hdri))
    writer = cv2.VideoWriter(str(options.out), cv2.VideoWriter_fourcc(*"mp4v"), RATE, (WIDTH, HEIGHT))
    with options.out.with_suffix(".csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["frame", "face", "identity", *(f"{au_label(au)}_{side}" for au in AUS for side in "LR")])
        frame = 0
        for number, act in enumerate(progress(ACTS, desc="acts", unit="act")):
            for image, truths in stage.play(number, act):
                writer.write(image[..., ::-1])
                frame += 1
                for face, (who, truth) in enumerate(zip(act.people, truths, strict=True)):
                    table.writerow([frame, face, who, *(f"{value:.3f}" for value in truth.ravel())])
    writer.release()
    print(f"{options.out}: {frame} frames, {frame / RATE:.1f} s, {options.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
