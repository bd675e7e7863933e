"""Measure whether a picture that the camera or the decoder reduced gives the embedding of the full one.

    python scripts/experiments/measure_reduced_pictures.py PHOTOS MODEL...

PHOTOS has one folder of photos per label. Each photo fills the middle of a frame, enlarged, with sensor noise
of 4 of 255; for the cosine there are also frames of tiles, photos at their own resolution, which have the
finest detail that a camera can show. The reduced picture is made by libjpeg (a USB camera's MJPEG) or by a
stand-in for an image processor (picamera2's second stream): from a sensor's picture of twice the frame's
size, the mean of the pixels or a bilinear filter of four pixels that skips most of them, then YUV 4:2:0.

Prints, per model, frame and way: the cosine between both embeddings (mean, lowest); the accuracy of KNN with
ten examples of each class in 40 draws, taught and tested by: full and full, full and reduced, reduced and
reduced; and times in milliseconds, in alternation (medians), with their ratios. For JPEG these are decoding
and preprocessing in full and reduced; for the second stream copying and preprocessing the large picture, the
second stream as YUV and as RGB. `--times` prints the times only.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

from edge_daemon.camera.opencv import decode_jpeg
from edge_daemon.camera.second_stream import OVERSAMPLING
from edge_daemon.camera.yuv import rgb_of_yuv420
from edge_daemon.learning.classifiers.knn import KNNClassifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

FRAMES = ((640, 480), (1280, 720))
SHOTS, DRAWS, TILED, TIMED = 10, 40, 60, 100

Pixels = np.ndarray
Way = Callable[[Pixels], tuple[Pixels, Pixels]]
"""Returns the full and the reduced picture of a sensor's picture, which is twice as large as the frame."""


def photo_frames(files: list[Path], size: tuple[int, int]) -> Iterator[Pixels]:
    """Yield each photo in the middle of a sensor's picture, with noise."""
    width, height = 2 * size[0], 2 * size[1]
    for number, file in enumerate(files):
        photo = Pillow.open(file).convert("RGB")
        side = min(photo.size)
        square = photo.crop((0, 0, side, side)).resize((height, height), Pillow.Resampling.LANCZOS)
        beside = (width - height) // 2
        picture = np.pad(np.asarray(square), ((0, 0), (beside, beside), (0, 0)), "reflect")
        yield noisy(picture, number)


def tiled_frames(files: list[Path], size: tuple[int, int]) -> Iterator[Pixels]:
    """Yield sensor's pictures of enlarged tiles, so that a pixel of the frame is one of a photo."""
    for number in range(TILED):
        rows = []
        for row in range(-(-size[1] // 224)):
            chosen = [files[(17 * number + 7 * row + column) % len(files)] for column in range(9)]
            tiles = [np.asarray(Pillow.open(file).convert("RGB").resize((224, 224))) for file in chosen]
            rows.append(np.hstack(tiles)[:, : size[0]])
        picture = np.vstack(rows)[: size[1]].repeat(2, axis=0).repeat(2, axis=1)
        yield noisy(picture, number)


@lru_cache(maxsize=1)
def noise(shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(0).normal(0, 4, shape).round().astype(np.int8)


def noisy(picture: Pixels, seed: int) -> Pixels:
    values, first = noise(picture.shape), 101 * seed % picture.shape[1]
    shifted = np.concatenate((values[:, first:], values[:, :first]), axis=1)
    result: Pixels = (picture.astype(np.int16) + shifted).clip(0, 255).astype(np.uint8)
    return result


def reduced(picture: Pixels, size: tuple[int, int], filter_: int = cv2.INTER_AREA) -> Pixels:
    return cv2.resize(picture, size, interpolation=filter_)


def jpeg_of(sensor: Pixels) -> Pixels:
    frame = reduced(sensor, (sensor.shape[1] // 2, sensor.shape[0] // 2))
    return cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].ravel()


def by_jpeg(reduction: int) -> Way:
    def both(sensor: Pixels) -> tuple[Pixels, Pixels]:
        jpeg = jpeg_of(sensor)
        full, small = decode_jpeg(jpeg, 1), decode_jpeg(jpeg, reduction)
        assert full is not None
        assert small is not None
        return full, small

    return both


def by_processor(size: tuple[int, int], filter_: int) -> Way:
    def both(sensor: Pixels) -> tuple[Pixels, Pixels]:
        full = reduced(sensor, (sensor.shape[1] // 2, sensor.shape[0] // 2))
        small = reduced(sensor, size, filter_)
        planes = Pillow.fromarray(small).convert("YCbCr").split()
        halves = [np.asarray(plane.reduce(2)).ravel() for plane in planes[1:]]
        yuv = np.concatenate([np.asarray(planes[0]).ravel(), *halves]).reshape(-1, size[0])
        return full, rgb_of_yuv420(yuv, size)

    return both


def accuracy(taught: Pixels, shown: Pixels, labels: list[str]) -> float:
    """Teach with rows of `taught`, test with the other rows of `shown`; mean over the draws, per cent."""
    right = total = 0
    for draw in range(DRAWS):
        knn, counts = KNNClassifier(k=3), dict.fromkeys(labels, 0)
        for row in np.random.default_rng(draw).permutation(len(labels)):
            if counts[labels[row]] < SHOTS:
                counts[labels[row]] += 1
                knn.add(taught[row], labels[row])
            else:
                right += knn.predict(shown[row]).label == labels[row]
                total += 1
    return 100 * right / total


def measure(embedder: TfliteEmbedder, files: list[Path], size: tuple[int, int], way: Way) -> str:
    """Return the cosines and accuracies as cells of a table."""
    cosines = []
    for sensor in tiled_frames(files, size):
        full, small = way(sensor)
        cosines.append(float(embedder.embed(full) @ embedder.embed(small)))
    pairs = [way(sensor) for sensor in photo_frames(files, size)]
    full_rows = np.stack([embedder.embed(full) for full, _ in pairs])
    small_rows = np.stack([embedder.embed(small) for _, small in pairs])
    labels = [file.parent.name for file in files]
    photos = (full_rows * small_rows).sum(axis=1)
    figures = [
        accuracy(full_rows, full_rows, labels),
        accuracy(full_rows, small_rows, labels),
        accuracy(small_rows, small_rows, labels),
    ]
    return (
        f"{photos.mean():.3f}, {photos.min():.3f} | {np.mean(cosines):.3f}, {np.min(cosines):.3f} | "
        + ", ".join(f"{figure:.1f}" for figure in figures)
    )


def timed_jpeg(embedder: TfliteEmbedder, files: list[Path], size: tuple[int, int], reduction: int) -> str:
    """Return the times of decoding and preprocessing in full and reduced, and their ratio."""
    jpegs = itertools.cycle([jpeg_of(sensor) for sensor in itertools.islice(photo_frames(files, size), 8)])

    def run(each: int) -> None:
        image = decode_jpeg(next(jpegs), each)
        assert image is not None
        embedder.prepare(image)

    full, small = medians(lambda: run(1), lambda: run(reduction))
    return f"{full:.2f}, {small:.2f} | {small / full:.2f}"


def timed_streams(embedder: TfliteEmbedder, size: tuple[int, int], second: tuple[int, int]) -> str:
    """Return the times of the large picture, and of the second stream as YUV and as RGB; and the ratios."""
    large, small = (np.full((height, width, 3), 99, np.uint8) for width, height in (size, second))
    yuv = np.full((second[1] * 3 // 2, second[0]), 99, np.uint8)
    one, two, rgb = medians(
        lambda: embedder.prepare(large.copy()),
        lambda: embedder.prepare(rgb_of_yuv420(yuv.copy(), second)),
        lambda: embedder.prepare(small.copy()),
    )
    return f"{one:.2f}, {two:.2f}, {rgb:.2f} | {two / one:.2f}, {rgb / one:.2f}"


def medians(*ways: Callable[[], object]) -> list[float]:
    """Return the median time of each way in milliseconds, measured in alternation."""
    times: list[list[float]] = [[] for _ in ways]
    for _ in range(TIMED):
        for way, list_ in zip(ways, times, strict=True):
            begin = time.perf_counter()
            way()
            list_.append(1000 * (time.perf_counter() - begin))
    return [float(np.median(each)) for each in times]


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure embeddings of reduced pictures.")
    parser.add_argument("photos", type=Path)
    parser.add_argument("model", nargs="+")
    parser.add_argument("--every", type=int, default=2, help="use every so-manieth photo")
    parser.add_argument("--times", action="store_true")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    files = sorted(args.photos.rglob("*.jpg"))[:: args.every]
    print("| model | frame | picture for the model | cosine of photos | of tiles | accuracy | ms | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for name in args.model:
        embedder = TfliteEmbedder(find_model(name))
        for size in FRAMES:
            least = embedder.min_scale(*size)
            reduction = max(each for each in (1, 2, 4, 8) if 1 / each >= least)
            row = f"| {name} | {size[0]}x{size[1]} |"
            cells = "| |" if args.times else measure(embedder, files, size, by_jpeg(reduction))
            print(
                f"{row} JPEG 1/{reduction} | {cells} | {timed_jpeg(embedder, files, size, reduction)} |",
                flush=True,
            )
            width, height = (2 * math.ceil(OVERSAMPLING * length * least / 2) for length in size)
            second = width, height
            for filter_, text in ((cv2.INTER_AREA, "mean"), (cv2.INTER_LINEAR, "bilinear")):
                way = by_processor(second, filter_)
                cells = "| |" if args.times else measure(embedder, files, size, way)
                times = timed_streams(embedder, size, second)
                print(f"{row} ISP {second[0]}x{second[1]}, {text} | {cells} | {times} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
