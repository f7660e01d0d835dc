"""How well two colours can be told apart by their lightness."""

from __future__ import annotations

import numpy as np


def contrast(one: str, other: str) -> float:
    """4.5 to 1 is what WCAG 2.2 asks of text (level AA)."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ (0.2126, 0.7152, 0.0722))

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)
