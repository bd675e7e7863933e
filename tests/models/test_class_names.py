from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.models.class_names import (
    check_count,
    embedded_class_names,
    format_class_names,
    load_class_names,
    parse_class_names,
)
from tests.harness import tiny_models as tiny
from tests.harness.shared_files import shared_path
from tests.tflite.test_metadata import label_file, metadata

ANIMALS = ("cat", "dog", "hot dog")


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\nhot dog\n",
        "cat\r\ndog\r\nhot dog\r\n\r\n",
        "\ufeffcat\ndog\nhot dog",
        "0 cat\n1 dog\n2 hot dog\n",
        "2 hot dog\n0 cat\n1 dog\n",
        "0: cat\n1: dog\n2: hot dog\n",
        "0,cat\n1,dog\n2,hot dog\n",
        json.dumps(["cat", "dog", "hot dog"]),
        json.dumps({"labels": ["cat", "dog", "hot dog"]}),
        json.dumps({"tfjsVersion": "1.3.1", "labels": ["cat", "dog", "hot dog"], "imageSize": 224}),
        json.dumps({"0": "cat", "2": "hot dog", "1": "dog"}),
        json.dumps({"hot dog": 2, "cat": 0, "dog": 1}),
        json.dumps({"0": ["n02123", "cat"], "1": ["n02084", "dog"], "2": ["n07697", "hot dog"]}),
        json.dumps([{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "hot dog"}]),
        json.dumps(
            {"doc_id": "1", "classes": {"Label": ["cat", "dog", "hot dog"]}, "export_model_version": 1}
        ),
        json.dumps({"class_names": ["cat", "dog", "hot dog"]}),
    ],
)
def test_every_common_format_is_read(text: str) -> None:
    assert parse_class_names(text.encode(), "labels") == ANIMALS


def test_numeric_names_are_kept() -> None:
    assert parse_class_names(b"1 euro\n2 euro\n5 cent\n", "coins") == ("1 euro", "2 euro", "5 cent")
    assert parse_class_names(b"0\n1\n2\n", "digits") == ("0", "1", "2")


def test_names_stay_distinct() -> None:
    assert parse_class_names(b"0 bolts\n1 bolts\n2 bolts\n", "counts") == ("0 bolts", "1 bolts", "2 bolts")
    assert parse_class_names(b"crane\ncrane (2)\ncrane\n", "x") == ("crane", "crane (2)", "crane (3)")
    assert parse_class_names(b'{"0": ["n1", "crane"], "1": ["n2", "crane"]}', "x") == ("crane", "crane (2)")
    assert parse_class_names(b"cat\n\ndog\n", "x") == ("cat", "class 1", "dog")


def test_half_of_a_surrogate_pair_does_not_prevent_the_label_file() -> None:
    labels = parse_class_names(b'["\\ud800", "\\ud83d\\ude00"]', "x")
    assert labels == ("?", "\U0001f600")
    assert format_class_names(["\ud800", "b"]) == "?\nb\n"


def test_only_line_ends_separate_names() -> None:
    assert parse_class_names("a\u2028b\x0cc\nd".encode(), "x") == ("a\u2028b\x0cc", "d")


def test_a_very_long_number_is_a_name() -> None:
    assert len(parse_class_names(b"9" * 5000 + b" cat\n", "x")[0]) == 5004


def test_the_line_of_the_background_stays() -> None:
    labels = parse_class_names(shared_path("models/imagenet_labels.txt").read_bytes(), "imagenet")
    assert len(labels) == 1001
    assert labels[0] == "background"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds 0 labels"),
        (b"\n\n", "holds 0 labels"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'{"labels": ["cat",', "names: "),
        (b"[1, 2]", "a label is 1, not a name"),
        (b'{"0": "cat", "2": "dog"}', "class numbers are not 0 to 1"),
        (b'{"width": "wide"}', "JSON without labels"),
        (b"[" * 100_000, "names: "),
        (b"x" * (5 << 20), "too large"),
    ],
)
def test_an_invalid_label_file_is_an_error_of_one_line(content: bytes, words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        parse_class_names(content, "names")
    assert "\n" not in str(caught.value)


def test_the_count_must_be_the_models() -> None:
    assert check_count(ANIMALS, 3, "x") == ANIMALS
    with pytest.raises(ModelError, match=r"labels\.txt: 3 labels for a model of 5 classes"):
        check_count(ANIMALS, 5, "labels.txt")
    with pytest.raises(ModelError, match="background"):
        check_count(ANIMALS, 4, "labels.txt")


def test_labels_inside_an_official_model() -> None:
    path = shared_path("models/mobilenet_v1_0.25_128_quant.tflite")
    inside = embedded_class_names(path)
    assert inside is not None
    assert inside == load_class_names(path, 1001)
    assert inside[0] == "background"
    assert (
        embedded_class_names(shared_path("models/mobilenet_v1_1.0_224_quant_embedding_extractor.tflite"))
        is None
    )


def with_zip(text: str) -> bytes:
    """Return bytes that end in a zip archive, as a file with TFLite metadata does."""
    stream = io.BytesIO(b"model bytes")
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("names.txt", text)
    return stream.getvalue()


def test_the_models_own_file_precedes_embedded_labels_and_the_folders_file(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    (tmp_path / "labels.txt").write_text("folder\n")
    model.write_bytes(b"nothing inside")
    assert load_class_names(model, 1) == ("folder",)
    model.write_bytes(with_zip("inside\n"))
    assert load_class_names(model, 1) == ("inside",)
    (tmp_path / "m.labels.txt").write_text("own\n")
    assert load_class_names(model, 1) == ("own",)


def test_without_labels_the_error_names_the_file_to_write(tmp_path: Path) -> None:
    model = tmp_path / "m.tflite"
    model.write_bytes(b"nothing inside")
    with pytest.raises(ModelError, match=r"put its 7 class names, one a line, into m\.labels\.txt"):
        load_class_names(model, 7)


def test_damaged_metadata_is_ignored(tmp_path: Path) -> None:
    content = bytearray(with_zip("inside\n" * 50))
    content[content.find(b"PK\1\2") + 9] |= 0x08  # names are UTF-8, which a damaged one need not be
    model = tmp_path / "m.tflite"
    for place in range(len(b"model bytes"), len(content), 2):
        damaged = bytearray(content)
        damaged[place] ^= 0xFF
        model.write_bytes(damaged)
        try:
            embedded_class_names(model)
        except ModelError:
            continue


def test_of_several_embedded_files_the_one_that_the_metadata_names_is_read(tmp_path: Path) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    recipe.describe(metadata([0.0], [1.0], [label_file("de.txt", "de"), label_file("names.txt")]))
    stream = io.BytesIO(recipe.content([picture], [picture]))
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr("de.txt", "rot\nblau\n")
        archive.writestr("names.txt", "red\nblue\n")
    model = tmp_path / "m.tflite"
    model.write_bytes(stream.getvalue())
    assert embedded_class_names(model) == ("red", "blue")


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (("cat", "dog"), ("cat", "dog")),
        (("2 peace", "0 fist", "1 finger"), ("2 peace", "0 fist", "1 finger")),
        (("[nothing]", "cat"), ("[nothing]", "cat")),
        (("[nothing]", ": cat"), ("[nothing]", ": cat")),
        (("1 x", "0 : x", "2 y"), ("1 x", "0 : x", "2 y")),
        (("{a}", ",", "Käse"), ("{a}", ",", "Käse")),
        (("two\nlines", "cat", ""), ("two lines", "cat", "class 2")),
    ],
)
def test_names_that_are_written_are_read_again(names: tuple[str, ...], read: tuple[str, ...]) -> None:
    assert parse_class_names(format_class_names(names).encode(), "") == read
