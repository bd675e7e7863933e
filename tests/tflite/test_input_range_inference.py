from __future__ import annotations

import numpy as np
import pytest

from edge_daemon.tflite.graph import read_graph
from edge_daemon.tflite.input_range_inference import implied_range
from tests.harness import tiny_models as tiny

MUL, ADD, SUB, DIV = (tiny.BUILTIN.MUL, tiny.BUILTIN.ADD, tiny.BUILTIN.SUB, tiny.BUILTIN.DIV)
MEAN = [0.485, 0.456, 0.406]
DEVIATION = [0.229, 0.224, 0.225]


def implied(*steps: tuple[int, list[float]], kind: type = np.float32) -> str:
    """Return the range implied by a graph of these steps and a pool."""
    recipe = tiny.Recipe()
    picture = tensor = recipe.tensor((1, 16, 16, 3))
    for code, constant in steps:
        tensor = tiny.rescale(recipe, tensor, code, np.array(constant, kind))
    pool = tiny.mean_over_picture(recipe, tensor, recipe.tensor((1, 1, 1, 3)))
    return str(implied_range(read_graph(recipe.content([picture], [pool]))))


def test_a_division_by_255_implies_pixels() -> None:
    assert implied((MUL, [1 / 255])) == implied((DIV, [255.0])) == "0..255"


def test_keras_rescaling_to_minus_one_implies_pixels() -> None:
    assert implied((MUL, [1 / 127.5]), (ADD, [-1.0])) == "0..255"
    assert implied((SUB, [127.5]), (DIV, [127.5])) == "0..255"


def test_weights_in_16_bits_are_read_behind_their_dequantize() -> None:
    assert implied((MUL, [1 / 255]), kind=np.float16) == "0..255"


def test_imagenets_normalisation_implies_its_range() -> None:
    assert implied((SUB, MEAN), (DIV, DEVIATION)) == "0..1"
    assert implied((MUL, [1 / 255]), (SUB, MEAN), (DIV, DEVIATION)) == "0..255"


def test_subtracted_pixel_means_imply_pixels() -> None:
    assert implied((SUB, [123.68, 116.78, 103.94])) == "0..255"


def test_a_step_from_zero_to_one_or_back_keeps_the_other_range() -> None:
    assert implied((MUL, [2.0]), (SUB, [1.0])) == "0..1"
    assert implied((MUL, [0.5]), (ADD, [0.5])) == "-1..1"
    assert implied((MUL, [-0.5]), (ADD, [0.5])) == "-1..1", "DoodleNet, converted"
    assert implied((MUL, [127.5]), (ADD, [127.5])) == "-1..1"


@pytest.mark.parametrize("steps", [(), ((MUL, [1.0]),), ((MUL, [0.0]),), ((ADD, [float("nan")]),)])
def test_an_unknown_rescaling_implies_no_range(steps: tuple[tuple[int, list[float]], ...]) -> None:
    assert implied(*steps) == "None"


@pytest.mark.parametrize(
    ("scale", "zero_point", "wanted"),
    [
        (1 / 255, -128, "0..1"),
        (1 / 127.5, -1, "-1..1"),
        (1.0, -128, "0..255"),
        (4.8 / 255, -14, "-2.14588..2.65412"),
    ],
)
def test_a_float_input_that_is_quantised_at_once_has_the_range_of_its_scale(
    scale: float, zero_point: int, wanted: str
) -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    inside = recipe.tensor((1, 16, 16, 3), tiny.TYPE.INT8, scale=scale, zero_point=zero_point)
    recipe.step(tiny.BUILTIN.QUANTIZE, [picture], inside)
    assert str(implied_range(read_graph(recipe.content([picture], [inside])))) == wanted


def test_a_picture_with_two_consumers_is_not_followed() -> None:
    recipe = tiny.Recipe()
    picture = recipe.tensor((1, 16, 16, 3))
    scaled = tiny.rescale(recipe, picture, MUL, np.array([1 / 255], np.float32))
    both = recipe.step(ADD, [scaled, picture], recipe.tensor((1, 16, 16, 3)))
    assert implied_range(read_graph(recipe.content([picture], [both]))) is None
