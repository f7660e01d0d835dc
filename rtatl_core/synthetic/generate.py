"""Many pictures with their truth: in parallel, resumable, the same for the same seed whatever the number of processes.

Work is cut into units (a batch of people, or a clip). A unit's pictures go to a folder (``images/``, ``flow/``,
``labels.csv``), or, as ``Frame``s, straight into prepared chips. Either way a unit appears whole or not at all, and is
made anew when what it is made of has changed.
"""

from __future__ import annotations

import csv
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from rtatl_core.datasets.claim import claim, naming_a_full_disk
from rtatl_core.datasets.fingerprint import fingerprint
from rtatl_core.datasets.parts import FLOW_GAP_S, Frame, Plan
from rtatl_core.datasets.prepare import Report, prepare
from rtatl_core.datasets.rendered import OCCURRENCE_RULE, rendered_frame
from rtatl_core.errors import InputError
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32
from rtatl_core.parallel import work_through
from rtatl_core.progress import progress
from rtatl_core.synthetic.expressions import sample_pose, sample_still
from rtatl_core.synthetic.moved import MovedClip, MovedPhotos, opened
from rtatl_core.synthetic.rig import AUS, LANDMARKS
from rtatl_core.synthetic.script import CLIP_RATE, Script
from rtatl_core.synthetic.studio import Shot, Sources, Studio

PEOPLE_PER_UNIT = 20
STILLS_PER_PERSON = 8
FLOW_STEP = 4
"""Pixels of the picture per cell of the stored flow."""
JPEG_QUALITY = 92


@dataclass(frozen=True, slots=True)
class Taken:
    """A shot with its place in the data set."""

    name: str
    """File name of the picture."""
    identity: str
    rig: str
    clip: str
    time: float
    seed: tuple[int, ...]
    """What ``numpy.random.default_rng`` was given for it."""
    shot: Shot
    flow: Float32 | None = None
    """(side, side, 2) pixels to the picture ``flow_to``, or if that is its own name to the same head in the same pose
    with its face at rest; NaN off the head."""
    flow_to: str = ""


@dataclass(frozen=True, slots=True)
class Stills:
    """Some people, each in a few unrelated pictures."""

    number: int
    sources: Sources
    seed: int
    people: int = PEOPLE_PER_UNIT
    per_person: int = STILLS_PER_PERSON
    to_rest: bool = False
    """With exact flow to the same face at rest."""
    tracking: ClassVar[bool] = False

    @property
    def name(self) -> str:
        return f"stills-{self.number:05d}"

    @property
    def stem(self) -> str:
        """What the names of its pictures begin with, and no others' in the data set."""
        return f"{self.seed}-{self.number:05d}"

    def take(self) -> Iterator[Taken]:
        studio = _studio(self.sources)
        for who in range(self.people):
            rng = np.random.default_rng((self.seed, 0, self.number, who))
            person = studio.person(rng, studio.rigs[(self.number * self.people + who) % len(studio.rigs)])
            for which in range(self.per_person):
                seed = (self.seed, 1, self.number, who, which)
                rng = np.random.default_rng(seed)
                shot = studio.shoot(person, sample_still(rng), studio.scene(rng), sample_pose(rng), rng)
                name = f"{self.stem}-{who:02d}-{which}.jpg"
                yield Taken(
                    name=name,
                    identity=f"{self.seed}-{self.number}-{who}-{person.head.name}",
                    rig=person.head.name.split("-")[0],
                    clip="",
                    time=0.0,
                    seed=seed,
                    shot=shot,
                    flow=studio.renderer.flow_to_rest(shot.vertices, shot.stance) if self.to_rest else None,
                    flow_to=name if self.to_rest else "",
                )

    def frames(self) -> Iterator[Frame]:
        return map(_to_frame, self.take())


@dataclass(frozen=True, slots=True)
class Clip:
    """One person moving, with exact flow to the frame ``gap_s`` later or to the same face at rest."""

    number: int
    sources: Sources
    seed: int
    seconds: float = 4.0
    rate: float = CLIP_RATE
    gap_s: float = FLOW_GAP_S
    to_rest: bool = False
    tracking: ClassVar[bool] = False
    """Pictures are degraded one by one, and each is found as in a photo."""

    @property
    def name(self) -> str:
        return f"clip-{self.number:05d}"

    @property
    def stem(self) -> str:
        """What the names of its pictures begin with, and no others' in the data set; also what ``Taken.clip`` says."""
        return f"{self.seed}-c{self.number:05d}"

    def take(self) -> Iterator[Taken]:
        studio = _studio(self.sources)
        rng = np.random.default_rng((self.seed, 2, self.number))
        person = studio.person(rng, studio.rigs[self.number % len(studio.rigs)])
        scene, script = studio.scene(rng), Script.sample(rng, self.seconds)
        later = 0 if self.to_rest else round(self.gap_s * self.rate)
        count = round(self.seconds * self.rate)
        # The same draw for all frames of a clip: one camera, one pair of glasses, nothing that jumps.
        seed = (self.seed, 3, self.number, 0)
        ahead: deque[Shot] = deque()
        for index in range(count):
            while len(ahead) <= later and index + len(ahead) < count:
                moment = script.at((index + len(ahead)) / self.rate)
                rng = np.random.default_rng(seed)
                ahead.append(studio.shoot(person, moment.action, scene, moment.pose, rng))
            shot, then = ahead[0], index + later
            flow, flow_to = None, ""
            if self.to_rest:
                flow, flow_to = studio.renderer.flow_to_rest(shot.vertices, shot.stance), self._picture(index)
            elif then < count:
                places = [(at.vertices, at.stance) for at in (shot, ahead[later])]
                flow, flow_to = studio.renderer.flow(places[0], places[1]), self._picture(then)
            yield Taken(
                name=self._picture(index),
                identity=f"{self.seed}-clip-{self.number}-{person.head.name}",
                rig=person.head.name.split("-")[0],
                clip=self.stem,
                time=index / self.rate,
                seed=seed,
                shot=ahead.popleft(),
                flow=flow,
                flow_to=flow_to,
            )

    def _picture(self, index: int) -> str:
        return f"{self.stem}-{index:03d}.jpg"

    def frames(self) -> Iterator[Frame]:
        return map(_to_frame, self.take())


@cache
def _studio(sources: Sources) -> Studio:
    """One for each process."""
    return Studio(sources)


def _to_frame(taken: Taken) -> Frame:
    """A shot as the data sets hand frames over."""
    return rendered_frame(
        taken.name,
        taken.identity,
        np.ascontiguousarray(taken.shot.image[..., ::-1]),
        taken.shot.labels,
        clip=taken.clip,
        time=taken.time,
        flow=taken.flow,
        flow_to=taken.flow_to,
    )


def units_of(
    sources: Sources, count: int, clips: int, seed: int, seconds: float, *, to_rest: bool = False
) -> list[Stills | Clip]:
    """Units that make ``count`` stills (rounded up to whole people) and ``clips`` clips. to_rest: with exact flow to
    the same face at rest; else only clips have flow, to the frame 0.2 s later. Raises InputError for clips too
    short for one picture."""
    if clips and round(seconds * CLIP_RATE) < 1:
        raise InputError(
            f"clips of {seconds:g} s have no picture at {CLIP_RATE:g} a second; write --seconds 0.1 or more"
        )
    people = -(-count // STILLS_PER_PERSON)
    whole, rest = divmod(people, PEOPLE_PER_UNIT)
    units: list[Stills | Clip] = [Stills(number, sources, seed, to_rest=to_rest) for number in range(whole)]
    if rest:
        units.append(Stills(whole, sources, seed, people=rest, to_rest=to_rest))
    return units + [Clip(number, sources, seed, seconds, to_rest=to_rest) for number in range(clips)]


def generate(units: Sequence[Stills | Clip], out: Path, *, jobs: int) -> int:
    """Write the units that ``out`` lacks or has of other material, then ``labels.csv``; returns the number of pictures.
    Until then there is no ``labels.csv``: one from before would name pictures that are no more.

    Raises InputError when a rig cannot be used, RecipeError when ``out`` holds something else or the disk is full;
    finished units stay.
    """
    first = units[0]
    first.sources.open_rigs()  # before the folder is begun
    rigs = [folder.name for folder in first.sources.rigs]
    claim(out, {"seed": first.seed, "side": first.sources.side, "rigs": rigs}, "synth")
    with naming_a_full_disk(out):
        for name in ("images", "flow", "parts"):
            (out / name).mkdir(exist_ok=True)
        missing = [unit for unit in units if not _is_written(unit, out)]
        if missing:
            (out / "labels.csv").unlink(missing_ok=True)
            _forget(missing, out)
        done = work_through(partial(_write_unit, out=out), missing, jobs)
        for _ in progress(done, desc="rendering", unit="part", total=len(missing)):
            pass
        return _merge(out, units)


def prepare_directly(units: Sequence[Stills | Clip], out: Path, *, side: int, jobs: int) -> str:
    """Stream the pictures straight into prepared chips, as ``rtatl prepare rendered`` would make them of files; none
    is kept. Returns what to tell the person. Raises RecipeError as ``prepare`` does."""
    first = units[0]
    first.sources.open_rigs()  # before the folder is begun
    rigs = [folder.name for folder in first.sources.rigs]
    made_of = f"seed {first.seed}, {' and '.join(rigs)}"
    plan = Plan(kind="synthetic", aus=AUS, occurrence_rule=OCCURRENCE_RULE, side=side, made_of=made_of)
    origin = {"seed": first.seed, "rigs": rigs}
    return _told(prepare(units, out, plan, jobs=jobs, origin=origin), out)


def prepare_moved(units: Sequence[MovedPhotos | MovedClip], out: Path, *, side: int, jobs: int) -> str:
    """Photos that move, straight into prepared chips of real people. Returns what to tell the person. Raises InputError
    when a rig cannot be used, RecipeError as ``prepare`` does."""
    first = units[0]
    opened(first.rigs)  # before the folder is begun
    made_of = f"seed {first.seed}, photos moved by {' and '.join(folder.name for folder in first.rigs)}"
    plan = Plan(kind="moved", aus=AUS, occurrence_rule=OCCURRENCE_RULE, side=side, made_of=made_of)
    return _told(prepare(units, out, plan, jobs=jobs), out)


def _told(report: Report, out: Path) -> str:
    return "\n".join([*report.notes(), f"{out}: {report.used} faces, {sum(report.lost.values())} lost"])


def columns() -> list[str]:
    """Of ``labels.csv``. Angles in degrees, signs as in ``render.Stance`` and ``rig``; AUs 0-1 (= FACS 0-5)."""
    return [
        *("image", "identity", "rig", "seed", "clip", "time"),
        *("yaw_deg", "pitch_deg", "roll_deg", "gaze_yaw_deg", "gaze_pitch_deg"),
        *(f"{au_label(au)}_{side}" for au in AUS for side in "LR"),
        *(f"lm{point}_{axis}" for point in range(LANDMARKS) for axis in "xy"),
    ]


def row_of(taken: Taken) -> list[str]:
    shot = taken.shot
    angles = np.degrees([shot.stance.yaw, shot.stance.pitch, shot.stance.roll, *shot.action.gaze])
    return [
        *(taken.name, taken.identity, taken.rig, "-".join(map(str, taken.seed)), taken.clip, f"{taken.time:.4f}"),
        *(f"{angle:.2f}" for angle in angles),
        *(f"{value:.3f}" for value in shot.labels.ravel()),
        *(f"{value:.2f}" for value in shot.landmarks.ravel()),
    ]


def _mark(unit: Stills | Clip, out: Path) -> Path:
    """The file beside a unit's part of the labels that says of what it was made: the last that is written of it."""
    return out / "parts" / f"{unit.name}.fingerprint"


def _is_written(unit: Stills | Clip, out: Path) -> bool:
    mark = _mark(unit, out)
    return mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint(unit)


def _forget(units: Sequence[Stills | Clip], out: Path) -> None:
    """Removes what was drawn of these units before: of other material, or of a part that was not finished. Once for all
    of them, because looking through tens of thousands of files takes a while."""
    for unit in units:
        _mark(unit, out).unlink(missing_ok=True)
    stems = {unit.stem for unit in units}
    for folder in ("images", "flow"):
        for file in (out / folder).iterdir():
            if "-".join(file.name.split("-", 2)[:2]) in stems:
                file.unlink()


def _write_unit(unit: Stills | Clip, out: Path) -> None:
    rows = []
    for taken in unit.take():
        coded = cv2.imencode(".jpg", taken.shot.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
        (out / "images" / taken.name).write_bytes(coded.tobytes())
        if taken.flow is not None:
            cells = taken.flow[FLOW_STEP // 2 :: FLOW_STEP, FLOW_STEP // 2 :: FLOW_STEP]
            path = out / "flow" / f"{Path(taken.name).stem}.npz"
            np.savez_compressed(path, flow=cells.astype(np.float16), to=taken.flow_to, step=FLOW_STEP)
        rows.append(row_of(taken))
    with (out / "parts" / f"{unit.name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    _mark(unit, out).write_text(fingerprint(unit), encoding="utf-8")


def _merge(out: Path, units: Sequence[Stills | Clip]) -> int:
    unfinished, count = out / "labels.unfinished", 0
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns())
        for unit in units:
            with (out / "parts" / f"{unit.name}.csv").open(newline="", encoding="utf-8") as part:
                for row in csv.reader(part):
                    writer.writerow(row)
                    count += 1
    os.replace(unfinished, out / "labels.csv")
    return count
