"""Numbers as a person reads them."""

from __future__ import annotations


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
