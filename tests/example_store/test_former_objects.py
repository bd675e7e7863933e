"""Object embeddings of earlier states: found by the migration, kept apart in archives, and made again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.app.model_factory import build_object_embedder
from edge_daemon.example_store import reembedding
from edge_daemon.example_store.archive import import_archive, write_archive
from edge_daemon.example_store.importing import import_salvage
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.reembedding import reembed, renew_objects
from edge_daemon.example_store.schema import MIGRATIONS
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg
from edge_daemon.imaging.object_mask import ObjectView, find_object
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.fixed_camera import FixedCamera, Thing
from tests.harness.unit_vectors import unit

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image, Vector

THINGS: tuple[Thing, ...] = ("disc", "square", "grey disc")


@pytest.fixture(scope="module")
def embedder() -> TfliteEmbedder:
    return TfliteEmbedder(find_model("edge_embedder_v2"))


@pytest.fixture
def former(tmp_path: Path, embedder: TfliteEmbedder) -> Path:
    """Return a store as an earlier state left it: three things before a scene, and one whole picture."""
    path, camera = tmp_path / "examples.sqlite", FixedCamera(3)
    with ExampleStore(path) as store:
        scene = store.scenes.add("frame", camera.reference().to_bytes(), "press")
        for number, thing in enumerate(THINGS):
            thumbnail = encode_jpeg(camera.picture(thing), 224)
            vectors = unit(number, embedder.size), unit(number + 10, embedder.size)
            store.add_record(
                ExampleRecord(
                    *(vectors[0], thing, embedder.space),
                    thumbnail=thumbnail,
                    scene_id=scene.id,
                    object_embedding=vectors[1],
                )
            )
        store.add(unit(20, embedder.size), "whole", space=embedder.space)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE former_objects")
        connection.execute("PRAGMA user_version = 5")
    return path


@pytest.fixture
def store(former: Path) -> Iterator[ExampleStore]:
    with ExampleStore(former) as store:
        yield store


def test_the_migration_finds_them_and_a_new_press_is_none(
    store: ExampleStore, embedder: TfliteEmbedder
) -> None:
    assert store.query("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert store.former_objects.ids() == store.former_objects.ids(embedder.space) == [1, 2, 3]
    assert store.former_objects.ids("another space") == []
    record = ExampleRecord(
        unit(30, embedder.size), "new", embedder.space, scene_id=1, object_embedding=unit(31, embedder.size)
    )
    store.add_record(record)
    assert store.former_objects.ids() == [1, 2, 3]


@pytest.mark.parametrize("batch", [2, 64])
def test_they_are_embedded_again_from_thumbnail_and_scene(
    store: ExampleStore, embedder: TfliteEmbedder, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(reembedding, "_BATCH", batch)
    objects = build_object_embedder(embedder)
    assert renew_objects(store, embedder.space, objects) == (3, 0)
    assert store.former_objects.ids() == []
    assert store.damaged == {}
    camera = FixedCamera(3)
    reference = camera.reference()
    examples = list(store)
    for example, thing in zip(examples, THINGS, strict=False):
        direct = objects.embed(camera.picture(thing), find_object(camera.picture(thing), reference))
        assert example.object_embedding is not None
        assert float(example.object_embedding @ direct) > 0.8
        assert example.scene_id == 1
        np.testing.assert_array_equal(example.embedding, unit(example.id - 1, embedder.size))
    assert examples[3].object_embedding is None
    assert renew_objects(store, embedder.space, objects) == (0, 0)


@pytest.mark.parametrize("lost", ["scene", "damaged thumbnail"])
def test_one_that_is_not_found_is_compared_as_a_whole(
    former: Path, embedder: TfliteEmbedder, lost: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with closing(sqlite3.connect(former, isolation_level=None)) as connection:
        if lost == "scene":
            connection.execute("DELETE FROM scenes")
        else:
            connection.execute("UPDATE examples SET thumbnail = x'00' WHERE object_digest IS NOT NULL")
    with ExampleStore(former) as store:
        assert renew_objects(store, embedder.space, build_object_embedder(embedder)) == (0, 3)
        assert [(each.object_embedding, each.scene_id) for each in store] == [(None, None)] * 4
        assert store.former_objects.ids() == []
    assert "example 1 is compared with its scene from now on" in caplog.text


def test_an_interrupted_renewal_goes_on_where_it_was(
    store: ExampleStore, embedder: TfliteEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembedding, "_BATCH", 2)
    objects = build_object_embedder(embedder)
    embed, calls = objects.embed, iter(range(3))

    def interrupted(image: Image, view: ObjectView) -> Vector:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return embed(image, view)

    monkeypatch.setattr(objects, "embed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        renew_objects(store, embedder.space, objects)
    assert store.former_objects.ids() == [3]


def test_an_archive_keeps_them_apart(store: ExampleStore, embedder: TfliteEmbedder, tmp_path: Path) -> None:
    former, present = tmp_path / "former.zip", tmp_path / "present.zip"
    write_archive(store, former)
    renew_objects(store, embedder.space, build_object_embedder(embedder))
    write_archive(store, present)
    for archive, ids in ((former, [1, 2, 3]), (present, [])):
        with ExampleStore(tmp_path / f"{archive.stem}.sqlite") as other:
            assert import_archive(other, archive).added == 4
            assert other.former_objects.ids() == ids


def test_salvaged_ones_are_made_again(store: ExampleStore, former: Path, tmp_path: Path) -> None:
    store.close()
    with ExampleStore(tmp_path / "other.sqlite") as other:
        assert import_salvage(other, former).added == 4
        assert other.former_objects.ids() == [1, 2, 3]


def test_another_model_replaces_them(store: ExampleStore, embedder: TfliteEmbedder) -> None:
    store.query("UPDATE examples SET space = 'old'")
    reembed(store, embedder, object_embedder=build_object_embedder(embedder))
    assert store.former_objects.ids() == []
