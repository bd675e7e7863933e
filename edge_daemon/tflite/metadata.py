"""TFLite metadata inside a model file: input normalisation and the name of the label file.

Field numbers are those of TensorFlow's `metadata_schema.fbs`, file identifier M001.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from edge_daemon.imaging.input_range import InputRange, range_of_normalisation
from edge_daemon.tflite.flatbuffers import Data, FlatBufferError, Table, root

_ENTRY = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_NORMALISATION = 1
_AXIS_LABELS = 2
_MAX_ENTRIES = 64
"""Entries read of a list; real lists have under ten."""


class Metadata(Struct, frozen=True):
    """The first input's range and the first output's label file, None where the metadata has none."""

    input_range: InputRange | None = None
    label_file: str | None = None


def read_metadata(content: Data) -> Metadata:
    """Read a TFLite file's metadata. Damaged metadata is ignored."""
    try:
        return next((_read(table) for table in _tables(content)), Metadata())
    except (FlatBufferError, ValueError, IndexError):
        return Metadata()


def _tables(content: Data) -> Iterator[Table]:
    """Yield the root of the metadata, a flatbuffer inside one of the model's buffers."""
    model = root(content)
    buffers = model.vector(4, 4)
    for entry in islice(model.vector(6, 4).tables(), _MAX_ENTRIES):
        number = entry.integer(1, "I")
        if entry.text(0) == _ENTRY and number < buffers.count:
            held = next(islice(buffers.tables(), number, None)).vector(0, 1).bytes()
            if held[4:8] == _IDENTIFIER:
                yield root(held)


def _read(metadata: Table) -> Metadata:
    graph = next(metadata.vector(3, 4).tables(), None)
    if graph is None:
        return Metadata()
    first_input, first_output = (next(graph.vector(field, 4).tables(), None) for field in (2, 3))
    return Metadata(
        _input_range(first_input) if first_input else None,
        _label_file(first_output) if first_output else None,
    )


def _input_range(tensor: Table) -> InputRange | None:
    for unit in islice(tensor.vector(4, 4).tables(), _MAX_ENTRIES):
        options = unit.table(1)
        if unit.integer(0, "B") == _NORMALISATION and options is not None:
            return range_of_normalisation(options.vector(0, 4).floats(), options.vector(1, 4).floats())
    return None


def _label_file(tensor: Table) -> str | None:
    """Return the name of the label file without a language, else of the first one."""
    files = [file for file in islice(tensor.vector(6, 4).tables(), _MAX_ENTRIES) if _holds_labels(file)]
    plain = [file for file in files if not file.text(3)]
    return next((file.text(0) for file in [*plain, *files]), None)


def _holds_labels(file: Table) -> bool:
    return file.integer(2, "b") == _AXIS_LABELS
