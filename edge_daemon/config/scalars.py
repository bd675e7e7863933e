"""What a scalar of the file means, by what is wanted where it stands: a word, number, boolean, path or pin.

YAML 1.1 decides by looks alone: `5` is a number even as a version, `017` is 15, `10:30` is 630 and `off` is
a boolean. Here the text as it was written counts, and what can't be taken is refused with the way out.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import msgspec
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


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may stand at a key. `role` is `path`, `pin` or nothing."""

    boolean: bool
    integer: bool
    real: bool
    text: bool
    words: frozenset[str]
    role: str

    @property
    def number(self) -> bool:
        """Whether a number may stand there."""
        return self.integer or self.real


def read_scalars(layer: ConfigSource, struct: type[msgspec.Struct]) -> None:
    """Replace each scalar in the layer's data by what is meant there. Raises ConfigError."""
    for section in msgspec.structs.fields(struct):
        key = section.encode_name
        if key in layer.data:  # to look into the types of every section would take ten times as long
            layer.data[key] = _read(layer.data[key], msgspec.inspect.type_info(section.type), layer, (key,))


def _read(value: object, kind: Type, layer: ConfigSource, path: KeyPath) -> object:
    """Return what is meant at `path`; mappings and lists are changed in place."""
    if isinstance(value, dict | list):
        container: Any = value
        for key, each, below in list(children(value, kind)):
            container[key] = _read(each, below, layer, (*path, key))
        return container
    mark = layer.marks.get(path)
    try:
        return None if value is None else _meant(value, mark.text if mark else str(value), _wanted(kind))
    except ValueError as exc:
        raise layer.error(path, str(exc)) from exc


def _wanted(kind: Type) -> Wanted:
    kinds = list(alternatives(kind))
    literals = [value for each in kinds if isinstance(each, LiteralType) for value in each.values]
    return Wanted(
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


def _meant(value: object, written: str, wanted: Wanted) -> object:
    """Return the value meant; one that fits nothing is left for the check of types. Raises ValueError."""
    if wanted.boolean and isinstance(value, bool | str):
        return _BOOLEANS.get(str(value).lower(), value)
    if isinstance(value, bool):
        return _word(value, written, wanted)
    if wanted.number and not (isinstance(value, str) and (wanted.text or value in wanted.words)):
        number = _number(value, written, wanted)
        if isinstance(number, int | float) or not wanted.text:
            return number
    if wanted.text or wanted.words:
        text = value if isinstance(value, str) else written
        return expand(text) if wanted.role == "path" else text
    return value


def _word(value: bool, written: str, wanted: Wanted) -> object:
    """Return `on` or `off` where a word is wanted, as people write them; `yes` and `no` have to be quoted."""
    if written.lower() not in ("on", "off"):
        return value
    if written.lower() in wanted.words:
        return written.lower()
    return written if wanted.text else value


def _number(value: object, written: str, wanted: Wanted) -> object:
    if _LEADING_ZERO.fullmatch(written) and not wanted.text:
        plain = re.sub(r"^([-+]?)0+(?=[0-9])", r"\1", written)
        raise ValueError(
            f"{written} is not {plain} in YAML, which takes the leading zero for octal; write {plain}"
        )
    if isinstance(value, int | float) and ":" in written:
        if wanted.text:
            return written
        raise ValueError(f"{written} is a number to the base of 60 in YAML, {value}; write it without ':'")
    if isinstance(value, str):
        value = _number_in(value, wanted)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{written} is no number that can be used; leave the key out for its default")
    return value


def _number_in(text: str, wanted: Wanted) -> object:
    """Return the number in a string, quoted or of a form that YAML 1.1 doesn't know; else the string."""
    if wanted.role == "pin":
        return parse_pin(text)
    if _DECIMAL.fullmatch(text.strip()):
        return int(text)
    return float(text) if wanted.real and _REAL.fullmatch(text.strip()) else text
