from __future__ import annotations

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.imaging.preprocess import InputTensor
from edge_daemon.tflite.graph import Graph, read_graph
from edge_daemon.tflite.model_check import image_input
from tests.harness import tiny_models as tiny


def one_step(
    shape: tuple[int, ...],
    kind: int = tiny.TYPE.FLOAT32,
    custom: str = "",
    outputs: int = 1,
    answer: tuple[tuple[int, ...], int] = ((1, 10), tiny.TYPE.FLOAT32),
) -> Graph:
    recipe = tiny.Recipe()
    picture = recipe.tensor(shape, kind)
    results = [recipe.tensor(*answer) for _ in range(outputs)]
    recipe.step(tiny.BUILTIN.CUSTOM if custom else tiny.BUILTIN.RELU, [picture], results[0], custom=custom)
    return read_graph(recipe.content([picture], results))


def test_the_input_is_read_with_its_quantisation() -> None:
    graph = read_graph(tiny.quantised_pool(tiny.TYPE.INT8, 0.5, -3, size=24, channels=1))
    assert image_input(graph) == InputTensor(24, 24, 1, "int8", 0.5, -3)


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (
            one_step((1, 64, 64, 3), custom="edgetpu-custom-op"),
            r"compiled for the Edge TPU.*without _edgetpu",
        ),
        (one_step((1, 64, 64, 3), custom="FlexErf"), r"custom operators \(FlexErf\)"),
        (one_step((1, 64, 64, 3), custom="TFLite_Detection_PostProcess"), "an object detector"),
        (one_step((1, 64, 64, 3), outputs=4), "an object detector"),
        (one_step((1, 128), tiny.TYPE.INT32), "a text model"),
        (one_step((1, 15600)), "not an image model"),
        (one_step((1, 64, 64, 3), tiny.TYPE.INT16), "inputs can be uint8, int8, float32"),
        (one_step((1, 1, 1, 3)), "unusual size"),
        (one_step((4, 64, 64, 3)), "unusual size"),
        (one_step((1, 64, 64, 7)), "unusual size"),
        (one_step((1, 64, 64, 3), answer=((1,), tiny.TYPE.INT64)), "a model whose output is int64 1"),
    ],
)
def test_every_other_kind_of_model_is_named(graph: Graph, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        image_input(graph)


def test_two_inputs_are_refused() -> None:
    recipe = tiny.Recipe()
    left, right = recipe.tensor((1, 16, 16, 3)), recipe.tensor((1, 16, 16, 3))
    recipe.step(tiny.BUILTIN.RELU, [left, right], recipe.tensor((1, 16, 16, 3)))
    with pytest.raises(ModelError, match="2 inputs"):
        image_input(read_graph(recipe.content([left, right], [2])))


def test_custom_operators_are_accepted_with_an_external_delegate() -> None:
    graph = one_step((1, 64, 64, 3), custom="edgetpu-custom-op")
    assert image_input(graph, external_delegate=True).width == 64
