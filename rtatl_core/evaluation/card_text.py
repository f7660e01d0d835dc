"""A model's card, for a person: what it is, on what it was trained, what it was measured on, what it is not for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtatl_core.evaluation.audit_text import against_ratings, groups, per_au, pose, rated_groups, summary
from rtatl_core.evaluation.metrics import rounded
from rtatl_core.evaluation.trust import TRUST_RULE, trust
from rtatl_core.facs import ACTION_UNITS, au_label
from rtatl_core.files import replace_file
from rtatl_core.markdown import bullets, table


def add_audit(card_path: Path, audited: Mapping[str, Any]) -> Path:
    """Put an audit's numbers into a card, and the trust that follows from them, and write the card in words beside it;
    returns its path."""
    card = json.loads(card_path.read_text(encoding="utf-8"))
    card["measured"] = {**card.get("measured", {}), "real_faces": dict(audited)}
    return _write(card_path, card | _trusted(card))


def add_evaluation(card_path: Path, title: str, result: Mapping[str, Any], *, own: bool) -> Path:
    """Put the agreement per AU of ``measures.measure`` into a card, under a title, and the trust that follows from it,
    and write the card in words beside it; returns its path. The evaluated model may be another one than the card's
    (``own`` is false), such as one trained on a part of the data: the title must say so, and no trust follows."""
    card = json.loads(card_path.read_text(encoding="utf-8"))
    kept = {
        "frames": result["frames"],
        "subjects": result["subjects"],
        **{
            name: {label: rounded(unit[name]["pooled"], 3) for label, unit in result["aus"].items() if name in unit}
            for name in ("icc31", "pcc", "mae", "auc")
        },
    }
    if own and result["coded"] and result["subject_exclusive"]:
        kept["against_codes"] = _against_codes(result["aus"])
    measured = card.setdefault("measured", {})
    measured["evaluations"] = {**measured.get("evaluations", {}), title: kept}
    return _write(card_path, card | _trusted(card))


def _trusted(card: Mapping[str, Any]) -> dict[str, Any]:
    """The card's entries of trust."""
    levels = trust(card["network"]["aus"], card["measured"], card.get("trust_by_author", {}))
    return {"trust": levels, "trust_rule": TRUST_RULE}


def _against_codes(units: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """AU label -> frames on which coders saw it, of how many people, frames without it, AUC and F1 over all; for AUs
    that have both."""
    return {
        label: {
            **{name: unit[name] for name in ("seen", "people")},
            "absent": unit["frames"] - unit["seen"],
            **{name: rounded(unit[name]["pooled"], 4) for name in ("auc", "f1")},
        }
        for label, unit in units.items()
        if None not in (unit["auc"]["pooled"], unit["f1"]["pooled"])
    }


def card_markdown(card: Mapping[str, Any]) -> str:
    """The card in words."""
    aus = card["network"]["aus"]
    labels = [au_label(au) for au in aus]
    parts = [
        f"# {card['name']}",
        str(card.get("purpose", "")),
        f"**Trained on {card['trained_on']}.** Licence: {card.get('licence', 'see the notices')}. Not for "
        f"{card.get('not_for', 'decisions about a person')}.",
        "## Data",
        bullets(card.get("data", [])),
        "## Known faults",
        bullets(card.get("known_faults", [])),
        "## Trust and numbers per AU",
        _held_out(card, labels),
        f"Trust: {card.get('trust_rule', '')}.",
        "PCC, ICC(3,1) and MAE (on 0-5) are on faces of the training kind, people who were not trained on. L - R: PCC "
        "of the difference between the subject's left and right.",
    ]
    if evaluations := card.get("measured", {}).get("evaluations"):
        parts += ["## Coded faces kept aside", *_evaluations(evaluations, labels)]
    if strangers := card.get("measured", {}).get("strangers"):
        parts += [
            "## Strangers",
            f"{strangers['faces']} {strangers['what']}.",
            against_ratings(strangers["against_ratings"]),
        ]
        if "groups" in strangers:
            parts += ["### Strangers by group", rated_groups(strangers["groups"])]
        if turning := strangers.get("pose"):
            parts += ["### Strangers who turn their heads", pose(turning)]
    if audited := card.get("measured", {}).get("real_faces"):
        parts += [
            "## Real faces, uncoded",
            f"{audited['clips']} clips ({audited['frames']} frames), {audited['photos']} photos; measured with "
            "`rtatl audit`.",
            per_au(audited, labels),
            summary(audited),
        ]
        if "against_ratings" in audited:
            parts += ["### Against ratings", against_ratings(audited["against_ratings"])]
        if "groups" in audited:
            parts += ["### Groups", groups(audited["groups"])]
    if motion := _motion(card.get("measured", {})):
        parts += [
            "## Motion told from a single picture",
            "PCC with the motion that is there, over all known cells and both directions, in the mean over clips, "
            "where all stills are one; end-point error in pixels of the chip, and that of predicting no motion, of all "
            "pictures and of the quarter with the strongest motion. Rendered faces bring their exact motion, others "
            "have measured optical flow.",
            motion,
        ]
    parts += [
        "## Files",
        f"`{card['name']}.safetensors`, sha256 `{card['sha256']}`. Recipe and everybody trained on: in the JSON.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _held_out(card: Mapping[str, Any], labels: list[str]) -> str:
    measured = card.get("measured", {}).get("held_out_labelled", {})
    rows = []
    for label in labels:
        au = int(label[2:])
        name = ACTION_UNITS[au].name if au in ACTION_UNITS else ""
        numbers = [measured.get(key, {}).get(label) for key in ("pcc", "icc31", "mae", "pcc_left_minus_right")]
        rows.append(
            [
                label,
                name,
                card["trust"].get(str(au), ""),
                *("" if value is None else f"{value:.2f}" for value in numbers),
            ]
        )
    return table(["AU", "name", "trust", "PCC", "ICC(3,1)", "MAE", "L - R"], rows)


def _evaluations(evaluations: Mapping[str, Mapping[str, Any]], labels: list[str]) -> list[str]:
    """A table of ICC(3,1) and PCC, of AUC where no intensity is coded, a column for each evaluation, and what the
    columns are."""
    numbers = [f"({k}) {title}: {e['frames']} faces of {e['subjects']}." for k, (title, e) in _numbered(evaluations)]
    rows = []
    for label in (*labels, "mean"):
        cells = []
        for evaluation in evaluations.values():
            told = (evaluation[name] for name in _told(evaluation))
            values = [_mean(by_au) if label == "mean" else by_au.get(label) for by_au in told]
            known = [f"{value:.2f}" for value in values if value is not None]
            cells.append(" / ".join(known) if len(known) == len(values) else "")
        rows.append([label, *cells])
    header = ["AU"]
    header += [f"({k}) {' / '.join(_told(e).values())}" for k, (_, e) in _numbered(evaluations)]
    return [table(header, rows), " ".join(numbers), *_what_coders_saw(evaluations)]


def _what_coders_saw(evaluations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table of what trust was decided by; none where no real people were coded."""
    rows = [
        [
            f"({k}) {label}",
            f"{entry['seen']} ({entry['people']}) / {entry['absent']}",
            f"{entry['auc']:.2f}",
            f"{entry['f1']:.2f}",
        ]
        for k, (_, evaluation) in _numbered(evaluations)
        for label, entry in evaluation.get("against_codes", {}).items()
    ]
    return [table(["AU", "coded (people) / absent", "AUC", "F1"], rows)] if rows else []


def _told(evaluation: Mapping[str, Any]) -> dict[str, str]:
    """Measure -> its name. AUC where no intensity is coded, or none but 0."""
    graded = any(value is not None for value in evaluation["icc31"].values())
    return {"icc31": "ICC(3,1)", "pcc": "PCC"} if graded else {"auc": "AUC"}


def _motion(measured: Mapping[str, Any]) -> str:
    rows = []
    for name, faces in (("held_out_labelled", "of the training kind"), ("aside_video", "real clips kept aside")):
        flow = measured.get(name, {}).get("flow", {})
        if "pcc" not in flow:  # nothing to compare with, or a card from before
            continue
        told = _mean(flow["pcc"])
        errors = [
            f"{part['end_point_error_px']:.2f} ({part['of_no_motion_px']:.2f})"
            for part in (flow, flow["moving_quarter"])
        ]
        rows.append([faces, str(flow["pairs"]), "" if told is None else f"{told:.2f}", *errors])
    header = ["faces", "pictures", "PCC", "error (of no motion)", "where most moves"]
    return table(header, rows) if rows else ""


def _numbered(evaluations: Mapping[str, Mapping[str, Any]]) -> list[tuple[int, tuple[str, Mapping[str, Any]]]]:
    return list(enumerate(evaluations.items(), 1))


def _mean(values: Mapping[str, float | None]) -> float | None:
    known = [value for value in values.values() if value is not None]
    return sum(known) / len(known) if known else None


def _write(card_path: Path, card: Mapping[str, Any]) -> Path:
    replace_file(card_path, json.dumps(card, indent=2, ensure_ascii=False) + "\n")
    words = card_path.with_suffix(".md")
    replace_file(words, card_markdown(card))
    return words
