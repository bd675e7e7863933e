"""A classifier's class names, from label files of the common formats or inside the model."""

from __future__ import annotations

import itertools
import json
import re
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from edge_daemon.board.digits import read_digits
from edge_daemon.domain.errors import ModelError
from edge_daemon.models.export_archive import UNREADABLE
from edge_daemon.system.regular_file import open_regular, without_bom
from edge_daemon.system.zip_safety import read_entry
from edge_daemon.tflite.embedder import read_model
from edge_daemon.tflite.metadata import read_metadata

MAX_BYTES = 4 << 20
MAX_LABELS = 100_000
_NUMBERED = re.compile(r"(\d{1,6})[ \t:,;]+(.*)")
_LINE_END = re.compile(r"\r\n|\r|\n")
_LISTS = ("labels", "classes", "class_names", "Label", "label")
_NAMES = ("label", "name", "display_name", "title")
_OWN = ("{stem}.labels.txt", "{stem}_labels.txt", "{stem}.txt", "{stem}.labels.json")
_OF_FOLDER = ("labels.txt", "signature.json")


def load_class_names(model: Path, classes: int) -> tuple[str, ...]:
    """Return the names of a model's classes.

    Search order: `<stem>.labels.txt`, `<stem>_labels.txt`, `<stem>.txt` or `<stem>.labels.json` in the
    model's folder, the model file itself, `labels.txt` or `signature.json` in the folder. Raises ModelError
    without labels, and when their number is not `classes`.
    """
    if found := find_class_names(model):
        return check_count(found[0], classes, found[1])
    raise ModelError(
        f"{model} has no labels; put its {classes} class names, one a line, "
        f"into {model.stem}.labels.txt beside it"
    )


def label_file_names(stem: str) -> tuple[str, ...]:
    """Return the names of label files that belong to the model file `stem`, in the order of the search."""
    return (*(pattern.format(stem=stem) for pattern in _OWN), *_OF_FOLDER)


def find_class_names(model: Path) -> tuple[tuple[str, ...], str] | None:
    """Return the labels that `load_class_names` finds, unchecked, and their source; None without.

    Raises ModelError for a damaged label file.
    """
    if own := _first_file(model, _OWN):
        return read_class_names(own), str(own)
    if embedded := embedded_class_names(model):
        return embedded, f"{model} (inside)"
    if near := _first_file(model, _OF_FOLDER):
        return read_class_names(near), str(near)
    return None


def _first_file(model: Path, patterns: tuple[str, ...]) -> Path | None:
    paths = (model.with_name(pattern.format(stem=model.stem)) for pattern in patterns)
    return next((path for path in paths if path.is_file()), None)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Read a label file. Raises ModelError that names it."""
    try:
        with open_regular(path) as file:
            return parse_class_names(file.read(MAX_BYTES + 1), str(path))
    except OSError as exc:
        raise ModelError(f"{path}: can't be read: {exc.strerror}") from exc


def embedded_class_names(model: Path) -> tuple[str, ...] | None:
    """Return the labels in the zip archive at the model file's end (TFLite metadata), None without.

    Of several label files (languages) the one that the metadata names is read, else the first.
    """
    try:
        with zipfile.ZipFile(model) as archive:
            names = archive.namelist()
            texts = [name for name in names if name.endswith(".txt")]
            if len(texts) != 1 and (named := read_metadata(read_model(model)).label_file) in names:
                texts = [named]
            if not texts:
                return None
            content = read_entry(archive, texts[0], MAX_BYTES + 1)
        return parse_class_names(content, f"{model}, {texts[0]}")
    except UNREADABLE:
        return None


def parse_class_names(content: bytes, name: str) -> tuple[str, ...]:
    """Parse labels from text (one a line, or "0 name") or JSON; errors begin with `name`.

    All labels are distinct: ImageNet's second "crane" becomes "crane (2)", an empty line "class 7".
    JSON: a list of names or of objects with a name, {"0": name}, {name: 0}, {"0": [id, name]},
    {"labels": [...]} and Lobe's {"classes": {"Label": [...]}}.
    """
    if len(content) > MAX_BYTES:
        raise ModelError(f"{name}: too large for a label file (over {MAX_BYTES >> 20} MiB)")
    try:
        text = without_bom(content).decode()
    except UnicodeDecodeError as exc:
        raise ModelError(f"{name}: not UTF-8 text ({exc.reason} at byte {exc.start})") from exc
    labels = _from_json(text, name) if text.lstrip()[:1] in ("{", "[") else _from_lines(text)
    if not labels or len(labels) > MAX_LABELS:
        raise ModelError(f"{name}: holds {len(labels)} labels")
    return _distinct(labels)


def format_class_names(labels: Iterable[str]) -> str:
    """Return the text of a label file from which `parse_class_names` reads these names, made distinct.

    Names that would be taken for numbered lines or for JSON are numbered, or become a JSON list.
    """
    names = _distinct(labels)
    for lines in (names, [f"{number} {name}" for number, name in enumerate(names)]):
        text = "".join(f"{line}\n" for line in lines)
        with suppress(ModelError):
            if parse_class_names(text.encode(), "") == names:
                return text
    return f"{json.dumps(names)}\n"


def check_count(labels: tuple[str, ...], classes: int, name: str) -> tuple[str, ...]:
    """Return the labels if there is one per class. Raises ModelError that names both counts."""
    if len(labels) == classes:
        return labels
    hint = ' (one is missing: often line 0, "background")' if classes - len(labels) == 1 else ""
    raise ModelError(f"{name}: {len(labels)} labels for a model of {classes} classes{hint}")


def _distinct(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the labels with a number appended to each repeated one, and a name for each empty one.

    Half of a surrogate pair, which JSON can hold and UTF-8 can't, becomes a question mark.
    """
    texts = [label.encode("utf-8", "replace").decode() for label in labels]
    lines = [_LINE_END.sub(" ", text).strip() for text in texts]
    names = [label or f"class {number}" for number, label in enumerate(lines)]
    taken, seen = set(names), set()
    for index, name in enumerate(names):
        if name in seen:
            copies = (f"{name} ({copy})" for copy in itertools.count(2))
            names[index] = next(copy for copy in copies if copy not in taken)
            taken.add(names[index])
        seen.add(name)
    return tuple(names)


def _from_lines(text: str) -> tuple[str, ...]:
    lines = [line.strip() for line in _LINE_END.split(text)]
    while lines and not lines[-1]:
        lines.pop()
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    pairs = {int(match[1]): match[2].strip() for match in numbered if match}
    # "0 bolts" and "1 bolts" are counts of bolts; without the numbers they would be one class.
    if sorted(pairs) == list(range(len(lines))) and len(set(pairs.values())) == len(lines):
        return tuple(pairs[number] for number in range(len(lines)))
    return tuple(lines)


def _from_json(text: str, name: str) -> tuple[str, ...]:
    try:
        return tuple(_names(json.loads(text)))
    except (ValueError, RecursionError) as exc:
        raise ModelError(f"{name}: {exc}") from exc


def _names(data: object) -> list[str]:
    """Return the names in a JSON value. Raises ValueError for an unknown structure."""
    if isinstance(data, list):
        return [_name(item) for item in data]
    if isinstance(data, dict):
        for key in _LISTS:
            if isinstance(data.get(key), list | dict):
                return _names(data[key])
        if data and all(isinstance(value, int) and not isinstance(value, bool) for value in data.values()):
            return _in_order((value, key) for key, value in data.items())
        numbers = [number for key in data if (number := read_digits(str(key))) is not None]
        if data and len(numbers) == len(data):
            return _in_order(zip(numbers, map(_name, data.values()), strict=True))
    raise ValueError("JSON without labels; known are a list, {'labels': [...]}, {'0': name} and {name: 0}")


def _name(item: object) -> str:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and isinstance(item[-1], str):
        return item[-1]
    if isinstance(item, Mapping):
        for key in _NAMES:
            if isinstance(item.get(key), str):
                return str(item[key])
    raise ValueError(f"a label is {json.dumps(item)[:40]}, not a name")


def _in_order(pairs: Iterable[tuple[int, str]]) -> list[str]:
    by_number = dict(pairs)
    if sorted(by_number) != list(range(len(by_number))):
        raise ValueError(f"class numbers are not 0 to {len(by_number) - 1}, each once")
    return [by_number[number] for number in range(len(by_number))]
