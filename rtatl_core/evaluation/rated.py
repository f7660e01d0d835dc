"""Readings beside what raters saw on the same faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.datasets.groups import YAW_BINS, head_turn
from rtatl_core.evaluation.metrics import auc, f1, pcc, rounded
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32

FEW = 10
"""What fewer faces tell is left out."""
FEW_SEEN = 3
"""An AU that raters saw on fewer faces has false alarms, but no hits to speak of."""
TURNS = ("yaw", "abs_yaw", "pitch")
"""What of the head's turning readings may follow; |yaw| is from the camera to either side."""
SHUFFLES = 100
STILL = 1e-6
"""Readings that spread by less are all the same."""


def against_ratings(
    values: Float32, rated: Float32, people: NDArray[np.str_], aus: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    """AU -> a dictionary of

    - seen, people, absent: the number of faces on which raters saw it (1 or more), of their people, of faces without it
    - false_alarms: the share of the latter that read 1 or more
    - auc, f1 (of reading 1 or more), reads, rated (medians where it was seen): if it was seen on ``FEW_SEEN`` faces

    Faces on which nobody could tell the AU, or on which only a trace was seen (under 1), are not judged. AUs that fewer
    than ``FEW`` faces lack are left out.

    values: (n, n_aus) on 0-5; rated: (n, n_aus) on 0-5, NaN = nobody can tell; people: (n,) who is seen.
    """
    result = {}
    for j, au in enumerate(aus):
        decided = (rated[:, j] == 0) | (rated[:, j] >= 1)
        read, seen = values[decided, j], rated[decided, j] > 0
        if (~seen).sum() < FEW:
            continue
        entry: dict[str, Any] = {"seen": int(seen.sum()), "people": len(np.unique(people[decided][seen]))}
        entry |= {"absent": int((~seen).sum()), "false_alarms": rounded((read[~seen] >= 1).mean(), 4)}
        if seen.sum() >= FEW_SEEN:
            entry |= {"auc": rounded(auc(read, seen), 4), "f1": rounded(f1(read >= 1, seen), 4)}
            entry |= {
                "reads": rounded(np.median(read[seen]), 2),
                "rated": rounded(np.median(rated[decided, j][seen]), 2),
            }
        result[au_label(au)] = entry
    return result


def against_ratings_by_group(
    values: Float32,
    rated: Float32,
    people: NDArray[np.str_],
    divided: Mapping[str, NDArray[np.str_]],
    aus: tuple[int, ...],
) -> dict[str, dict[str, dict[str, Any]]]:
    """Division -> group of ``FEW`` rated faces or more -> how many they are, and means over AUs of false alarms, AUC
    and F1 as above. A mean is over those AUs that all groups of the division have, so that groups can be compared;
    ``judged``: over how many AUs AUC and F1 are.

    values, rated, people: as above; divided: division -> (n,) group, "" = not known.
    """
    is_rated = np.isfinite(rated).any(axis=1)
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for division, groups in divided.items():
        chosen = {str(group): is_rated & (groups == group) for group in np.unique(groups) if group}
        chosen = {group: rows for group, rows in chosen.items() if rows.sum() >= FEW}
        found = {group: against_ratings(values[rows], rated[rows], people[rows], aus) for group, rows in chosen.items()}
        result[division] = {group: {"rated": int(rows.sum())} for group, rows in chosen.items()}
        for measure in ("false_alarms", "auc", "f1"):
            having = [{au for au, entry in by_au.items() if measure in entry} for by_au in found.values()]
            common = sorted(set[str].intersection(*having)) if having else []
            for group, by_au in found.items() if common else ():
                result[division][group][measure] = rounded(np.mean([by_au[au][measure] for au in common]), 4)
                if measure == "auc":
                    result[division][group]["judged"] = len(common)
    return result


def follows_pose(read: Float32, yaw: Float32, pitch: Float32) -> dict[str, float | None]:
    """(n,) readings, yaw and pitch -> the PCC with each of ``TURNS``; None where there is none."""
    turns = zip(TURNS, (yaw, np.abs(yaw), pitch), strict=True)
    return {name: rounded(pcc(read, turn), 2) for name, turn in turns}


def pose_where_absent(
    values: Float32, rated: Float32, yaw: Float32, pitch: Float32, aus: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    """AU -> over the faces that raters saw lack it, each of another person: their number, ``follows_pose``, and

    - by_chance: the largest size of the three that readings have which belong to other faces, in the mean over
      ``SHUFFLES``
    - reads: head turn (``groups.head_turn``) -> mean reading, None of fewer than ``FEW`` faces

    AUs that fewer than ``FEW`` faces lack, or that read the same on all, are left out.

    values, rated: as above; yaw, pitch: (n,) degrees.
    """
    rng = np.random.default_rng(0)
    turned = np.array([head_turn(float(angle)) for angle in yaw])
    result = {}
    for j, au in enumerate(aus):
        absent = np.flatnonzero(rated[:, j] == 0)
        read = values[absent, j]
        if len(read) < FEW or read.std() < STILL:
            continue
        chance = [largest(follows_pose(rng.permutation(read), yaw[absent], pitch[absent])) for _ in range(SHUFFLES)]
        found = follows_pose(read, yaw[absent], pitch[absent])
        by_turn = {name: read[turned[absent] == name] for _, name in YAW_BINS}
        result[au_label(au)] = {
            "faces": len(read),
            **found,
            "by_chance": rounded(np.mean(chance), 2),
            "reads": {name: rounded(some.mean(), 2) if len(some) >= FEW else None for name, some in by_turn.items()},
        }
    return result


def largest(follows: Mapping[str, float | None]) -> float:
    """Of the sizes of ``TURNS``."""
    return max(abs(follows[name] or 0.0) for name in TURNS)
