"""Build the deployed graph in Keras from a checkpoint's arrays, batch norm folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from . import edges
from .measure import Floats
from .shape import BLOCKS, BlockShape
from .whitening import whitening

Arrays = Mapping[str, NDArray[Any]]


def folded(arrays: Arrays, convolution: str, norm: str, epsilon: float = 1e-5) -> tuple[Floats, Floats]:
    """Return PyTorch's kernel (out x in x h x w) and bias with the batch norm folded in."""
    scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"].astype(np.float64) + epsilon)
    kernel = arrays[f"{convolution}.weight"] * scale[:, None, None, None]
    bias = arrays[f"{norm}.bias"] - arrays[f"{norm}.running_mean"] * scale
    return kernel.astype(np.float32), bias.astype(np.float32)


class PartScales(NamedTuple):
    """Mean length of the deep part; mean and matrix that centre, whiten and scale the edge part."""

    length: float
    mean: Floats
    matrix: Floats

    @classmethod
    def fit(cls, deep: Floats, lines: Floats) -> PartScales:
        """Fit to both parts (rows) of the same photos."""
        mean, matrix = whitening(lines, edges.NUMBERS)
        length = float(np.linalg.norm((lines - mean) @ matrix, axis=1).mean())
        return cls(
            float(np.linalg.norm(deep, axis=1).mean()), mean, matrix * np.float32(edges.WEIGHT / length)
        )


class GraphBuilder:
    """Builds the layers over one Keras input (pixels in -1..1); needs TensorFlow."""

    def __init__(self, arrays: Arrays, size: int) -> None:
        import tensorflow as tf

        self._keras, self._layers, self._arrays = tf.keras, tf.keras.layers, arrays
        self._size = size
        self._input = tf.keras.Input((size, size, 3), batch_size=1, name="image")

    def _convolve(self, x: Any, name: str, stride: int, activation: str | None = "relu6") -> Any:
        """One convolution, full or depthwise, with its batch norm."""
        kernel, bias = folded(self._arrays, name, f"{name}_norm")
        options = {"padding": "same", "activation": activation}
        if kernel.shape[1] == 1:
            layer = self._layers.DepthwiseConv2D(kernel.shape[2], stride, **options)
            kernel = kernel.transpose(2, 3, 0, 1)
        else:
            layer = self._layers.Conv2D(len(kernel), kernel.shape[2], stride, **options)
            kernel = kernel.transpose(2, 3, 1, 0)
        y = layer(x)
        layer.set_weights([kernel, bias])
        return y

    def _block(self, x: Any, name: str, shape: BlockShape) -> Any:
        y = x
        if shape.inner != shape.inside:
            y = self._convolve(y, f"{name}.expand", 1)
        y = self._convolve(y, f"{name}.depthwise", shape.stride)
        if shape.outside:
            y = self._convolve(y, f"{name}.project", 1, None)
        return self._layers.Add()([x, y]) if shape.residual else y

    def pooled(self) -> Any:
        """The pooled features."""
        x = self._convolve(self._input, "trunk.stem", 2)
        for index, shape in enumerate(BLOCKS):
            x = self._block(x, f"trunk.blocks.{index}", shape)
        return self._layers.GlobalAveragePooling2D()(x)

    def edges(self) -> Any:
        """The edge histograms of the cells, each of unit length."""
        kernel, bias = edges.convolution()
        side, step = edges.cell_geometry(self._size)
        mean = np.full((side, side, len(bias), 1), 1 / side**2, np.float32)
        convolve = self._layers.Conv2D(len(bias), 3, 2, activation="relu6")
        average = self._layers.DepthwiseConv2D(side, step, use_bias=False)
        cells = self._layers.UnitNormalization(axis=-1)(average(convolve(self._input)))
        convolve.set_weights([kernel, bias])
        average.set_weights([mean])
        return self._layers.Flatten()(cells)

    def parts(self) -> Any:
        """The model with the deep part's embedding and the edge part as outputs, to fit their scales on."""
        head = (self._arrays["project.weight"].T, self._arrays["project.bias"])
        return self._keras.Model(self._input, [self._dense(self.pooled(), *head), self.edges()])

    def embedder(self, scales: PartScales) -> Any:
        """The whole: the head that was trained towards the teachers, and the edge part."""
        kernel, bias = self._arrays["project.weight"].T, self._arrays["project.bias"]
        deep = self._dense(
            self.pooled(), *((each / scales.length).astype(np.float32) for each in (kernel, bias))
        )
        lines = self._dense(self.edges(), scales.matrix, -scales.mean @ scales.matrix)
        return self._keras.Model(self._input, self._layers.Concatenate(name="embedding")([deep, lines]))

    def _dense(self, x: Any, kernel: Floats, bias: Floats) -> Any:
        layer = self._layers.Dense(len(bias))
        y = layer(x)
        layer.set_weights([kernel, bias])
        return y
