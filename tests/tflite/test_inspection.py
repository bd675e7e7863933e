from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.keras_network import KerasNetwork, Weights, fold_batch_norms, read_network
from edge_daemon.models.keras_writer import write_keras_network
from edge_daemon.tflite.embedder import ListedOperator
from edge_daemon.tflite.inspection import FeatureLayerInfo, inspect, undelegated_operators
from tests.harness import tiny_models as tiny
from tests.harness.keras_model import darknet
from tests.harness.shared_files import shared_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))


def test_an_official_model_is_reported_in_full() -> None:
    found = inspect(shared_path("models/mobilenet_v1_0.25_128_quant.tflite"))
    assert found.bytes == 525598
    assert found.sha256.startswith("cb273c23")
    assert [(tensor.shape, tensor.dtype) for tensor in found.inputs] == [((1, 128, 128, 3), "uint8")]
    assert found.outputs[0].shape == (1, 1001)
    assert found.features["embedding"] == FeatureLayerInfo(256, "the AVERAGE_POOL_2D before the classifier")
    assert found.features["logits"] == FeatureLayerInfo(1001, "the input of the last SOFTMAX")
    assert found.operators["DEPTHWISE_CONV_2D"] == 13
    assert found.problem is None
    assert found.inference_ms is not None
    assert 0 < found.inference_ms < 1000
    assert found.space is not None


def test_xnnpack_runs_the_convolutions_and_builtin_kernels_everything(tmp_path: Path) -> None:
    """Uses a float model: the original tflite-runtime runs 8-bit ones without XNNPACK."""
    network, weights = fold_batch_norms(*read_darknet())
    path = tmp_path / "darknet.tflite"
    path.write_bytes(write_keras_network(network, weights))
    by_default, plain = inspect(path), inspect(path, delegate="none")
    assert by_default.undelegated is not None
    assert "CONV_2D" not in by_default.undelegated
    assert plain.undelegated == {"CONV_2D": 3, "LEAKY_RELU": 3, "MAX_POOL_2D": 3}, "up to the embedding"


def read_darknet() -> tuple[KerasNetwork, Weights]:
    topology, weights = darknet(3, 10, softmax=True)
    return read_network(topology), weights


def test_operators_replaced_by_a_delegate_are_not_counted() -> None:
    conv, relu = ListedOperator("CONV_2D", (0,), (1,)), ListedOperator("RELU", (1,), (2,))
    custom, pool = ListedOperator("CAST", (2,), (3,)), ListedOperator("MEAN", (3,), (4,))
    delegate = ListedOperator("DELEGATE", (0,), (2,))
    assert undelegated_operators([conv, relu, custom, pool, delegate]) == ["MEAN", "CAST"]
    assert undelegated_operators([conv, relu, ListedOperator("DELEGATE", (0,), (2,))]) == []
    assert undelegated_operators([conv, relu]) == ["RELU", "CONV_2D"]
    assert undelegated_operators([]) == []


def test_an_edge_tpu_file_is_reported_with_the_remedy(tmp_path: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 224, 224, 3), tiny.TYPE.UINT8, scale=1 / 128, zero_point=128)
    result = recipe.tensor((1, 1001), tiny.TYPE.UINT8, scale=1 / 256)
    recipe.step(tiny.BUILTIN.CUSTOM, [picture], result, custom="edgetpu-custom-op")
    path = tmp_path / "model_edgetpu.tflite"
    path.write_bytes(recipe.content([picture], [result]))
    found = inspect(path)
    assert found.problem is not None
    assert "compiled for the Edge TPU" in found.problem
    assert found.operators == {"edgetpu-custom-op": 1}
    assert found.undelegated is None
    assert found.inference_ms is None


def test_a_model_without_a_readable_embedding_is_timed_too(tmp_path: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    result = tiny.softmax(recipe, picture, recipe.tensor((1, 16, 16, 3)))
    path = tmp_path / "odd.tflite"
    path.write_bytes(recipe.content([picture], [result]))
    found = inspect(path)
    assert isinstance(found.features["embedding"], str)
    assert found.problem is None
    assert found.inference_ms is not None


def test_a_file_that_is_no_model_is_an_error_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "x.tflite"
    path.write_bytes(b"hello there, I am text")
    with pytest.raises(ModelError, match=rf"^{path}: not a TFLite model"):
        inspect(path)
    with pytest.raises(ModelError, match="no such model file"):
        inspect(tmp_path / "absent.tflite")
