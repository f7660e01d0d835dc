"""The audit of a model as tables in Markdown, for its report and for its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rtatl_core.datasets.groups import YAW_BINS
from rtatl_core.evaluation.pose import TURNS, largest
from rtatl_core.evaluation.rated import FEW
from rtatl_core.facs import au_label
from rtatl_core.markdown import table

FOLLOWS = 0.2
"""|PCC| with the head's turning over which an AU is said to follow it."""


def markdown(result: Mapping[str, Any]) -> str:
    labels = [au_label(au) for au in result["aus"]]
    parts = [
        f"# {result['model']} on real faces that nobody coded",
        f"{result['clips']} clips ({result['frames']} frames), {result['photos']} photos. Readings are on 0-5.",
        "## Per AU",
        per_au(result, labels),
        "Agreement: mean PCC with MediaPipe's blendshape over the clips in which it moves (their number). At rest: "
        "median, and share of resting faces, less those on which raters saw the AU, that read .5 / 1 or more. Clear: "
        "quartiles where the blendshape shows the AU clearly (their number), beside the median rating of those that "
        "were rated. Apex: quartiles of the highest smoothed reading of each such stretch of a clip (their number). "
        "Pose: largest |PCC| with yaw, |yaw| or pitch over resting faces within clips (by chance: if each clip's "
        "readings are moved in time). Lean: left - right that a picture and its mirror image have in common, over all "
        "pictures / those that show the AU (their number).",
        summary(result),
    ]
    if "against_ratings" in result:
        parts += ["## Against ratings", against_ratings(result["against_ratings"])]
    if "groups" in result:
        parts += ["## Groups", groups(result["groups"]), f"Groups of fewer than {FEW} photos are left out."]
    return "\n\n".join(parts) + "\n"


def per_au(result: Mapping[str, Any], labels: Sequence[str]) -> str:
    rows = []
    for label in labels:
        agrees, rest = result["agreement"].get(label), result["resting"].get(label)
        shown, pose = result["clear"].get(label), result["pose"].get(label)
        most = result.get("apex", {}).get(label)
        floor = result.get("flicker", {}).get("noise_floor", {}).get(label)
        rows.append(
            [
                label,
                f"{agrees['pcc']:.2f} ({agrees['clips']})" if agrees else "",
                f"{rest['median']:.2f}, {rest['from_half']:.0%} / {rest['from_one']:.0%}" if rest else "",
                _clear(shown),
                " ".join(f"{value:.1f}" for value in most["quartiles"]) + f" ({most['events']})" if most else "",
                _pose(pose),
                f"{floor:.3f}" if floor is not None else "",
                _leaning(result.get("lean", {}).get(label)),
            ]
        )
    return table(["AU", "agreement", "at rest", "clear", "apex", "pose (by chance)", "noise floor", "lean"], rows)


def _clear(shown: Mapping[str, Any] | None) -> str:
    if shown is None:
        return ""
    quartiles = " ".join(f"{value:.1f}" for value in shown["quartiles"])
    rated = f"; rated {shown['rated']:.1f} ({shown['rated_faces']})" if "rated" in shown else ""
    return f"{quartiles} ({shown['faces']}){rated}"


def _pose(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    chance = found.get("by_chance")  # cards from before lack it
    return f"{largest(found):.2f}" + (f" ({chance:.2f})" if chance is not None else "")


def _leaning(lean: Mapping[str, Any] | None) -> str:
    if lean is None:
        return ""
    shown = lean["where_shown"]
    return f"{lean['over_all']:+.2f}" + (f" / {shown:+.2f} ({lean['shown']})" if shown is not None else "")


def against_ratings(found: Mapping[str, Any]) -> str:
    """Table and sentences of ``rated.against_ratings``."""
    rows = [
        [
            label,
            f"{entry['seen']} ({entry['people']}) / {entry['absent']}",
            f"{entry['auc']:.2f}" if "auc" in entry else "",
            f"{entry['f1']:.2f}" if "f1" in entry else "",
            f"{entry['false_alarms']:.0%}",
            f"{entry['reads']:.1f} ({entry['rated']:.1f})" if "reads" in entry else "",
        ]
        for label, entry in found.items()
    ]
    judged = [entry for entry in found.values() if "auc" in entry]
    means = ", ".join(
        f"{name} {np.mean([entry[key] for entry in judged]):.2f}" for name, key in (("AUC", "auc"), ("F1", "f1"))
    )
    alarms = np.mean([entry["false_alarms"] for entry in found.values()])
    sentences = [
        "Photos and frames whose AUs were rated; where an AU could not be told, it is not judged.",
        "F1 and false alarms are of readings of 1 or more; reads: median where the AU was seen, beside the rating.",
    ]
    if judged:
        sentences.append(f"In the mean over the {len(judged)} AUs seen often enough: {means}.")
    sentences.append(f"False alarms in the mean over AUs: {alarms:.1%}.")
    seen = table(["AU", "seen (people) / absent", "AUC", "F1", "false alarms", "reads (rated)"], rows)
    return f"{seen}\n\n{' '.join(sentences)}"


def summary(result: Mapping[str, Any]) -> str:
    rest = [entry["from_one"] for entry in result["resting"].values()]
    lines = []
    if rest:
        lines.append(f"False alarms (1 or more at rest): {np.mean(rest):.1%} in the mean over AUs.")
    if result["pose"]:
        lines.append(f"Pose leakage: {_leakage(result['pose'])}.")
    if flicker := result.get("flicker"):
        lines.append(
            f"Flicker on {flicker['pictures']} still faces with camera noise: spread {flicker['mean_spread']:.3f}, "
            f"change from frame to frame {flicker['mean_step']:.4f}."
        )
    if lean := result.get("lean"):
        sizes = [abs(entry["over_all"]) for entry in lean.values()]
        shown = [abs(entry["where_shown"]) for entry in lean.values() if entry["where_shown"] is not None]
        where = f", {np.mean(shown):.2f} where an AU is shown" if shown else ""
        lines.append(f"Lean to one side: {np.mean(sizes):.3f} in the mean over AUs{where}.")
    return " ".join(lines)


def pose(found: Mapping[str, Any]) -> str:
    """Table and sentences of ``pose.pose_where_absent``."""
    turns = [name for _, name in YAW_BINS]
    heads = ["AU", "faces without it", "yaw", "|yaw|", "pitch", "by chance", *(f"reads: {name}" for name in turns)]
    rows = [
        [
            label,
            str(entry["faces"]),
            *("" if entry[name] is None else f"{entry[name]:+.2f}" for name in TURNS),
            f"{entry['by_chance']:.2f}",
            *("" if mean is None else f"{mean:.2f}" for mean in map(entry.get("reads", {}).get, turns)),
        ]
        for label, entry in found.items()
    ]
    return (
        f"{table(heads, rows)}\n\n"
        "PCC of the reading with the head's turning, over the faces that raters saw lack the AU, each of another "
        "person; by chance: the largest size of the three if readings and faces are shuffled. The largest: "
        f"{_leakage(found)}. Reads: the mean over faces turned by up to "
        f"{YAW_BINS[0][0]:g} degrees, by up to {YAW_BINS[1][0]:g}, and by more."
    )


def _leakage(found: Mapping[str, Mapping[str, Any]]) -> str:
    most = {label: largest(entry) for label, entry in found.items()}
    follow = [label for label, value in most.items() if value > FOLLOWS]
    chance = [entry["by_chance"] for entry in found.values() if "by_chance" in entry]
    said = f"{np.mean(list(most.values())):.2f} in the mean over AUs, {max(most.values()):.2f} at most"
    said += f"; over {FOLLOWS:g} are {', '.join(follow)}" if follow else ""
    return said + (f"; by chance {np.mean(chance):.2f} in the mean" if chance else "")


def groups(divisions: Mapping[str, Mapping[str, Any]]) -> str:
    """What blendshapes say of each group, and what raters do."""
    rows = []
    for division, found in divisions.items():
        for name, entry in found.items():
            rest, agrees = entry["at_rest"], entry["pcc_with_teacher"]
            highest = max(rest.items(), key=lambda item: item[1] or 0, default=None)
            rows.append(
                [
                    division,
                    name,
                    str(entry["faces"]),
                    "" if agrees is None else f"{agrees:.2f}",
                    f"{np.mean(list(rest.values())):.2f}" if rest else "",
                    f"{highest[0]} {highest[1]:.2f}" if highest else "",
                ]
            )
    text = table(["division", "group", "faces", "agreement over photos", "mean reading at rest", "highest"], rows)
    if any("rated" in entry for found in divisions.values() for entry in found.values()):
        text += f"\n\n{rated_groups(divisions)}"
    return text


def rated_groups(divisions: Mapping[str, Mapping[str, Any]]) -> str:
    """What raters say of each group."""
    rows = [
        [
            division,
            name,
            str(entry["rated"]),
            f"{entry['auc']:.2f} ({entry['judged']})" if "auc" in entry else "",
            f"{entry['f1']:.2f}" if "f1" in entry else "",
            f"{entry['false_alarms']:.1%}" if "false_alarms" in entry else "",
        ]
        for division, found in divisions.items()
        for name, entry in found.items()
        if "rated" in entry
    ]
    text = table(["division", "group", "rated faces", "AUC (AUs)", "F1", "false alarms"], rows)
    return f"{text}\n\nMeans over the AUs that all groups of a division show often enough, to be comparable."
