from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Pillow

from edge_daemon.domain.errors import ImageError, ModelError
from edge_daemon.imaging.preprocess import InputTensor, Preprocessor, center_crop, pixel_table
from tests.harness.shared_files import shared_path

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


UINT8 = InputTensor(128, 128, 3, "uint8", 1 / 128, 128)


def photo(width: int, height: int) -> Image:
    with Pillow.open(shared_path("images/cat.jpg")) as picture:
        return np.asarray(picture.convert("RGB").resize((width, height)))


def test_quantised_official_models_take_plain_pixels() -> None:
    for scale, zero_point in ((1 / 128, 128), (0.00784314, 127), (1 / 255, 0), (1.0, 0)):
        table = pixel_table(InputTensor(8, 8, 3, "uint8", scale, zero_point))
        assert table.dtype == np.uint8
        assert np.array_equal(table, np.arange(256))


def test_int8_takes_the_pixel_minus_128() -> None:
    for scale, zero_point in ((1 / 127.5, -1), (1 / 255, -128)):
        table = pixel_table(InputTensor(8, 8, 3, "int8", scale, zero_point))
        assert table.dtype == np.int8
        assert np.array_equal(table, np.arange(-128, 128))


def test_a_tensor_calibrated_on_less_than_its_range_keeps_real_values_right() -> None:
    table = pixel_table(InputTensor(8, 8, 3, "int8", 0.9 / 127.5, 0))
    real = table.astype(float) * 0.9 / 127.5
    assert real[128] == pytest.approx(0, abs=0.01)
    assert real[64] == pytest.approx(64 / 127.5 - 1, abs=0.01)
    assert real[0] == pytest.approx(-0.9, abs=0.02), "clipped at the tensor's limit"


def test_float_models_get_minus_one_to_one() -> None:
    table = pixel_table(InputTensor(8, 8, 3, "float32"))
    assert table.dtype == np.float32
    assert (table[0], table[255]) == (-1, 1)


def test_other_input_types_are_refused() -> None:
    with pytest.raises(ModelError, match="8x8x3 int16"):
        pixel_table(InputTensor(8, 8, 3, "int16"))


def test_the_centre_square_is_cut_before_resizing() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :8] = picture[:, -8:] = 255
    assert Preprocessor(UINT8)(picture).max() == 0
    assert Preprocessor(UINT8, "squash")(picture).max() == 255


def test_a_model_that_is_not_square_gets_its_own_aspect_ratio() -> None:
    assert center_crop(np.zeros((100, 400, 3), np.uint8), 2.0).shape == (100, 200, 3)
    assert center_crop(np.zeros((400, 100, 3), np.uint8), 2.0).shape == (50, 100, 3)
    wide = InputTensor(32, 64, 3, "uint8")
    assert Preprocessor(wide)(photo(640, 480)).shape == (1, 32, 64, 3)


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (90, 70)])
def test_resizing_follows_the_reference_filter(size: tuple[int, int]) -> None:
    picture = photo(*size)
    square = center_crop(picture, 1.0)
    wanted = Pillow.fromarray(square).resize((128, 128), Pillow.Resampling.BILINEAR)
    difference = np.abs(Preprocessor(UINT8)(picture)[0].astype(int) - np.asarray(wanted))
    assert difference.mean() < 0.6
    assert difference.max() <= 12


def test_fine_stripes_turn_grey_instead_of_aliasing() -> None:
    stripes = np.zeros((480, 480, 3), np.uint8)
    stripes[:, ::2] = 255
    small = Preprocessor(UINT8)(stripes)
    assert np.abs(small.astype(int) - 127).max() <= 20


def test_grey_models_get_one_channel_by_luma() -> None:
    grey = InputTensor(28, 28, 1, "float32")
    prepare = Preprocessor(grey)
    red = np.zeros((60, 60, 3), np.uint8)
    red[..., 0] = 255
    values = prepare(red)
    assert values.shape == (1, 28, 28, 1)
    assert values[0, 14, 14, 0] == pytest.approx(0.299 * 2 - 1, abs=0.01)
    assert prepare.id == "square-bilinear-grey"


def test_a_read_only_view_of_a_frame_is_accepted_and_left_alone() -> None:
    frame = photo(640, 480).copy()
    before = frame.copy()
    frame.flags.writeable = False
    Preprocessor(UINT8)(frame[10:300, 40:400])
    assert np.array_equal(frame, before)


def test_a_single_pixel_is_a_picture() -> None:
    assert Preprocessor(UINT8)(np.full((1, 1, 3), 9, np.uint8)).mean() == 9


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_an_invalid_array_is_named(image: Image) -> None:
    with pytest.raises(ImageError, match="expected an RGB picture"):
        Preprocessor(UINT8)(image)


def test_the_id_names_crop_and_filter() -> None:
    assert Preprocessor(UINT8).id == "square-bilinear"
    assert Preprocessor(UINT8, "squash").id == "stretch-bicubic"
