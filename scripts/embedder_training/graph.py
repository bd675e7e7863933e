"""Build the deployed graph in Keras from a checkpoint's arrays, batch norm folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import cues
from .measure import Floats
from .shape import BLOCKS

Arrays = Mapping[str, NDArray[Any]]


def folded(arrays: Arrays, convolution: str, norm: str, epsilon: float = 1e-5) -> tuple[Floats, Floats]:
    """Return PyTorch's kernel (out x in x h x w) and bias with the batch norm folded in."""
    scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"].astype(np.float64) + epsilon)
    kernel = arrays[f"{convolution}.weight"] * scale[:, None, None, None]
    bias = arrays[f"{norm}.bias"] - arrays[f"{norm}.running_mean"] * scale
    return kernel.astype(np.float32), bias.astype(np.float32)


class GraphBuilder:
    """Builds the layers over one Keras input; needs TensorFlow."""

    def __init__(self, arrays: Arrays, palette: NDArray[np.float64], size: int) -> None:
        import tensorflow as tf

        self.keras, self.tf = tf.keras, tf
        self.layers = tf.keras.layers
        self.arrays, self.palette, self.size = arrays, palette, size
        self.input = tf.keras.Input((size, size, 3), batch_size=1, name="image")

    def _fixed(self, layer: Any, x: Any, *weights: Floats) -> Any:
        """Apply a layer and give it its weights."""
        y = layer(x)
        layer.set_weights(list(weights))
        return y

    def _convolve(self, x: Any, convolution: str, norm: str, stride: int) -> Any:
        """One convolution, full or depthwise, with ReLU; PyTorch's padding of one on each side."""
        kernel, bias = folded(self.arrays, convolution, norm)
        depthwise, side = kernel.shape[1] == 1, kernel.shape[2]
        if stride == 2:
            x = self.layers.ZeroPadding2D(1)(x)
        padding = "valid" if stride == 2 else "same"
        if depthwise:
            layer = self.layers.DepthwiseConv2D(side, stride, padding, activation="relu")
            return self._fixed(layer, x, kernel.transpose(2, 3, 0, 1), bias)
        layer = self.layers.Conv2D(len(kernel), side, stride, padding, activation="relu")
        return self._fixed(layer, x, kernel.transpose(2, 3, 1, 0), bias)

    def deep(self) -> Any:
        """The trunk's pooled features."""
        x = self._convolve(self.input, "trunk.stem", "trunk.stem_norm", 2)
        for index, (inside, outside, stride) in enumerate(BLOCKS):
            name = f"trunk.blocks.{index}"
            y = self._convolve(x, f"{name}.depthwise", f"{name}.depthwise_norm", stride)
            y = self._convolve(y, f"{name}.pointwise", f"{name}.pointwise_norm", 1)
            x = self.layers.Add()([x, y]) if inside == outside and stride == 1 else y
        return self.layers.GlobalAveragePooling2D()(x)

    def colour(self) -> Any:
        """The clipped share of each palette colour."""
        x = self.layers.AveragePooling2D(3)(self.input)
        kernel, bias = cues.palette_convolution(self.palette)
        x = self._fixed(self.layers.Conv2D(len(bias), 1), x, kernel, bias)
        x = self.layers.GlobalAveragePooling2D(keepdims=True)(self.layers.Softmax()(x))
        spread = self.layers.DepthwiseConv2D(
            1, depth_multiplier=len(cues.CLIPS), use_bias=False, activation="relu6"
        )
        return self.layers.Flatten()(self._fixed(spread, x, cues.clip_kernel()))

    def edges(self) -> Any:
        """Unit-length edge histograms of the cells."""
        kernel, bias = cues.edge_convolution()
        side, step = cues.cell_geometry(self.size)
        x = self._fixed(self.layers.Conv2D(len(bias), 3, 2, activation="relu6"), self.input, kernel, bias)
        mean = np.full((side, side, len(bias), 1), 1 / side**2, np.float32)
        x = self._fixed(self.layers.DepthwiseConv2D(side, step, use_bias=False), x, mean)
        x = self.layers.Lambda(lambda v: self.tf.math.l2_normalize(v, axis=-1))(x)
        return self.layers.Flatten()(x)

    def parts(self) -> Any:
        """The model with the parts as separate outputs, to fit the whitening on."""
        return self.keras.Model(self.input, [self.deep(), self.colour(), self.edges()])

    def embedder(self, compression: float, projections: list[tuple[Floats, Floats]]) -> Any:
        """The whole: the pooled features through `tanh(compression x)`, each part through its projection."""
        pooled = self.layers.Activation("tanh")(self.layers.Rescaling(compression)(self.deep()))
        parts = [pooled, self.colour(), self.edges()]
        done = [
            self._fixed(self.layers.Dense(len(bias)), part, matrix, bias)
            for part, (matrix, bias) in zip(parts, projections, strict=True)
        ]
        return self.keras.Model(self.input, self.layers.Concatenate(name="embedding")(done))
