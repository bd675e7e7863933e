"""The parts of the training that need no PyTorch: views, outlines and the shards of the teachers."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SCRIPTS = Path(__file__).parents[2] / "scripts/training"


@pytest.fixture
def part(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a module of `scripts/training/embedder_training` by name."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield lambda name: importlib.import_module(f"embedder_training.{name}")
    for name in [name for name in sys.modules if name.startswith("embedder_training")]:
        del sys.modules[name]


class CountingTeachers:
    """Teachers whose embedding is the photo's mean colour; counts the views, and can stop after some."""

    def __init__(self, stop_after: int = 1 << 30) -> None:
        self.views, self._stop_after = 0, stop_after

    def embed(self, photo: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.views == self._stop_after:
            raise KeyboardInterrupt
        self.views += 1
        return np.asarray(photo.mean(axis=(0, 1)), np.float32)


def photo_set(part: Any, name: str, count: int, views: int) -> Any:
    photos = part("photos")
    pixels = np.random.default_rng(0).integers(0, 255, (count, 8, 8, 3), np.uint8)
    return photos.PhotoSet(name, pixels, ("thing",) * count, photos.view_boxes(count, views, 0))


def test_stopped_teachers_go_on_with_the_shards_that_are_missing(part: Any, tmp_path: Path) -> None:
    targets = part("targets")
    sets = [photo_set(part, "tiny64", 600, 2), photo_set(part, "photos128", 300, 3)]
    first = CountingTeachers(stop_after=1000)
    with pytest.raises(KeyboardInterrupt):
        targets.embed_all(sets, tmp_path, first, 0, 1)
    second = CountingTeachers()
    targets.embed_all(sets, tmp_path, second, 0, 1)
    views = 600 * 2 + 300 * 3
    assert views <= first.views + second.views < views + targets.SHARD
    third = CountingTeachers()
    targets.embed_all(sets, tmp_path, third, 0, 1)
    assert third.views == 0


def test_targets_are_known_for_the_written_shards_alone(part: Any, tmp_path: Path) -> None:
    targets = part("targets")
    photos = photo_set(part, "tiny64", 600, 2)
    projection = targets.Projection(np.zeros(3, np.float32), np.eye(3, dtype=np.float32))
    shards = targets.shards_of(photos, tmp_path)
    known = targets.Targets(photos, tmp_path, projection)
    shards[1].write(CountingTeachers())
    known.refresh()
    assert known.known.sum() == 256
    assert known.known[256:512, 0].all()
    assert np.allclose(np.linalg.norm(known.rows[256:512, 0].astype(np.float32), axis=1), 1, atol=1e-3)
    for shard in shards:
        shard.write(CountingTeachers())
    known.refresh()
    assert known.known.all()


def test_outline_of_a_thing_on_plain_ground(part: Any) -> None:
    photo = np.full((128, 128, 3), 240, np.uint8)
    photo[40:90, 30:100] = (200, 30, 30)
    photo[60:70, 50:60] = 240  # a hole is part of the thing
    mask = part("cutouts").outline(photo)
    expected = np.zeros((128, 128), np.bool_)
    expected[40:90, 30:100] = True
    assert (mask == expected).all()


def test_no_outline_where_the_ground_is_not_plain(part: Any) -> None:
    photo = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    assert part("cutouts").outline(photo) is None


def test_an_imagenet_identifier_is_one_class_whatever_the_source(part: Any) -> None:
    class_name = part("photos").class_name
    assert (
        class_name("n01440764/000001.jpg") == class_name("imagenet_mini/n01440764/00475.jpg") == "n01440764"
    )
    assert class_name("caltech101_77/crab/00001.jpg") == "caltech101_77/crab"


def test_views_lie_inside_the_photo_and_begin_with_the_whole(part: Any) -> None:
    boxes = part("photos").view_boxes(50, 4, seed=1)
    assert (boxes[:, 0] == (0, 0, 1, 1)).all()
    assert boxes.min() >= 0
    assert boxes.max() <= 1
    assert (boxes[:, :, 2:] > boxes[:, :, :2]).all()


def test_queries_in_other_conditions_are_tested_in_place_of_the_embeddings(part: Any) -> None:
    measure = part("measure")
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 20)
    rows = np.eye(4, dtype=np.float32)[labels] + rng.normal(0, 0.05, (80, 4)).astype(np.float32)
    swapped = rows[:, [1, 0, 3, 2]]
    assert measure.few_shot(rows, labels, ("knn",), (5,))["knn"]["5"] == 100
    assert measure.few_shot(rows, labels, ("knn",), (5,), queries=swapped)["knn"]["5"] == 0


def test_what_changes_with_the_light_counts_less_after_the_whitening(part: Any) -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 30)
    things, light = 0.5 * rng.normal(size=(6, 8)), rng.normal(size=8)

    def views(count: int) -> NDArray[np.float64]:
        strength = rng.normal(size=(count, 1))
        return things[labels] + strength * 2 * light + rng.normal(0, 0.1, (count, 8))

    clean, others = views(180), views(180)
    mean, matrix = part("whitening").class_whitening(clean, labels, [others], size=6)
    assert matrix.shape == (8, 6)
    few_shot = part("measure").few_shot

    def accuracy(rows: NDArray[np.float64], queries: NDArray[np.float64]) -> float:
        return float(few_shot(rows, labels, ("centroid",), (5,), queries=queries)["centroid"]["5"])

    assert accuracy((clean - mean) @ matrix, (others - mean) @ matrix) > accuracy(clean, others) + 10
    assert np.linalg.norm((clean - mean) @ matrix, axis=1).mean() == pytest.approx(1)
