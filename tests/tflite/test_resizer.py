from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image as Pillow

from edge_daemon.imaging.preprocess import InputTensor, Preprocessor
from edge_daemon.tflite import resizer
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.flatbuffers import NumberVector, Scalar, root, write
from edge_daemon.tflite.interpreter import open_interpreter
from edge_daemon.tflite.resizer import MAX_CACHED_PIXELS, ResizerCache, block_size, build_resize_graph
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import RESIZER_SIMILARITY

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image

SIZES = [((480, 480), 224), ((480, 480), 128), ((480, 480), 160), ((720, 720), 224), ((1080, 1080), 224)]
SMOOTHED = [((240, 240), 224), ((240, 240), 160), ((240, 240), 128), ((360, 360), 224), ((270, 270), 224)]


def photo(size: tuple[int, int], name: str = "cat") -> Image:
    with Pillow.open(shared_path(f"images/{name}.jpg")) as picture:
        return np.asarray(picture.convert("RGB").resize((size[1], size[0]), Pillow.Resampling.LANCZOS))


def reference(picture: Image, target: int) -> Image:
    return np.asarray(Pillow.fromarray(picture).resize((target, target), Pillow.Resampling.BILINEAR))


@pytest.mark.parametrize(("size", "target"), [*SIZES, *SMOOTHED])
def test_photos_differ_by_at_most_one_level_on_average(size: tuple[int, int], target: int) -> None:
    shrink = ResizerCache()
    off = []
    for name in ("cat", "bird", "sunflower", "hot_dog"):
        picture = photo(size, name)
        small = shrink(picture, (target, target))
        assert small is not None
        assert small.shape == (target, target, 3)
        off.append(np.abs(small.astype(int) - reference(picture, target)).mean())
    assert np.mean(off) < 1.05
    assert max(off) < 1.3


@pytest.mark.parametrize("side", [480, 240])
def test_black_stays_black_and_white_white(side: int) -> None:
    shrink = ResizerCache()
    for level in (0, 255):
        small = shrink(np.full((side, side, 3), level, np.uint8), (128, 128))
        assert small is not None
        assert (small == level).all()


@pytest.mark.parametrize("side", [480, 320])
def test_colours_and_positions_are_kept(side: int) -> None:
    picture = np.zeros((side, side, 3), np.uint8)
    picture[: side // 2, :, 0] = 255  # red above
    picture[:, side // 2 :, 2] = 255  # blue on the right
    small = ResizerCache()(picture, (224, 224))
    assert small is not None
    assert small[10, 10].tolist() == [255, 0, 0]
    assert small[10, 210].tolist() == [255, 0, 255]
    assert small[210, 10].tolist() == [0, 0, 0]
    assert small[210, 210].tolist() == [0, 0, 255]


def test_a_model_that_is_not_square_gets_its_own_aspect_ratio() -> None:
    picture = photo((480, 960))
    small = ResizerCache()(picture, (128, 224))
    assert small is not None
    wanted = Pillow.fromarray(picture).resize((224, 128), Pillow.Resampling.BILINEAR)
    assert np.abs(small.astype(int) - np.asarray(wanted)).mean() < 1


@pytest.mark.parametrize(("length", "target"), [(128, 128), (100, 128), (230, 224), (481, 224), (1080, 128)])
def test_unsuitable_sizes_are_left_to_pillow(length: int, target: int) -> None:
    assert block_size(length, target) is None
    assert build_resize_graph((length, 480), (target, 224)) is None
    assert build_resize_graph((480, length), (224, target)) is None


def test_blocks_and_smoothing_are_combined() -> None:
    picture = photo((240, 480))
    small = ResizerCache()(picture, (160, 200))
    assert small is not None
    wanted = Pillow.fromarray(picture).resize((200, 160), Pillow.Resampling.BILINEAR)
    assert np.abs(small.astype(int) - np.asarray(wanted)).mean() < 1


def test_the_edge_of_a_smoothed_picture_is_as_bright_as_its_middle() -> None:
    picture = np.full((240, 240, 3), 200, np.uint8)
    small = ResizerCache()(picture, (128, 128))
    assert small is not None
    assert np.abs(small.astype(int) - 200).max() <= 1


def test_a_later_picture_does_not_overwrite_an_earlier_one_nor_the_frame() -> None:
    shrink = ResizerCache()
    cat, bird = photo((480, 480)), photo((480, 480), "bird")
    cat.flags.writeable = False
    first = shrink(cat, (128, 128))
    assert first is not None
    kept = first.copy()
    shrink(bird, (128, 128))
    assert np.array_equal(first, kept)
    again = shrink(cat, (128, 128))
    assert again is not None
    assert np.array_equal(again, kept)


def test_each_region_of_a_frame_keeps_its_resizer(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[bytes] = []

    def count(graph: bytes, threads: int, delegate: str) -> Any:
        built.append(graph)
        return open_interpreter(graph, threads, delegate)

    monkeypatch.setattr(resizer, "open_interpreter", count)
    shrink = ResizerCache()
    for side in 3 * list(range(300, 320)):
        assert shrink(np.full((side, side, 3), 7, np.uint8), (224, 224)) is not None
    assert len(built) == 20


def test_the_resizers_that_were_not_used_for_longest_are_dropped() -> None:
    shrink = ResizerCache()
    sides = [1100, 1104, 1108, 1100, 1112]
    assert sum(side**2 for side in sides[:3]) < MAX_CACHED_PIXELS < sum(side**2 for side in sides[1:])
    for side in sides:
        assert shrink(np.full((side, side, 3), 7, np.uint8), (224, 224)) is not None
    assert [height for (height, _), _ in shrink._cached] == [1108, 1100, 1112]


def test_large_pictures_are_left_to_pillow() -> None:
    assert ResizerCache()(np.zeros((1500, 1500, 3), np.uint8), (224, 224)) is None


def test_the_preprocessor_resizes_the_center_crop() -> None:
    frame = photo((480, 640))
    prepare = Preprocessor(InputTensor(128, 128, 3, "uint8"), resize=ResizerCache())
    small = ResizerCache()(frame[:, 80:560], (128, 128))
    assert small is not None
    assert np.array_equal(prepare.pixels(frame), small)
    stretching = Preprocessor(InputTensor(128, 128, 3, "uint8"), "squash", resize=ResizerCache())
    assert np.array_equal(
        stretching.pixels(frame), Preprocessor(InputTensor(128, 128, 3, "uint8"), "squash").pixels(frame)
    )


def test_a_picture_of_the_models_size_is_not_resized() -> None:
    frame = photo((128, 128))
    prepare = Preprocessor(InputTensor(128, 128, 3, "uint8"), resize=ResizerCache())
    assert np.shares_memory(prepare(frame), frame)
    assert np.array_equal(prepare(frame)[0], frame)
    wide = photo((128, 170))
    assert np.array_equal(prepare(wide)[0], wide[:, 21:149]), "the middle of a wider one"


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_128_quant", "tf2_mobilenet_v2_1.0_224_ptq"])
def test_embeddings_change_no_more_than_by_sensor_noise(name: str) -> None:
    embedder = TfliteEmbedder(shared_path(f"models/{name}.tflite"), probe_first=False)
    side = embedder.input_shape[0]
    random = np.random.default_rng(0)
    for picture in (photo((480, 640)), photo((480, 640), "bird")):
        fast = embedder.embed(picture)
        exact = embedder.embed(reference(picture[:, 80:560], side))
        noisy = np.clip(picture + random.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
        assert fast @ exact > RESIZER_SIMILARITY.limit
        assert fast @ exact > exact @ embedder.embed(reference(noisy[:, 80:560], side)) - 0.01


def test_tables_are_read_back_as_written() -> None:
    content = write(
        {0: Scalar("I", 3), 2: [{1: Scalar("i", -5)}, {}], 3: NumberVector("q", [1, -2]), 5: b"xyz"}, b"TEST"
    )
    table = root(content)
    assert content[4:8] == b"TEST"
    assert table.integer(0, "I") == 3
    assert table.integer(1, "I", default=9) == 9
    assert [row.integer(1, "i") for row in table.vector(2, 4).tables()] == [-5, 0]
    assert table.vector(3, 8).numbers("q") == (1, -2)
    assert table.text(5) == "xyz"
    assert table.vector(5, 1).at % 16 == 0, "constants are read in place"


def test_pictures_of_less_than_twice_the_target_can_be_left_to_pillow() -> None:
    resize = ResizerCache(smooths=False)
    assert resize(np.zeros((341, 341, 3), np.uint8), (224, 224)) is None
    assert resize(np.zeros((480, 480, 3), np.uint8), (224, 224)) is not None
    assert ResizerCache()(np.zeros((341, 341, 3), np.uint8), (224, 224)) is not None
