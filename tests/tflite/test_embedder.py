from __future__ import annotations

import math
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Pillow

from edge_daemon.domain.errors import EmbeddingError, ModelError
from edge_daemon.domain.interfaces import Embedder as EmbedderPort
from edge_daemon.imaging.preprocess import Preprocessor
from edge_daemon.tflite.embedder import MAX_BYTES, TfliteEmbedder
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path
from tests.harness.tflite_interpreter import MODULE, Interpreter, OpResolverType

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


OFFICIAL = {
    "mobilenet_v1_0.25_128_quant": (84, 256),
    "mobilenet_v1_0.5_160_quant": (84, 512),
    "mobilenet_v1_1.0_224_quant_embedding_extractor": (82, 1024),
    "mobilenet_v2_1.0_224_quant": (169, 1280),
    "tf2_mobilenet_v2_1.0_224_ptq": (172, 1280),
}
"""Official models: the pooled tensor's index as their graphs show it, and its size."""


def photo(name: str) -> Image:
    with Pillow.open(shared_path(f"images/{name}.jpg")) as picture:
        return np.asarray(picture.convert("RGB"))


def official(name: str) -> Path:
    return shared_path(f"models/{name}.tflite")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "model.tflite"


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_models_give_unit_vectors(name: str) -> None:
    embedder: EmbedderPort = TfliteEmbedder(official(name), probe_first=False)
    vector = embedder.embed(photo("cat"))
    assert embedder.size == OFFICIAL[name][1]
    assert vector.shape == (embedder.size,)
    assert vector.dtype == np.float32
    assert float(vector @ vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_truncated_graph_gives_the_whole_graphs_tensor_bit_for_bit(name: str) -> None:
    embedder = TfliteEmbedder(official(name), delegate="none", probe_first=False)
    whole = Interpreter(
        str(official(name)),
        num_threads=1,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    whole.allocate_tensors()
    given = Preprocessor(embedder.input)(photo("bird"))
    whole.set_tensor(whole.get_input_details()[0]["index"], given)
    whole.invoke()
    inner = OFFICIAL[name][0]
    scale, zero_point = next(d for d in whole.get_tensor_details() if d["index"] == inner)["quantization"]
    real = (whole.get_tensor(inner).ravel().astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    expected = real / np.float32(math.sqrt(float(real @ real)))
    assert np.array_equal(embedder.embed(photo("bird")), expected)


def test_the_same_picture_gives_an_equal_but_new_vector() -> None:
    embedder = TfliteEmbedder(official("mobilenet_v1_0.25_128_quant"), probe_first=False)
    first = embedder.embed(photo("cat"))
    kept = first.copy()
    embedder.embed(photo("bird"))
    assert np.array_equal(first, kept), "a later picture does not overwrite an earlier vector"
    assert np.array_equal(embedder.embed(photo("cat")), kept)


def test_similar_pictures_are_nearer_than_different_ones() -> None:
    embedder = TfliteEmbedder(official("mobilenet_v1_0.25_128_quant"), probe_first=False)

    def embed(name: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        return embedder.embed(photo(f"imprinting/{name}"))

    cat, other_cat, hot_dog = embed("train/cat/0"), embed("test/cat/0"), embed("train/hotdog/0")
    assert cat @ other_cat > cat @ hot_dog


@pytest.mark.parametrize(
    ("name", "word"), [("cat", "cat"), ("bird", "chickadee"), ("sunflower", "daisy"), ("hot_dog", "hot dog")]
)
def test_probabilities_name_the_picture(name: str, word: str) -> None:
    labels = shared_path("models/imagenet_labels.txt").read_text().splitlines()
    embedder = TfliteEmbedder(
        official("tf2_mobilenet_v2_1.0_224_ptq"), features="probabilities", probe_first=False
    )
    shares = embedder.probabilities(photo(name))
    assert word in labels[int(shares.argmax())]
    assert shares.sum() == pytest.approx(1, abs=0.25), "1,001 probabilities, each rounded to 1/256"


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_probabilities_equal_the_bare_interpreters(name: str) -> None:
    embedder = TfliteEmbedder(official(name), features="probabilities", probe_first=False)
    bare = Interpreter(str(official(name)), num_threads=1)
    bare.allocate_tensors()
    bare.set_tensor(bare.get_input_details()[0]["index"], Preprocessor(embedder.input)(photo("cat")))
    bare.invoke()
    output = bare.get_output_details()[0]
    scale, zero_point = output["quantization"]
    expected = (bare.get_tensor(output["index"])[0].astype(np.float32) - zero_point) * scale
    assert embedder.probabilities(photo("cat")) == pytest.approx(expected, abs=1e-6)


def test_the_space_names_model_features_preprocessing_and_delegate() -> None:
    path = official("mobilenet_v1_0.25_128_quant")
    spaces = {
        TfliteEmbedder(path, probe_first=False).space,
        TfliteEmbedder(path, features="logits", probe_first=False).space,
        TfliteEmbedder(path, delegate="none", probe_first=False).space,
        TfliteEmbedder(path, crop="squash", probe_first=False).space,
        TfliteEmbedder(path, features="pixels", probe_first=False).space,
    }
    assert "mobilenet_v1_0.25_128_quant-cb273c23/embedding/square-bilinear/xnnpack" in spaces
    assert "mobilenet_v1_0.25_128_quant-cb273c23/embedding/square-bilinear/builtin" in spaces
    assert len(spaces) == 5


def test_pixels_are_the_preprocessed_picture() -> None:
    embedder = TfliteEmbedder(official("mobilenet_v1_0.25_128_quant"), features="pixels", probe_first=False)
    vector = embedder.embed(photo("cat"))
    wanted = Preprocessor(embedder.input).pixels(photo("cat")).ravel() / 127.5 - 1
    assert embedder.size == 128 * 128 * 3
    assert np.allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-6)


def test_a_float_model_gets_minus_one_to_one(write: Path) -> None:
    write.write_bytes(tiny.float_classifier())
    colour = np.tile(np.array([255, 128, 0], np.uint8), (20, 20, 1))
    vector = TfliteEmbedder(write, probe_first=False).embed(colour)
    assert vector == pytest.approx(np.array([1, 0, -1]) / np.sqrt(2), abs=0.01)


def test_a_float_models_logits_and_probabilities(write: Path) -> None:
    weights = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    colour = np.tile(np.array([255, 128, 0], np.uint8), (20, 20, 1))
    expected = np.array([np.e, 1 / np.e]) / (np.e + 1 / np.e)
    for with_softmax in (True, False):
        write.write_bytes(tiny.float_classifier(weights=weights, with_softmax=with_softmax))
        shares = TfliteEmbedder(write, features="probabilities", probe_first=False).probabilities(colour)
        assert shares == pytest.approx(expected, abs=1e-5)
        logits = TfliteEmbedder(write, features="logits", probe_first=False).embed(colour)
        assert logits == pytest.approx(np.array([1, -1]) / np.sqrt(2), abs=1e-5)


@pytest.mark.parametrize(("kind", "zero_point"), [(tiny.TYPE.INT8, -1), (tiny.TYPE.UINT8, 127)])
def test_quantised_models_are_dequantised_by_their_own_scale(write: Path, kind: int, zero_point: int) -> None:
    write.write_bytes(tiny.quantised_pool(kind, 1 / 127.5, zero_point))
    colour = np.tile(np.array([255, 128, 0], np.uint8), (20, 20, 1))
    vector = TfliteEmbedder(write, probe_first=False).embed(colour)
    assert vector == pytest.approx(np.array([1, 0, -1]) / np.sqrt(2), abs=0.01)


def test_a_grey_model_of_28_pixels_works(write: Path) -> None:
    write.write_bytes(tiny.float_classifier(size=28, channels=1))
    embedder = TfliteEmbedder(write, probe_first=False)
    assert embedder.input_shape == (28, 28, 1)
    assert embedder.embed(np.full((50, 40, 3), 255, np.uint8)) == pytest.approx([1])


def test_an_output_of_zeros_is_an_error_not_a_nan(write: Path) -> None:
    write.write_bytes(tiny.quantised_pool(tiny.TYPE.UINT8, 1 / 255, 0))
    with pytest.raises(EmbeddingError, match="length 0"):
        TfliteEmbedder(write, probe_first=False).embed(np.zeros((20, 20, 3), np.uint8))


def test_probabilities_need_their_features(write: Path) -> None:
    write.write_bytes(tiny.float_classifier())
    with pytest.raises(ModelError, match=r"set model\.features to probabilities"):
        TfliteEmbedder(write, probe_first=False).probabilities(photo("cat"))


def test_a_missing_delegate_is_named(write: Path) -> None:
    write.write_bytes(tiny.float_classifier())
    with pytest.raises(ModelError, match=r"delegate /nowhere/libx\.so can't be loaded"):
        TfliteEmbedder(write, delegate="/nowhere/libx.so", probe_first=False)


def test_a_library_that_is_no_delegate_is_named(write: Path) -> None:
    write.write_bytes(tiny.float_classifier())
    with pytest.raises(
        ModelError, match=r"delegate libm\.so\.6 can't be loaded: .*tflite_plugin_create_delegate"
    ):
        TfliteEmbedder(write, delegate="libm.so.6", probe_first=False)


def test_the_older_interpreter_is_used_if_only_that_is_installed(
    write: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = sys.modules[MODULE]
    write.write_bytes(tiny.float_classifier())
    for package in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, f"{package}.interpreter", None)
    with pytest.raises(ModelError, match="pip install ai-edge-litert"):
        TfliteEmbedder(write, probe_first=False)
    monkeypatch.setitem(sys.modules, "tflite_runtime", types.ModuleType("tflite_runtime"))
    monkeypatch.setitem(sys.modules, "tflite_runtime.interpreter", interpreter)
    assert TfliteEmbedder(write, probe_first=False).size == 3


def test_a_file_is_probed_once_and_its_content_cached(
    write: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write.write_bytes(tiny.float_classifier())
    TfliteEmbedder(write)
    assert len(list((cache / "probed").iterdir())) == 1
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    renamed = write.rename(write.with_name("renamed.tflite"))
    assert TfliteEmbedder(renamed).size == 3, "the same content needs no child"
    with pytest.raises(ModelError, match="no process can be started"):
        TfliteEmbedder(renamed, features="logits")


def test_a_file_over_the_limit_is_not_read(write: Path) -> None:
    with write.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(ModelError, match="512 MiB is too large"):
        TfliteEmbedder(write)


def test_without_a_writable_cache_models_still_load(write: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    write.write_bytes(tiny.float_classifier())
    assert TfliteEmbedder(write).size == 3
