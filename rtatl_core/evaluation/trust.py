"""How far an AU of a model can be trusted: good, usable, experimental. Decided on real faces that chose nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rtatl_core.facs import au_label, parse_label

SEEN, PEOPLE = 10, 5
"""How many faces on which coders or raters saw an AU (and as many on which they did not), and of how many people, it
takes to decide about it."""
TRUST_RULE = (
    "where FACS coders saw an AU on 10 or more frames of real people kept aside, of 5 people or more, and did not on "
    "10 others: good if its probabilities tell these apart with an AUC of .95 or more, and those of .5 or more with an "
    "F1 of .6 or more, usable from .85 and .3, of several evaluations the least; else where raters saw it on as many "
    "faces kept aside: good if its readings tell these apart with an AUC of .95 or more, and readings of 1 or more "
    "with an F1 of .6 or more, usable from .85 and .3; else the same of strangers, each read by a network that was "
    "trained without them; other AUs: "
    "good if they agree with their blendshape at .8 or more on clips kept aside, in at least two clips where it moves, "
    "usable from .5; experimental: less, or nothing to compare with"
)


def trust(aus: Iterable[int], measured: Mapping[str, Any], by_author: Mapping[str, str]) -> dict[str, str]:
    """AU number -> trust level: the author's word, else what FACS coders saw, else what raters saw on faces kept aside,
    else on strangers, else blendshapes. measured: as in a card."""
    levels = dict.fromkeys((au_label(au) for au in aus), "experimental")
    if "pcc" in (by_shapes := measured.get("aside_video", {})):
        levels |= trust_by_shapes(by_shapes)
    for faces in ("strangers", "real_faces"):
        levels |= trust_by_ratings(measured.get(faces, {}).get("against_ratings", {}))
    levels |= trust_by_codes(measured.get("evaluations", {}))
    return {str(parse_label(label)): level for label, level in levels.items()} | dict(by_author)


def trust_by_codes(evaluations: Mapping[str, Any]) -> dict[str, str]:
    """AU label -> trust level by what FACS coders saw, the least of all evaluations that have ``against_codes``."""
    levels: dict[str, str] = {}
    for evaluation in evaluations.values():
        for label, level in trust_by_ratings(evaluation.get("against_codes", {})).items():
            levels[label] = max(level, levels.get(label, level), key=_FROM_BEST.index)
    return levels


def trust_by_shapes(measured: Mapping[str, Any]) -> dict[str, str]:
    """AU label -> trust level by its blendshape, for the AUs that have one. measured: pcc, clips_where_it_moves."""
    moves = measured["clips_where_it_moves"]
    return {
        label: _level(good=score >= 0.8, usable=score >= 0.5) if moves[label] >= 2 else "experimental"
        for label, score in measured["pcc"].items()
    }


def trust_by_ratings(found: Mapping[str, Any]) -> dict[str, str]:
    """AU label -> trust level by what raters saw (``audit.against_ratings``), for the AUs seen often enough."""
    return {
        label: _level(
            good=entry["auc"] >= 0.95 and entry["f1"] >= 0.6,  # an order alone does not say whether 1 is in its place
            usable=entry["auc"] >= 0.85 and entry["f1"] >= 0.3,
        )
        for label, entry in found.items()
        if min(entry["seen"], entry["absent"]) >= SEEN and entry["people"] >= PEOPLE
    }


_FROM_BEST = ("good", "usable", "experimental")


def _level(*, good: bool, usable: bool) -> str:
    return "good" if good else "usable" if usable else "experimental"
