"""Configuration data with the source of each value: YAML with lines, and `key.path=value` overrides."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from msgspec import Struct

from edge_daemon.board.digits import read_digits
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.regular_file import read_regular, without_bom

MAX_BYTES = 256 * 1024
MAX_NODES = 20_000
_MAX_DEPTH = 50
_MAX_NUMBER = 100  # characters of a number or date
_QUOTING = tuple("'\"[{&*!|>")
_NEEDS_QUOTES = "put the value into quotes, such as '[::]:8080'; YAML reads its first character as a sign"
_PLAIN_REASONS = {
    "found character '\\t'": "a tab begins the value or the line; indent with spaces",
    "mapping values are not allowed here": "a ':' in a value or at another depth; indent the line as its "
    "neighbours, or put a text with ': ' into quotes",
    "could not find expected ':'": "the line above has no ': ' behind its key; write `key: value`",
    "found unexpected end of stream": "a quote is not closed before the end",
    "special characters are not allowed": "it holds bytes that are no text, as after a power cut; write it "
    "again, or restore a copy",
    "expected the node content, but found ':'": _NEEDS_QUOTES,
    "expected the node content, but found ": "a value is missing before ",
    "expected alphabetic or numeric character": _NEEDS_QUOTES,
    "that cannot start any token": _NEEDS_QUOTES,
}
"""Texts with a remedy for the most common reasons of the parser."""
_INDEX = re.compile(r"\[([^\[\]]*)\]")
_MERGE = "tag:yaml.org,2002:merge"

OVERRIDE = "--set"
"""Name of overrides in errors and as the location of their values, unless the caller gives another."""

Key = str | int
KeyPath = tuple[Key, ...]


class SourceLocation(Struct, frozen=True):
    """The place of a value, a file and line or an override, and its text there."""

    where: str
    text: str = ""


class ConfigSource(Struct):
    """Plain data (dict, list, scalars) and the location of every value in it, by key path."""

    data: dict[str, object] = {}
    locations: dict[KeyPath, SourceLocation] = {}

    def location(self, path: KeyPath) -> SourceLocation | None:
        """Return the location of `path`, or of the nearest container around it."""
        for end in range(len(path), -1, -1):
            if path[:end] in self.locations:
                return self.locations[path[:end]]
        return None

    def error(self, path: KeyPath, text: str) -> ConfigError:
        """Return an error with the location of the key."""
        location = self.location(path)
        return ConfigError(
            f"{location.where}: {dotted(path)}: {text}" if location else f"{dotted(path)}: {text}"
        )


def read_yaml(path: Path) -> ConfigSource:
    """Read a YAML file. Raises ConfigError with file and line for a file that is not a mapping."""
    try:
        raw = read_regular(path, MAX_BYTES)
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {exc.strerror or exc}") from exc
    try:
        return parse_yaml(without_bom(raw).decode(), str(path))
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text (byte {exc.start})") from exc


def parse_yaml(text: str, name: str) -> ConfigSource:
    """Parse YAML text; `name` is the name of the file in errors and locations."""
    source = ConfigSource()
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return source
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{name}:1: expected sections such as 'camera:', got {_shorten(text)!r}")
        source.data = _Reader(loader, name, source.locations).mapping(node, ())
        return source
    except yaml.YAMLError as exc:
        raise ConfigError(f"{name}:{_line_of(exc)}: not YAML: {_reason(exc)}") from exc
    except ValueError as exc:
        if isinstance(exc, ConfigError):
            raise
        raise ConfigError(f"{name}: not YAML: {exc}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{name}: nested too deeply") from exc
    except OverflowError as exc:  # an escape beyond Unicode
        raise ConfigError(f"{name}: not YAML: {exc}") from exc


class _Loader(yaml.SafeLoader):
    """PyYAML's loader with limits: without them some texts take seconds, or fail without a line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._composed = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        self._composed += 1
        self._depth += 1
        try:
            if self._composed > MAX_NODES or self._depth > _MAX_DEPTH:
                problem = "nested too deeply" if self._depth > _MAX_DEPTH else f"more than {MAX_NODES} values"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            if node.tag != "tag:yaml.org,2002:str" and len(node.value) > _MAX_NUMBER:
                raise ValueError
            return super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
            kind = node.tag.rpartition(":")[2]
            problem = f"{_shorten(_text(node))!r} is not a valid {kind}; put text into quotes"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from exc


class _Reader:
    """Converts nodes into plain data with locations; refuses duplicate keys and alias bombs."""

    def __init__(self, loader: yaml.SafeLoader, name: str, locations: dict[KeyPath, SourceLocation]) -> None:
        self._loader = loader
        self._name = name
        self._marks = locations
        self._seen = 0

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        data = self._merged(node, path)
        own: set[str] = set()
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key is None:
                raise ConfigError(f"{self._where(key_node)}: a key must be a plain word")
            if key in own:
                raise ConfigError(
                    f"{self._where(key_node)}: duplicate key {dotted((*path, key))!r}; keep one"
                )
            own.add(key)
            data[key] = self.value(value_node, (*path, key))
            self._marks[(*path, key)] = SourceLocation(self._where(key_node), _text(value_node))
        return data

    def _merged(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        """Return the data that `<<` merges; the first of several mappings with a key has precedence."""
        data: dict[str, object] = {}
        for key_node, value_node in node.value:
            if key_node.tag != _MERGE:
                continue
            merged = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            for mapping in reversed(merged):
                if not isinstance(mapping, yaml.MappingNode):
                    raise ConfigError(f"{self._where(key_node)}: `<<` merges mappings, such as `<<: *name`")
                self._count(mapping)
                data |= self.mapping(mapping, path)
        return data

    def _count(self, node: yaml.Node) -> None:
        self._seen += 1
        if self._seen > MAX_NODES:
            raise ConfigError(f"{self._where(node)}: more than {MAX_NODES} values")

    def value(self, node: yaml.Node, path: KeyPath) -> object:
        self._count(node)
        self._marks[path] = SourceLocation(self._where(node), _text(node))
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._loader.construct_object(node)

    def _where(self, node: yaml.Node) -> str:
        return f"{self._name}:{node.start_mark.line + 1}"


def apply_overrides(source: ConfigSource, overrides: Sequence[str], option: str = OVERRIDE) -> ConfigSource:
    """Return the source with each `key.path=value` applied; the value is read as YAML.

    `option` is the option or command that the overrides come from.
    """
    if isinstance(overrides, str) or not all(isinstance(text, str) for text in overrides):
        raise ConfigError("overrides: expected a list of texts such as 'mqtt.port=1884'")
    data = _copy(source.data)
    assert isinstance(data, dict)
    locations = dict(source.locations)
    for text in overrides:
        name, equals, value = text.partition("=")
        path = _parse_path(name)
        if not equals or not path:
            raise ConfigError(f"{option} {text}: expected key.path=value, such as mqtt.host=broker.local")
        if wrong := next((each for each in _INDEX.findall(name) if read_digits(each) is None), None):
            raise ConfigError(f"{option} {_shorten(text)}: [{_shorten(wrong)}] is no index; write a number")
        parsed = _read_override(name, value, option)
        _put(data, path, parsed.data.get("value"), f"{option} {text}")
        for stale in [known for known in locations if known[: len(path)] == path]:
            del locations[stale]
        locations |= {
            (*path, *rest): SourceLocation(option, location.text)
            for (_, *rest), location in parsed.locations.items()
        }
        locations[path] = SourceLocation(option, value)
        for end in range(1, len(path)):  # sections and lists that this value began
            locations.setdefault(path[:end], SourceLocation(option))
    return ConfigSource(data, locations)


def _read_override(name: str, value: str, option: str) -> ConfigSource:
    """Read a value as YAML in which `#` does not begin a comment."""
    if "#" in value and value.lstrip()[:1] not in _QUOTING:
        return ConfigSource({"value": value.strip()})
    try:
        return parse_yaml(f"value: {value}", f"{option} {name}") if value else ConfigSource()
    except ConfigError as exc:
        if _NEEDS_QUOTES not in str(exc):
            raise
        quoted = f"\"{name}='{_shorten(value)}'\""  # a shell removes one kind
        raise ConfigError(f"{option} {name}: not YAML; write it with both kinds of quotes: {quoted}") from exc


def _parse_path(text: str) -> KeyPath:
    parts = re.split(r"[.\[\]]+", text.strip().rstrip("]"))
    numbers = [read_digits(part) for part in parts]
    keys = (part if number is None else number for part, number in zip(parts, numbers, strict=True))
    return tuple(keys) if all(parts) else ()


def _put(data: object, path: KeyPath, value: object, where: str) -> None:
    """Set the value at `path`; `where` begins the ConfigError for a path that can't be."""
    for key, following in itertools.pairwise(path):
        data = _child(data, key, [] if isinstance(following, int) else {}, where)
    _child(data, path[-1], value, where, replace=True)


def _child(data: object, key: Key, value: object, where: str, *, replace: bool = False) -> object:
    """Return the value at `key`; set it to `value` if it is missing or to be replaced."""
    if isinstance(data, list) and isinstance(key, int) and key <= len(data):
        if key == len(data):
            data.append(value)
        elif replace:
            data[key] = value
        return data[key]
    if isinstance(data, dict) and isinstance(key, str):
        if replace or data.get(key) is None:
            data[key] = value
        return data[key]
    raise ConfigError(f"{where}: {key!r} is not a key of the configuration; see `edge-daemon config show`")


def _copy(data: object) -> object:
    if isinstance(data, dict):
        return {key: _copy(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_copy(value) for value in data]
    return data


def dotted(path: KeyPath) -> str:
    """Return a key path as text, such as buttons[0].pin."""
    text = ""
    for key in path:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def _text(node: yaml.Node) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _shorten(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= 40 else line[:39] + "…"


def _line_of(exc: yaml.YAMLError) -> int:
    mark = getattr(exc, "problem_mark", None)
    return mark.line + 1 if mark is not None else 1


def _reason(exc: yaml.YAMLError) -> str:
    reason = str(getattr(exc, "problem", None) or getattr(exc, "reason", None) or exc).splitlines()[0]
    part, text = next((each for each in _PLAIN_REASONS.items() if each[0] in reason), (reason, reason))
    return text + reason.partition(part)[2] if text.endswith(" ") else text
