"""Reading of whole numbers from texts such as headers and file names: ASCII digits only."""

from __future__ import annotations


def read_digits(text: str, most: int = 18) -> int | None:
    """Return the number that `text` is; None for anything else, and for more than `most` digits.

    `str.isdigit` also accepts digits such as ², which `int` refuses, and texts that are too long for `int`.
    """
    return int(text) if len(text) <= most and text.isascii() and text.isdigit() else None
