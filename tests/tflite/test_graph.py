from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite.graph import OPERATORS, TYPES, read_graph, truncate_at
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path
from tests.harness.tflite_interpreter import Interpreter

MODELS = (
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_1.0_224_quant_embedding_extractor",
    "tf2_mobilenet_v2_1.0_224_ptq",
)


def content_of(name: str) -> bytes:
    return shared_path(f"models/{name}.tflite").read_bytes()


def test_the_operator_names_are_the_schemas() -> None:
    assert {name: code for code, name in enumerate(OPERATORS)} == codes(schema.BuiltinOperator)
    assert {name.upper(): code for code, name in enumerate(TYPES)} == codes(schema.TensorType)


def codes(enumeration: type) -> dict[str, int]:
    """Return the schema's names; Python 3.13 adds an integer attribute to every class."""
    return {
        name: code for name, code in vars(enumeration).items() if name.isupper() and isinstance(code, int)
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_graph_is_what_the_generated_schema_reads(name: str) -> None:
    content = content_of(name)
    graph = read_graph(content)
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    main = model.subgraphs[0]
    assert [tensor.shape for tensor in graph.tensors] == [tuple(t.shape) for t in main.tensors]
    assert [tensor.name for tensor in graph.tensors] == [t.name.decode() for t in main.tensors]
    assert [TYPES.index(tensor.dtype) for tensor in graph.tensors] == [t.type for t in main.tensors]
    assert [step.inputs for step in graph.operators] == [tuple(o.inputs) for o in main.operators]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    assert [step.name for step in graph.operators] == [
        OPERATORS[codes[o.opcodeIndex]] for o in main.operators
    ]
    for tensor, wanted in zip(graph.tensors, main.tensors, strict=True):
        if wanted.quantization.scale is not None and len(wanted.quantization.scale) == 1:
            assert tensor.scale == wanted.quantization.scale[0]
            assert tensor.zero_point == wanted.quantization.zeroPoint[0]
        assert tensor.constant == (model.buffers[wanted.buffer].data is not None)


def test_truncation_changes_only_the_output_and_the_lengths() -> None:
    content = content_of("mobilenet_v1_0.25_128_quant")
    cut = truncate_at(content, read_graph(content), 84)
    assert sum(a != b for a, b in zip(content, cut, strict=True)) <= 3 * 4
    graph = read_graph(cut)
    assert graph.outputs == (84,)
    assert len(graph.operators) == 28
    assert graph.operators[-1].name == "AVERAGE_POOL_2D"


def test_a_truncated_graph_runs_without_the_rest() -> None:
    content = tiny.float_classifier()
    cut = truncate_at(content, read_graph(content), 1)
    interpreter = Interpreter(model_content=cut)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.full((1, 16, 16, 3), 0.5, np.float32))
    interpreter.invoke()
    details = interpreter.get_output_details()
    assert [d["index"] for d in details] == [1]
    assert interpreter.get_tensor(1).ravel() == pytest.approx([0.5] * 3)


def test_an_earlier_tensor_becomes_a_further_output() -> None:
    content = content_of("mobilenet_v1_0.25_128_quant")
    original = read_graph(content)
    cut = truncate_at(content, original, 84, 83)
    graph = read_graph(cut)
    assert graph.outputs == (84, 83)
    assert graph.operators == original.operators[:28]
    assert graph.tensors == original.tensors
    again = truncate_at(cut, graph, 83)
    assert len(again) == len(cut)
    assert read_graph(again).outputs == (83,)
    whole, both = (Interpreter(model_content=each) for each in (content, cut))
    for interpreter in (whole, both):
        interpreter.allocate_tensors()
        shape = interpreter.get_input_details()[0]["shape"]
        interpreter.set_tensor(original.inputs[0], np.arange(np.prod(shape)).reshape(shape).astype(np.uint8))
        interpreter.invoke()
    last = original.outputs[0]
    assert [each["index"] for each in both.get_output_details()] == [84, 83]
    reference = Interpreter(model_content=truncate_at(content, original, 83))
    reference.allocate_tensors()
    reference.set_tensor(original.inputs[0], np.arange(np.prod(shape)).reshape(shape).astype(np.uint8))
    reference.invoke()
    np.testing.assert_array_equal(both.get_tensor(83), reference.get_tensor(83))
    assert whole.get_tensor(last).shape == (1, 1001)


def test_a_truncated_graph_loses_the_signature_of_the_old_output() -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    pool = tiny.mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    result = tiny.dense(recipe, pool, np.eye(3, dtype=np.float32), recipe.tensor((1, 3)))
    recipe.sign("picture", picture, "classes", result)
    content = recipe.content([picture], [result])
    assert Interpreter(model_content=content).get_signature_list() != {}
    interpreter = Interpreter(model_content=truncate_at(content, read_graph(content), pool))
    interpreter.allocate_tensors()
    interpreter.invoke()
    assert interpreter.get_signature_list() == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04rest", "edge-daemon models add"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b'{"modelTopology": {}}', "converted to TFLite"),
        (b"\x89HDF\r\n\x1a\n", "Keras"),
        (b"\x00" * 100, "not a TFLite model"),
        (b"\x1c\x00\x00\x00TFL3", "truncated or damaged"),
    ],
)
def test_other_files_are_named_by_their_format(content: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        read_graph(content)


def test_every_truncation_of_a_small_model_is_an_error_or_a_graph() -> None:
    content = tiny.float_classifier()
    for length in range(len(content)):
        try:
            read_graph(content[:length])
        except ModelError:
            continue


def test_a_tensor_index_out_of_range_is_damage() -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    recipe.step(tiny.BUILTIN.RELU, [picture, 77], recipe.tensor((1, 16, 16, 3)))
    with pytest.raises(ModelError, match="tensor 77 of 2 is used"):
        read_graph(recipe.content([picture], [1]))


def test_a_graph_needs_an_input_and_an_output() -> None:
    recipe = tiny.Recipe()
    recipe.tensor((1, 16, 16, 3))
    with pytest.raises(ModelError, match="without input or output"):
        read_graph(recipe.content([0], []))
