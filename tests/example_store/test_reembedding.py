from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

from edge_daemon.domain.errors import ModelError
from edge_daemon.example_store.image_folders import find_pictures, import_pictures
from edge_daemon.example_store.reembedding import reembed
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.example_pictures import CountingEmbedder, noise
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import THUMBNAIL_SIMILARITY
from tests.harness.unit_vectors import unit

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

_T = TypeVar("_T")


def _jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    noise(seed).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    store = ExampleStore(tmp_path / "examples.db")
    for seed, label in enumerate(["cat", "dog", "cat"]):
        store.add(unit(seed), label, space="old", group="g", thumbnail=_jpeg(seed))
    return store


def test_reembedded_examples_keep_everything_but_space_and_embedding(store: ExampleStore) -> None:
    before = list(store)
    totals = []

    def track(items: Iterable[_T], total: int) -> Iterable[_T]:
        totals.append(total)
        return items

    report = reembed(store, CountingEmbedder("new"), track)
    assert (report.added, report.problems, totals) == (3, [], [3])
    after = list(store)
    assert [(one.id, one.label, one.group, one.thumbnail) for one in after] == [
        (one.id, one.label, one.group, one.thumbnail) for one in before
    ]
    for example in after:
        assert example.space == "new"
        expected = CountingEmbedder().embed(read_image(example.thumbnail))
        np.testing.assert_array_equal(example.embedding, expected)


def test_reembedding_twice_changes_nothing(store: ExampleStore) -> None:
    embedder = CountingEmbedder("new")
    reembed(store, embedder)
    assert reembed(store, embedder).added == 0
    assert embedder.embedded == 3


class _FailingEmbedder(CountingEmbedder):
    def embed(self, image: Image) -> Vector:
        if self.embedded == 2:
            raise ModelError("the interpreter failed")
        return super().embed(image)


def test_a_failure_leaves_the_old_space_as_it_was(store: ExampleStore) -> None:
    before = [one.embedding.tobytes() for one in store]
    with pytest.raises(ModelError):
        reembed(store, _FailingEmbedder("new"))
    assert store.spaces() == {"old": 3}
    assert [one.embedding.tobytes() for one in store] == before


def test_examples_without_a_readable_thumbnail_stay_and_are_reported(store: ExampleStore) -> None:
    bare = store.add(unit(7), "fox", space="old").id
    store.add(unit(8), "owl", space="old", thumbnail=b"no jpeg")
    report = reembed(store, CountingEmbedder("new"))
    assert store.spaces() == {"new": 3, "old": 2}
    assert len(report.problems) == 2
    assert f"example {bare} ('fox')" in report.problems[0]
    assert "no thumbnail" in report.problems[0]


def test_a_duplicate_in_the_new_space_is_removed(store: ExampleStore) -> None:
    store.add(unit(7, 3), "cat", space="new", thumbnail=_jpeg(0))
    report = reembed(store, CountingEmbedder("new"))
    assert (report.added, report.duplicates) == (2, 1)
    assert store.counts == {"dog": 1, "cat": 2}


def test_with_real_models_reembedded_examples_equal_the_embeddings_of_the_photos(
    tmp_path: Path,
) -> None:
    old = TfliteEmbedder(shared_path("models/mobilenet_v1_0.25_128_quant.tflite"))
    new = TfliteEmbedder(shared_path("models/mobilenet_v1_0.5_160_quant.tflite"))
    photos = find_pictures(shared_path("images/imprinting/train"))
    with ExampleStore(tmp_path / "real.db") as store:
        import_pictures(store, old, photos)
        assert reembed(store, new).added == len(photos)
        assert store.spaces() == {new.space: len(photos)}
        for example, photo in zip(store, photos, strict=True):
            direct = new.embed(read_image(photo.path))
            assert float(example.embedding @ direct) > THUMBNAIL_SIMILARITY.limit
