"""Numbers as a person reads them, and long names where lines are short."""

from __future__ import annotations

import re

_MAY_BREAK = "\N{ZERO WIDTH SPACE}"
_LONGEST_RUN = 20


def breakable(text: str) -> str:
    """The text with places, which are not seen, where a line may end inside long words: after each underline and
    backslash, and where 20 letters have no such place (as a slash and a hyphen are by themselves)."""
    return re.sub(rf"[_\\]|[^\s_\\/-]{{{_LONGEST_RUN}}}(?=[^\s_\\/-])", rf"\g<0>{_MAY_BREAK}", text)


def clock(seconds: float) -> str:
    """65.4 -> "1:05", 3665 -> "1:01:05"."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def readable_size(size: int) -> str:
    """Bytes: 820 kB, 3.4 MB."""
    if size < 1_000_000:
        return f"{max(size, 0) / 1000:.0f} kB"
    if size < 1_000_000_000:
        return f"{size / 1e6:.1f} MB"
    return f"{size / 1e9:.2f} GB"
