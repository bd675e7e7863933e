"""The mask of an object before a known scene, and where it is not trusted."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.scene_reference import SceneReference
from tests.harness.fixed_camera import FixedCamera, Light, Thing


def overlap(
    camera: FixedCamera,
    reference: SceneReference,
    thing: Thing,
    *shadows: Thing,
    light: Light = 1.0,
    shift: tuple[int, int] = (0, 0),
    noise: float = 3.0,
) -> float:
    """Return intersection over union of the mask and the drawn shape."""
    view = find_object(camera.picture(*shadows, thing, light=light, shift=shift, noise=noise), reference)
    assert view.state == "object"
    assert view.mask is not None
    rows, columns = view.mask.shape
    y = (np.arange(rows) + 0.5) / rows * camera.height
    x = (np.arange(columns) + 0.5) / columns * camera.width
    truth = camera.shape(thing)[y.astype(int)][:, x.astype(int)]
    found = view.mask > 127
    return float((found & truth).sum() / (found | truth).sum())


def test_the_scene_alone_is_empty(camera: FixedCamera, reference: SceneReference) -> None:
    assert {find_object(camera.picture(), reference).state for _ in range(20)} == {"empty"}


@pytest.mark.parametrize("light", [0.5, 0.75, 1.0, 1.25, (1.0, 0.75, 0.5)])
def test_the_mask_is_the_object_in_any_light(
    camera: FixedCamera, reference: SceneReference, light: Light
) -> None:
    assert overlap(camera, reference, "disc", light=light) > 0.75
    assert overlap(camera, reference, "square", light=light) > 0.7


@pytest.mark.parametrize("light", [0.5, 0.8, 1.2, (1.0, 0.75, 0.5)])
def test_the_scene_in_other_light_is_empty(
    camera: FixedCamera, reference: SceneReference, light: Light
) -> None:
    assert find_object(camera.picture(light=light), reference).state == "empty"


@pytest.mark.parametrize("shift", [(1, 0), (0, 1), (-1, 1), (2, -1)])
def test_a_shaking_camera_sees_the_same_objects(
    camera: FixedCamera, reference: SceneReference, shift: tuple[int, int]
) -> None:
    assert find_object(camera.picture(shift=shift), reference).state == "empty"
    assert overlap(camera, reference, "disc", shift=shift) > 0.7


def test_a_soft_shadow_is_not_part_of_the_object(camera: FixedCamera, reference: SceneReference) -> None:
    assert overlap(camera, reference, "disc", "soft shadow") > 0.65


def test_a_soft_shadow_alone_is_no_object(camera: FixedCamera, reference: SceneReference) -> None:
    assert find_object(camera.picture("soft shadow"), reference).state != "object"


def test_a_grey_object_is_no_shadow(camera: FixedCamera, reference: SceneReference) -> None:
    assert overlap(camera, reference, "grey disc") > 0.7


def test_fragments_of_an_object_that_looks_like_a_shadow_are_not_trusted(
    camera: FixedCamera, reference: SceneReference
) -> None:
    assert find_object(camera.picture("dim disc"), reference).state == "untrusted"


def test_a_noisy_camera_sees_no_object_in_its_noise(camera: FixedCamera) -> None:
    noisy = SceneReference.from_frames([camera.picture(noise=15) for _ in range(12)])
    assert find_object(camera.picture(noise=15), noisy).state == "empty"
    assert overlap(camera, noisy, "disc", noise=15) > 0.7


def test_an_object_of_the_colour_of_the_scene_is_not_masked(
    camera: FixedCamera, reference: SceneReference
) -> None:
    assert find_object(camera.picture("camouflage"), reference).state != "object"


def test_an_outline_is_no_object(camera: FixedCamera, reference: SceneReference) -> None:
    assert find_object(camera.picture("ring"), reference).state == "untrusted"


def test_an_object_that_fills_the_region_is_not_masked(
    camera: FixedCamera, reference: SceneReference
) -> None:
    assert find_object(camera.picture("all"), reference).state == "untrusted"


@pytest.mark.parametrize("light", [0.0, 0.03])
def test_a_covered_camera_or_a_lamp_that_is_off_is_not_empty(
    camera: FixedCamera, reference: SceneReference, light: float
) -> None:
    assert find_object(camera.picture(light=light), reference).state == "untrusted"


def test_a_moved_camera_is_not_an_object(camera: FixedCamera, reference: SceneReference) -> None:
    assert find_object(camera.picture(shift=(30, 45)), reference).state == "untrusted"


def test_another_place_is_not_an_object(reference: SceneReference) -> None:
    assert find_object(FixedCamera(seed=4).picture(), reference).state == "untrusted"


def test_a_picture_of_another_size_is_not_masked(reference: SceneReference) -> None:
    assert find_object(FixedCamera(seed=3, size=(240, 240)).picture(), reference).state == "untrusted"


def test_a_region_of_a_few_pixels_is_not_masked() -> None:
    tiny = FixedCamera(seed=3, size=(10, 8))
    assert find_object(tiny.picture(), tiny.reference()).state == "untrusted"


def test_a_plain_picture_of_another_colour_is_not_the_empty_scene() -> None:
    plain = np.full((120, 160, 3), (30, 30, 220), np.uint8)
    other = np.full((120, 160, 3), (220, 30, 30), np.uint8)
    assert find_object(other, SceneReference.from_frames([plain])).state == "untrusted"
