"""Numbers with their noun or sign, in messages."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun, such as "1 class" or "2 classes". `plural` is by default with `s`."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def percent(share: float, decimals: int = 0) -> str:
    """Return a share, 1 for all, as on the page: "69 %"."""
    return f"{100 * share:.{decimals}f} %"
