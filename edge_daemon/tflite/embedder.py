"""Embed pictures with a TFLite model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge_daemon.domain.errors import EmbeddingError, ModelError
from edge_daemon.imaging.preprocess import CropMode, InputTensor, Preprocessor
from edge_daemon.system.regular_file import read_regular
from edge_daemon.tflite.feature_layer import FeatureLayer, FeatureName, find_feature_layer
from edge_daemon.tflite.find_input_range import find_range
from edge_daemon.tflite.graph import Graph, end_at, read_graph
from edge_daemon.tflite.interpreter import (
    input_and_output,
    is_external,
    one_line,
    open_interpreter,
    runtime,
)
from edge_daemon.tflite.model_check import image_input
from edge_daemon.tflite.resizer import Resizers
from edge_daemon.tflite.verdict_cache import contains, put

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

MAX_BYTES = 512 << 20
_DELEGATE_NAMES = {"auto": "xnnpack", "none": "builtin"}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator as the interpreter lists it; one named DELEGATE replaces some of the others."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class TfliteEmbedder:
    """A TFLite image model read at one tap. Owned by one thread.

    `delegate`: `auto` is the interpreter's default (XNNPACK), `none` its plain kernels, anything else the
    path of an external delegate's shared library. Numbers of two delegates differ, so `space` names it.
    `input_range` says what black and white are to the model and why, except at the tap `pixels`.
    Every failure is a ModelError of one line. A file not seen before is first tried in a child
    process; `probe_first=False` skips that for files known to be good.
    """

    def __init__(
        self,
        model_path: Path | str,
        threads: int = 1,
        delegate: str = "auto",
        tap: FeatureName = "embedding",
        crop: CropMode = "center",
        *,
        probe_first: bool = True,
    ) -> None:
        path = Path(model_path)
        try:
            content = read_model(path)
            graph = read_graph(content)
            digest = hashlib.sha256(content).hexdigest()
            self.input: InputTensor = image_input(graph, external_delegate=is_external(delegate))
            self.tap = tap
            shrink = Resizers() if delegate == "auto" else None
            if tap == "pixels":
                self._prepare = Preprocessor(self.input, crop, shrink)
                self.size = self.input.height * self.input.width * self.input.channels
            else:
                self._tap: FeatureLayer = find_feature_layer(graph, tap)
                if probe_first:
                    _probe_once(path, digest, threads, delegate, tap)
                answer = partial(_answers, threads=threads, delegate=delegate)
                self.input_range = find_range(path, content, digest, graph, answer)
                self._prepare = Preprocessor(self.input, crop, shrink, self.input_range.range)
                self._start(content, graph, threads, delegate)
            self.space = f"{path.stem}-{digest[:8]}/{tap}/{self._prepare.id}/{_delegate_name(delegate, tap)}"
        except ModelError as exc:
            raise ModelError(f"{path}: {exc}") from exc

    def _start(self, content: bytes, graph: Graph, threads: int, delegate: str) -> None:
        """Make the interpreter, its graph ended at the tap."""
        if self._tap.tensor != graph.outputs[0]:
            content = end_at(content, graph, self._tap.tensor)
        self._content = content  # The interpreter reads weights from these bytes as long as it lives.
        self._interpreter = open_interpreter(content, threads, delegate)
        given, self._output = input_and_output(self._interpreter)
        self._input_index = int(given["index"])
        self.size = int(self._output["shape"][-1])

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the picture the model sees."""
        return self.input.height, self.input.width, self.input.channels

    def embed(self, image: Image) -> Vector:
        """Embed an RGB uint8 HWC image of any size; a fresh float32 vector of `size`, unit length.

        At the tap `probabilities` these are the shares themselves, summing to about 1.

        Raises ImageError for what is no image, EmbeddingError when the model answers all zeros.
        """
        if self.tap == "probabilities":
            return self.probabilities(image)
        vector = self._pixels(image) if self.tap == "pixels" else self._run(image)
        length = math.sqrt(float(vector @ vector))
        if not 0 < length < math.inf:
            raise EmbeddingError(
                f"{self.space} answered a vector of length {length}; it can't be used for this picture"
            )
        vector /= np.float32(length)
        return vector

    def probabilities(self, image: Image) -> Vector:
        """Return the share of each of the model's own classes, summing to about 1 (tap `probabilities`)."""
        if self.tap != "probabilities":
            raise ModelError(f"{self.space} is read at {self.tap}; set model.features to probabilities")
        vector = self._run(image)
        return _softmax(vector) if self._tap.needs_softmax else vector

    def operations(self) -> list[Operation]:
        """List the operators up to the tap, replaced ones included; empty for the tap `pixels`.

        Asks the interpreter by a method that its documentation leaves out, so use it for inspection only.
        """
        if self.tap == "pixels":
            return []
        return [
            Operation(str(row["op_name"]), tuple(map(int, row["inputs"])), tuple(map(int, row["outputs"])))
            for row in self._interpreter._get_ops_details()
        ]

    def _pixels(self, image: Image) -> Vector:
        return self._prepare.pixels(image).ravel().astype(np.float32) / np.float32(127.5) - np.float32(1)

    def _run(self, image: Image) -> Vector:
        """Return the tapped tensor in real numbers, averaged over height and width if it has them."""
        try:
            self.feed(self.prepare(image))
            self.invoke()
        except (RuntimeError, ValueError) as exc:
            raise ModelError(f"{self.space}: the interpreter fails on it: {one_line(exc)}") from exc
        return self.read()

    # The four steps of `embed`, apart so that a benchmark can time them. The last three belong together.

    def prepare(self, image: Image) -> npt.NDArray[np.generic]:
        """Return the picture as the model's input takes it. Raises ImageError."""
        return self._prepare(image)

    def feed(self, picture: npt.NDArray[np.generic]) -> None:
        """Copy a prepared picture into the interpreter."""
        self._interpreter.set_tensor(self._input_index, picture)

    def invoke(self) -> None:
        """Run the model on what was fed."""
        self._interpreter.invoke()

    def read(self) -> Vector:
        """Return what the model answered at the tap, in real numbers."""
        raw = self._interpreter.get_tensor(self._output["index"]).reshape(-1, self.size)
        scale, zero_point = self._output["quantization"]
        numbers = raw.astype(np.float32)
        if scale:
            numbers -= np.float32(zero_point)
            numbers *= np.float32(scale)
        vector: Vector = numbers[0] if len(numbers) == 1 else numbers.mean(axis=0)
        return vector


def _answers(
    content: bytes, pictures: npt.NDArray[np.float32], threads: int, delegate: str
) -> npt.NDArray[np.float32]:
    """Return a float model's first output for each prepared picture. Raises ModelError."""
    interpreter = open_interpreter(content, threads, delegate)
    given, output = input_and_output(interpreter)
    answers = []
    try:
        for picture in pictures:
            interpreter.set_tensor(given["index"], picture[np.newaxis])
            interpreter.invoke()
            answers.append(np.atleast_1d(interpreter.get_tensor(output["index"]))[0])
    except (RuntimeError, ValueError) as exc:
        raise ModelError(f"the interpreter fails on it: {one_line(exc)}") from exc
    return np.stack(answers).astype(np.float32)


def baseline_loop(path: Path, threads: int, delegate: str) -> Callable[[], None]:
    """Return what a benchmark compares with: set_tensor, invoke, get_tensor of the whole file, no more."""
    interpreter = open_interpreter(read_model(path), threads, delegate)
    given, output = input_and_output(interpreter)
    result = output["index"]
    noise = np.random.default_rng(0).integers(0, 127, given["shape"]).astype(given["dtype"])

    def loop() -> None:
        interpreter.set_tensor(given["index"], noise)
        interpreter.invoke()
        interpreter.get_tensor(result)

    return loop


def read_model(path: Path) -> bytes:
    """Return a file's bytes. Raises ModelError when it is missing, unreadable or far too large."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise ModelError(f"{size >> 20} MiB is too large for a model here (at most {MAX_BYTES >> 20})")
        return read_regular(path, MAX_BYTES)
    except FileNotFoundError as exc:
        raise ModelError("no such model file") from exc
    except OSError as exc:
        raise ModelError(f"can't be read: {exc.strerror}") from exc


def _delegate_name(delegate: str, tap: FeatureName) -> str:
    return "none" if tap == "pixels" else _DELEGATE_NAMES.get(delegate, Path(delegate).name.split(".")[0])


def _probe_once(path: Path, digest: str, threads: int, delegate: str, tap: FeatureName) -> None:
    """Probe a file unless this content passed before, with this interpreter, at this tap."""
    key = hashlib.sha256(f"{digest} {runtime()} {delegate} {tap}".encode()).hexdigest()[:32]
    if contains("probed", key):
        return
    # Late, as most starts remember the file.
    from edge_daemon.tflite.sandbox import probe

    problem = probe([path], threads, delegate, tap)[0]
    if problem is not None:
        raise ModelError(problem.removeprefix(f"{path.absolute()}: "))
    put("probed", key)


def _softmax(logits: Vector) -> Vector:
    shares: Vector = np.exp(logits - logits.max())
    shares /= shares.sum()
    return shares
