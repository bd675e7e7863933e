"""Errors for unknown keys and wrong values, with line, key and remedy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.inspect import (
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    TupleType,
    Type,
    UnionType,
    VarTupleType,
)

from edge_daemon.board.digits import read_digits
from edge_daemon.config.yaml_source import ConfigSource, Key, KeyPath
from edge_daemon.domain.errors import ConfigError


def alternatives(kind: Type) -> Iterator[Type]:
    """Yield the types of a union, without annotations."""
    if isinstance(kind, Metadata):
        yield from alternatives(kind.type)
    elif isinstance(kind, UnionType):
        for each in kind.types:
            yield from alternatives(each)
    else:
        yield kind


def children(data: object, kind: Type) -> Iterator[tuple[Key, object, Type]]:
    """Yield key, value and type of each item of a mapping or list."""
    if isinstance(data, dict) and (struct := struct_for(data, kind)) is not None:
        fields = {field.encode_name: field.type for field in struct.fields}
        yield from ((key, value, fields[key]) for key, value in data.items() if key in fields)
    elif isinstance(data, list):
        for each in alternatives(kind):
            if isinstance(each, VarTupleType):
                yield from ((index, value, each.item_type) for index, value in enumerate(data))
            elif isinstance(each, TupleType):
                yield from (
                    (index, value, item)
                    for index, (value, item) in enumerate(zip(data, each.item_types, strict=False))
                )


def struct_for(data: object, kind: Type) -> StructType | None:
    """Return the struct for `data`; of several, the one with its tag."""
    structs = [each for each in alternatives(kind) if isinstance(each, StructType)]
    if len(structs) <= 1:
        return structs[0] if structs else None
    tag = data.get(structs[0].tag_field) if isinstance(data, dict) else None
    return next((each for each in structs if each.tag == tag), None)


def refuse_unknown_keys(data: object, kind: Type, source: ConfigSource, path: KeyPath = ()) -> None:
    """Raise ConfigError for the first unknown key, with the most similar known key."""
    if isinstance(data, dict):
        known = _known_keys(data, kind)
        for key in data:
            if known and key not in known:
                text = f"unknown key{suggest(key, known)}"
                if not key.isprintable():
                    text = f"unknown key {key!r}: it holds an invisible character; write plain spaces"
                raise source.error((*path, key), text)
    for key, value, below in children(data, kind):
        refuse_unknown_keys(value, below, source, (*path, key))


def _known_keys(data: dict[str, object], kind: Type) -> list[str]:
    """Return the keys of the struct for `data`; without a known tag, the keys of all possible structs."""
    chosen = struct_for(data, kind)
    structs = [chosen] if chosen else [each for each in alternatives(kind) if isinstance(each, StructType)]
    names = [field.encode_name for struct in structs for field in struct.fields]
    return list(dict.fromkeys([*(struct.tag_field for struct in structs if struct.tag_field), *names]))


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the end of a message: the most similar known word, or all known words."""
    import difflib  # late: only a wrong word needs it

    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean '{by_lower[close[0]]}'?" if close else f"; known here: {', '.join(sorted(known))}"


def explain(exc: msgspec.ValidationError, kind: Type, source: ConfigSource) -> ConfigError:
    """Return msgspec's error as a ConfigError with line, key, value and remedy."""
    text, _, place = str(exc).partition(" - at `$")
    path = _parse_place(place.rstrip("`"))
    location = source.location(path)
    written = location.text if location and source.locations.get(path) else ""
    text = text[:1].lower() + text[1:]
    missing = re.search("missing required field `(.*)`", text)
    words = _words_at(source.data, kind, (*path, missing[1]) if missing else path)
    shape = _explain_shape(_type_at(source.data, kind, path), written, text) or _explain_text(written, text)
    if missing and words:
        text += f"; it is one of {', '.join(words)}"
    elif words and ("enum value" in text or "got `bool`" in text or "Invalid value" in str(exc)):
        text = f"{written!r} is none of {', '.join(words)}{_guess(written, words)}"
    elif shape:
        text = shape
    elif "got `bool`" in text and "str" in text and written:
        text = f"{written!r} without quotes means a yes/no value; write it as '\"{written}\"'"
    elif "expected `bool`" in text:
        text = f"{written!r} is neither true nor false; write one of them"
    else:
        text += f" (got {written})" if written else ""
    return source.error(path, text)


def _explain_shape(kind: Type | None, written: str, text: str) -> str:
    """Return the remedy for a scalar in the place of a section, a list or null; empty for other errors."""
    kinds = () if kind is None else tuple(alternatives(kind))
    structs = [each for each in kinds if isinstance(each, StructType)]
    if structs and "expected `object" in text:
        got = f", not {written!r}" if written else ""
        return f"expected a section of keys{got}; write them below it, such as `{_example(structs)}`"
    if "expected `array`, got" in text and written:
        pair = any(isinstance(each, TupleType) for each in kinds)
        items = ", ".join(re.split(r"\s*[,;x]\s*", written)) if pair else written
        return f"expected a list, not {written!r}; write it in brackets: [{items}]"
    off = written.lower() in ("off", "no", "false")
    if off and "got `bool`" in text and any(isinstance(each, NoneType) for each in kinds):
        quoted = (
            f", or '\"{written}\"' for the word" if any(isinstance(each, StrType) for each in kinds) else ""
        )
        return f"{written!r} without quotes means a yes/no value; write null for none{quoted}"
    return ""


def _explain_text(written: str, text: str) -> str:
    """Return the remedy for a list without dashes, a number with a unit or a name; else empty."""
    if "expected `array" in text and "got `object`" in text:
        return "expected a list; begin each of its entries with '- '"
    if re.match(r"[-+]?\d", written) and re.match(r"expected `(int|float).*got `str`", text):
        return f"{written!r} is not a number; write it without a unit, and with a point before decimals"
    if "matching regex" in text and "A-Za-z0-9_.-" in text:
        return f"{written!r} is not a name of up to 64 characters A-Z, a-z, 0-9, '_', '.' and '-'"
    return ""


def _example(structs: Sequence[StructType]) -> str:
    """Return an entry of a section: its tag, its switch or its first key."""
    if structs[0].tag_field:
        return f"{structs[0].tag_field}: {structs[0].tag}"
    names = [field.encode_name for field in structs[0].fields]
    return "enabled: true" if "enabled" in names else f"{names[0]}: …"


def _type_at(data: object, kind: Type, path: KeyPath) -> Type | None:
    """Return the type of the key at `path`; None for an unknown one."""
    if not path:
        return kind
    for key, value, below in children(data, kind):
        if key == path[0]:
            return _type_at(value, below, path[1:])
    return None


def _guess(word: str, words: Sequence[str]) -> str:
    guess = suggest(word, words)
    return guess if "did you mean" in guess else ""


def _words_at(data: object, kind: Type, path: KeyPath) -> list[str]:
    """Return the words that the key at `path` accepts; for a missing or misspelt tag, the known types."""
    if not path:
        return [
            str(value)
            for each in alternatives(kind)
            if isinstance(each, LiteralType)
            for value in each.values
        ]
    for key, value, below in children(data, kind):
        if key == path[0]:
            return _words_at(value, below, path[1:])
    tags = [each for each in alternatives(kind) if isinstance(each, StructType) and each.tag_field == path[0]]
    return [str(each.tag) for each in tags]


def _parse_place(place: str) -> KeyPath:
    parts: list[Key] = []
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]", place):
        number = read_digits(index)
        parts.append(name or (index if number is None else number))
    return tuple(parts)
