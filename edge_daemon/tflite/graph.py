"""A TFLite file's main graph as values, and the file with its graph truncated."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite.flatbuffers import Data, FlatBufferError, Table, VectorField, root

CUSTOM = "CUSTOM"

_OPERATORS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH
SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN
GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM
STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM
CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN
TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN
FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV
REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE
MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG
QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND
SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR RIGHT_SHIFT STABLEHLO_LOGISTIC
STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM STABLEHLO_RESHAPE STABLEHLO_CLAMP
STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL
STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR
STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR STABLEHLO_POWER STABLEHLO_REMAINDER
STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH STABLEHLO_SCATTER STABLEHLO_COMPARE
STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA
STABLEHLO_DOT_GENERAL STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER
STABLEHLO_TRANSPOSE DILATE STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT
STABLEHLO_CBRT STABLEHLO_CASE
"""
OPERATORS = tuple(_OPERATORS.split())

_TYPES = """
float32 float16 int32 uint8 int64 string bool int16 complex64 int8 float64 complex128 uint64 resource variant
uint32 uint16 int4 bfloat16 int2 uint4 float8_e4m3fn float8_e5m2
"""
TYPES = tuple(_TYPES.split())


def operator_name(code: int) -> str:
    """Return a builtin operator's name, or its number if this list lacks it."""
    return OPERATORS[code] if 0 <= code < len(OPERATORS) else f"operator {code}"


def type_name(code: int) -> str:
    """Return a tensor type's name, or its number if this list lacks it."""
    return TYPES[code] if 0 <= code < len(TYPES) else f"type {code}"


_MAGIC = b"TFL3"
_ACTIVATION_FIELDS = {"CONV_2D": 3, "FULLY_CONNECTED": 0}
_SHAPE_READERS = {"SHAPE", "RANK"}
_OTHER_FILES = (
    (b"version https://git-lfs", "a Git LFS pointer, not the model itself; fetch it with `git lfs pull`"),
    (b"PK\x03\x04", "a zip archive; unpack it with `edge-daemon models add`"),
    (b"\x89HDF", "a Keras model in HDF5; convert it to TFLite first"),
    (b"{", "JSON; a TF.js or Keras description must be converted to TFLite first"),
    (b"<", "a web page or XML; the download went wrong"),
)


class Tensor(Struct, frozen=True):
    """A tensor. `scale` 0: not quantised per tensor. `constant`: the file holds its values."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int
    constant: bool
    dynamic: bool = False

    def __str__(self) -> str:
        """Return type and shape as error messages show them."""
        return f"{self.dtype} {'x'.join(map(str, self.shape)) or 'scalar'}"


class Operator(Struct, frozen=True):
    """A step of the graph, with a builtin's name or a custom operator's registered name.

    `activated`: a convolution or dense layer with a fused activation, such as RELU.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    custom: bool = False
    activated: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """Tensors by index, operators in execution order, and the indices of input and output tensors."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    vectors: Mapping[str, VectorField] = field(default_factory=dict, repr=False, compare=False)
    constants: Mapping[int, VectorField] = field(default_factory=dict, repr=False, compare=False)
    """The bytes of the constant tensors, except those stored behind the flatbuffer."""
    outputs_at: int = field(default=0, repr=False, compare=False)
    """The byte that holds the offset of the list of outputs."""

    def producers(self) -> dict[int, int]:
        """Return, for each computed tensor, the index of the operator that produces it."""
        return {tensor: index for index, step in enumerate(self.operators) for tensor in step.outputs}

    def computed(self) -> dict[int, int]:
        """Return the part of `producers` with tensors whose values depend on the graph's input."""
        dependent = set(self.inputs)
        producers: dict[int, int] = {}
        for index, step in enumerate(self.operators):
            if step.name not in _SHAPE_READERS and not dependent.isdisjoint(step.inputs):
                dependent.update(step.outputs)
                producers.update(dict.fromkeys(step.outputs, index))
        return producers


def read_graph(content: Data) -> Graph:
    """Read the first subgraph of a TFLite file. Raises ModelError that says what else the file is."""
    if bytes(content[4:8]) != _MAGIC:
        raise ModelError(_other_file_kind(content))
    try:
        return _read(root(content))
    except (FlatBufferError, IndexError) as exc:
        raise ModelError(f"truncated or damaged ({exc}); fetch the file again") from exc


def truncate_at(content: Data, graph: Graph, tensor: int, *earlier: int) -> bytes:
    """Return the file with `tensor` as its graph's output, without the operators behind it.

    `earlier` tensors become further outputs. The output's index and the lengths of the lists of outputs,
    operators and signatures (which name the old output) are overwritten in place; a longer list of outputs is
    appended. All other bytes stay the same.
    """
    changed = bytearray(content)
    outputs = graph.vectors["outputs"]
    if 1 + len(earlier) > outputs.count:
        outputs = _append_list(changed, graph.outputs_at, 1 + len(earlier))
    _shorten(changed, outputs, 1 + len(earlier))
    struct.pack_into(f"<{1 + len(earlier)}i", changed, outputs.at, tensor, *earlier)
    _shorten(changed, graph.vectors["operators"], graph.producers()[tensor] + 1)
    _shorten(changed, graph.vectors["signatures"], 0)
    return bytes(changed)


def _append_list(content: bytearray, offset_at: int, count: int) -> VectorField:
    """Append a list of `count` numbers, to which the offset then points."""
    content += bytes(-len(content) % 4)
    struct.pack_into("<I", content, offset_at, len(content) - offset_at)
    content += struct.pack("<I", count) + bytes(4 * count)
    return VectorField(content, len(content) - 4 * count, count, 4)


def _shorten(content: bytearray, vector: VectorField, count: int) -> None:
    if vector.count > count:
        struct.pack_into("<I", content, vector.at - 4, count)


def _other_file_kind(content: Data) -> str:
    if not content:
        return "an empty file"
    for start, kind in _OTHER_FILES:
        if content.startswith(start):
            return kind
    return "not a TFLite model (its bytes 4 to 8 should be TFL3)"


def _read(model: Table) -> Graph:
    """Read a model table by the field numbers of TFLite's schema, version 3."""
    buffers = list(model.vector(4, 4).tables())
    contents = [buffer.vector(0, 1) for buffer in buffers]
    constant = [_is_constant(buffer) for buffer in buffers]
    names = [_operator_code(code) for code in model.vector(1, 4).tables()]
    main = next(model.vector(2, 4).tables(), None)
    if main is None:
        raise ModelError("a TFLite file without a graph")
    inputs, outputs, operators = main.vector(1, 4), main.vector(2, 4), main.vector(3, 4)
    tensors = list(main.vector(0, 4).tables())
    numbers = [tensor.integer(2, "I") for tensor in tensors]
    graph = Graph(
        tuple(_tensor(tensor, constant) for tensor in tensors),
        tuple(_operator(step, names) for step in operators.tables()),
        inputs.numbers("i"),
        outputs.numbers("i"),
        {"outputs": outputs, "operators": operators, "signatures": model.vector(7, 4)},
        {index: contents[number] for index, number in enumerate(numbers) if contents[number].count},
        main.position(2),
    )
    _check_indices(graph)
    return graph


def _is_constant(buffer: Table) -> bool:
    """Return whether a buffer has content, in the flatbuffer or behind it."""
    return buffer.vector(0, 1).count > 0 or buffer.integer(1, "Q") > 1


def _operator_code(code: Table) -> tuple[str, bool]:
    number = max(code.integer(0, "b"), code.integer(3, "i"))
    name = operator_name(number)
    return (code.text(1) or CUSTOM, True) if name == CUSTOM else (name, False)


def _tensor(tensor: Table, constant: list[bool]) -> Tensor:
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
        constant=constant[tensor.integer(2, "I")],
        dynamic=-1 in tensor.vector(7, 4).numbers("i"),
    )


def _operator(step: Table, names: list[tuple[str, bool]]) -> Operator:
    name, custom = names[step.integer(0, "I")]
    options = step.table(4) if name in _ACTIVATION_FIELDS else None
    activated = options is not None and options.integer(_ACTIVATION_FIELDS[name], "b") != 0
    return Operator(name, step.vector(1, 4).numbers("i"), step.vector(2, 4).numbers("i"), custom, activated)


def _check_indices(graph: Graph) -> None:
    """Raise FlatBufferError for a tensor index out of range; -1 is an omitted optional input."""
    count = len(graph.tensors)
    used = [*graph.inputs, *graph.outputs]
    for step in graph.operators:
        used += [*step.inputs, *step.outputs]
    for index in used:
        if not -1 <= index < count:
            raise FlatBufferError(f"tensor {index} of {count} is used")
    if not graph.inputs or not graph.outputs or -1 in graph.inputs + graph.outputs:
        raise ModelError("a graph without input or output")
