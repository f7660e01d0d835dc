"""Readings beside what raters saw on the same faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtatl_core.evaluation.metrics import auc, f1, rounded
from rtatl_core.facs import au_label
from rtatl_core.handoffs import Float32

FEW = 10
"""What fewer faces tell is left out."""
FEW_SEEN = 3
"""An AU that raters saw on fewer faces has false alarms, but no hits to speak of."""


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
