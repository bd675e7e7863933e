"""Errors of requests in plain words: the key, the values that are allowed, and the value that was sent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import inspect

_MAX_VALUE_CHARACTERS = 40
_MAX_KEY_CHARACTERS = 40


def explain_request(exc: msgspec.ValidationError, kind: type[msgspec.Struct], body: object) -> str:
    """Return why `body`, a decoded JSON value, is no request of the struct `kind`; one line."""
    if not isinstance(body, Mapping):
        return "it isn't a JSON object"
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    if (unknown := next((key for key in body if key not in fields), None)) is not None:
        words = f"the keys are {', '.join(fields)}" if fields else "it takes no keys"
        return f"there is no key {str(unknown)[:_MAX_KEY_CHARACTERS]!r}; {words}"
    if missing := [repr(name) for name, field in fields.items() if field.required and name not in body]:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    key, *steps = _path(str(exc))
    value, types = _walk(body[key], _alternatives(inspect.type_info(fields[key].type)), steps)
    where = f"a value in {key!r}" if steps else repr(key)
    got = "" if "..." in steps else f"; got {_shown(value)}"
    return f"{where} must be {_joined(types)}{got}"


def _path(text: str) -> list[str]:
    """Return the keys and indices of msgspec's place, such as ``$.labels[0]``; `...` is any key."""
    place = text.rpartition(" - at `$")[2]
    return [name or index for name, index in re.findall(r"\.([^.\[\]`]+)|\[(\d+|\.\.\.)\]", place)]


def _walk(value: object, types: list[inspect.Type], steps: list[str]) -> tuple[object, list[inspect.Type]]:
    """Return the value at `steps` and its allowed types; the value is None below an unnamed key."""
    for step in steps:
        kinds = inspect.DictType if step == "..." else inspect.ListType | inspect.VarTupleType
        items = [
            each.value_type if isinstance(each, inspect.DictType) else each.item_type
            for each in types
            if isinstance(each, kinds)
        ]
        types = [each for item in items for each in _alternatives(item)]
        value = value[int(step)] if isinstance(value, list) and step != "..." else None
    return value, types


def _alternatives(kind: inspect.Type) -> list[inspect.Type]:
    """Return the types of a union, without annotations."""
    if isinstance(kind, inspect.Metadata):
        return _alternatives(kind.type)
    if isinstance(kind, inspect.UnionType):
        return [found for each in kind.types for found in _alternatives(each)]
    return [kind]


def _joined(types: list[inspect.Type]) -> str:
    """Return the values of the types as `A, B or C`: words first, null last."""
    words = [word for each in sorted(types, key=_rank) for word in _words(each)]
    return " or ".join(filter(None, (", ".join(words[:-1]), *words[-1:]))) or "another value"


def _rank(kind: inspect.Type) -> int:
    return 2 if isinstance(kind, inspect.NoneType) else int(not isinstance(kind, inspect.LiteralType))


def _words(kind: inspect.Type) -> Iterator[str]:
    match kind:
        case inspect.LiteralType():
            yield from map(str, kind.values)
        case inspect.BoolType():
            yield from ("true", "false")
        case inspect.NoneType():
            yield "null"
        case inspect.IntType():
            yield "a whole number" + _range(kind.ge, kind.le)
        case inspect.FloatType():
            yield "a number" + _range(kind.ge, kind.le)
        case inspect.StrType(pattern=str(pattern)):
            yield f"text of the form {pattern}"
        case inspect.StrType():
            yield "text" if kind.max_length is None else f"text of at most {kind.max_length} characters"
        case inspect.ListType() | inspect.VarTupleType():
            yield f"a list{_length(kind)}, each of them {_joined(_alternatives(kind.item_type))}"
        case _:
            yield "an object"


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return "" if low is None else f" of at least {_number(low)}"
    return f" of at most {_number(high)}" if low is None else f" from {_number(low)} to {_number(high)}"


def _length(kind: inspect.ListType | inspect.VarTupleType) -> str:
    if kind.max_length is None:
        return ""
    return f" of {kind.min_length or 0} to {kind.max_length} values"


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(value: object) -> str:
    """Return a value as the sender wrote it, shortened."""
    try:
        text = msgspec.json.encode(value).decode()
    except (OverflowError, RecursionError, ValueError):
        return "a value that can't be shown"
    return text if len(text) <= _MAX_VALUE_CHARACTERS else f"{text[:_MAX_VALUE_CHARACTERS]}…"
