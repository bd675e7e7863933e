"""The reference of a scene: its median, its stored form and comparison in other light."""

from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.domain.errors import ImageError
from edge_daemon.imaging.scene_reference import SceneReference
from edge_daemon.imaging.scene_sampling import MAX_SIDE
from tests.harness.fixed_camera import FixedCamera


@pytest.fixture
def camera() -> FixedCamera:
    return FixedCamera(seed=1)


@pytest.mark.parametrize("size", [(640, 480), (96, 96), (161, 120), (799, 603)])
def test_the_picture_is_small_whatever_the_size_of_the_region(size: tuple[int, int]) -> None:
    reference = FixedCamera(seed=1, size=size).reference()
    assert max(reference.picture.shape) <= MAX_SIDE
    assert reference.picture.dtype == np.uint8
    assert (reference.width, reference.height) == size


def test_an_object_in_a_few_of_the_frames_is_not_in_the_reference(camera: FixedCamera) -> None:
    passing = [camera.picture("disc") for _ in range(3)] + [camera.picture() for _ in range(9)]
    clean = camera.reference()
    assert np.abs(SceneReference.from_frames(passing).picture.astype(int) - clean.picture).max() < 12


def test_frames_in_changing_light_make_a_reference_without_noise_of_that_light(camera: FixedCamera) -> None:
    frames = [camera.picture(light=light) for light in (0.8, 0.9, 1.0, 1.1, 1.2)]
    assert SceneReference.from_frames(frames).noise < 2


def test_a_single_frame_is_a_reference(camera: FixedCamera) -> None:
    assert SceneReference.from_frames([camera.picture()]).difference(camera.reference()) < 0.02


def test_frames_of_different_sizes_are_refused(camera: FixedCamera) -> None:
    frames = [camera.picture(), camera.picture()[:100]]
    with pytest.raises(ImageError, match="differ in size"):
        SceneReference.from_frames(frames)


def test_no_frames_are_refused() -> None:
    with pytest.raises(ImageError, match="needs a picture"):
        SceneReference.from_frames([])


def test_a_reference_is_restored_from_its_bytes_without_loss(camera: FixedCamera) -> None:
    reference = camera.reference()
    restored = SceneReference.from_bytes(reference.to_bytes())
    np.testing.assert_array_equal(restored.picture, reference.picture)
    assert restored.noise == pytest.approx(reference.noise)
    assert (restored.width, restored.height) == (reference.width, reference.height)


@pytest.mark.parametrize("cut", [0, 3, 11, 40, -400])
def test_cut_bytes_are_refused(camera: FixedCamera, cut: int) -> None:
    with pytest.raises(ImageError, match="stored scene"):
        SceneReference.from_bytes(camera.reference().to_bytes()[:cut])


@pytest.mark.parametrize("position", [0, 4, 8, 9, 10, 11])
def test_damaged_headers_are_refused_or_describe_the_same_size(camera: FixedCamera, position: int) -> None:
    reference = camera.reference()
    blob = bytearray(reference.to_bytes())
    for value in (0, 0x7F, 0xFF):
        blob[position] = value
        try:
            restored = SceneReference.from_bytes(bytes(blob))
        except ImageError:
            continue
        assert restored.picture.shape == reference.picture.shape
        assert restored.noise > 0


def test_bytes_of_another_picture_format_are_refused() -> None:
    with pytest.raises(ImageError, match="stored scene"):
        SceneReference.from_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


@pytest.mark.parametrize("light", [0.5, 0.75, 1.25, (1.0, 0.7, 0.5), (0.6, 0.8, 1.1)])
def test_another_light_is_the_same_scene(
    camera: FixedCamera, light: float | tuple[float, float, float]
) -> None:
    match = camera.reference().match(camera.picture(light=light))
    assert match.gain == pytest.approx(np.broadcast_to(light, 3).tolist(), rel=0.03)
    assert match.changed_share < 0.01


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (2, 2)])
def test_a_shake_of_a_pixel_or_two_is_the_same_scene(camera: FixedCamera, shift: tuple[int, int]) -> None:
    assert camera.reference().match(camera.picture(shift=shift)).changed_share < 0.01


def test_the_gain_is_that_of_the_scene_when_an_object_covers_half_of_it(camera: FixedCamera) -> None:
    match = camera.reference().match(camera.picture("half", light=0.8))
    assert match.gain == pytest.approx((0.8, 0.8, 0.8), rel=0.05)


def test_a_reference_is_of_the_same_scene_in_other_light_only(camera: FixedCamera) -> None:
    reference = camera.reference()
    darker = SceneReference.from_frames([camera.picture(light=0.6)])
    elsewhere = FixedCamera(seed=2).reference()
    assert reference.is_same_scene(darker)
    assert not reference.is_same_scene(elsewhere)
    assert not elsewhere.is_same_scene(reference)


def test_regions_of_another_size_are_another_scene(camera: FixedCamera) -> None:
    other = FixedCamera(seed=1, size=(480, 480)).reference()
    assert camera.reference().difference(other) == 1


def test_saturated_parts_of_the_scene_do_not_differ_in_less_light() -> None:
    bright = FixedCamera(seed=1, exposure=2.5)
    white = np.asarray(bright.reference().picture) == 255
    assert white.mean() > 0.2
    assert bright.reference().match(bright.picture(light=0.6)).changed_share < 0.02
