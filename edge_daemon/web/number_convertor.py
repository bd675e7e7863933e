"""The convertor of numbers in the paths of the page."""

from __future__ import annotations

from starlette.convertors import Convertor, register_url_convertor


class NumberConvertor(Convertor[int]):
    """A whole number below 9e18, so that the store takes it; a larger one leads to no route."""

    regex = "[0-9]{1,18}|[1-8][0-9]{18}"

    def convert(self, value: str) -> int:
        """Return the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Return the digits."""
        return str(value)


def register_number_convertor() -> None:
    """Make the type `number` known to routes, which must be built afterwards."""
    register_url_convertor("number", NumberConvertor())
