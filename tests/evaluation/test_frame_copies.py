"""Augmented copies of session frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Pillow

from edge_daemon.domain.errors import EmbeddingError
from edge_daemon.evaluation.across_sessions import EmbeddingRecognizer
from edge_daemon.evaluation.frame_copies import FrameCopies
from edge_daemon.evaluation.session_set import SessionFrame
from edge_daemon.learning.open_set.augmented_copies import COPIES
from edge_daemon.learning.open_set_classifier import make_classifier

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector


@pytest.fixture
def frame(tmp_path: Path) -> SessionFrame:
    path = tmp_path / "1.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    Pillow.fromarray(pixels).save(path)
    return SessionFrame(path, embed(pixels))


def embed(image: Image) -> Vector:
    vector = image[::8, ::8].astype(np.float32).ravel()
    unit: Vector = vector / np.linalg.norm(vector)
    return unit


def test_the_copies_differ_and_are_made_once(frame: SessionFrame) -> None:
    calls: list[int] = []

    def count(image: Image) -> Vector:
        calls.append(1)
        return embed(image)

    copies = FrameCopies(count)
    first = copies(frame)
    assert len(first) == len(calls) == COPIES
    assert len({each.tobytes() for each in first}) == COPIES
    assert copies(frame) is first
    assert len(calls) == COPIES


def test_a_copy_that_has_no_embedding_is_left_out(frame: SessionFrame) -> None:
    def refuse(image: Image) -> Vector:
        raise EmbeddingError("all zeros")

    assert FrameCopies(refuse)(frame) == []


def test_the_recognizer_gives_the_classifier_the_copies_of_its_presses(frame: SessionFrame) -> None:
    classifier = make_classifier("knn")
    recognizer = EmbeddingRecognizer(classifier, FrameCopies(embed))
    recognizer.start_session()
    recognizer.teach(frame, "a")
    assert list(classifier.missing_copies) == [1]
    recognizer.predict(frame)
    assert list(classifier.missing_copies) == []
