"""The picture of an object for the embedder: alone, or with its surroundings and its share of each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import PIL.Image
import pytest

from edge_daemon.imaging.object_mask import EMPTY, ObjectView, find_object
from edge_daemon.imaging.object_picture import object_part, object_picture, on_mean_colour
from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.fixed_camera import FixedCamera, Thing

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


def test_the_picture_of_an_object_is_the_object_on_its_mean_colour(
    camera: FixedCamera, reference: SceneReference
) -> None:
    image = camera.picture("disc")
    view = find_object(image, reference)
    picture = object_picture(image, view, 96)
    assert picture.shape == (96, 96, 3)
    assert picture[48, 48, 0] > 140 > 90 > picture[48, 48, 1]
    assert (picture[:8, :8] == picture[0, 0]).all()
    assert (picture[0, 0] == picture[-1, -1]).all()
    on_black, share = (
        object_picture(each, view, 96, background=(0, 0, 0)) for each in (image, np.full_like(image, 255))
    )
    np.testing.assert_allclose(picture[0, 0], 255 * on_black.mean(axis=(0, 1)) / share.mean(), atol=8)


@pytest.mark.parametrize("thing", ["disc", "square", "half"])
def test_the_picture_of_an_object_is_that_of_a_slow_resize(
    camera: FixedCamera, reference: SceneReference, thing: Thing
) -> None:
    image = camera.picture(thing)
    view = find_object(image, reference)
    assert view.mask is not None
    assert view.box is not None
    fast = object_picture(image, view, 96).astype(float)
    white = object_picture(np.full_like(image, 255), view, 96, background=(0, 0, 0))
    side = round(max(view.box.width * camera.width, view.box.height * camera.height) * 1.3)
    left = round((view.box.x + view.box.width / 2) * camera.width - side / 2)
    top = round((view.box.y + view.box.height / 2) * camera.height - side / 2)
    edges = (left, top, left + side, top + side)
    exact = np.asarray(PIL.Image.fromarray(image).crop(edges).resize((96, 96)), float)
    inside = white[..., 0] == 255
    assert inside.mean() > 0.2
    assert np.abs(fast - exact)[inside].mean() < 8
    assert (fast[white[..., 0] == 0] == fast[0, 0]).all()


def test_the_picture_of_a_mask_without_a_cell_is_grey(camera: FixedCamera, reference: SceneReference) -> None:
    image = camera.picture("disc")
    view = find_object(image, reference)
    assert view.mask is not None
    nothing = ObjectView("object", np.zeros_like(view.mask), view.box)
    assert (object_picture(image, nothing, 96) == 128).all()


def test_objects_at_the_edge_keep_their_shape(camera: FixedCamera, reference: SceneReference) -> None:
    image = _at_the_edge(camera.picture("disc"))
    moved = SceneReference.from_frames([_at_the_edge(camera.picture())] * 3)
    black = (0, 0, 0)
    whole = object_picture(camera.picture("disc"), find_object(camera.picture("disc"), reference), 96, black)
    at_edge = object_picture(image, find_object(image, moved), 96, black)
    red = [int((each[..., 0] > each[..., 1] + 50).sum()) for each in (whole, at_edge)]
    assert red[1] == pytest.approx(red[0], rel=0.2)


def _at_the_edge(image: Image) -> Image:
    """Return the picture moved to the left by a third of its width."""
    third = image.shape[1] // 3
    return np.concatenate((image[:, third:], image[:, :third]), axis=1)


@pytest.mark.parametrize("thing", ["disc", "square", "half"])
def test_a_part_has_its_surroundings_and_the_share_of_the_object(
    camera: FixedCamera, reference: SceneReference, thing: Thing
) -> None:
    image = camera.picture(thing)
    view = find_object(image, reference)
    part = object_part(image, view, 160)
    assert part.pixels.shape == (160, 160, 3)
    alone = object_picture(image, view, 160).astype(int)
    white = object_picture(np.full_like(image, 255), view, 160, background=(0, 0, 0))[..., 0]
    inside = white == 255
    assert np.abs(part.pixels.astype(int) - alone)[inside].mean() < 8
    rows, columns = part.shares.shape
    shares = PIL.Image.fromarray(white).resize((columns, rows), PIL.Image.Resampling.BOX)
    assert np.abs(part.shares.astype(int) - np.asarray(shares)).mean() < 10


def test_the_part_of_an_object_at_the_edge_is_continued_in_its_mean_colour(camera: FixedCamera) -> None:
    image = _at_the_edge(camera.picture("disc"))
    view = find_object(image, SceneReference.from_frames([_at_the_edge(camera.picture())] * 3))
    part = object_part(image, view, 96)
    outside = part.pixels[:, 0]
    assert (outside == outside[0]).all()
    assert outside[0, 0] > 140 > 90 > outside[0, 1]
    assert not part.shares[:, 0].any()
    assert part.shares.max() > 250


def test_a_part_on_its_mean_colour_is_the_object_alone(
    camera: FixedCamera, reference: SceneReference
) -> None:
    image = camera.picture("disc")
    part = object_part(image, find_object(image, reference), 40)
    alone = on_mean_colour(part)
    assert (alone[:3, :3] == alone[0, 0]).all()
    assert alone[0, 0, 0] > 140 > 90 > alone[0, 0, 1]
    assert np.abs(alone[18:22, 18:22].astype(int) - part.pixels[18:22, 18:22]).max() < 3


def test_an_empty_view_has_no_picture(camera: FixedCamera) -> None:
    for cut in (object_picture, object_part):
        with pytest.raises(ValueError, match="object"):
            cut(camera.picture(), EMPTY)
