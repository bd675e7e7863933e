"""An object's embedding: as a part of the picture around it where the model can, else alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge_daemon.app.model_factory import build_object_embedder
from edge_daemon.imaging.object_embedder import ObjectEmbedder
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.object_picture import object_part, object_picture
from edge_daemon.imaging.random_draws import RandomDraws
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from tests.harness.fixed_camera import FixedCamera, Thing

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector

THINGS: tuple[Thing, ...] = ("disc", "square", "grey disc")


def embedded(embedder: ObjectEmbedder, seed: int, thing: Thing) -> Vector:
    """Embed a thing before the scene of a camera."""
    camera = FixedCamera(seed)
    return embedder.embed(camera.picture(thing), find_object(camera.picture(thing), camera.reference()))


def test_a_thing_resembles_itself_before_another_scene_more_than_other_things() -> None:
    embedder = build_object_embedder(TfliteEmbedder(find_model("edge_embedder_v2")))
    here, there = (np.stack([embedded(embedder, seed, thing) for thing in THINGS]) for seed in (3, 8))
    similarities = here @ there.T
    assert (similarities.argmax(axis=1) == np.arange(len(THINGS))).all()
    assert np.diag(similarities).min() > 0.5


@pytest.mark.parametrize("copy", [False, True])
def test_the_surroundings_are_left_to_a_model_that_embeds_parts(copy: bool) -> None:
    camera = FixedCamera(3)
    image = camera.picture("disc")
    view = find_object(image, camera.reference())
    model = TfliteEmbedder(find_model("edge_embedder_v2"))
    side = model.input.height
    parts, alone = build_object_embedder(model), ObjectEmbedder(model.embed, side)
    if copy:
        pooled, coloured = (each.embed_copy(image, view, RandomDraws(1)) for each in (parts, alone))
        assert float(pooled @ parts.embed(image, view)) > float(pooled @ coloured)
    else:
        pooled, coloured = (each.embed(image, view) for each in (parts, alone))
        part = object_part(image, view, side)
        np.testing.assert_array_equal(pooled, model.embed_part(part.pixels, part.shares))
        np.testing.assert_array_equal(coloured, model.embed(object_picture(image, view, side)))
    assert float(pooled @ coloured) < 0.95


def test_a_model_without_parts_gets_the_object_alone() -> None:
    model = TfliteEmbedder(find_model("edge_embedder_v1"))
    camera = FixedCamera(3)
    image = camera.picture("disc")
    view = find_object(image, camera.reference())
    np.testing.assert_array_equal(
        build_object_embedder(model).embed(image, view),
        model.embed(object_picture(image, view, model.input.height)),
    )
