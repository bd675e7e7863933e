"""Small TFLite models, built with the interpreter's own schema."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

BUILTIN = schema.BuiltinOperator
TYPE = schema.TensorType


@dataclass
class Recipe:
    """A model under construction: `tensor` and `step` return indices; `content` packs the file."""

    model: Any = field(default_factory=schema.ModelT)

    def __post_init__(self) -> None:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = [], []
        self.model.version = 3
        self.model.subgraphs = [graph]
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.graph = graph

    def tensor(
        self,
        shape: tuple[int, ...],
        kind: int = TYPE.FLOAT32,
        data: npt.NDArray[Any] | None = None,
        scale: float = 0.0,
        zero_point: int = 0,
    ) -> int:
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.name = list(shape), kind, f"t{len(self.graph.tensors)}"
        if scale:
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero_point]
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            tensor.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def step(
        self,
        code: int,
        inputs: list[int],
        output: int,
        options: tuple[int, Any] | None = None,
        custom: str = "",
    ) -> int:
        operator_code = schema.OperatorCodeT()
        operator_code.builtinCode, operator_code.deprecatedBuiltinCode = code, min(code, 127)
        operator_code.customCode = custom or None
        operator_code.version = 1
        self.model.operatorCodes.append(operator_code)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [output]
        if options is not None:
            operator.builtinOptionsType, operator.builtinOptions = options
        self.graph.operators.append(operator)
        return output

    def sign(self, input_name: str, input_tensor: int, output_name: str, output_tensor: int) -> None:
        """Add the signature that converters of Keras models write."""
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = [schema.TensorMapT()], [schema.TensorMapT()]
        signature.inputs[0].name, signature.inputs[0].tensorIndex = input_name, input_tensor
        signature.outputs[0].name, signature.outputs[0].tensorIndex = output_name, output_tensor
        self.model.signatureDefs = [signature]

    def describe(self, metadata: bytes, name: str = "TFLITE_METADATA") -> None:
        """Add metadata as a separate buffer."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(metadata, np.uint8)
        self.model.buffers.append(buffer)
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, len(self.model.buffers) - 1
        self.model.metadata = [entry]

    def content(self, inputs: list[int], outputs: list[int]) -> bytes:
        self.graph.inputs, self.graph.outputs = inputs, outputs
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def mean_over_picture(recipe: Recipe, picture: int, output: int) -> int:
    """Add a global average pool of a 1 x H x W x C tensor."""
    options = schema.Pool2DOptionsT()
    options.padding = schema.Padding.VALID
    options.strideH = options.strideW = 1
    options.filterHeight, options.filterWidth = recipe.graph.tensors[picture].shape[1:3]
    return recipe.step(
        BUILTIN.AVERAGE_POOL_2D, [picture], output, (schema.BuiltinOptions.Pool2DOptions, options)
    )


def convolution(recipe: Recipe, picture: int, weights: npt.NDArray[np.float32], relu: bool = False) -> int:
    """Add a float 1 x 1 convolution of a picture without bias; `weights` outputs x channels."""
    held = recipe.tensor((len(weights), 1, 1, weights.shape[1]), data=weights)
    options = schema.Conv2DOptionsT()
    options.padding, options.strideH, options.strideW = schema.Padding.VALID, 1, 1
    kinds = schema.ActivationFunctionType
    options.fusedActivationFunction = kinds.RELU if relu else kinds.NONE
    shape = recipe.graph.tensors[picture].shape
    bias = recipe.tensor((len(weights),), data=np.zeros(len(weights), np.float32))
    return recipe.step(
        BUILTIN.CONV_2D,
        [picture, held, bias],
        recipe.tensor((*shape[:3], len(weights))),
        (schema.BuiltinOptions.Conv2DOptions, options),
    )


def rescale(recipe: Recipe, picture: int, code: int, constant: npt.NDArray[np.generic]) -> int:
    """Add a MUL, ADD, SUB or DIV of a picture by constants, float or behind DEQUANTIZE as 16-bit floats."""
    kind = TYPE.FLOAT16 if constant.dtype == np.float16 else TYPE.FLOAT32
    held = recipe.tensor(constant.shape, kind, data=constant)
    if kind == TYPE.FLOAT16:
        held = recipe.step(BUILTIN.DEQUANTIZE, [held], recipe.tensor(constant.shape))
    return recipe.step(code, [picture, held], recipe.tensor(tuple(recipe.graph.tensors[picture].shape)))


def dense(
    recipe: Recipe,
    features: int,
    weights: npt.NDArray[np.float32],
    output: int,
    bias: npt.NDArray[np.float32] | None = None,
) -> int:
    """Add a float fully connected layer; `weights` classes x features."""
    held = [recipe.tensor(weights.shape, data=weights)]
    held += [] if bias is None else [recipe.tensor(bias.shape, data=bias)]
    options = schema.FullyConnectedOptionsT()
    return recipe.step(
        BUILTIN.FULLY_CONNECTED,
        [features, *held],
        output,
        (schema.BuiltinOptions.FullyConnectedOptions, options),
    )


def softmax(recipe: Recipe, logits: int, output: int) -> int:
    """Add a softmax."""
    options = schema.SoftmaxOptionsT()
    options.beta = 1.0
    return recipe.step(BUILTIN.SOFTMAX, [logits], output, (schema.BuiltinOptions.SoftmaxOptions, options))


def float_classifier(
    size: int = 16,
    channels: int = 3,
    weights: npt.NDArray[np.float32] | None = None,
    with_softmax: bool = True,
) -> bytes:
    """Pool -> dense -> softmax: its embedding is the picture's mean colour in -1 to 1."""
    matrix = np.eye(4, channels, dtype=np.float32) if weights is None else weights
    recipe = Recipe()
    picture = recipe.tensor((1, size, size, channels))
    pool = mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, channels)))
    logits = dense(recipe, pool, matrix, recipe.tensor((1, len(matrix))))
    output = softmax(recipe, logits, recipe.tensor((1, len(matrix)))) if with_softmax else logits
    return recipe.content([picture], [output])


def colour_namer(scale: float, bias: tuple[float, ...] = (0.0, 0.0, 0.0)) -> bytes:
    """Pool -> dense -> softmax that names the strongest colour; its logits are `scale` times the pixels'."""
    recipe = Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    pool = mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    weights = (np.eye(3) * scale).astype(np.float32)
    logits = dense(recipe, pool, weights, recipe.tensor((1, 3)), np.array(bias, np.float32))
    return recipe.content([picture], [softmax(recipe, logits, recipe.tensor((1, 3)))])


def quantised_pool(kind: int, scale: float, zero_point: int, size: int = 16, channels: int = 3) -> bytes:
    """Only a global pool, input and output quantised alike: its embedding is the mean colour."""
    recipe = Recipe()
    picture = recipe.tensor((1, size, size, channels), kind, scale=scale, zero_point=zero_point)
    pool = recipe.tensor((1, 1, 1, channels), kind, scale=scale, zero_point=zero_point)
    return recipe.content([picture], [mean_over_picture(recipe, picture, pool)])
