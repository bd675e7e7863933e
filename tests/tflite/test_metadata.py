from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.imaging.input_range import MINUS_ONE_TO_ONE, ZERO_TO_255
from edge_daemon.tflite.flatbuffers import Fields, NumberVector, Scalar, write
from edge_daemon.tflite.metadata import Metadata, read_metadata
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path

if TYPE_CHECKING:
    from collections.abc import Sequence


def label_file(name: str, locale: str = "", kind: int = 2) -> Fields:
    return {0: name.encode(), 2: Scalar("b", kind), 3: locale.encode()}


def metadata(mean: Sequence[float], std: Sequence[float], files: Sequence[Fields] = ()) -> bytes:
    """Write metadata by the field numbers of the schema."""
    unit: Fields = {0: Scalar("B", 1), 1: {0: NumberVector("f", mean), 1: NumberVector("f", std)}}
    return write({3: [{2: [{4: [unit]}], 3: [{6: files}]}]}, b"M001")


def model(described: bytes, name: str = "TFLITE_METADATA") -> bytes:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    pool = tiny.mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    recipe.describe(described, name)
    return recipe.content([picture], [pool])


def test_an_official_models_metadata() -> None:
    content = shared_path("models/mobilenet_v1_0.25_128_quant.tflite").read_bytes()
    assert read_metadata(content) == Metadata(MINUS_ONE_TO_ONE, "imagenet_labels.txt")


def test_mean_and_deviation_give_the_range() -> None:
    assert read_metadata(model(metadata([0.0], [1.0]))).input_range == ZERO_TO_255


def test_of_several_label_files_the_one_without_a_language_is_used() -> None:
    files = [label_file("de.txt", "de"), label_file("values.txt", kind=3), label_file("names.txt")]
    assert read_metadata(model(metadata([0.0], [1.0], files))).label_file == "names.txt"
    assert read_metadata(model(metadata([0.0], [1.0], files[:1]))).label_file == "de.txt"


@pytest.mark.parametrize(
    "described", [b"", b"M001", b"\xff" * 64, write({}, b"M001"), write({3: [{}]}, b"M001")]
)
def test_metadata_without_range_or_labels(described: bytes) -> None:
    assert read_metadata(model(described)) == Metadata()


def test_other_buffers_are_no_metadata() -> None:
    assert read_metadata(model(metadata([0.0], [1.0]), "min_runtime_version")) == Metadata()


def test_damaged_metadata_never_raises() -> None:
    content = model(metadata([127.5], [127.5], [label_file("names.txt")]))
    random = np.random.default_rng(3)
    for _ in range(2000):
        damaged = bytearray(content)
        for at in random.integers(8, len(content), 3):
            damaged[at] = random.integers(0, 256)
        read_metadata(bytes(damaged))
    for length in range(len(content)):
        read_metadata(content[:length])
