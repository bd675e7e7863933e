"""Embedding of a part of a picture: the last feature map is averaged over the cells of that part only.

A global average pool gives every cell of the last feature map the same weight. Here a cell's weight is the
share of the part in it ("masked average pooling", Zhang et al., "SG-One", 2018). A dense layer behind the
pool, as in the shipped model, is applied to that average.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.tflite.feature_layer import POOLS
from edge_daemon.tflite.graph import Graph, Operator

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

Shares: TypeAlias = npt.NDArray[np.uint8]
"""Share of each cell of a picture that belongs to its part, of 255: shape (rows, columns)."""

Matrix: TypeAlias = npt.NDArray[np.float32]

MIN_CELLS = 5
"""Least rows and columns of a feature map: each of 4 x 4 cells sees too much of the surroundings."""

_LEAST_SHARE = 0.25
"""Least share of a cell, of 255: a part that no cell shows is averaged over the whole picture."""


class PooledMap(Struct, frozen=True):
    """The feature map behind an embedding, by the indices of its tensors.

    `weights` and `bias` are those of a dense layer between pool and embedding, -1 without one. `first` is the
    index of the embedding's number where the result begins; the numbers of other branches are zeros.
    """

    feature_map: int
    weights: int = -1
    bias: int = -1
    first: int = 0


def find_pooled_map(graph: Graph, tensor: int) -> PooledMap | None:
    """Return the feature map whose average the embedding `tensor` is; None if it is computed otherwise."""
    producers = graph.computed()
    if _is_map(graph, producers, tensor):
        return PooledMap(tensor)
    step = _producer(graph, producers, tensor)
    if step is None or step.name != "CONCATENATION":
        return _behind(graph, producers, tensor)
    found = [_behind(graph, producers, part) for part in step.inputs]
    pooled = [(number, each) for number, each in enumerate(found) if each is not None]
    if len(pooled) != 1:
        return None
    number, each = pooled[0]
    first = sum(graph.tensors[part].shape[-1] for part in step.inputs[:number])
    return PooledMap(each.feature_map, each.weights, each.bias, first)


def _behind(graph: Graph, producers: Mapping[int, int], tensor: int) -> PooledMap | None:
    """Return the map that is averaged for a tensor, with or without a dense layer after it."""
    step = _producer(graph, producers, tensor)
    if step is None:
        return None
    if step.name in POOLS:
        return PooledMap(step.inputs[0]) if _is_map(graph, producers, step.inputs[0]) else None
    if step.name != "FULLY_CONNECTED" or step.activated or len(step.inputs) != 3:
        return None
    pooled, weights, bias = step.inputs
    pool = _producer(graph, producers, pooled)
    if pool is None or pool.name not in POOLS or not _is_map(graph, producers, pool.inputs[0]):
        return None
    are_constant = bias >= 0 and graph.tensors[weights].constant and graph.tensors[bias].constant
    return PooledMap(pool.inputs[0], weights, bias) if are_constant else None


def _producer(graph: Graph, producers: Mapping[int, int], tensor: int) -> Operator | None:
    return graph.operators[producers[tensor]] if tensor in producers else None


def _is_map(graph: Graph, producers: Mapping[int, int], tensor: int) -> bool:
    """Return whether a tensor is computed and one feature map with enough rows and columns of cells."""
    shape = graph.tensors[tensor].shape
    return tensor in producers and len(shape) == 4 and shape[0] == 1 and min(shape[1:3]) >= MIN_CELLS


class MaskedPool:
    """Reads a part's embedding from an interpreter that has the feature map among its outputs."""

    def __init__(self, interpreter: Any, pooled: PooledMap, size: int) -> None:
        """`size` is the length of the whole embedding."""
        self._interpreter = interpreter
        self._pooled = pooled
        self._size = size
        details = {int(each["index"]): each for each in interpreter.get_output_details()}
        self._map = details[pooled.feature_map]
        _, self._rows, self._columns, self._channels = map(int, self._map["shape"])
        self._layer: tuple[Matrix, Matrix] | None = None

    def read(self, shares: Shares) -> Vector:
        """Return the embedding of the part that `shares` gives, of the last inference; not of unit length."""
        rows, columns = shares.shape
        covered = (
            _averages(self._rows, rows) @ shares.astype(np.float32) @ _averages(self._columns, columns).T
        )
        covered += np.float32(_LEAST_SHARE)
        weights = covered.ravel()
        weights *= np.float32(1 / weights.sum())
        cells = self._interpreter.get_tensor(self._pooled.feature_map).reshape(-1, self._channels)
        mean = weights @ cells.astype(np.float32)
        if self._layer is None:
            self._layer = self._read_layer()
        factors, offsets = self._layer
        values = factors * mean if self._pooled.weights < 0 else factors @ mean
        values += offsets
        vector: Vector = np.zeros(self._size, np.float32)
        vector[self._pooled.first : self._pooled.first + len(values)] = values
        return vector

    def _read_layer(self) -> tuple[Matrix, Matrix]:
        """Return what turns the mean of the map's numbers into real values: factors and offsets.

        That is a matrix (outputs x inputs) with a dense layer behind the pool, else one factor.
        """
        scale, zero_point = self._map["quantization"]
        factors, offsets = np.full(1, scale or 1, np.float32), np.zeros(1, np.float32)
        if self._pooled.weights >= 0:
            details = {int(each["index"]): each for each in self._interpreter.get_tensor_details()}
            factors = self._real_values(details[self._pooled.weights]) * factors
            offsets = self._real_values(details[self._pooled.bias])
            return factors, offsets - factors.sum(axis=1) * np.float32(zero_point)
        return factors, offsets - factors * np.float32(zero_point)

    def _real_values(self, details: Mapping[str, Any]) -> Matrix:
        """Return the values of a constant tensor."""
        values: Matrix = self._interpreter.get_tensor(details["index"]).astype(np.float32)
        quantization = details["quantization_parameters"]
        scales = np.asarray(quantization["scales"], np.float32)
        if not len(scales):
            return values
        zero_points = np.asarray(quantization["zero_points"], np.float32)
        shape = (-1,) + (1,) * (values.ndim - 1) if len(scales) > 1 else ()
        values -= zero_points.reshape(shape)
        values *= scales.reshape(shape)
        return values


@lru_cache(maxsize=4)
def _averages(cells: int, samples: int) -> Matrix:
    """Return the matrix (cells x samples) that averages samples, of 255, over the cells that they lie in."""
    edges = np.linspace(0, samples, cells + 1)
    starts = np.arange(samples)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    matrix: Matrix = (overlap.clip(0) * (cells / samples)).astype(np.float32)
    return matrix
