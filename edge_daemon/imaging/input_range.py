"""Input range: a model's input values for black and for white pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from msgspec import Struct

from edge_daemon.domain.errors import ModelError

_NUMBER = r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
_TEXT = re.compile(rf"{_NUMBER}\.\.{_NUMBER}")

_SNAP = 2 / 255
"""Largest distance, as a share of the range, to a convention: mean 127 and std 128 stand for -1..1."""


class InputRange(Struct, frozen=True):
    """Real values of a black and a white pixel, for all channels or one per channel.

    `black` may exceed `white`: DoodleNet's dark lines are 1.
    """

    black: tuple[float, ...]
    white: tuple[float, ...]

    def __str__(self) -> str:
        """Return the range as `--range` and manifests write it, channels separated by commas."""
        pairs = zip(self.black, self.white, strict=True)
        return ",".join(f"{black:.6g}..{white:.6g}" for black, white in pairs)


MINUS_ONE_TO_ONE = InputRange((-1.0,), (1.0,))
ZERO_TO_ONE = InputRange((0.0,), (1.0,))
ZERO_TO_255 = InputRange((0.0,), (255.0,))

CONVENTIONS = (MINUS_ONE_TO_ONE, ZERO_TO_ONE, ZERO_TO_255)


def parse_range(text: str) -> InputRange:
    """Parse `-1..1`, `0..255`, or three such ranges separated by commas. Raises ModelError."""
    matches = [_TEXT.fullmatch(part.strip()) for part in text.split(",")]
    pairs = [(float(match[1]), float(match[2])) for match in matches if match]
    if len(pairs) != len(matches) or len(pairs) not in (1, 3) or not _are_ranges(pairs):
        raise ModelError(
            f"'{text}' is no input range; write the values of black..white in training, such as 0..255"
        )
    return _simplest([black for black, _ in pairs], [white for _, white in pairs])


def range_of_normalisation(mean: Sequence[float], std: Sequence[float]) -> InputRange | None:
    """Return the range of `(pixel - mean) / std`.

    None for invalid numbers. A range near a convention is returned as the convention.
    """
    count = max(len(mean), len(std))
    if count not in (1, 3) or not {len(mean), len(std)} <= {1, count}:
        return None
    if not all(map(math.isfinite, [*mean, *std])) or min(std) <= 0:
        return None
    means, deviations = list(mean) * (count // len(mean)), list(std) * (count // len(std))
    pairs = [((0 - mean) / std, (255 - mean) / std) for mean, std in zip(means, deviations, strict=True)]
    if not _are_ranges(pairs):
        return None
    found = _simplest([black for black, _ in pairs], [white for _, white in pairs])
    return next((known for known in CONVENTIONS if distance(found, known) <= _SNAP), found)


def _are_ranges(pairs: Sequence[tuple[float, float]]) -> bool:
    """Return whether black and white differ by a finite number in each pair; 1e999 is infinite."""
    return all(black != white and math.isfinite(white - black) for black, white in pairs)


def distance(one: InputRange, known: InputRange) -> float:
    """Return the distance of two ranges, as a share of the second's width."""
    (black,), (white,) = known.black, known.white
    gaps = [max(abs(low - black), abs(high - white)) for low, high in zip(one.black, one.white, strict=True)]
    return max(gaps) / abs(white - black)


def _simplest(black: Sequence[float], white: Sequence[float]) -> InputRange:
    """Return a range, with one pair of values if all channels have the same."""
    if len(set(black)) == len(set(white)) == 1:
        return InputRange((black[0],), (white[0],))
    return InputRange(tuple(black), tuple(white))
