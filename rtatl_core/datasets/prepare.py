"""Data sets -> prepared chips, in parallel and resumable.

A data set is a list of *units* (a sequence, a video, a batch of photos). Each unit yields its frames with their
labels; here the face is found by the same FaceMesh as in the live program, aligned, and written to the unit's own
part of the prepared folder, which appears whole or not at all. Running the same command again does only the units
that are missing or have changed. Every frame that does not become a chip is counted with its reason.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from rtatl_core.datasets.chips import declare_incomplete, part_folder, write_meta
from rtatl_core.datasets.claim import claim, naming_a_full_disk
from rtatl_core.datasets.fingerprint import fingerprint
from rtatl_core.datasets.parts import NO_FACE, Frame, PartWriter, Plan
from rtatl_core.datasets.teacher import Teacher
from rtatl_core.errors import RecipeError
from rtatl_core.face.find import FaceMesh
from rtatl_core.facs import au_label
from rtatl_core.files import put
from rtatl_core.parallel import work_through
from rtatl_core.progress import progress


class Unit(Protocol):
    """What is prepared, or skipped when it is there already, as a whole: a dataclass. Units travel to worker processes,
    so they hold paths and labels rather than pictures."""

    tracking: ClassVar[bool]
    """Whether each frame follows the one before in time."""

    @property
    def name(self) -> str:
        """Unique in the data set; the name of a folder."""
        ...

    def frames(self) -> Iterator[Frame]: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the frames."""

    used: int
    lost: dict[str, int]
    """Reason -> frames."""
    units: dict[str, dict[str, int]]
    """Unit -> the same counts, with "used"."""
    positives: dict[int, tuple[int, int]] = field(default_factory=dict)
    """AU -> (frames coded present, frames coded) over all frames read, lost ones included."""
    unused: tuple[str, ...] = ()
    """Parts of ``out`` that the source no longer has; they stay on disk and are not read."""

    def rates(self) -> dict[int, float]:
        """AU -> positive rate in percent; AUs that were never coded are left out."""
        return {au: 100 * present / coded for au, (present, coded) in self.positives.items() if coded}

    def notes(self) -> list[str]:
        """What to tell the person beside the counts."""
        notes = []
        if empty := [f"{unit} ({_reasons(counts)})" for unit, counts in self.units.items() if not counts["used"]]:
            notes.append(f"nothing could be used of {len(empty)} of {len(self.units)} parts: {_first(empty)}")
        if self.unused:
            gone = f"{len(self.unused)} parts prepared before are no longer in the source and are not read"
            notes.append(f"{gone}: {_first(self.unused)}")
        return notes


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _reasons(lost: dict[str, int]) -> str:
    reasons = [f"{count} {why}" for why, count in lost.items() if count and why != "used"]
    return ", ".join(reasons) or "there were no frames"


def prepare(
    units: Sequence[Unit], out: Path, plan: Plan, *, jobs: int = 1, origin: dict[str, Any] | None = None
) -> Report:
    """Prepare the units that ``out`` lacks or has of another content, then declare it complete with them alone.

    Raises RecipeError when nothing could be used, ``out`` was prepared in another way, or the disk is full; what was
    finished by then stays.
    """
    names = [unit.name for unit in units]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise RecipeError(f"two sources are called {twice[0]!r}; rename one of them")
    if plan.teacher:
        with Teacher(plan.teacher):  # one that is missing must not claim the folder
            pass
    claim(out, plan.to_json(), "prepare")
    part_folder(out, "").mkdir(exist_ok=True)
    for stale in part_folder(out, "").glob("*.unfinished"):
        shutil.rmtree(stale)
    missing = [unit for unit in units if not _is_prepared(unit, out)]
    declare_incomplete(out)
    with naming_a_full_disk(out):
        done = work_through(partial(_prepare_unit, out=out, plan=plan), missing, jobs)
        for _ in progress(done, desc=f"preparing {plan.kind}", unit="part", total=len(missing)):
            pass
    report = _collect(out, names, plan)
    if report.used == 0:
        raise RecipeError(
            f"no face could be used for {out} ({_reasons(report.lost)}); check that --root names the right folder"
        )
    rates = {au_label(au): round(rate, 2) for au, rate in report.rates().items()}
    content = {"used": report.used, "lost": report.lost, "positive_rate_percent": rates, "units": report.units}
    (out / "report.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    write_meta(
        out,
        parts=names,
        layout=plan.layout,
        aus=plan.aus,
        occurrence_rule=plan.occurrence_rule,
        origin={**plan.to_json(), **(origin or {}), "faces": report.used},
    )
    return report


def _is_prepared(unit: Unit, out: Path) -> bool:
    """Parts of earlier versions, which have no fingerprint, are taken as they are."""
    report = part_folder(out, unit.name) / "report.json"
    if not report.is_file():
        return False
    before = json.loads(report.read_text(encoding="utf-8")).get("fingerprint")
    return before is None or before == fingerprint(unit)


def _prepare_unit(unit: Unit, out: Path, plan: Plan) -> None:
    final = part_folder(out, unit.name)
    unfinished = final.with_name(f"{final.name}.unfinished")
    if final.exists():
        put(final, unfinished)  # outdated; never half there under its own name
        shutil.rmtree(unfinished)
    unfinished.mkdir(parents=True)
    try:
        with ExitStack() as stack:
            teacher = stack.enter_context(Teacher(plan.teacher)) if plan.teacher else None
            # without far faces: what was prepared before stays as it is, and 50 pixels teach little
            mesh = stack.enter_context(FaceMesh(tracking=unit.tracking))
            part = stack.enter_context(PartWriter(unfinished, plan, fingerprint(unit)))
            for frame in unit.frames():
                part.count(frame)
                if frame.image is None:
                    part.lose(frame.lost)
                    continue
                faces = mesh(frame.image)
                if not faces:
                    part.lose(NO_FACE)
                    continue
                part.add(frame, faces[0], teacher(frame.image) if teacher else None)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    put(unfinished, final)


def _collect(out: Path, names: Sequence[str], plan: Plan) -> Report:
    units: dict[str, dict[str, int]] = {}
    coded = {au: np.zeros(2, np.int64) for au in plan.aus}
    for name in names:
        report = json.loads((part_folder(out, name) / "report.json").read_text(encoding="utf-8"))
        units[name] = report["counts"]
        for au in plan.aus:
            coded[au] += report["coded"][str(au)]
    lost: Counter[str] = Counter()
    for counts in units.values():
        lost.update({reason: count for reason, count in counts.items() if reason != "used"})
    return Report(
        used=sum(counts["used"] for counts in units.values()),
        lost=dict(lost),
        units=units,
        positives={au: (int(pair[0]), int(pair[1])) for au, pair in coded.items()},
        unused=tuple(sorted({part.name for part in part_folder(out, "").iterdir() if part.is_dir()} - {*names})),
    )
