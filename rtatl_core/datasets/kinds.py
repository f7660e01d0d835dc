"""The kinds of data that ``rtatl prepare`` knows: how each is read, and the report on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rtatl_core.datasets import bp4d, coded, disfa, rendered, videos
from rtatl_core.datasets.parts import Plan
from rtatl_core.datasets.prepare import Report, Unit, prepare
from rtatl_core.datasets.protocols import POSITIVE_RATES, SUBJECTS
from rtatl_core.facs import BP4D_AUS, DISFA_INTENSITY_AUS

READ_RATES_WITHIN = 1.0
"""Percentage points by which the positive rate of all labels read may differ from the published one. Less than
``evaluation.report.SCORED_RATES_WITHIN``, since no frame is lost yet."""


def prepare_kind(
    kind: str,
    root: Path,
    out: Path,
    *,
    side: int,
    teacher: Path | None,
    flow: str,
    camera: str,
    codes: Path | None,
    jobs: int,
) -> list[str]:
    """Prepare a data set. Returns lines for the person: counts, losses by reason, and for BP4D and DISFA the positive
    rates beside the published ones. Raises RecipeError."""
    found = _find(kind, root, camera, codes)
    plan = Plan(kind=kind, aus=found.aus, occurrence_rule=found.rule, side=side, teacher=teacher, flow=flow)
    report = prepare(found.units, out, plan, jobs=jobs, origin={"root": root.name})
    lost = "".join(f", {count} {reason}" for reason, count in sorted(report.lost.items()))
    lines = [*found.notes, *report.notes(), f"{out}: {report.used} used{lost}"]
    if kind in SUBJECTS:
        there = {unit.split("_")[0] for unit in report.units}
        lines += check_rates(kind, report, whole=there == SUBJECTS[kind])
    return lines


class _Found(NamedTuple):
    units: Sequence[Unit]
    aus: tuple[int, ...] = ()
    rule: str = ""
    """What counts as present, in words."""
    notes: Sequence[str] = ()


def _find(kind: str, root: Path, camera: str, codes: Path | None) -> _Found:
    match kind:
        case "bp4d":
            return _Found(bp4d.find_sequences(root), BP4D_AUS, bp4d.OCCURRENCE_RULE)
        case "disfa":
            subjects = disfa.find_subjects(root, camera)
            return _Found(subjects, DISFA_INTENSITY_AUS, disfa.OCCURRENCE_RULE, disfa.missing_files(root, subjects))
        case "rendered":
            aus, renders = rendered.find_renders(root)
            return _Found(renders, aus, rendered.OCCURRENCE_RULE)
        case "coded":
            aus, coded_videos, notes = coded.find_coded(root, codes)
            return _Found(coded_videos, aus, coded.OCCURRENCE_RULE, notes)
        case "videos":
            return _Found(videos.find_videos(root))
        case _:
            return _Found(videos.find_photos(root))


def check_rates(kind: str, report: Report, *, whole: bool) -> list[str]:
    """Positive rates beside the published ones, in percent of the frames read. Where all subjects are there, a
    difference over ``READ_RATES_WITHIN`` is named: labels were shifted, lost or read from the wrong column."""
    published = POSITIVE_RATES[kind]
    rates = {au: rate for au, rate in report.rates().items() if au in published}
    listed = ", ".join(f"AU{au} {rate:.1f} ({published[au]})" for au, rate in rates.items())
    lines = [f"positive rates in percent, here (published): {listed}"]
    if not whole:
        return [*lines, "not all subjects are here, so the rates need not agree"]
    off = [au for au in published if au not in rates or abs(rates[au] - published[au]) > READ_RATES_WITHIN]
    if off:
        return [*lines, f"CHECK: {', '.join(f'AU{au}' for au in off)} differ by more than {READ_RATES_WITHIN:g} points"]
    return [*lines, f"all agree to within {READ_RATES_WITHIN:g} points"]
