"""The pictures of an evaluation report, by matplotlib's Figure alone: no window, no pyplot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rtatl_core.assets import asset
from rtatl_core.evaluation.metrics import precision_recall
from rtatl_core.facs import action_unit, parse_label

if TYPE_CHECKING:
    from rtatl_core.evaluation.measures import Scored

INK, DIM, FAINT, LINE = "#161B20", "#55616C", "#9AA5AF", "#DDE2E7"
ACCENT, SOFT = "#0B8476", "#9FD3CB"
HEADING = 0.65
"""Inches at the top of a picture that hold its heading."""
POINTS = 2000
"""A curve of more is thinned out: no eye sees it, and drawing takes seconds."""
COLUMNS = 4
"""Small pictures side by side."""
DPI = 150

_STYLE: Any = {
    "font.family": ["Inter"],
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": DIM,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": DIM,
    "ytick.color": DIM,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "white",
}


def save_plots(result: dict[str, Any], scored: Scored, out: Path) -> list[str]:
    """Write the pictures into ``out``; returns their names. ``intensity.png`` only where intensity is coded,
    ``yaw.png`` only where a head pose is known."""
    for weight in ("Regular", "Medium", "SemiBold"):
        font_manager.fontManager.addfont(asset(f"fonts/Inter-{weight}.ttf"))
    draw: dict[str, Callable[[], Figure]] = {
        "per_au.png": lambda: per_au(result),
        "pr.png": lambda: curves(result, scored),
    }
    if any("confusion" in unit for unit in result["aus"].values()):
        draw["intensity.png"] = lambda: confusions(result)
    if any(part["error"] is not None for part in result["yaw"]["bins"]):
        draw["yaw.png"] = lambda: yaw(result)
    for name in {"intensity.png", "yaw.png"} - draw.keys():
        (out / name).unlink(missing_ok=True)  # an earlier report's
    for name, figure in draw.items():
        with mpl.rc_context(_STYLE):
            drawn = figure()
            FigureCanvasAgg(drawn)
            drawn.savefig(out / name, dpi=DPI)
    return list(draw)


def per_au(result: dict[str, Any]) -> Figure:
    """Each measure of each AU, folds pooled, as a bar with its interval."""
    units = result["aus"]
    panels = [("f1", "F1", 0.0), ("auc", "AUC, from chance .5", 0.5)]
    if any("mae" in unit for unit in units.values()):
        panels += [("icc31", "ICC(3,1)", 0.0), ("pcc", "PCC", 0.0), ("mae", "MAE, lower is better", 0.0)]
    figure = Figure(figsize=(2.8 + 2.1 * len(panels), 1.5 + 0.36 * len(units)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    y = np.arange(len(units))
    for axis, (name, text, base) in zip(axes, panels, strict=True):
        _bars(axis, [unit.get(name) for unit in units.values()], base)
        axis.set_title(text, loc="left", fontsize=10, fontweight="semibold")
        axis.set_xticks([])
        axis.spines[["bottom", "left"]].set_visible(False)
    rates = [unit["positive_rate"] for unit in units.values()]
    always = [2 * rate / (1 + rate) if rate else np.nan for rate in rates]
    axes[0].plot(always, y, "|", color=INK, markersize=13, markeredgewidth=1.4)
    axes[0].set_yticks(y, [f"{_title(label)}" for label in units], fontsize=9.5, color=INK)
    axes[0].set_ylim(len(units) - 0.4, -0.6)
    note = 'Bar: all folds pooled. Line: 95 % interval over people. Tick: F1 of always saying "present".'
    _heading(figure, "Agreement per action unit", note)
    return figure


def _bars(axis: Axes, entries: list[dict[str, Any] | None], base: float) -> None:
    reach = [base + 0.1]
    for y, entry in enumerate(entries):
        if entry is None or entry["pooled"] is None:
            axis.text(base, y, "  not defined" if entry else "  not coded", va="center", color=FAINT, fontsize=8)
            continue
        value, (low, high) = entry["pooled"], entry["ci95"]
        axis.barh(y, value - base, left=base, height=0.62, color=SOFT)
        end = max(value, base)
        if low is not None:
            axis.plot([low, high], [y, y], color=ACCENT, linewidth=2, solid_capstyle="round")
            end = max(end, high)
        reach.append(end)
        axis.text(end, y, f"  {_short(value)}", va="center", fontsize=8.5)
    axis.axvline(base, color=LINE, linewidth=1)
    known = [x for entry in entries if entry for x in (entry["pooled"], *entry["ci95"]) if x is not None]
    lowest = min([base, *known])
    axis.set_xlim(lowest, max(reach) + 0.28 * (max(reach) - lowest))


def curves(result: dict[str, Any], scored: Scored) -> Figure:
    """Precision against recall of each AU, folds pooled."""
    figure, axes = _grid(len(scored.aus), 2.5, 2.75)
    threshold = result["threshold"]["value"]
    for j, (axis, (label, unit)) in enumerate(zip(axes, result["aus"].items(), strict=True)):
        axis.set_title(_title(label), loc="left", fontsize=9.5, fontweight="semibold", pad=18)
        axis.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1], aspect="equal")
        axis.set_xticklabels(["0", ".5", "1"])
        axis.set_yticklabels(["0", ".5", "1"])
        precision, recall, cut = precision_recall(scored.probability[:, j], scored.true_occurrence[:, j])
        if not len(precision):
            axis.text(0.5, 0.5, "no positives", ha="center", color=FAINT)
            continue
        rate = unit["positive_rate"]
        axis.axhline(rate, color=FAINT, linewidth=0.8, dashes=(3, 3))
        called = np.flatnonzero(cut >= threshold)
        if len(called):
            axis.plot(
                recall[called[-1]], precision[called[-1]], "o", color=INK, markersize=4.5, clip_on=False, zorder=3
            )
        shown = np.unique(np.linspace(0, len(cut) - 1, POINTS).round().astype(int))
        precision, recall = precision[shown][[0, *range(len(shown))]], np.append(0.0, recall[shown])
        axis.fill_between(recall, precision, step="pre", color=SOFT, alpha=0.35, linewidth=0)
        axis.plot(recall, precision, drawstyle="steps-pre", color=ACCENT, linewidth=1.5)
        facts = f"AP {_short(unit['average_precision'])}, present in {_percent(rate)}"
        axis.text(0, 1.04, facts, transform=axis.transAxes, color=DIM, fontsize=8.5)
    _outer_labels(axes, "recall", "precision")
    note = f"Dot: threshold {threshold:g}. Dashes: precision of chance, the share of frames that show the AU."
    _heading(figure, "Precision and recall per action unit", note)
    return figure


def confusions(result: dict[str, Any]) -> Figure:
    """Rounded intensity, true against predicted, as shares of each true intensity."""
    units = {label: unit for label, unit in result["aus"].items() if "confusion" in unit}
    figure, axes = _grid(len(units), 2.7, 2.6)
    shades = mpl.colors.LinearSegmentedColormap.from_list("shades", ["white", SOFT, ACCENT])
    for axis, (label, unit) in zip(axes, units.items(), strict=True):
        counts = np.array(unit["confusion"])
        total = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
        axis.imshow(share, cmap=shades, vmin=0, vmax=1)
        for row, column in np.argwhere(share >= 0.005):
            dark = share[row, column] > 0.8
            text = f"{100 * share[row, column]:.0f}"
            axis.text(column, row, text, ha="center", va="center", fontsize=7.5, color="white" if dark else INK)
        for row in range(len(counts)):
            axis.text(5.6, row, f"{total[row, 0]:,}", ha="left", va="center", fontsize=7, color=DIM)
        axis.set_title(_title(label), loc="left", fontsize=9.5, fontweight="semibold")
        axis.set(xticks=range(6), yticks=range(6) if axis in axes[::COLUMNS] else [])
        axis.spines[:].set_visible(False)
    _outer_labels(axes, "predicted", "true")
    note = "Percent of each row. A row: the frames of one true intensity, rounded, with their number at the right."
    _heading(figure, "Intensity: true and predicted", note)
    return figure


def yaw(result: dict[str, Any]) -> Figure:
    """Error in bins of head yaw."""
    bins = [part for part in result["yaw"]["bins"] if part["error"] is not None]
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axis = figure.subplots()
    for x, part in enumerate(bins):
        low, high = part["ci95"]
        if low is not None:
            axis.plot([x, x], [low, high], color=SOFT, linewidth=7, solid_capstyle="round")
        above = max(part["error"], high or 0)
        axis.annotate(f"{part['error']:.3f}", (x, above), (0, 9), textcoords="offset points", ha="center", fontsize=9)
    axis.plot([part["error"] for part in bins], "o-", color=ACCENT, linewidth=1.2, markersize=7)
    axis.set_xticks(range(len(bins)), [_bin_text(part) for part in bins])
    top = max(max(part["error"], part["ci95"][1] or 0) for part in bins)
    axis.set(xlim=(-0.5, len(bins) - 0.5), ylim=(0, 1.15 * top or 1), yticks=[])
    axis.spines["left"].set_visible(False)
    what = result["yaw"]["what"]
    note = f"{what[0].upper()}{what[1:]}, by yaw to either side. Band: 95 % interval over people."
    _heading(figure, "Error and head yaw", note)
    return figure


def _bin_text(part: dict[str, Any]) -> str:
    span = f"{part['from_deg']}-{part['to_deg']}°" if part["to_deg"] else f"from {part['from_deg']}°"
    return f"{span}\n{part['frames']:,} frames\n{part['subjects']} people"


def _grid(count: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """``count`` small axes, ``COLUMNS`` in a row; the rest of the last row stays empty."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(max(width * columns, 6.6), height * rows + HEADING + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for axis in axes[count:]:
        axis.remove()
    return figure, axes[:count]


def _outer_labels(axes: list[Axes], x: str, y: str) -> None:
    """Axis labels at the left and at the lower edge only."""
    for i, axis in enumerate(axes):
        if i % COLUMNS == 0:
            axis.set_ylabel(y)
        if i + COLUMNS >= len(axes):
            axis.set_xlabel(x)


def _heading(figure: Figure, title: str, note: str) -> None:
    left, height = 0.1 / figure.get_figwidth(), figure.get_figheight()
    figure.text(left, 1 - 0.12 / height, title, va="top", fontsize=13, fontweight="semibold")
    figure.text(left, 1 - 0.4 / height, note, va="top", fontsize=8.5, color=DIM)
    figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - HEADING / height), w_pad=0.08, h_pad=0.08)


def _title(label: str) -> str:
    number = parse_label(label)
    return f"AU{number} {action_unit(number).name}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 else f"{100 * share:.1f} %"


def _short(value: float) -> str:
    """.83 rather than 0.83."""
    return f"{value:.2f}".replace("0.", ".", 1)
