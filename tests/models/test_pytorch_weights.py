from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.pytorch_weights import read_pytorch_weights
from tests.harness.pytorch_file import pytorch_file

ARRAYS = {
    "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
    "columns": np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4)).T,
    "scalar": np.full((), 7, np.float32),
}


class _Harmful:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def test_tensors_are_read_by_name() -> None:
    weights = read_pytorch_weights(pytorch_file(ARRAYS), "weights.pth")
    assert list(weights) == list(ARRAYS)
    np.testing.assert_array_equal(weights["matrix"], ARRAYS["matrix"])
    assert weights["scalar"] == 7
    np.testing.assert_array_equal(weights["columns"], ARRAYS["columns"])


def test_code_in_a_file_never_runs(tmp_path: Path) -> None:
    victim = tmp_path / "made"
    with pytest.raises(
        ModelError,
        match=r"^weights\.pth: names the function '(posix|nt)\.mkdir'; a file of weights has none$",
    ):
        read_pytorch_weights(pytorch_file({}, tensors=_Harmful(victim)), "weights.pth")
    assert not victim.exists()


@pytest.mark.parametrize("name", ["eval", "getattr", "__import__"])
def test_builtin_functions_are_refused(name: str) -> None:
    content = pytorch_file(
        {}, tensors=getattr(__builtins__, name) if not isinstance(__builtins__, dict) else __builtins__[name]
    )
    with pytest.raises(
        ModelError, match=f"names the function 'builtins.{name}'|names the function '__builtin__.{name}'"
    ):
        read_pytorch_weights(content, "weights.pth")


def test_a_truncated_file_is_refused_at_every_length() -> None:
    content = pytorch_file(ARRAYS)
    for length in range(0, len(content), 7):
        with pytest.raises(ModelError, match=r"^w: truncated or not a PyTorch weight file"):
            read_pytorch_weights(content[:length], "w")


def test_damaged_bytes_give_an_error_or_arrays() -> None:
    content = bytearray(pytorch_file(ARRAYS))
    for position in range(0, len(content), 5):
        changed = content[:position] + bytes([content[position] ^ 0x41]) + content[position + 1 :]
        with suppress(ModelError):
            assert isinstance(read_pytorch_weights(bytes(changed), "w"), dict)


@pytest.mark.parametrize(
    "value", [{"a": 1}, [1, 2], "text", {"a": {"b": None}}], ids=["numbers", "list", "text", "nested"]
)
def test_other_pickles_are_refused(value: object) -> None:
    with pytest.raises(ModelError, match="not a dictionary of tensors"):
        read_pytorch_weights(pytorch_file({}, tensors=value), "w")


def test_a_plain_pickle_is_refused() -> None:
    with pytest.raises(ModelError, match="not a PyTorch weight file"):
        read_pytorch_weights(pickle.dumps({"a": 1}), "w")
