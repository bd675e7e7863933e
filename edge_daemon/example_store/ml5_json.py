"""Import and export of the KNN datasets of browser sketches: ml5's file and two TensorFlow.js forms.

ml5 (`KNNClassifier.save`, ml5-library v0.x): `{"dataset": {"0": {"label", "shape", ...}},
"tensors": [{"0": 0.1, "1": ...}]}`, one tensor per key of `dataset`, in the same order. TensorFlow.js
(tfjs issue 633): `[[label, [0.1, ...], [rows, columns]], ...]` or `{label: [0.1, ...]}`. The
numbers of a class are in one list, or in one list per example. A row is one embedding.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

import msgspec
import numpy as np

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, EmbeddingError
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.example_store.importing import ImportLabels
from edge_daemon.example_store.record import ExampleRecord, pack
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.atomic_file import new_file
from edge_daemon.system.json_input import decode_json
from edge_daemon.system.regular_file import read_regular, without_bom

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge_daemon.domain.types import Vector

    Matrix: TypeAlias = npt.NDArray[np.float32]

log = logging.getLogger(__name__)

Form = Literal["ml5", "tfjs"]

MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_NUMBERS = 16_000_000
"""In all classes together: 12,500 examples of 1,280 numbers."""
MAX_EXAMPLES = 50_000
_BROWSER_SIZES = (
    1024,
    1000,
    1280,
)  # MobileNet's embedding and classes in tfjs-models, MobileNetV2's embedding
_UNIT_TOLERANCE = 1e-4
_NUMBER = "%.9g"  # nine digits are exact for every float32


class _Header(msgspec.Struct):
    """One class in ml5's `dataset`: the tensor's description and the label."""

    shape: list[int]
    label: str | int | None = None


class _Ml5(msgspec.Struct):
    """ml5's file. Exports of this program add `space`, which ml5 ignores, for the way back."""

    dataset: dict[str, _Header | None]
    tensors: list[msgspec.Raw]
    space: str | None = None


_Numbers: TypeAlias = list[float | list[float]] | dict[int, float]
"""One list, one list per example, or an object with the keys "0", "1", ... as typed arrays are saved."""


@dataclass(frozen=True, slots=True)
class _Class:
    label: str
    shape: tuple[int, int]
    values: msgspec.Raw | _Numbers


def read_dataset(
    path: Path, space: str | None = None, region: str = WHOLE_FRAME, labels: ImportLabels | None = None
) -> list[ExampleRecord]:
    """Read a dataset of any form and check all of it. Raises ArchiveError naming the file and the class.

    The embeddings fit only the model that made them, which the file does not name: without `space` their
    space is a digest of the file.
    """
    content = _content(path)
    labels = labels or ImportLabels()
    try:
        classes, named_space = _parse(content)
        _refuse_excess(classes)
        own_space = space or named_space or f"browser:{hashlib.sha256(content).hexdigest()[:16]}"
        where = f"'{path}': "
        records = [
            ExampleRecord(row, label, space=own_space, region=region, source=path.name)
            for one in classes
            if (label := labels.resolve(one.label, where)) is not None
            for row in _rows(one)
        ]
    except msgspec.DecodeError as exc:
        reason = "it holds NaN, which is not valid JSON" if b"NaN" in content else exc
        raise ArchiveError(f"'{path}' is not a KNN dataset of ml5 or TensorFlow.js: {reason}") from exc
    except ArchiveError as exc:
        raise ArchiveError(f"'{path}': {exc}") from exc
    if not records:
        raise ArchiveError(str(labels.rejection or f"'{path}': it holds no examples"))
    labels.check_renames(str(path))
    return records


def _content(path: Path) -> bytes:
    """Return the JSON text; text that was encoded twice is decoded from its JSON string."""
    try:
        content = without_bom(read_regular(path, MAX_FILE_BYTES)).strip()
        if content.startswith(b'"'):
            content = decode_json(content, str).encode().strip()
    except OSError as exc:
        raise ArchiveError(f"'{path}' can't be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise ArchiveError(f"'{path}' is not JSON: {exc}") from exc
    # Brackets without numbers would take far more memory than the file.
    if content.count(b"[") + content.count(b"{") > 4 * MAX_EXAMPLES:
        raise ArchiveError(f"'{path}' is not a KNN dataset of ml5 or TensorFlow.js: it holds too many lists")
    return content


def _parse(content: bytes) -> tuple[list[_Class], str | None]:
    if content[:1] == b"[":
        entries = decode_json(content, list[tuple[str | int, msgspec.Raw, list[int]]])
        return [_class(str(label), shape, values) for label, values, shape in entries], None
    try:
        saved = decode_json(content, _Ml5)
    except msgspec.ValidationError:
        flat = _parse_flat(content)
        if flat is None:
            raise
        return flat, None
    if len(saved.dataset) != len(saved.tensors):
        raise ArchiveError(
            f"{counted(len(saved.dataset), 'class', 'classes')} but {counted(len(saved.tensors), 'tensor')}"
        )
    pairs = zip(saved.dataset.items(), saved.tensors, strict=True)
    # An unused class number is null in both lists.
    used = [(key, header, values) for (key, header), values in pairs if header is not None]
    classes = [
        _class(key if header.label is None else str(header.label), header.shape, values)
        for key, header, values in used
    ]
    return classes, saved.space


def _parse_flat(content: bytes) -> list[_Class] | None:
    """Read `{label: numbers}`; None for another object. Nested rows have the length of an embedding.

    Without nested rows, the length is that of a browser model which divides the numbers of every class, else
    the greatest common divisor.
    """
    try:
        values = decode_json(content, dict[str, _Numbers])
    except msgspec.ValidationError:
        return None
    if not values:
        return None
    counts = {label: len(_flatten(label, numbers)) for label, numbers in values.items() if numbers}
    nested = (len(row) for numbers in values.values() for row in numbers if isinstance(row, list))
    row_size = next(nested, None)
    common = math.gcd(*counts.values())
    size = next((size for size in _BROWSER_SIZES if common and common % size == 0), common)
    if row_size is None:
        log.warning("the dataset has no shapes; it is read as embeddings of %s", counted(size, "number"))
    else:
        size = row_size
    return [_Class(label, (count // max(size, 1), size), values[label]) for label, count in counts.items()]


def _class(label: str, shape: list[int], values: msgspec.Raw) -> _Class:
    if len(shape) != 2 or min(shape) < 1:
        raise ArchiveError(f"class '{label}' has the shape {shape[:4]}; expected [examples, numbers]")
    return _Class(label, (shape[0], shape[1]), values)


def _refuse_excess(classes: list[_Class]) -> None:
    """Raise ArchiveError for shapes that are too large or differ, before any number is decoded."""
    if not classes:
        raise ArchiveError("it holds no examples")
    examples = sum(one.shape[0] for one in classes)
    if examples > MAX_EXAMPLES or sum(math.prod(one.shape) for one in classes) > MAX_NUMBERS:
        raise ArchiveError(f"{examples} examples are more than this program takes at once")
    sizes = {one.shape[1] for one in classes}
    if len(sizes) > 1:
        raise ArchiveError(f"its classes have embeddings of different lengths: {sorted(sizes)}")


def _rows(one: _Class) -> Iterator[Vector]:
    for number, row in enumerate(_numbers(one).reshape(one.shape)):
        try:
            pack(row)
        except EmbeddingError as exc:
            raise ArchiveError(f"class '{one.label}', example {number}: {exc}") from exc
        yield _unit(row)


def _numbers(one: _Class) -> Vector:
    """Decode and return the numbers of one class."""
    try:
        values = decode_json(one.values, _Numbers) if isinstance(one.values, msgspec.Raw) else one.values
        _refuse_ragged(one, values)
        numbers = _flatten(one.label, values)
    except msgspec.DecodeError as exc:
        raise ArchiveError(
            f"class '{one.label}' holds a value that is not a number (null stands for NaN): {exc}"
        ) from exc
    if len(numbers) != math.prod(one.shape):
        raise ArchiveError(
            f"class '{one.label}' has {counted(len(numbers), 'number')}, its shape is {list(one.shape)}"
        )
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float32)


def _refuse_ragged(one: _Class, values: _Numbers) -> None:
    """Raise ArchiveError for lists per example of another length, or beside single numbers."""
    if not any(isinstance(each, list) for each in values):
        return
    for number, row in enumerate(values):
        length = len(row) if isinstance(row, list) else 0
        if length != one.shape[1]:
            found = counted(length, "number") if isinstance(row, list) else "a number instead of a list"
            raise ArchiveError(
                f"class '{one.label}', example {number}: it has {found}; the others have {one.shape[1]}"
            )


def _flatten(label: str, values: _Numbers) -> list[float]:
    """Return all numbers of a class in order. Raises ArchiveError for a missing index."""
    if isinstance(values, dict):
        missing = [str(index) for index in range(len(values)) if index not in values]
        if missing:
            raise ArchiveError(f"class '{label}' lacks the number '{missing[0]}' of {len(values)}")
        return [values[index] for index in range(len(values))]
    flat: list[float] = []
    for value in values:
        flat += value if isinstance(value, list) else (value,)
    return flat


def _unit(row: Vector) -> Vector:
    """Scale to unit length; a unit vector stays the same to the last bit, so that duplicates are found."""
    length = float(np.linalg.norm(row.astype(np.float64)))
    if abs(length - 1) < _UNIT_TOLERANCE:
        return row
    return np.asarray(row / length, dtype=np.float32)


def write_dataset(store: ExampleStore, path: Path, form: Form = "ml5", space: str | None = None) -> int:
    """Write the examples of one space; return their number. Raises ArchiveError, OutputError."""
    with new_file(path) as file:  # first: it refuses a file that can't be made
        rows: dict[str, list[Vector]] = {}
        for example in store.examples(_only_space(store, space), thumbnails=False):
            rows.setdefault(example.label, []).append(_unit(example.embedding))
        matrices = {label: np.stack(vectors) for label, vectors in rows.items()}
        if form == "ml5":
            _write_ml5(file, matrices, _only_space(store, space))
        else:
            _write_tfjs(file, matrices)
    return sum(len(matrix) for matrix in matrices.values())


def _only_space(store: ExampleStore, space: str | None) -> str:
    spaces = store.spaces()
    if space in spaces:
        return space
    if space is None and len(spaces) == 1:
        return next(iter(spaces))
    held = ", ".join(f"'{name}' ({count})" for name, count in spaces.items()) or "no examples"
    raise ArchiveError(f"a dataset holds one embedding space; name one with --space: the store has {held}")


def _write_ml5(file: BinaryIO, matrices: dict[str, Matrix], space: str) -> None:
    headers = {
        str(number): {"label": label, "shape": matrix.shape, "dtype": "float32", "size": matrix.size}
        for number, (label, matrix) in enumerate(matrices.items())
    }
    file.write(
        b'{"dataset":%b,"space":%b,"tensors":[' % (msgspec.json.encode(headers), msgspec.json.encode(space))
    )
    for number, matrix in enumerate(matrices.values()):
        file.write(b",{" if number else b"{")
        _write_joined(file, (_keyed(row, index * row.size) for index, row in enumerate(matrix)))
        file.write(b"}")
    file.write(b"]}")


def _write_tfjs(file: BinaryIO, matrices: dict[str, Matrix]) -> None:
    file.write(b"[")
    for number, (label, matrix) in enumerate(matrices.items()):
        file.write(b"%b[%b,[" % (b"," if number else b"", msgspec.json.encode(label)))
        _write_joined(file, (",".join([_NUMBER] * row.size) % tuple(row.tolist()) for row in matrix))
        file.write(b"],%b]" % msgspec.json.encode(matrix.shape))
    file.write(b"]")


def _keyed(row: Vector, start: int) -> str:
    keys = range(start, start + row.size)
    return ",".join(f'"{key}":{_NUMBER}' for key in keys) % tuple(row.tolist())


def _write_joined(file: BinaryIO, parts: Iterable[str]) -> None:
    for number, part in enumerate(parts):
        file.write((f",{part}" if number else part).encode())
