"""Wrong values that are given to the public names: every error is an EdgeError that names the fault."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from edge_daemon import Embedder, ExampleStore, KNNClassifier, load_config
from edge_daemon.domain.errors import EdgeError

MODEL = Path(__file__).resolve().parents[2] / "models/edge_embedder_v1.tflite"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(MODEL)


@pytest.mark.parametrize(
    ("picture", "text"),
    [
        (
            np.zeros((5, 5, 3)),
            r"^expected an RGB picture \(uint8, height x width x 3\), got float64 ",
        ),
        (np.zeros((5, 5), np.uint8), "^expected an RGB picture .* got uint8 of shape"),
        (np.zeros((5, 0, 3), np.uint8), "^expected an RGB picture .* got uint8 of shape"),
        ("x.jpg", "^expected an RGB picture .* got str; np.asarray"),
        (None, "^expected an RGB picture .* got NoneType; np.asarray"),
        (PIL.Image.new("RGB", (5, 5)), "^expected an RGB picture .* got Image; np.asarray"),
        ([[[1, 2, 3]]], "^expected an RGB picture .* got list; np.asarray"),
    ],
)
def test_what_is_no_picture_is_named_not_the_model(embedder: Embedder, picture: Any, text: str) -> None:
    with pytest.raises(EdgeError, match=text):
        embedder.embed(picture)


def _store(path: Path) -> ExampleStore:
    return ExampleStore(path / "examples.sqlite")


WRONG: list[tuple[Callable[[Path], object], str]] = [
    (lambda path: Embedder(path / "none.tflite"), "no such model file"),
    (lambda path: Embedder(MODEL, threads=0), "num_threads"),
    (lambda path: Embedder(MODEL, crop="round"), "crop must be center or squash, got 'round'"),  # type: ignore[arg-type]
    (lambda path: KNNClassifier(0), "k must be a whole number of at least 1, got 0"),
    (lambda path: KNNClassifier(2.5), "k must be a whole number of at least 1, got 2.5"),  # type: ignore[arg-type]
    (lambda path: KNNClassifier("3"), "k must be a whole number of at least 1, got '3'"),  # type: ignore[arg-type]
    (lambda path: KNNClassifier(vote="loud"), "vote must be one of"),  # type: ignore[arg-type]
    (lambda path: KNNClassifier().add("x", "a"), "must be a list of numbers"),
    (lambda path: KNNClassifier().predict(np.ones(3)), "nothing is taught yet"),
    (lambda path: _store(path).add("x", "a"), "must be a list of numbers"),  # type: ignore[arg-type]
    (lambda path: _store(path).add(np.ones(3, np.float32), "a/b"), "label 'a/b' holds '/'"),
    (lambda path: _store(path).rename("cat", "dog"), "no examples of 'cat'"),
    (lambda path: _store(path).merge("cat", "dog"), r"give a list such as \['cat'\]"),
    (lambda path: _store(path).undo(), "nothing to undo"),
    (lambda path: ExampleStore(path), "is a folder"),
    (lambda path: load_config(path / "none.yaml"), "can't be read"),
    (lambda path: load_config(None, ["mqtt.prt=1"]), "unknown key"),
]


@pytest.mark.parametrize(("call", "text"), WRONG, ids=[text for _, text in WRONG])
def test_a_wrong_value_is_an_edge_error(call: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    with pytest.raises(EdgeError, match=text):
        call(tmp_path)


def test_labels_are_free_text_for_the_classifier() -> None:
    classifier = KNNClassifier(k=1)
    for label in ("a/b", "unknown", ""):
        classifier.add(np.eye(3, dtype=np.float32)[len(label) % 3], label)
    assert set(classifier.labels) == {"a/b", "unknown", ""}
