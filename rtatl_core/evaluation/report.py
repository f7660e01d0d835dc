"""The result of ``measures.measure`` -> a folder to read: numbers, Markdown, plots. Fractions become percent for F1 and
positive rates only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from rtatl_core.datasets.protocols import POSITIVE_RATES
from rtatl_core.errors import InputError
from rtatl_core.evaluation.measures import Scored
from rtatl_core.evaluation.metrics import FEWEST
from rtatl_core.evaluation.published_tables import Published, Status
from rtatl_core.facs import action_unit, au_label, parse_label
from rtatl_core.files import replace_file
from rtatl_core.markdown import bullets, table

SCORED_RATES_WITHIN = 1.5
"""Points of percent by which positive rates of the frames scored may differ from the published ones: dropping frames
without landmarks moves them by less, another rule for "present" by more."""
FRAMES_KEPT = 0.95
"""Share of the labelled frames that must be scored; published works keep 96 % and more."""

NAMES = {"f1": "F1, %", "auc": "AUC", "icc31": "ICC(3,1)", "pcc": "PCC", "mae": "MAE"}
NOT_THE_PAPERS = (
    "Numbers of ours are not the paper's: this is an independent implementation, trained and scored by its own rules."
)
RTATL_MISSING = (
    "The row of RTATL itself (arXiv 2107.14399) is missing: its tables were not available. WSRTL is its weakly "
    "supervised extension (arXiv 2204.00379), as MDHR prints it."
)

Cell = float | None


def write_report(
    result: dict[str, Any],
    scored: Scored,
    out: Path,
    *,
    title: str,
    trained_on: str,
    published: Published | None,
) -> None:
    """``report.json``, ``report.md`` and the plots into ``out``. Raises InputError if that cannot be written.

    published: the table of the data set whose published folds these are; it is printed beside the result only if
    nothing in the result contradicts that protocol, else the report says what does.
    """
    from rtatl_core.evaluation.report_plots import save_plots  # matplotlib takes half a second

    beside = published if published is not None and protocol_gap(result, published) is None else None
    head = {"title": title, "trained_on": trained_on, "beside_published": beside.key if beside else None}
    try:
        out.mkdir(parents=True, exist_ok=True)
        plots = save_plots(result, scored, out)
        text = markdown(result, title=title, trained_on=trained_on, published=published, plots=plots)
        replace_file(out / "report.json", json.dumps(head | result, indent=1, allow_nan=False) + "\n")
        replace_file(out / "report.md", text)
    except OSError as error:
        raise InputError(
            f"the report cannot be written to {out} ({error.strerror or error}); choose another folder"
        ) from None


def protocol_gap(result: dict[str, Any], published: Published) -> str | None:
    """What in the result contradicts the protocol of the published table, None if nothing does. Whether the folds hold
    the very subjects of the published ones it cannot see, only how many each holds."""
    labels = {au: au_label(au) for au in published.aus}
    absent = [label for label in labels.values() if label not in result["aus"]]
    if absent:
        return f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not scored"
    if not result["subject_exclusive"]:
        return "a subject is in more than one fold"
    sizes = sorted((fold["subjects"] for fold in result["folds"].values()), reverse=True)
    if tuple(sizes) != published.fold_subjects:
        return f"the folds hold {_listed(sizes)} subjects, the published ones {_listed(published.fold_subjects)}"
    for au, label in labels.items():
        unit, rate = result["aus"][label], POSITIVE_RATES[published.key][au]
        if unit["frames"] < FRAMES_KEPT * published.frames:
            return f"{label} is scored on {unit['frames']:,} of {published.frames:,} frames"
        ours = 100 * unit["positive_rate"]
        if abs(ours - rate) > SCORED_RATES_WITHIN:
            return f"{label} is present in {ours:.1f} % of the frames, by the published labels in {rate} %"
        if unit["f1"]["fold_mean"] is None:
            return f"{label} has no F1"
    return None


def markdown(
    result: dict[str, Any], *, title: str, trained_on: str, published: Published | None, plots: Sequence[str]
) -> str:
    """The report. plots: names of the picture files beside it."""
    parts = [
        f"# {title}",
        f"**Trained on:** {trained_on}  \n**Scored on:** {result['frames']:,} frames of {_people(result['subjects'])}",
        *left_out(result),
        NOT_THE_PAPERS,
        *_summary(result),
        *_per_au(result, plots),
        *_intensity(result, plots),
        *_folds(result),
        *_published(result, published),
        *_yaw(result, plots),
        "## How these numbers came about",
        bullets(_rules(result)),
    ]
    return "\n\n".join(parts) + "\n"


def left_out(result: dict[str, Any]) -> list[str]:
    """A sentence if the data code AUs that the model lacks."""
    labels = result["not_in_model"]
    return [f"Coded in these data, but unknown to the model and in no number: {', '.join(labels)}."] if labels else []


def _summary(result: dict[str, Any]) -> list[str]:
    rows = [
        [f"{NAMES[name]}, mean of {mean['aus']} AU{'s' if mean['aus'] > 1 else ''}", *_three(name, mean)]
        for name, mean in result["mean_over_aus"].items()
    ]
    rows.append(["F1, %, micro (all AUs' decisions together)", *_three("f1", result["micro_f1"])])
    header = ["measure", "mean of the folds", "folds pooled", "95 % interval of pooled"]
    return ["## In short", table(header, rows, words=1)]


def _per_au(result: dict[str, Any], plots: Sequence[str]) -> list[str]:
    header = ["AU", "name", "frames", "present, %"]
    header += ["F1, %, fold mean", "pooled", "95 %", "AUC, fold mean", "pooled", "95 %", "average precision"]
    rows = []
    for label, unit in result["aus"].items():
        scores = [*_three("f1", unit["f1"]), *_three("auc", unit["auc"]), _number(unit["average_precision"])]
        rows.append([label, _name(label), f"{unit['frames']:,}", _percent(unit["positive_rate"]), *scores])
    return [
        "## Occurrence of each AU",
        *_pictures(plots, "per_au.png", "pr.png"),
        table(header, rows, words=2),
        "F1 rises with the share of frames that show the AU, AUC does not: F1 is not to be compared across AUs.",
    ]


def _intensity(result: dict[str, Any], plots: Sequence[str]) -> list[str]:
    units = {label: unit for label, unit in result["aus"].items() if "mae" in unit}
    if not units:
        return ["## Intensity", "The data code occurrence only, so nothing is said about intensity."]
    names = ("icc31", "pcc", "mae")
    header = ["AU", "name", "frames"]
    header += [text for name in names for text in (f"{NAMES[name]}, fold mean", "pooled", "95 %")]
    rows = [
        [label, _name(label), f"{unit['intensity_frames']:,}", *(cell for n in names for cell in _three(n, unit[n]))]
        for label, unit in units.items()
    ]
    reads = [[label, *map(_reading, unit["reads_by_code"])] for label, unit in units.items()]
    return [
        "## Intensity of each AU (0-5)",
        *_pictures(plots, "intensity.png"),
        table(header, rows, words=2),
        f"What frames of each code read, in the median; - where they are fewer than {FEWEST}:",
        table(["AU", "0", "1 (A)", "2 (B)", "3 (C)", "4 (D)", "5 (E)"], reads, words=1),
    ]


def _folds(result: dict[str, Any]) -> list[str]:
    folds = result["folds"]
    if len(folds) == 1:
        return []
    means = result["mean_over_aus"]
    header = ["fold", "subjects", "frames", *(NAMES[name] for name in means)]
    rows = [
        [
            fold,
            str(size["subjects"]),
            f"{size['frames']:,}",
            *(_value(n, m["per_fold"][fold]) for n, m in means.items()),
        ]
        for fold, size in folds.items()
    ]
    per_au = [
        [label, *(_percent(unit["f1"]["per_fold"][fold]) for fold in folds)] for label, unit in result["aus"].items()
    ]
    return [
        "## Folds",
        table(header, rows, words=1),
        "F1 in percent of each AU in each fold:",
        table(["AU", *(f"fold {fold}" for fold in folds)], per_au, words=1),
    ]


def _published(result: dict[str, Any], published: Published | None) -> list[str]:
    if published is None:
        return []
    heading = f"## Beside published F1 on {published.name}"
    if (gap := protocol_gap(result, published)) is not None:
        return [heading, f"No published numbers are shown beside these, since the protocol is another: {gap}."]
    labels = [au_label(au) for au in published.aus]
    ours = [100 * result["aus"][label]["f1"]["fold_mean"] for label in labels]
    header = ["method", "year", *labels, "mean"]
    mine = [f"**{cell}**" for cell in ("ours", "-", *(f"{x:.1f}" for x in ours), f"{sum(ours) / len(ours):.1f}")]
    rows = [
        [
            row.method,
            str(row.year),
            *(f"{x:.1f}" for x in row.f1),
            f"{row.average:.1f}",
            row.status.name,
            row.source,
            row.note,
        ]
        for row in published.rows
    ]
    return [
        heading,
        "**Measured here** (F1 in percent, mean of the folds):",
        table(header, [mine], words=1),
        "**Printed by others** (F1 in percent):",
        table([*header, "status", "read in", "note"], rows, words=1),
        bullets(
            [
                NOT_THE_PAPERS,
                RTATL_MISSING,
                *(f"{status.name}: {status.value}." for status in Status),
                "Public code of JAA-Net and ME-GraphAU looks at the test fold after every epoch, so a printed number "
                "may be the best epoch's.",
                "MDHR states that it prints the mean of the folds; of the other rows that is not confirmed.",
            ]
        ),
    ]


def _yaw(result: dict[str, Any], plots: Sequence[str]) -> list[str]:
    yaw = result["yaw"]
    rows = []
    for part in yaw["bins"]:
        span = f"{part['from_deg']}-{part['to_deg']}" if part["to_deg"] else f"{part['from_deg']} and more"
        counts = [f"{part['frames']:,}", str(part["subjects"]), str(part["aus"])]
        rows.append([span, *counts, _number(part["error"]), _bounds(part["ci95"], _number)])
    text = f"Error: {yaw['what']}. Bins with fewer AUs average over those that occur there."
    if yaw["frames_without_yaw"]:
        text += f" {yaw['frames_without_yaw']:,} frames without a head pose are in no bin."
    header = ["yaw to either side, degrees", "frames", "subjects", "AUs", "error", "95 %"]
    return ["## Head yaw", *_pictures(plots, "yaw.png"), table(header, rows, words=1), text]


def _rules(result: dict[str, Any]) -> list[str]:
    lost = max(unit["without_prediction"] for unit in result["aus"].values())
    rules = [
        f"Threshold: {result['threshold']['rule']}.",
        "Mean of the folds: the measure in each fold, then the mean of those, as published F1 tables have it. "
        "Pooled: the frames of all folds together. Means leave out what is not defined, such as the F1 of a fold "
        "without positives.",
        f"Intervals: {result['interval']['what']}.",
    ]
    if not result["subject_exclusive"]:
        rules.append(
            "A subject is in more than one fold, so models may have been scored on people they were trained on."
        )
    if lost:
        rules.append(f"Up to {lost:,} coded frames of an AU could not be predicted and are in no number.")
    return rules


def _people(count: int) -> str:
    return f"{count} subject{'s' if count > 1 else ''}"


def _three(name: str, entry: dict[str, Any]) -> list[str]:
    bounds = _bounds(entry["ci95"], lambda value: _value(name, value))
    return [_value(name, entry["fold_mean"]), _value(name, entry["pooled"]), bounds]


def _value(name: str, value: Cell) -> str:
    return _percent(value) if name == "f1" else _number(value)


def _number(value: Cell) -> str:
    return "-" if value is None else f"{value:.3f}"


def _reading(value: Cell) -> str:
    return "-" if value is None else f"{value:.1f}"


def _percent(value: Cell) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _bounds(bounds: list[Cell], text: Callable[[Cell], str]) -> str:
    return "-" if None in bounds else f"{text(bounds[0])} to {text(bounds[1])}"


def _name(label: str) -> str:
    return action_unit(parse_label(label)).name


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _pictures(plots: Sequence[str], *names: str) -> list[str]:
    return [f"![{name.removesuffix('.png').replace('_', ' ')}]({name})" for name in names if name in plots]
