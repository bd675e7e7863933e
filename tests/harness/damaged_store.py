"""A filled store to damage, and what a damaged one must still hold."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit

PAGE = 4096
COUNT = 40


def fill(path: Path) -> dict[int, Example]:
    """Add examples of two labels with pictures, and remove some; return the live ones by id.

    Half of them have an object embedding and one of two scenes.
    """
    draw = np.random.default_rng(3)
    with ExampleStore(path) as store:
        scenes = [store.scenes.add("left", draw.bytes(9000), "press").id for _ in range(2)]
        for seed in range(COUNT):
            picture = b"\xff\xd8\xff" + draw.bytes(2000 + 50 * seed)
            label = ["cat", "dog"][seed % 2]
            record = ExampleRecord(unit(seed, 200), label, "s", "left", thumbnail=picture)
            if seed % 2:
                scene_id, vector = scenes[seed // 2 % 2], unit(1000 + seed, 200)
                record = replace(
                    record, scene_id=scene_id, object_embedding=vector, boot_id="b", uptime_s=seed / 3
                )
            store.add_record(record)
        store.remove([5, 9])
        return {example.id: example for example in store}


def add_in_journal(path: Path, label: str) -> None:
    """Add an example in a process that ends before it folds the journal into the file."""
    script = (
        "import os, sys, numpy\nfrom edge_daemon.example_store.store import ExampleStore\n"
        "ExampleStore(sys.argv[1]).add(numpy.ones(200, numpy.float32), sys.argv[2], space='s')\nos._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, path, label], check=True)


def execute(path: Path, statement: str, *values: object) -> None:
    """Change a store with plain SQL, as another program does."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement, values)
        connection.commit()


def break_page(path: Path) -> None:
    """Overwrite the header of a page of examples."""
    content = bytearray(path.read_bytes())
    page = content.index(bytes(unit(20, 200).tobytes())) // PAGE * PAGE
    content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)


def assert_same(found: Example, taught: Example, *, content_may_lack: bool) -> None:
    """Assert that an example is as it was taught; a damaged picture or object embedding may lack."""
    assert np.array_equal(found.embedding, taught.embedding)
    for name in ("label", "space", "region", "group", "source", "created_at", "origin"):
        assert getattr(found, name) == getattr(taught, name)
    assert (found.boot_id, found.uptime_s) == (taught.boot_id, taught.uptime_s)
    if found.thumbnail or not content_may_lack:
        assert found.thumbnail == taught.thumbnail
    if found.object_embedding is None:
        assert content_may_lack or taught.object_embedding is None
        assert found.scene_id is None, "it is not an example of the empty scene"
    else:
        assert found.scene_id == taught.scene_id
        assert taught.object_embedding is not None
        assert np.array_equal(found.object_embedding, taught.object_embedding)
