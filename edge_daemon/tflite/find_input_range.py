"""Find by trial what range a float model was trained on.

A network trained on 0..255 sees 127 times less contrast in -1..1 and answers almost the same to every
picture. The spread of its logits over pictures shows that. Of 34 small networks trained for this measurement,
those of -1..1, 0..1 and ImageNet's normalisation had 0.6 to 21 in -1..1, those of 0..255 0.005 to 0.23; one
of these, without any rescaling layer, had 1.6 and is not told apart. The official networks have 0.7 to 1.1.
The ranges -1..1 and 0..1 differ by a factor of 2, which no trial tells apart: -1..1 is taken.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.input_range import MINUS_ONE_TO_ONE, ZERO_TO_255, InputRange
from edge_daemon.tflite.declared_input_range import declared_range
from edge_daemon.tflite.feature_layer import ends_in_classes, find_feature_layer
from edge_daemon.tflite.graph import Graph, end_at
from edge_daemon.tflite.implied_input_range import implied_range
from edge_daemon.tflite.metadata import read_metadata
from edge_daemon.tflite.verdict_cache import contains, put

_Numbers = npt.NDArray[np.float32]

Answer = Callable[[bytes, _Numbers], _Numbers]
"""Runs a model file on prepared pictures and returns its first output, a row for each."""

_PICTURES = 6
_LEAST_OF_LOGITS = 0.25
_LEAST_OF_FIRST_LAYER = 0.02
"""The spread over pictures below which a network does not see them."""

_GAIN = 10
"""How much wider the answers to 0..255 have to spread; activations that end at 6 narrow those to -1..1."""

_LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}


def tried_range(content: bytes, graph: Graph, answer: Answer) -> InputRange:
    """Return 0..255 when the model's answers speak clearly for it, else -1..1. Raises ModelError."""
    place = _measured_at(graph)
    if place is None:
        return MINUS_ONE_TO_ONE
    tensor, least = place
    if tensor != graph.outputs[0]:
        content = end_at(content, graph, tensor)
    pictures = _pictures(*graph.tensors[graph.inputs[0]].shape[1:])
    small = _spread(answer(content, pictures / 127.5 - 1))
    return (
        ZERO_TO_255
        if small < least and _spread(answer(content, pictures)) > _GAIN * small
        else MINUS_ONE_TO_ONE
    )


def _measured_at(graph: Graph) -> tuple[int, float] | None:
    """Return the tensor to measure at and its least spread, None where nothing is known.

    An embedder's output can have any scale, so the layer that reads the picture is measured instead.
    """
    with suppress(ModelError):  # a softmax of the picture itself has no logits
        if ends_in_classes(graph):
            return find_feature_layer(graph, "logits").tensor, _LEAST_OF_LOGITS
    first = next((step for step in graph.operators if graph.inputs[0] in step.inputs), None)
    return (first.outputs[0], _LEAST_OF_FIRST_LAYER) if first and first.name in _LAYERS else None


def _spread(answers: _Numbers) -> float:
    """Return the standard deviation over pictures, and over places in them; of all channels, squared mean."""
    rows = answers.reshape(-1, answers.shape[-1])
    return math.sqrt(float(rows.var(axis=0, dtype=np.float64).mean()))


def _pictures(height: int, width: int, channels: int) -> _Numbers:
    """Draw discs and boxes of all colours on gradients, the same ones at every call; 0 to 255."""
    random = np.random.default_rng(7)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    size = max(height, width)
    drawn = []
    for number in range(_PICTURES):
        near, far = random.integers(0, 256, (2, 3))
        slope = (rows * math.sin(number) + columns * math.cos(number)) / (2 * size) + 0.5
        picture = near + (far - near) * slope[..., np.newaxis]
        for shape in range(4):
            top, left, radius = random.random(3) * (height, width, 0.35 * size) + (0, 0, 2)
            down, across = abs(rows - top), abs(columns - left)
            inside = np.hypot(down, across) < radius if shape % 2 else np.maximum(down, across) < radius
            picture[inside] = random.integers(0, 256, 3)
        drawn.append(picture + random.normal(0, 6, picture.shape))
    pictures: _Numbers = np.clip(drawn, 0, 255).astype(np.float32)
    return pictures if channels == 3 else pictures.mean(axis=-1, keepdims=True, dtype=np.float32)


log = logging.getLogger(__name__)

_TRIED = "ranges"


@dataclass(frozen=True, slots=True)
class FoundRange:
    """A model's input range; `why` is a phrase that follows the range.

    `range` None stands for what the scale of a quantised input says.
    """

    range: InputRange | None
    why: str

    def __str__(self) -> str:
        """Name the range and what says so, as a report does."""
        return f"{self.range}, from {self.why}" if self.range else f"from {self.why}"


def find_range(path: Path, content: bytes, digest: str, graph: Graph, answer: Answer) -> FoundRange:
    """Ask the files beside a model, its metadata, its first layers; last, try it on pictures.

    Raises ModelError for a manifest that can't be meant, and when the model fails on the pictures.
    """
    is_float = graph.tensors[graph.inputs[0]].dtype == "float32"
    if (declared := declared_range(path, digest, is_float)) is not None:
        return FoundRange(*declared)
    if not is_float:
        return FoundRange(None, "the scale of its input")
    if (described := read_metadata(content).input_range) is not None:
        return FoundRange(described, "its metadata")
    if (implied := implied_range(graph)) is not None:
        return FoundRange(implied, "its first layers")
    return FoundRange(_tried(path, content, digest, graph, answer), "a trial on pictures")


def _tried(path: Path, content: bytes, digest: str, graph: Graph, answer: Answer) -> InputRange:
    """Return the outcome of the trial, which is remembered by content and logged when it is new."""
    for known in (MINUS_ONE_TO_ONE, ZERO_TO_255):
        if contains(_TRIED, f"{digest}-{known}"):
            return known
    found = tried_range(content, graph, answer)
    log.info(
        "%s does not say what pixels it was trained on; tried on pictures, it gets black..white = %s "
        "(`edge-daemon models add FILE --range LOW..HIGH` sets another)",
        path.name,
        found,
    )
    put(_TRIED, f"{digest}-{found}")
    return found
