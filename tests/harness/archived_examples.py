"""A store with examples of two spaces, for tests of archives."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.example_pictures import noise
from tests.harness.unit_vectors import unit


def jpeg(seed: int) -> bytes:
    """Return a small noisy picture."""
    buffer = io.BytesIO()
    noise(seed).save(buffer, "JPEG")
    return buffer.getvalue()


def taught_store(folder: Path) -> ExampleStore:
    """Return a store of three live examples, two with a picture, and a removed one."""
    store = ExampleStore(folder / "examples.db")
    taught_at = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    store.add(unit(0), "cat", space="s", region="left", group="g", source="gpio", thumbnail=jpeg(0),
              created_at=taught_at)  # fmt: skip
    store.add(unit(1, 16), "Bär", space="t", thumbnail=jpeg(1), created_at=taught_at)
    store.add(unit(2), "dog", space="s", created_at=taught_at)
    store.remove([store.add(unit(3), "gone", space="s").id])
    return store


def scene_reference(level: int) -> bytes:
    """Return the bytes of a reference that differs from those of other levels."""
    frame = np.random.default_rng(level).integers(0, 255, (96, 128, 3), np.uint8)
    return SceneReference.from_frames([frame]).to_bytes()


def teach_in_scenes(store: ExampleStore) -> list[int]:
    """Add examples with object embeddings in two scenes; return the scenes' ids."""
    first = store.scenes.add("left", scene_reference(1), "press").id
    second = store.scenes.add("left", scene_reference(2), "automatic").id
    unused = store.scenes.add("left", scene_reference(3), "press").id
    for number, (scene_id, vector) in enumerate([(first, unit(10)), (second, None), (first, unit(11))]):
        taught = ExampleRecord(unit(number + 20), "cup", "s", "left", boot_id="b0", uptime_s=12.5)
        taught = replace(taught, scene_id=scene_id, object_embedding=vector)
        store.add_record(replace(taught, thumbnail=jpeg(number + 5)))
    return [first, second, unused]
