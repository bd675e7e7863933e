from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.domain.errors import ArchiveError, OutputError
from edge_daemon.example_store.importing import ImportLabels, ImportReport, add_new
from edge_daemon.example_store.ml5_json import Form, read_dataset, write_dataset
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit


def _write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "myKNN.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def _tensor(label: str | None, rows: int, columns: int) -> dict[str, object]:
    """Return a tensor in the format of tfjs 1.x and 2.x; ml5 adds the label."""
    return {
        "kept": True,
        "isDisposedInternal": False,
        "shape": [rows, columns],
        "dtype": "float32",
        "size": rows * columns,
        "strides": [columns],
        "dataId": {"id": 7},
        "id": 99,
        "rankType": "2",
        "scopeId": 3,
        **({"label": label} if label is not None else {}),
    }


def _typed(values: list[float]) -> dict[str, float]:
    """Return a Float32Array in the format of JSON.stringify."""
    return {str(index): value for index, value in enumerate(values)}


def test_ml5s_own_file_is_read(tmp_path: Path) -> None:
    saved = {
        "dataset": {"0": _tensor("Rock", 2, 3), "1": _tensor("Paper", 1, 3)},
        "tensors": [_typed([1, 0, 0, 0, 1, 0]), _typed([0, 0.6, 0.8])],
    }
    records = read_dataset(_write(tmp_path, saved))
    assert [one.label for one in records] == ["Rock", "Rock", "Paper"]
    np.testing.assert_allclose(records[2].embedding, [0, 0.6, 0.8], rtol=1e-6)
    assert len({one.space for one in records}) == 1
    assert records[0].space.startswith("browser:")


def test_gaps_in_the_class_numbers_and_missing_labels_are_accepted(tmp_path: Path) -> None:
    saved = {
        "dataset": {"0": _tensor("Rock", 1, 2), "1": None, "4": _tensor(None, 1, 2)},
        "tensors": [_typed([1, 0]), None, _typed([0, 1])],
    }
    assert [one.label for one in read_dataset(_write(tmp_path, saved))] == ["Rock", "4"]


def test_the_tensorflow_js_idiom_is_read_and_scaled_to_unit_length(tmp_path: Path) -> None:
    records = read_dataset(_write(tmp_path, [["cat", [3, 4, 0, 2], [2, 2]], [7, [1, 1], [1, 2]]]))
    assert [one.label for one in records] == ["cat", "cat", "7"]
    np.testing.assert_allclose(records[0].embedding, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("encode", [
    lambda text: text.encode("utf-8-sig"),
    lambda text: text.encode("utf-16"),
    lambda text: b"\n " + text.encode(),
    lambda text: json.dumps(text).encode(),
])  # fmt: skip
def test_marks_and_a_second_encoding_do_not_matter(encode: Callable[[str], bytes], tmp_path: Path) -> None:
    path = tmp_path / "myKNN.json"
    path.write_bytes(encode(json.dumps([["B\u00e4r", [3, 4], [1, 2]]], ensure_ascii=False)))
    assert [one.label for one in read_dataset(path)] == ["B\u00e4r"]


@pytest.mark.parametrize("dataset", [
    [["cat", [[3, 4], [0, 2]], [2, 2]], ["dog", [[1, 1]], [1, 2]]],
    {
        "dataset": {"0": _tensor("cat", 2, 2), "1": _tensor("dog", 1, 2)},
        "tensors": [[[3, 4], [0, 2]], [[1, 1]]],
    },
    {"cat": [[3, 4], [0, 2]], "dog": [[1, 1]]},
    {"cat": [3, 4, 0, 2], "dog": [1, 1]},
    {"cat": {"0": 3, "1": 4, "2": 0, "3": 2}, "dog": {"0": 1, "1": 1}},
])  # fmt: skip
def test_rows_may_be_nested_and_shapes_missing(dataset: object, tmp_path: Path) -> None:
    records = read_dataset(_write(tmp_path, dataset))
    assert [one.label for one in records] == ["cat", "cat", "dog"]
    np.testing.assert_allclose(records[0].embedding, [0.6, 0.8], rtol=1e-6)


def test_without_shapes_the_length_of_a_browsers_embedding_is_taken_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    records = read_dataset(_write(tmp_path, {"cat": [0.5] * 3072, "dog": [0.5] * 6144}))
    assert [one.embedding.size for one in records] == [1024] * 9
    assert "read as embeddings of 1024 numbers" in caplog.text


def test_an_invalid_label_is_left_out(tmp_path: Path) -> None:
    path = _write(tmp_path, [["C#", [1, 2], [1, 2]], ["D", [2, 1], [1, 2]], ["Unknown", [1, 1], [1, 2]]])
    report = ImportReport()
    assert [one.label for one in read_dataset(path, labels=ImportLabels(report))] == ["D"]
    assert len(report.problems) == 2
    assert "'C#'" in report.problems[0]
    assert "--rename" in report.problems[0]
    labels = ImportLabels(ImportReport(), {"C#": "C sharp", "Unknown": "background"})
    assert [one.label for one in read_dataset(path, labels=labels)] == ["C sharp", "D", "background"]
    with pytest.raises(ArchiveError, match="holds no label 'rock' to rename; it has 'C#', 'D', 'Unknown'"):
        read_dataset(path, labels=ImportLabels(ImportReport(), {"rock": "stone"}))


def test_two_files_never_share_a_space_unless_it_is_named(tmp_path: Path) -> None:
    first = read_dataset(_write(tmp_path, [["cat", [1, 0], [1, 2]]]))[0].space
    second = read_dataset(_write(tmp_path, [["cat", [0, 1], [1, 2]]]))[0].space
    assert first != second
    assert read_dataset(tmp_path / "myKNN.json", space="mine")[0].space == "mine"


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    store = ExampleStore(tmp_path / "examples.db")
    for seed, label in enumerate(["zebra", "Bär", "zebra", '"quoted" %s']):
        store.add(unit(seed, 20), label, space="home", thumbnail=b"jpeg %d" % seed)
    return store


@pytest.mark.parametrize("form", ["ml5", "tfjs"])
def test_an_exported_dataset_is_read_back_to_the_last_bit(
    store: ExampleStore, tmp_path: Path, form: Form
) -> None:
    path = tmp_path / "out.json"
    assert write_dataset(store, path, form) == 4
    records = read_dataset(path, space="home")
    assert [one.label for one in records] == ["zebra", "zebra", "Bär", '"quoted" %s']
    for record, seed in zip(records, [0, 2, 1, 3], strict=True):
        np.testing.assert_array_equal(record.embedding, unit(seed, 20))
    report = ImportReport()
    add_new(store, records, report)
    assert (report.added, report.duplicates) == (0, 4)


def test_an_exported_ml5_file_has_ml5_s_form_and_its_space(store: ExampleStore, tmp_path: Path) -> None:
    write_dataset(store, tmp_path / "out.json")
    saved = json.loads((tmp_path / "out.json").read_text())
    # As ml5's load does it: labels by key, and `tensors[i]` belongs to `dataset[i]`.
    assert [saved["dataset"][key]["label"] for key in saved["dataset"]] == ["zebra", "Bär", '"quoted" %s']
    for number, tensor in enumerate(saved["tensors"]):
        header = saved["dataset"][str(number)]
        assert header["dtype"] == "float32"
        assert len(tensor) == header["shape"][0] * header["shape"][1] == header["size"]
        assert list(tensor) == [str(index) for index in range(len(tensor))]
    assert {one.space for one in read_dataset(tmp_path / "out.json")} == {"home"}


def test_one_space_is_written_and_must_be_named_when_there_are_two(
    store: ExampleStore, tmp_path: Path
) -> None:
    store.add(unit(9, 8), "fox", space="other")
    with pytest.raises(ArchiveError, match=r"--space.*'home' \(4\), 'other' \(1\)"):
        write_dataset(store, tmp_path / "out.json")
    assert write_dataset(store, tmp_path / "out.json", space="other") == 1
    store.clear()
    with pytest.raises(ArchiveError, match="no examples"):
        write_dataset(store, tmp_path / "none.json")


def test_an_existing_file_is_not_overwritten_and_a_failure_leaves_nothing(
    store: ExampleStore, tmp_path: Path
) -> None:
    path = _write(tmp_path, "mine")
    with pytest.raises(OutputError, match="exists already"):
        write_dataset(store, path)
    assert path.read_text() == "mine"
    with pytest.raises(OutputError, match="can't write"):
        write_dataset(store, tmp_path / "nowhere" / "out.json")
    assert not any(one.name.startswith(".") for one in tmp_path.iterdir())


_HEADER = _tensor("cat", 1, 2)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "not a KNN dataset"),
        ("hello", "not a KNN dataset"),
        ("{}", "not a KNN dataset"),
        ('"text"', "not a KNN dataset"),
        ("[]", "no examples"),
        ([["cat", [1, 0], [1, 2]], "dog"], "not a KNN dataset"),
        ('[["cat", [1, NaN], [1, 2]]]', "holds NaN"),
        ([["cat", [1, None], [1, 2]]], r"class 'cat'.*null stands for NaN"),
        ('[["cat", [1, 1e39], [1, 2]]]', r"class 'cat', example 0.*infinite"),
        ('[["cat", [1, 1e999], [1, 2]]]', r"class 'cat'.*out of range"),
        ([["cat", [1, "2"], [1, 2]]], r"class 'cat'.*not a number"),
        ([["cat", [1, 2, 0, 0], [2, 2]]], r"class 'cat', example 1.*zeros"),
        ([["cat", [1, 2, 3], [2, 2]]], r"3 numbers, its shape is \[2, 2\]"),
        ([["cat", [1, 2], [2]]], r"shape \[2\]; expected"),
        ([["cat", [], [0, 2]]], r"shape \[0, 2\]"),
        ([["cat", [1, 2], [-1, -2]]], r"shape \[-1, -2\]"),
        ([["cat", [1, 2], [1, 2]], ["dog", [1, 2, 3], [1, 3]]], r"different lengths: \[2, 3\]"),
        ([["cat", [1], [5_000_000, 1280]]], "more than this program takes"),
        ([["cat", [1], [10**30, 10**30]]], "more than this program takes"),
        ([["a/b", [1, 2], [1, 2]]], "'a/b'"),
        ([["unknown", [1, 2], [1, 2]]], "reserved"),
        ({"dataset": {"0": _HEADER}, "tensors": []}, "1 class but 0 tensors"),
        ({"dataset": {"0": _HEADER}, "tensors": [None]}, "class 'cat'"),
        ({"dataset": {"0": _HEADER}, "tensors": [{"0": 1, "5": 1}]}, "class 'cat'"),
        ({"dataset": {"0": _HEADER}, "tensors": [{"a": 1, "b": 1}]}, "class 'cat'"),
        ({"dataset": {"0": None}, "tensors": [None]}, "no examples"),
        ({"cat": {"0": 1, "5": 1}}, "class 'cat' lacks the number '1' of 2"),
        ({"cat": [[]]}, "no examples"),
        ("[" * 200_000, "not a KNN dataset"),
        ('{"dataset":{},"tensors":[' + "[" * 200_000, "not a KNN dataset"),
    ],
)  # fmt: skip
def test_a_bad_dataset_is_refused_in_one_line(tmp_path: Path, content: object, complaint: str) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(ArchiveError, match=complaint) as caught:
        read_dataset(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_millions_of_entries_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path, '[["cat",[' + "0.5," * 2_999_999 + "0.5],[3000000,1]]]")
    with pytest.raises(ArchiveError, match="3000000 examples are more"):
        read_dataset(path)


def test_a_file_larger_than_memory_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "sparse.json"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(ArchiveError, match="MiB; at most"):
        read_dataset(path)
    with pytest.raises(ArchiveError, match="can't be read"):
        read_dataset(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ({"cat": [[1.0, 2.0], [1.0]]}, "class 'cat', example 1: it has 1 number; the others have 2"),
        ({"cat": [[1.0], [1.0, 2.0]]}, "class 'cat', example 1: it has 2 numbers; the others have 1"),
        ({"a": [[1, 2]], "dog": [[3, 4], [5, 6, 7, 8]]}, "class 'dog', example 1: it has 4 numbers"),
        ({"cat": [1.0, [1.0]]}, "class 'cat', example 0: it has a number instead of a list"),
        ([["cat", [[1, 2, 3], [4]], [2, 2]]], "class 'cat', example 0: it has 3 numbers; the others have 2"),
        (
            {"dataset": {"0": {"label": "cat", "shape": [2, 2]}}, "tensors": [[[1], [2, 3, 4]]]},
            "class 'cat', example 0: it has 1 number; the others have 2",
        ),
    ],
)
def test_examples_of_different_lengths_are_refused(tmp_path: Path, content: object, fault: str) -> None:
    path = _write(tmp_path, content)
    with pytest.raises(ArchiveError) as caught:
        read_dataset(path)
    assert str(caught.value).startswith(f"'{path}': {fault}")
