"""A TFLite file's main graph as values, and the same file with its graph ended earlier."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_daemon.errors import ModelError
from edge_daemon.vision.flatbuffer import Data, FlatBufferError, Table, Vector, root
from edge_daemon.vision.operators import CUSTOM, operator_name, type_name

_MAGIC = b"TFL3"
_SHAPE_READERS = {"SHAPE", "RANK"}
_OTHER_FILES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself; fetch it with `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive; unpack it with `edge-daemon models add`"),
    (b"\x89HDF", "a Keras model in HDF5; convert it to TFLite first"),
    (b"{", "JSON; a TF.js or Keras description must be converted to TFLite first"),
    (b"<", "a web page or XML; the download went wrong"),
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor. `scale` 0 means not quantised per tensor; `constant` that the file holds its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    constant: bool
    dynamic: bool = False

    def __str__(self) -> str:
        """Name shape and type as error messages do."""
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"


@dataclass(frozen=True, slots=True)
class Operator:
    """A step of the graph: a builtin's name, or the name a custom operator registered.

    `activated`: a convolution with a RELU or another activation in it.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: bool = False
    activated: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Tensors by index, operators in the order they run, and which tensors go in and out."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    places: Mapping[str, Vector] = field(default_factory=dict, repr=False, compare=False)
    constants: Mapping[int, Vector] = field(default_factory=dict, repr=False, compare=False)
    """The bytes of the constant tensors, but of those that lie behind the flatbuffer."""

    def producers(self) -> dict[int, int]:
        """Return, for each computed tensor, the index of the operator that makes it."""
        return {tensor: index for index, step in enumerate(self.operators) for tensor in step.outputs}

    def computed(self) -> dict[int, int]:
        """Return the part of `producers` whose tensors hold numbers that depend on the graph's input."""
        dependent = set(self.inputs)
        producers: dict[int, int] = {}
        for index, step in enumerate(self.operators):
            if step.name not in _SHAPE_READERS and not dependent.isdisjoint(step.inputs):
                dependent.update(step.outputs)
                producers.update(dict.fromkeys(step.outputs, index))
        return producers


def read_graph(content: Data) -> Graph:
    """Read the first subgraph of a TFLite file. Raises ModelError saying what else the file is."""
    if bytes(content[4:8]) != _MAGIC:
        raise ModelError(_what_else(content))
    try:
        return _read(root(content))
    except (FlatBufferError, IndexError) as exc:
        raise ModelError(f"truncated or damaged ({exc}); fetch the file again") from exc


def end_at(content: Data, graph: Graph, tensor: int) -> bytes:
    """Return the file with `tensor` as its graph's only output, and without the operators behind it.

    Three numbers are written in place: the output's index and the lengths of the lists of outputs and
    of operators (and of the signatures, which name the old output). Everything else stays byte for byte.
    """
    changed = bytearray(content)
    _shorten(changed, graph.places["outputs"], 1)
    struct.pack_into("<i", changed, graph.places["outputs"].at, tensor)
    _shorten(changed, graph.places["operators"], graph.producers()[tensor] + 1)
    _shorten(changed, graph.places["signatures"], 0)
    return bytes(changed)


def _shorten(content: bytearray, vector: Vector, count: int) -> None:
    if vector.count > count:
        struct.pack_into("<I", content, vector.at - 4, count)


def _what_else(content: Data) -> str:
    if not content:
        return "an empty file"
    for start, what in _OTHER_FILES:
        if content.startswith(start):
            return what
    return "not a TFLite model (its bytes 4 to 8 should be TFL3)"


def _read(model: Table) -> Graph:
    """Read by the field numbers of TFLite's schema, version 3."""
    buffers = list(model.vector(4, 4).tables())
    inside = [buffer.vector(0, 1) for buffer in buffers]
    held = [
        content.count > 0 or buffer.integer(1, "Q") > 1
        for buffer, content in zip(buffers, inside, strict=True)
    ]
    names = [_operator_code(code) for code in model.vector(1, 4).tables()]
    main = next(model.vector(2, 4).tables(), None)
    if main is None:
        raise ModelError("a TFLite file without a graph")
    inputs, outputs, operators = main.vector(1, 4), main.vector(2, 4), main.vector(3, 4)
    tensors = list(main.vector(0, 4).tables())
    numbers = [tensor.integer(2, "I") for tensor in tensors]
    graph = Graph(
        tuple(_tensor(tensor, held) for tensor in tensors),
        tuple(_operator(step, names) for step in operators.tables()),
        inputs.numbers("i"),
        outputs.numbers("i"),
        {"outputs": outputs, "operators": operators, "signatures": model.vector(7, 4)},
        {index: inside[number] for index, number in enumerate(numbers) if inside[number].count},
    )
    _check_indices(graph)
    return graph


def _operator_code(code: Table) -> tuple[str, bool]:
    number = max(code.integer(0, "b"), code.integer(3, "i"))
    name = operator_name(number)
    return (code.text(1) or CUSTOM, True) if name == CUSTOM else (name, False)


def _tensor(tensor: Table, held: list[bool]) -> Tensor:
    quantisation = tensor.table(4)
    scales = quantisation.vector(2, 4).floats() if quantisation else ()
    zeros = quantisation.vector(3, 8).numbers("q") if quantisation else ()
    single = len(scales) == 1
    return Tensor(
        name=tensor.text(3),
        shape=tensor.vector(0, 4).numbers("i"),
        dtype=type_name(tensor.integer(1, "b")),
        scale=scales[0] if single else 0.0,
        zero_point=zeros[0] if single and zeros else 0,
        constant=held[tensor.integer(2, "I")],
        dynamic=-1 in tensor.vector(7, 4).numbers("i"),
    )


def _operator(step: Table, names: list[tuple[str, bool]]) -> Operator:
    name, custom = names[step.integer(0, "I")]
    options = step.table(4) if name == "CONV_2D" else None
    activated = options is not None and options.integer(3, "b") != 0
    return Operator(name, step.vector(1, 4).numbers("i"), step.vector(2, 4).numbers("i"), custom, activated)


def _check_indices(graph: Graph) -> None:
    """Refuse tensor numbers that no tensor has; -1 stands for an optional input left out."""
    count = len(graph.tensors)
    used = [*graph.inputs, *graph.outputs]
    for step in graph.operators:
        used += [*step.inputs, *step.outputs]
    for index in used:
        if not -1 <= index < count:
            raise FlatBufferError(f"tensor {index} of {count} is used")
    if not graph.inputs or not graph.outputs or -1 in graph.inputs + graph.outputs:
        raise ModelError("a graph without input or output")
