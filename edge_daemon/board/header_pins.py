"""Names of a Raspberry Pi's pins: BCM numbers and positions on the 40-pin header."""

from __future__ import annotations

import re

_HEADER = {
    3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23, 18: 24, 19: 10, 21: 9, 22: 25,
    23: 11, 24: 8, 26: 7, 27: 0, 28: 1, 29: 5, 31: 6, 32: 12, 33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
}  # fmt: skip
"""BCM numbers by position; source: `pinout` of gpiozero. The other positions are power and ground."""

_NAME = re.compile(r"(GPIO|BCM|BOARD|J8:)?[ _-]?(0|[1-9][0-9]?)", re.IGNORECASE)


def parse_pin(text: str) -> int:
    """Return the BCM number of `17`, `GPIO17`, `BCM17` or `BOARD11`. Raises ValueError for other names."""
    match = _NAME.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a pin; write its BCM number, such as 17 or GPIO17")
    number = int(match[2])
    if (match[1] or "").upper() not in ("BOARD", "J8:"):
        return number
    if number not in _HEADER:
        raise ValueError(
            f"'{text}': position {number} of the header is not a GPIO pin; write a BCM number such as 17"
        )
    return _HEADER[number]
