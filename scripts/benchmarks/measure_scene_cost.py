"""Measure what a frame costs before a known scene, by its object, over a frame of the whole region.

    .venv/bin/python scripts/benchmarks/measure_scene_cost.py MODEL.tflite... [--rounds 200]

Frames of 640 x 480 are drawn: an object of a third to most of the height on a soft ground, with a shaking
camera, other light and noise. A frame of the whole region, one of the object and one of the empty scene take
turns, each until its embedding is known, so that caches are as cold as between the frames of a camera. Times
are processor time of one thread; the lower quartile is printed, because a busy machine only adds to it.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the daemon; it counts before numpy loads

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from edge_daemon.app.model_factory import build_object_embedder
from edge_daemon.imaging.object_mask import find_object
from edge_daemon.imaging.object_picture import object_part, object_picture
from edge_daemon.imaging.scene_reference import SceneReference
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

WIDTH, HEIGHT = 640, 480
OBJECTS = 8
WARM_UP = 10

Picture = npt.NDArray[np.uint8]


def soft_ground(rng: np.random.Generator, cells: int) -> npt.NDArray[np.float32]:
    """Return patches of colour, four pixels larger than a frame."""
    patches = rng.integers(40, 215, (cells, cells, 3), np.uint8)
    size = (WIDTH + 4, HEIGHT + 4)
    return np.asarray(Pillow.fromarray(patches).resize(size, Pillow.Resampling.BICUBIC)).astype(np.float32)


def frame(rng: np.random.Generator, place: npt.NDArray[np.float32]) -> Picture:
    """Return what the camera shows of a place."""
    y, x = (int(each) for each in rng.integers(0, 3, 2))
    pixels = place[y : y + HEIGHT, x : x + WIDTH] * rng.uniform(0.8, 1.2)
    noisy: Picture = (
        (pixels + 3 * rng.standard_normal(pixels.shape, np.float32)).clip(0, 255).astype(np.uint8)
    )
    return noisy


def with_object(rng: np.random.Generator, place: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the place with an ellipse of other colours, a third to most of the height."""
    height = rng.uniform(0.33, 0.85) * HEIGHT
    width = height * rng.uniform(0.6, 1)
    centre_x = rng.uniform(width / 2, WIDTH - width / 2)
    centre_y = rng.uniform(height / 2, HEIGHT - height / 2)
    y, x = np.ogrid[: HEIGHT + 4, : WIDTH + 4]
    inside = (2 * (x - centre_x) / width) ** 2 + (2 * (y - centre_y) / height) ** 2 < 1
    return np.where(inside[..., np.newaxis], 255 - soft_ground(rng, 9), place)


class Times:
    """Processor time of each part of a frame, in ms."""

    def __init__(self, model: Path) -> None:
        self._embedder = TfliteEmbedder(model)
        self._object_embedder = build_object_embedder(self._embedder)
        self._cut = object_part if self._embedder.embeds_parts else object_picture
        rng = np.random.default_rng(0)
        place = soft_ground(rng, 12)
        self._reference = SceneReference.from_frames([frame(rng, place) for _ in range(7)])
        self._empty = frame(rng, place)
        found = (frame(rng, with_object(rng, place)) for _ in range(4 * OBJECTS))
        is_object = (each for each in found if find_object(each, self._reference).state == "object")
        self._objects = [each for each, _ in zip(is_object, range(OBJECTS), strict=False)]
        self._times: dict[str, list[float]] = {}

    def measure(self, rounds: int) -> dict[str, float]:
        """Return the lower quartile of each part."""
        for number in range(WARM_UP + rounds):
            if number == WARM_UP:
                self._times.clear()
            self._whole_region(self._objects[number % len(self._objects)].copy())
            self._object(self._objects[(number + 1) % len(self._objects)].copy())
            self._empty_scene(self._empty.copy())
        return {name: float(np.quantile(times, 0.25)) for name, times in self._times.items()}

    def _whole_region(self, image: Picture) -> None:
        begun = time.thread_time()
        self._embedder.embed(image)
        embedded = time.thread_time()
        self._embedder.prepare(image)
        self._add("scaling", embedded, time.thread_time())
        self._add("region", begun, embedded)

    def _object(self, image: Picture) -> None:
        begun = time.thread_time()
        view = find_object(image, self._reference)
        found = time.thread_time()
        self._object_embedder.embed(image, view)
        embedded = time.thread_time()
        self._cut(image, view, self._embedder.input.height)
        self._add("mask", begun, found)
        self._add("picture", embedded, time.thread_time())
        self._add("object", begun, embedded)

    def _empty_scene(self, image: Picture) -> None:
        begun = time.thread_time()
        find_object(image, self._reference)
        self._add("empty", begun, time.thread_time())

    def _add(self, name: str, begun: float, ended: float) -> None:
        self._times.setdefault(name, []).append((ended - begun) * 1000)


def main() -> None:
    """Print a row for each model."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", type=find_model, nargs="+", metavar="MODEL")
    parser.add_argument("--rounds", type=int, default=200)
    args = parser.parse_args()
    names = ("region", "object", "empty", "scaling", "mask", "picture")
    print("| model | object : region | " + " | ".join(f"{name}, ms" for name in names) + " |")
    print("|---|---|" + "---|" * len(names))
    for model in args.models:
        found = Times(model).measure(args.rounds)
        row = " | ".join(f"{found[name]:.2f}" for name in names)
        print(f"| {model.stem} | {found['object'] / found['region']:.2f} | {row} |", flush=True)


if __name__ == "__main__":
    main()
