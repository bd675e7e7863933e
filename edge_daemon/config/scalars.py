"""Conversion of the file's scalars to the type that their key expects: word, number, boolean, path or pin.

YAML 1.1 decides by the text alone: `5` is a number even as a version, `017` is 15, `10:30` is 630 and `off`
is a boolean. The conversion uses the written text and the expected type; a value that can't be converted is
refused with a remedy.
"""

from __future__ import annotations

import math
import re
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    StrType,
    Type,
    UnionType,
)

from edge_daemon.board.header_pins import parse_pin
from edge_daemon.config.paths import expand
from edge_daemon.config.validation import alternatives, children
from edge_daemon.config.yaml_source import ConfigSource, KeyPath

_BOOLEANS = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_REAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


class ExpectedScalar(Struct, frozen=True):
    """The types of scalar that a key accepts. `role` is `path`, `pin` or empty."""

    boolean: bool
    integer: bool
    real: bool
    text: bool
    words: frozenset[str]
    role: str

    @property
    def number(self) -> bool:
        """True if the key accepts a number."""
        return self.integer or self.real


def read_scalars(source: ConfigSource, struct: type[msgspec.Struct]) -> None:
    """Convert each scalar in the source's data to the type of its key. Raises ConfigError."""
    for section in msgspec.structs.fields(struct):
        key = section.encode_name
        if key in source.data:  # the types of all sections would take ten times as long
            source.data[key] = _read(
                source.data[key], msgspec.inspect.type_info(section.type), source, (key,)
            )


def _read(value: object, kind: Type, source: ConfigSource, path: KeyPath) -> object:
    """Return the converted value at `path`; mappings and lists are changed in place."""
    if isinstance(value, dict | list):
        container: Any = value
        for key, each, below in list(children(value, kind)):
            container[key] = _read(each, below, source, (*path, key))
        return container
    location = source.locations.get(path)
    try:
        return (
            None
            if value is None
            else _convert(value, location.text if location else str(value), _expected_at(kind))
        )
    except ValueError as exc:
        raise source.error(path, str(exc)) from exc


def _expected_at(kind: Type) -> ExpectedScalar:
    kinds = list(alternatives(kind))
    literals = [value for each in kinds if isinstance(each, LiteralType) for value in each.values]
    return ExpectedScalar(
        boolean=any(isinstance(each, BoolType) for each in kinds),
        integer=any(isinstance(each, IntType) for each in kinds)
        or any(type(each) is int for each in literals),
        real=any(isinstance(each, FloatType) for each in kinds),
        text=any(isinstance(each, StrType) for each in kinds),
        words=frozenset(each for each in literals if isinstance(each, str)),
        role=_role(kind),
    )


def _role(kind: Type) -> str:
    if isinstance(kind, UnionType):
        return next((role for each in kind.types if (role := _role(each))), "")
    return str((kind.extra or {}).get("scalar", "")) if isinstance(kind, Metadata) else ""


def _convert(value: object, written: str, expected: ExpectedScalar) -> object:
    """Return the converted value; the type check refuses values of other types. Raises ValueError."""
    if expected.boolean and isinstance(value, bool | str):
        return _BOOLEANS.get(str(value).lower(), value)
    if isinstance(value, bool):
        return _word(value, written, expected)
    if expected.number and not (isinstance(value, str) and (expected.text or value in expected.words)):
        number = _number(value, written, expected)
        if isinstance(number, int | float) or not expected.text:
            return number
    if expected.text or expected.words:
        text = value if isinstance(value, str) else written
        return expand(text) if expected.role == "path" else text
    return value


def _word(value: bool, written: str, expected: ExpectedScalar) -> object:
    """Return `on` or `off` for a key that accepts the word; `yes` and `no` need quotes."""
    if written.lower() not in ("on", "off"):
        return value
    if written.lower() in expected.words:
        return written.lower()
    return written if expected.text else value


def _number(value: object, written: str, expected: ExpectedScalar) -> object:
    if _LEADING_ZERO.fullmatch(written) and not expected.text:
        plain = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", written)
        raise ValueError(
            f"{written} is not {plain} in YAML, which reads a leading zero as octal; write {plain}"
        )
    if isinstance(value, int | float) and ":" in written:
        if expected.text:
            return written
        raise ValueError(f"{written} is a base-60 number in YAML, {value}; write it without ':'")
    if isinstance(value, str):
        value = _number_in(value, expected)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{written} is not a usable number; leave the key out for its default")
    return value


def _number_in(text: str, expected: ExpectedScalar) -> object:
    """Return the number in a string that is quoted or not a number in YAML 1.1; else the string."""
    if expected.role == "pin":
        return parse_pin(text)
    if _DECIMAL.fullmatch(text.strip()):
        return int(text)
    return float(text) if expected.real and _REAL.fullmatch(text.strip()) else text
