from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pytest

from edge_daemon.app.model_factory import build_object_embedder
from edge_daemon.domain.errors import ModelError
from edge_daemon.example_store.image_folders import find_pictures, import_pictures
from edge_daemon.example_store.importing import ImportReport
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.reembedding import reembed
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.example_pictures import CountingEmbedder, noise
from tests.harness.fixed_camera import FixedCamera, Thing
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import OBJECT_THUMBNAIL_SIMILARITY, THUMBNAIL_SIMILARITY
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


def _taught_in_scene(
    store: ExampleStore, image: Image, scene_id: int | None, vector: Vector | None, label: str = "cup"
) -> int:
    record = ExampleRecord(unit(sum(label.encode()), 8), label, "old", thumbnail=encode_jpeg(image, 224))
    return store.add_record(replace(record, scene_id=scene_id, object_embedding=vector)).id


def test_objects_are_embedded_again_from_thumbnail_and_scene(tmp_path: Path) -> None:
    camera, new = FixedCamera(3), TfliteEmbedder(shared_path("models/mobilenet_v1_0.5_160_quant.tflite"))
    reference = camera.reference()
    with ExampleStore(tmp_path / "examples.db") as store:
        scene = store.scenes.add("frame", reference.to_bytes(), "press")
        pictures = [camera.picture("disc", light=0.8), camera.picture("square")]
        ids = [_taught_in_scene(store, each, scene.id, unit(1, 8), f"{n}") for n, each in enumerate(pictures)]
        objects = build_object_embedder(new)
        report = reembed(store, new, object_embedder=objects)
        assert (report.added, report.problems) == (2, [])
        directs = [objects.embed(each, find_object(each, reference)) for each in pictures]
        for example, direct, other in zip(store, directs, reversed(directs), strict=True):
            assert example.object_embedding is not None
            assert float(example.object_embedding @ direct) > OBJECT_THUMBNAIL_SIMILARITY.limit
            assert float(example.object_embedding @ direct) > float(example.object_embedding @ other)
            assert float(example.object_embedding @ direct) > float(example.embedding @ direct)
            assert example.scene_id == scene.id
        assert [example.id for example in store] == ids


def test_an_example_that_loses_its_object_is_reported_and_not_one_of_the_empty_scene(tmp_path: Path) -> None:
    camera = FixedCamera(3)
    with ExampleStore(tmp_path / "examples.db") as store:
        scene = store.scenes.add("frame", camera.reference().to_bytes(), "press").id
        broken = store.scenes.add("frame", b"not a reference", "press").id
        lost: list[tuple[str, Thing, int]] = [
            *(("hidden", "camouflage", scene), ("broken", "disc", broken), ("gone", "disc", 99))
        ]
        for label, thing, scene_id in lost:
            _taught_in_scene(store, camera.picture(thing), scene_id, unit(1, 8), label)
        _taught_in_scene(store, camera.picture(), scene, None, "empty")
        _taught_in_scene(store, camera.picture("disc"), None, None, "whole")
        report = reembed(store, CountingEmbedder("new"))
        assert report.added == 5
        found = {example.label: example for example in store}
        assert not any(each.object_embedding is not None for each in found.values())
        known = {label: each.scene_id for label, each in found.items()}
        assert known == {"hidden": None, "broken": None, "gone": None, "empty": scene, "whole": None}
    reasons = ("not found in its thumbnail", "the stored scene is damaged", "no longer stored")
    for label, reason, problem in zip(("hidden", "broken", "gone"), reasons, report.problems, strict=True):
        assert f"('{label}')" in problem
        assert reason in problem


def test_an_error_before_the_commit_undoes_everything(store: ExampleStore) -> None:
    seen: list[int] = []

    def refuse(report: ImportReport) -> None:
        seen.append(report.added)
        raise ModelError("no")

    with pytest.raises(ModelError):
        reembed(store, CountingEmbedder("new"), before_commit=refuse)
    assert seen == [3]
    assert store.spaces() == {"old": 3}
