"""Numbers with their noun, in messages."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number and its noun, such as "1 class" or "2 classes". `plural` is by default with `s`."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
