from __future__ import annotations

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite.feature_layer import find_feature_layer
from edge_daemon.tflite.graph import Graph, Operator, Tensor, read_graph
from tests.harness.shared_files import shared_path

Layer = tuple[str, tuple[int, ...]]


def chain(*layers: Layer) -> Graph:
    """Build a graph of one operator after the other; tensor 0 is the picture, n the n-th layer's output."""
    shapes = [(1, 64, 64, 3), *(shape for _, shape in layers)]
    tensors = tuple(Tensor(f"t{i}", shape, "float32", 0.0, 0, False) for i, shape in enumerate(shapes))
    steps = tuple(Operator(name, (i,), (i + 1,)) for i, (name, _) in enumerate(layers))
    return Graph(tensors, steps, (0,), (len(layers),))


CONV: Layer = ("CONV_2D", (1, 7, 7, 320))
POOL: Layer = ("AVERAGE_POOL_2D", (1, 1, 1, 320))
MEAN: Layer = ("MEAN", (1, 320))
DENSE: Layer = ("FULLY_CONNECTED", (1, 10))
SOFTMAX: Layer = ("SOFTMAX", (1, 10))


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("mobilenet_v1_0.25_128_quant", (84, 87, 88)),
        ("mobilenet_v1_0.5_160_quant", (84, 87, 88)),
        ("mobilenet_v2_1.0_224_quant", (169, 172, 173)),
        ("tf2_mobilenet_v2_1.0_224_ptq", (172, 174, 176)),
    ],
)
def test_official_models(name: str, tensors: tuple[int, int, int]) -> None:
    graph = read_graph(shared_path(f"models/{name}.tflite").read_bytes())
    found = [find_feature_layer(graph, layer) for layer in ("embedding", "logits", "probabilities")]
    assert tuple(layer.tensor for layer in found) == tensors
    assert "before the classifier" in found[0].why
    assert not found[2].needs_softmax


def test_an_embedding_extractors_output_is_its_embedding() -> None:
    path = shared_path("models/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite")
    graph = read_graph(path.read_bytes())
    assert find_feature_layer(graph, "embedding").tensor == 82
    with pytest.raises(ModelError, match="or a model with classes: `edge-daemon models pull"):
        find_feature_layer(graph, "probabilities")


def test_two_dense_layers_as_in_a_teachable_machine_export() -> None:
    graph = chain(CONV, MEAN, ("FULLY_CONNECTED", (1, 100)), DENSE, SOFTMAX)
    assert find_feature_layer(graph, "embedding").tensor == 2


def test_a_convolution_as_classifier_then_reshape_and_requantise() -> None:
    tail: tuple[Layer, ...] = (("RESHAPE", (1, 10)), SOFTMAX, ("QUANTIZE", (1, 10)), ("DEQUANTIZE", (1, 10)))
    graph = chain(CONV, POOL, ("SQUEEZE", (1, 1, 1, 320)), ("CONV_2D", (1, 1, 1, 10)), *tail)
    assert find_feature_layer(graph, "embedding").tensor == 2
    assert find_feature_layer(graph, "logits").tensor == 5


def test_logits_without_a_softmax_get_one() -> None:
    graph = chain(CONV, MEAN, DENSE)
    assert find_feature_layer(graph, "embedding").tensor == 2
    assert find_feature_layer(graph, "logits").tensor == 3
    assert find_feature_layer(graph, "probabilities").needs_softmax


def test_without_a_pool_the_last_dense_layers_input_is_read() -> None:
    graph = chain(
        CONV, ("MAX_POOL_2D", (1, 3, 3, 64)), ("RESHAPE", (1, 576)), ("FULLY_CONNECTED", (1, 64)), DENSE
    )
    layer = find_feature_layer(graph, "embedding")
    assert layer.tensor == 4
    assert "no global pool" in layer.why


def test_a_pool_that_leaves_height_and_width_is_not_the_global_one() -> None:
    graph = chain(CONV, ("AVERAGE_POOL_2D", (1, 3, 3, 64)), ("RESHAPE", (1, 576)), DENSE, SOFTMAX)
    assert find_feature_layer(graph, "embedding").tensor == 3


def test_classes_pooled_last_as_in_darknet() -> None:
    graph = chain(CONV, ("CONV_2D", (1, 7, 7, 10)), ("AVERAGE_POOL_2D", (1, 1, 1, 10)), SOFTMAX)
    assert find_feature_layer(graph, "embedding").tensor == 1


def test_the_output_of_an_embedder_with_two_branches_is_its_embedding() -> None:
    graph = chain(CONV, POOL, ("L2_NORMALIZATION", (1, 320)))
    assert find_feature_layer(graph, "embedding").tensor == 3


def test_classes_pooled_last_without_a_softmax_are_the_classes_too() -> None:
    graph = chain(CONV, ("CONV_2D", (1, 7, 7, 10)), ("AVERAGE_POOL_2D", (1, 1, 1, 10)))
    layer = find_feature_layer(graph, "probabilities")
    assert layer.tensor == 3
    assert layer.needs_softmax
    assert find_feature_layer(graph, "embedding").tensor == 3, "as without labels"


def test_scores_are_the_embedding_without_a_pool_or_classifier_before_them() -> None:
    graph = chain(CONV, ("RESHAPE", (1, 15680)), ("BATCH_MATMUL", (1, 10)), SOFTMAX)
    assert find_feature_layer(graph, "embedding").tensor == 3


def test_a_softmax_of_the_picture_itself_has_no_logits() -> None:
    with pytest.raises(ModelError, match="the graph ends SOFTMAX"):
        find_feature_layer(chain(SOFTMAX), "logits")


def converted(*extra: Operator, weights: tuple[int, ...]) -> Graph:
    """Build pool -> dense whose dense layer reads tensor 2 and `weights`; `extra` steps run before it."""
    shapes = [(1, 7, 7, 320), (1, 1, 1, 320), (1, 320), (1, 10), (10, 320), (10, 320), (4,), (2,)]
    tensors = tuple(Tensor(f"t{i}", shape, "float32", 0.0, 0, i == 4) for i, shape in enumerate(shapes))
    pool = Operator("AVERAGE_POOL_2D", (0,), (1,))
    return Graph(tensors, (pool, *extra, Operator("FULLY_CONNECTED", (2, *weights), (3,))), (0,), (3,))


def test_weights_behind_dequantize_as_in_16_bit_conversions_are_no_second_input() -> None:
    flat, weights = Operator("RESHAPE", (1,), (2,)), Operator("DEQUANTIZE", (4,), (5,))
    assert find_feature_layer(converted(flat, weights, weights=(5,)), "embedding").tensor == 1


def test_a_shape_computed_for_an_open_batch_is_no_second_input() -> None:
    shape, pack = Operator("SHAPE", (1,), (6,)), Operator("PACK", (6,), (7,))
    graph = converted(shape, pack, Operator("RESHAPE", (1, 7), (2,)), weights=(4,))
    assert find_feature_layer(graph, "embedding").tensor == 1
    assert find_feature_layer(graph, "logits").tensor == 3


def test_a_graph_without_pool_or_classifier_is_an_error_that_names_its_end() -> None:
    graph = chain(CONV, ("RESIZE_BILINEAR", (1, 64, 64, 10)), SOFTMAX)
    with pytest.raises(ModelError, match="the graph ends SOFTMAX <- RESIZE_BILINEAR <- CONV_2D"):
        find_feature_layer(graph, "embedding")


def test_a_picture_to_picture_model_is_no_embedder() -> None:
    graph = chain(CONV, ("TRANSPOSE_CONV", (1, 64, 64, 3)))
    with pytest.raises(ModelError, match="TRANSPOSE_CONV"):
        find_feature_layer(graph, "embedding")


def test_a_cycle_in_a_damaged_graph_ends() -> None:
    tensors = tuple(Tensor(f"t{i}", (1, 4), "float32", 0.0, 0, False) for i in range(3))
    loop = (Operator("RESHAPE", (2,), (1,)), Operator("RESHAPE", (1,), (2,)))
    with pytest.raises(ModelError):
        find_feature_layer(Graph(tensors, loop, (0,), (2,)), "embedding")
