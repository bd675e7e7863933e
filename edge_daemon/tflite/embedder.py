"""Image embeddings from a TFLite model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from edge_daemon.domain.errors import EmbeddingError, ImageError, ModelError
from edge_daemon.imaging.preprocess import CropMode, InputTensor, Preprocessor
from edge_daemon.learning.classifiers.base import softmax
from edge_daemon.system.regular_file import read_regular
from edge_daemon.tflite.feature_layer import FeatureLayer, FeatureName, find_feature_layer
from edge_daemon.tflite.graph import Graph, read_graph, truncate_at
from edge_daemon.tflite.input_range_sources import find_input_range
from edge_daemon.tflite.interpreter import (
    input_and_output,
    is_external,
    one_line,
    open_interpreter,
    runtime,
)
from edge_daemon.tflite.masked_pool import MaskedPool, Shares, find_pooled_map
from edge_daemon.tflite.model_check import image_input
from edge_daemon.tflite.resizer import ResizerCache
from edge_daemon.tflite.verdict_cache import contains, put

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

MAX_BYTES = 512 << 20
_DELEGATE_NAMES = {"auto": "xnnpack", "none": "builtin"}


class ListedOperator(Struct, frozen=True):
    """An operator in the interpreter's list. A DELEGATE operator replaces other operators of the list."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TfliteEmbedder:
    """A TFLite image model read at one feature layer. Owned by one thread.

    `delegate`: `auto` is the interpreter's default (XNNPACK), `none` its builtin kernels, any other value
    the path of an external delegate's shared library. Two delegates give slightly different embeddings, so
    `space` includes the delegate's name. `input_range` is the range that the model gets for black to white,
    and its source; it is not set for `pixels`. Every failure is a ModelError of one line. A new file
    is first tried in a child process; `probe_first=False` skips the trial for files known to be good.
    """

    def __init__(
        self,
        model_path: Path | str,
        threads: int = 1,
        delegate: str = "auto",
        features: FeatureName = "embedding",
        crop: CropMode = "center",
        *,
        probe_first: bool = True,
    ) -> None:
        path = Path(model_path)
        self.features = features
        self._masked_pool: MaskedPool | None = None
        try:
            self._load(path, threads, delegate, crop, probe_first)
        except ModelError as exc:
            raise ModelError(f"{path}: {exc}") from exc

    def _load(self, path: Path, threads: int, delegate: str, crop: CropMode, probe_first: bool) -> None:
        content = read_model(path)
        graph = read_graph(content)
        digest = hashlib.sha256(content).hexdigest()
        self.input: InputTensor = image_input(graph, external_delegate=is_external(delegate))
        # Confidences of the model's own classes are compared with those of other programs.
        smooths = self.features != "probabilities"
        resize = ResizerCache(smooths=smooths) if delegate == "auto" else None
        if self.features == "pixels":
            self._prepare = Preprocessor(self.input, crop, resize)
            self.size = self.input.height * self.input.width * self.input.channels
        else:
            self._layer: FeatureLayer = find_feature_layer(graph, self.features)
            if probe_first:
                _probe_once(path, digest, threads, delegate, self.features)
            run = partial(_run_model, threads=threads, delegate=delegate)
            self.input_range = find_input_range(path, content, digest, graph, run)
            self._prepare = Preprocessor(self.input, crop, resize, self.input_range.range)
            self._open_interpreter(content, graph, threads, delegate)
        kernels = _delegate_name(delegate, self.features)
        self.space = f"{path.stem}-{digest[:8]}/{self.features}/{self._prepare.id}/{kernels}"

    def _open_interpreter(self, content: bytes, graph: Graph, threads: int, delegate: str) -> None:
        """Open an interpreter for the graph truncated at the feature layer.

        The feature map before it is a further output, except where a delegate would have to be compiled
        for it, and where the model sees only a part of a square picture.
        """
        layer = self._layer.tensor
        is_square = self.input.height == self.input.width
        can_pool = self.features == "embedding" and is_square and not is_external(delegate)
        pooled = find_pooled_map(graph, layer) if can_pool else None
        maps = () if pooled is None or pooled.feature_map == layer else (pooled.feature_map,)
        if layer != graph.outputs[0] or maps:
            content = truncate_at(content, graph, layer, *maps)
        self._content = content  # The interpreter reads its weights from these bytes.
        self._interpreter = open_interpreter(content, threads, delegate)
        input_details, self._output = input_and_output(self._interpreter)
        self._input_index = int(input_details["index"])
        self.size = int(self._output["shape"][-1])
        if pooled is not None:
            self._masked_pool = MaskedPool(self._interpreter, pooled, self.size)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the model's input."""
        return self.input.height, self.input.width, self.input.channels

    def min_scale(self, width: int, height: int) -> float:
        """Return the scale at which a picture of this size has enough pixels for the model."""
        return self._prepare.min_scale(width, height)

    def embed(self, image: Image) -> Vector:
        """Embed an RGB uint8 HWC image of any size; a new float32 vector of `size`, unit length.

        With the features `probabilities` the vector holds the probabilities, which sum to about 1.

        Raises ImageError for an invalid array, EmbeddingError when the model's output is all zeros.
        """
        if self.features == "probabilities":
            return self.probabilities(image)
        return self._unit(self._pixels(image) if self.features == "pixels" else self._run(image))

    @property
    def embeds_parts(self) -> bool:
        """True if `embed_part` is possible: the embedding is the average of a feature map."""
        return self._masked_pool is not None

    def embed_part(self, image: Image, shares: Shares) -> Vector:
        """Embed the part of an image that `shares` (rows x columns, 0 to 255) shows, as `embed` does a whole.

        The feature map is averaged over that part. Its embedding is compared with those of other parts only.
        Raises ImageError, EmbeddingError, and ModelError unless `embeds_parts`.
        """
        if self._masked_pool is None:
            raise ModelError(f"{self.space} is no average of a feature map; it has no embedding of a part")
        self._infer(image)
        return self._unit(self._masked_pool.read(shares))

    def _unit(self, vector: Vector) -> Vector:
        length = math.sqrt(float(vector @ vector))
        if not 0 < length < math.inf:
            raise EmbeddingError(
                f"{self.space} gave a vector of length {length}; this picture can't be embedded"
            )
        vector /= np.float32(length)
        return vector

    def probabilities(self, image: Image) -> Vector:
        """Return the probability of each of the model's own classes, which sum to about 1.

        Raises ModelError unless `features` is `probabilities`.
        """
        if self.features != "probabilities":
            raise ModelError(f"{self.space} gives {self.features}; set model.features to probabilities")
        vector = self._run(image)
        return softmax(vector) if self._layer.needs_softmax else vector

    def listed_operators(self) -> list[ListedOperator]:
        """List the operators up to the feature layer, replaced ones included; empty for `pixels`.

        Calls an undocumented method of the interpreter, so use it for inspection only.
        """
        if self.features == "pixels":
            return []
        return [
            ListedOperator(
                str(row["op_name"]), tuple(map(int, row["inputs"])), tuple(map(int, row["outputs"]))
            )
            for row in self._interpreter._get_ops_details()
        ]

    def _pixels(self, image: Image) -> Vector:
        return self._prepare.pixels(image).ravel().astype(np.float32) / np.float32(127.5) - np.float32(1)

    def _run(self, image: Image) -> Vector:
        """Return the feature layer's real values, averaged over height and width if it has these axes."""
        self._infer(image)
        return self.read_output()

    def _infer(self, image: Image) -> None:
        try:
            self.set_input(self.prepare(image))
            self.invoke()
        except ImageError:
            raise
        except (RuntimeError, ValueError) as exc:
            raise ModelError(f"{self.space}: the interpreter fails on it: {one_line(exc)}") from exc

    # The four steps of `embed`, public so that a benchmark can time each. Call the last three in this order.

    def prepare(self, image: Image) -> npt.NDArray[np.generic]:
        """Return the picture as the model's input tensor, 1 x H x W x C. Raises ImageError."""
        return self._prepare(image)

    def set_input(self, picture: npt.NDArray[np.generic]) -> None:
        """Copy a prepared picture into the interpreter."""
        self._interpreter.set_tensor(self._input_index, picture)

    def invoke(self) -> None:
        """Run the model on the current input."""
        self._interpreter.invoke()

    def read_output(self) -> Vector:
        """Return the feature layer of the last `invoke` as float32 real values."""
        raw = self._interpreter.get_tensor(self._output["index"]).reshape(-1, self.size)
        scale, zero_point = self._output["quantization"]
        numbers = raw.astype(np.float32)
        if scale:
            numbers -= np.float32(zero_point)
            numbers *= np.float32(scale)
        vector: Vector = numbers[0] if len(numbers) == 1 else numbers.mean(axis=0)
        return vector


def _run_model(
    content: bytes, pictures: npt.NDArray[np.float32], threads: int, delegate: str
) -> npt.NDArray[np.float32]:
    """Return a float model's first output for each prepared picture. Raises ModelError."""
    interpreter = open_interpreter(content, threads, delegate)
    input_details, output = input_and_output(interpreter)
    outputs = []
    try:
        for picture in pictures:
            interpreter.set_tensor(input_details["index"], picture[np.newaxis])
            interpreter.invoke()
            outputs.append(np.atleast_1d(interpreter.get_tensor(output["index"]))[0])
    except (RuntimeError, ValueError) as exc:
        raise ModelError(f"the interpreter fails on it: {one_line(exc)}") from exc
    return np.stack(outputs).astype(np.float32)


def baseline_loop(path: Path, threads: int, delegate: str) -> Callable[[], None]:
    """Return a benchmark's baseline: one set_tensor, invoke and get_tensor on the whole model."""
    interpreter = open_interpreter(read_model(path), threads, delegate)
    input_details, output = input_and_output(interpreter)
    result = output["index"]
    noise = np.random.default_rng(0).integers(0, 127, input_details["shape"]).astype(input_details["dtype"])

    def loop() -> None:
        interpreter.set_tensor(input_details["index"], noise)
        interpreter.invoke()
        interpreter.get_tensor(result)

    return loop


def read_model(path: Path) -> bytes:
    """Return a model file's bytes. Raises ModelError when it is missing, unreadable or over MAX_BYTES."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ModelError(f"{size >> 20} MiB is too large for a model (at most {MAX_BYTES >> 20} MiB)")
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError as exc:
        raise ModelError("no such model file") from exc
    except OSError as exc:
        raise ModelError(f"can't be read: {exc.strerror}") from exc


def _delegate_name(delegate: str, features: FeatureName) -> str:
    return (
        "none" if features == "pixels" else _DELEGATE_NAMES.get(delegate, Path(delegate).name.split(".")[0])
    )


def _probe_once(path: Path, digest: str, threads: int, delegate: str, features: FeatureName) -> None:
    """Probe a file unless its content passed before with this interpreter, delegate and feature layer."""
    key = hashlib.sha256(f"{digest} {runtime()} {delegate} {features}".encode()).hexdigest()[:32]
    if contains("probed", key):
        return
    # Late, as most starts find the file in the cache.
    from edge_daemon.tflite.sandbox import probe

    problem = probe([path], threads, delegate, features)[0]
    if problem is not None:
        raise ModelError(problem.removeprefix(f"{path.absolute()}: "))
    put("probed", key)
