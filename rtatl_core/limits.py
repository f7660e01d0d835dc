"""Limits on the numbers in a recipe, and the error for a number outside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Limit(NamedTuple):
    words: str
    """What is allowed; follows "write" in the error."""
    allows: Callable[[float], bool]


FROM_0 = Limit("a number from 0 on", lambda value: 0 <= value < math.inf)
FROM_1 = Limit("a number from 1 on", lambda value: 1 <= value < math.inf)
OVER_0 = Limit("a number over 0", lambda value: 0 < value < math.inf)
SHARE = Limit("a share from 0 to 1", lambda value: 0 <= value <= 1)


def require_within(section: str, config: object, limits: Mapping[str, Limit]) -> None:
    """Raises ValueError for the first key of ``config`` whose number its limit does not allow; none allows NaN."""
    for key, limit in limits.items():
        if not limit.allows(value := getattr(config, key)):
            raise ValueError(f"{section}.{key} is {value:g}; write {limit.words}")
