"""Errors for models that the interpreter can't load."""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.interpreter import open_interpreter, runtime
from tests.harness import tiny_models as tiny


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))


def classifier() -> tuple[tiny.Recipe, list[int], list[int]]:
    """Return a recipe of a pool and a dense layer, with its inputs and outputs, to modify."""
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    pool = tiny.mean_over_picture(recipe, picture, recipe.tensor((1, 1, 1, 3)))
    logits = tiny.dense(recipe, pool, np.eye(4, 3, dtype=np.float32), recipe.tensor((1, 4)))
    return recipe, [picture], [logits]


def refusal(content: bytes, folder: Path, delegate: str = "auto") -> str:
    path = folder / "m.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        TfliteEmbedder(path, delegate=delegate, features="probabilities")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_operator_of_a_newer_version_is_named_with_its_version(tmp_path: Path) -> None:
    recipe, inputs, outputs = classifier()
    recipe.model.operatorCodes[1].version = 99
    message = refusal(recipe.content(inputs, outputs), tmp_path)
    assert f"uses FULLY_CONNECTED version 99, which {runtime()} does not have" in message


def test_an_operator_newer_than_the_schema_is_named_by_its_number(tmp_path: Path) -> None:
    recipe, inputs, outputs = classifier()
    recipe.model.operatorCodes[0].builtinCode = 999
    recipe.model.operatorCodes[0].deprecatedBuiltinCode = 127
    assert "uses operator 999, which" in refusal(recipe.content(inputs, outputs), tmp_path)


def test_an_operator_that_no_kernel_is_registered_for_is_named(tmp_path: Path) -> None:
    recipe, inputs, outputs = classifier()
    recipe.model.operatorCodes[0].builtinCode = tiny.BUILTIN.STABLEHLO_BROADCAST_IN_DIM
    recipe.model.operatorCodes[0].deprecatedBuiltinCode = 127
    message = refusal(recipe.content(inputs, outputs), tmp_path, delegate="none")
    # An interpreter that is older than the operator knows its number only.
    assert re.search("uses (STABLEHLO_BROADCAST_IN_DIM version 1|operator 170), which", message)


@pytest.mark.parametrize(("custom", "named"), [("", "one without a name"), (b"\xffOp", r"\xffOp")])
def test_a_custom_operator_with_a_bad_name_is_named(tmp_path: Path, custom: str | bytes, named: str) -> None:
    recipe, inputs, outputs = classifier()
    code = recipe.model.operatorCodes[1]
    code.builtinCode = code.deprecatedBuiltinCode = tiny.BUILTIN.CUSTOM
    code.customCode = custom or None
    assert f"custom operators ({named}) that the interpreter lacks" in refusal(
        recipe.content(inputs, outputs), tmp_path
    )


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_tensor_name_that_is_no_utf8_is_named_in_one_line(tmp_path: Path, side: str) -> None:
    recipe, inputs, outputs = classifier()
    recipe.graph.tensors[(inputs if side == "input" else outputs)[0]].name = b"\xffpicture"
    message = refusal(recipe.content(inputs, outputs), tmp_path)
    assert r"the name b'\xffpicture', which is no UTF-8 text" in message


def test_a_tensor_name_within_the_graph_may_be_anything(tmp_path: Path) -> None:
    recipe, inputs, outputs = classifier()
    recipe.graph.tensors[1].name = b"\xffpool"
    path = tmp_path / "m.tflite"
    path.write_bytes(recipe.content(inputs, outputs))
    assert TfliteEmbedder(path, features="probabilities").size == 4


def test_standard_error_is_restored_when_two_threads_load_models_at_once() -> None:
    recipe, inputs, outputs = classifier()
    content = recipe.content(inputs, outputs)
    before = os.fstat(2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: open_interpreter(content, 1, "auto"), range(200)))
    after = os.fstat(2)
    assert (after.st_dev, after.st_ino) == (before.st_dev, before.st_ino)
