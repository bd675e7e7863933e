"""A change of one value in a configuration file, which keeps the file's comments and layout."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import yaml

from edge_daemon.config.yaml_source import MAX_BYTES, parse_yaml
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.atomic_file import replacing_file
from edge_daemon.system.file_owner import as_owner_of, refuse_planted_link
from edge_daemon.system.regular_file import read_regular

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_RESERVED = ("null", "true", "false", "yes", "no", "on", "off", "y", "n", "_")
_MARKS = ("&", "*", "!")
"""First characters of anchors, aliases and tags."""


Scalar = str | int | float | bool | None
"""A value that fits on the line of its key."""


class _Change(NamedTuple):
    """The new value of a key of a section."""

    section: str
    name: str
    value: Scalar

    @property
    def line(self) -> str:
        """The key's line in the section."""
        return f"{self.name}: {_scalar(self.value)}"


class _Unsafe(Exception):
    """The file can't be changed safely; the text is the reason."""


class _Insertion(NamedTuple):
    """A piece of the text to replace, from `start` to `end`, and what replaces it."""

    start: int
    end: int
    text: str


def read_config_text(path: Path) -> str:
    """Return the text of a configuration file as it is, line ends included. Raises ConfigError."""
    try:
        return read_regular(path, MAX_BYTES).decode()
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text (byte {exc.start})") from exc


def is_missing(path: Path) -> bool:
    """Return whether there is no configuration file. Raises ConfigError if its folder may not be seen."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    except OSError as exc:
        raise ConfigError(f"{path}: can't be read: {exc.strerror}") from exc
    return False


def with_value(text: str, key: str, value: Scalar, where: str) -> str:
    """Return the text of a configuration with another value of `section.name`; nothing else changes.

    The result is read back and compared. Raises ConfigError, which begins with `where` and shows what to
    write, if the file can't be changed without changing something else.
    """
    section, _, name = key.partition(".")
    change = _Change(section, name, value)
    try:
        data = parse_yaml(text, where).data  # with limits, and without duplicate keys
        for candidate in _candidates(text, change):
            if _differs_only_in(data, candidate, change):
                return candidate
        raise _Unsafe("it can't be changed without changing something else")
    except (_Unsafe, ConfigError) as exc:
        reason = str(exc) if isinstance(exc, ConfigError) else f"{where}: {exc}"
        raise ConfigError(
            f"{reason}; nothing was changed. Write `{change.line}` into the section `{change.section}` "
            "yourself, and run the command again"
        ) from exc


def write_config_text(path: Path, before: str | None, after: str) -> None:
    """Replace the file's text atomically, with the same permissions. Raises ConfigError.

    It is refused if the file is no longer `before`, which is None for a file to be made with its folder.
    Root writes with the rights of the folder's owner.
    """
    refuse_planted_link(path)
    target = path.resolve()
    if (None if is_missing(target) else read_config_text(target)) != before:
        raise ConfigError(f"{path}: changed by someone else meanwhile; run the command again")
    try:
        with as_owner_of(target.parent), replacing_file(target) as file:
            if before is not None:
                _keep_owner(file.fileno(), target.stat())
            file.write(after.encode())
    except OSError as exc:
        raise ConfigError(f"{path}: can't be written: {exc.strerror or exc}") from exc


def _keep_owner(handle: int, found: os.stat_result) -> None:
    with suppress(PermissionError):
        os.fchown(handle, found.st_uid, found.st_gid)
    os.fchmod(handle, found.st_mode & 0o7777)


def check_writable(path: Path) -> None:
    """Raise the ConfigError of `write_config_text` before the work that precedes it."""
    folder = next(parent for parent in path.resolve().parents if parent.is_dir())
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise ConfigError(f"{path}: can't be written: its disk is read-only")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"{path}: can't be written: no permission in {folder}; run the command with sudo")


def _candidates(text: str, change: _Change) -> list[str]:
    """Return the changed texts to try, the one with the best layout first."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if root is None or isinstance(root, yaml.MappingNode):
        entries = [] if root is None else root.value
        found = [(key, value) for key, value in entries if key.value == change.section]
        if root is not None and root.flow_style:
            raise _Unsafe("it is in flow style, one {...}")
        if found:
            return [_apply(text, _in_section(text, *found[0], change))]
        section = [f"{change.section}:", f"  {change.line}", ""]
        return [_apply(text, place, section) for place in _places_of_section(text, change.section)]
    raise _Unsafe("it is no mapping of sections")


def _in_section(text: str, key: yaml.Node, section: yaml.Node, change: _Change) -> _Insertion:
    """Return the change of the section whose key and value are given."""
    _refuse_marks(text, key, section, change.section)
    line_end = _line_end(text, key.end_mark.index)
    if isinstance(section, yaml.ScalarNode) and section.value == "":
        return _Insertion(line_end, line_end, f"{_newline(text)}  {change.line}")
    if not isinstance(section, yaml.MappingNode):
        raise _Unsafe(f"line {section.start_mark.line + 1}: '{change.section}' is no section")
    if section.flow_style:
        line = section.start_mark.line + 1
        raise _Unsafe(f"line {line}: the section '{change.section}' is in flow style, one {{...}}")
    found = [(key, value) for key, value in section.value if key.value == change.name]
    if not found:
        start = section.start_mark.index
        indent = " " * section.start_mark.column
        return _Insertion(start, start, f"{change.line}{_newline(text)}{indent}")
    return _of_value(text, *found[0], change)


def _of_value(text: str, key: yaml.Node, value: yaml.Node, change: _Change) -> _Insertion:
    """Return the change of the value of a key."""
    what = f"{change.section}.{change.name}"
    _refuse_marks(text, key, value, what)
    start, end = value.start_mark, value.end_mark
    if not isinstance(value, yaml.ScalarNode) or value.style in ("|", ">") or start.line != end.line:
        raise _Unsafe(f"line {start.line + 1}: '{what}' is no value on one line")
    if value.value == "" and start.index == end.index:  # `name:` without a value
        colon = text.index(":", key.end_mark.index) + 1
        return _Insertion(colon, colon, f" {_scalar(change.value)}")
    return _Insertion(start.index, end.index, _scalar(change.value))


def _refuse_marks(text: str, key: yaml.Node, value: yaml.Node, what: str) -> None:
    """Refuse an anchor, an alias or a tag: what it stands for may be used elsewhere."""
    between = text[key.end_mark.index : value.start_mark.index].partition("#")[0]
    is_alias = value.start_mark.index < key.end_mark.index
    if is_alias or text[value.start_mark.index : value.start_mark.index + 1] in _MARKS or "&" in between:
        raise _Unsafe(f"line {key.start_mark.line + 1}: '{what}' has an anchor, an alias or a tag")


def _places_of_section(text: str, section: str) -> list[int]:
    """Return the places for a new section: before its commented one, else at the end."""
    commented = re.search(rf"^# ?{section}:", text, re.MULTILINE)
    return [*([commented.start()] if commented else []), len(text)]


def _apply(text: str, change: _Insertion | int, lines: list[str] | None = None) -> str:
    """Return the text with a change, or with whole lines at a place."""
    if isinstance(change, _Insertion):
        return text[: change.start] + change.text + text[change.end :]
    newline = _newline(text)
    before = text[:change]
    gap = newline if before and not before.endswith("\n") else ""
    return before + gap + newline.join(lines or []) + text[change:]


def _differs_only_in(before: dict[str, object], text: str, change: _Change) -> bool:
    """Return whether the text's data is that of before but for the changed key."""
    section = before.get(change.section) or {}
    try:
        after = parse_yaml(text, "").data
    except ConfigError:
        return False
    return isinstance(section, dict) and after == before | {
        change.section: section | {change.name: change.value}
    }


def _scalar(value: Scalar) -> str:
    """Return a value as YAML: text is in quotes where it would be read as something else."""
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED
    return value if plain else json.dumps(value, ensure_ascii=False)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _line_end(text: str, index: int) -> int:
    """Return the end of the line, before its line break."""
    end = text.find("\n", index)
    end = len(text) if end < 0 else end
    return end - 1 if text[end - 1 : end] == "\r" else end
