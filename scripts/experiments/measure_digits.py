"""Measure the accuracy of embedding and pixels on drawn digits of 8 x 10 pixels. Prints Markdown tables.

    python scripts/experiments/measure_digits.py [--frames 25] [--draws 2] [--classifiers knn,auto]

Frames of 640x480 show four digits (an LCD, an LED and a printed display) at half-pixel positions, with
changing light, blur and noise. The training set has 3 or 5 examples per digit, with the display within a
quarter pixel of its position. Test frames are displaced by up to 0.25, 0.75 and 1.5 pixels. Figures: per
cent of correct digits.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeAlias

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from PIL import Image as Pillow

from edge_daemon.evaluation.few_shot import CLASSIFIERS
from edge_daemon.imaging.preprocess import center_crop
from edge_daemon.imaging.regions import Box, crop
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder
from edge_daemon.tflite.patch_embedder import PatchEmbedder, shifted_variants
from tests.harness.digit_pictures import STYLES, boxes, draw_frame, random_light

SHOTS, REACHES = (3, 5), (0.25, 0.75, 1.5)
FILTERS = {
    "bilinear": Pillow.Resampling.BILINEAR,
    "bicubic": Pillow.Resampling.BICUBIC,
    "Lanczos": Pillow.Resampling.LANCZOS,
}


Embed: TypeAlias = Callable[[np.ndarray], np.ndarray]
AugmentQuery: TypeAlias = Callable[[np.ndarray], np.ndarray] | None


def enlarge(image: np.ndarray, size: int, fit: str, kernel: Pillow.Resampling) -> np.ndarray:
    """Return the crop at the model's size: centre square, squashed, or padded."""
    if fit == "square":
        image = center_crop(image, 1.0)
    elif fit == "pad":
        height, width = image.shape[:2]
        spare = max(height, width) - np.array([height, width])
        image = np.pad(image, [*((each // 2, each - each // 2) for each in spare), (0, 0)], mode="edge")
    return np.asarray(Pillow.fromarray(image).resize((size, size), kernel))


def embed_enlarged(
    embedder: TfliteEmbedder, image: np.ndarray, size: int, fit: str, kernel: Pillow.Resampling
) -> np.ndarray:
    return embedder.embed(enlarge(image, size, fit, kernel))


def ways(model: str) -> Iterator[tuple[str, Embed, AugmentQuery]]:
    """Yield the methods for a crop: name, embed function, query augmentation."""
    embedder = TfliteEmbedder(find_model(model))
    size = embedder.input.width
    for fit in ("square", "stretch", "pad"):
        for name, kernel in FILTERS.items():
            embed = partial(embed_enlarged, embedder, size=size, fit=fit, kernel=kernel)
            yield f"embedding, {fit}, {name}", embed, None
    yield (
        "features pixels, squash",
        TfliteEmbedder(find_model(model), features="pixels", crop="squash").embed,
        None,
    )
    yield "patch, unmoved", PatchEmbedder().embed, None
    yield "patch, shifted_variants", PatchEmbedder().embed, shifted_variants


def frames(
    style: str, texts: list[str], reach: float, draw: np.random.Generator
) -> list[tuple[str, np.ndarray]]:
    """Return the digits of drawn frames and their crops."""
    shown = []
    for text in texts:
        frame = draw_frame(style, text, random_light(draw, reach), draw)
        shown += [(digit, crop(frame, box)) for digit, box in zip(text, boxes(len(text)), strict=True)]
    return shown


def teach(style: str, shots: int, draw: np.random.Generator) -> list[tuple[str, np.ndarray]]:
    return frames(style, ["0123", "4567", "89"] * shots, REACHES[0], draw)


def learn(trained: list[tuple[str, np.ndarray]], embed: Embed, augment_query: AugmentQuery) -> EmbeddingIndex:
    examples = EmbeddingIndex(augment_query)
    for number, (digit, image) in enumerate(trained):
        examples.add(embed(image), digit, number)
    return examples


def accuracies(args: argparse.Namespace, embed: Embed, augment_query: AugmentQuery) -> list[float]:
    """Return the accuracy for each number of shots, classifier and reach, over styles and draws."""
    right: dict[tuple[int, str, float], list[bool]] = {}
    for style in STYLES:
        for seed in range(args.draws):
            draw = np.random.default_rng(seed)
            sets = {shots: learn(teach(style, shots, draw), embed, augment_query) for shots in SHOTS}
            classifiers = {
                (shots, classifier): CLASSIFIERS[classifier](sets[shots])
                for shots in SHOTS
                for classifier in args.classifiers
            }
            texts = [f"{number:04}" for number in draw.integers(0, 10_000, args.frames)]
            for reach in REACHES:
                for digit, image in frames(style, texts, reach, draw):
                    vector = embed(image)
                    for (shots, name), classifier in classifiers.items():
                        predicted = classifier.predict(sets[shots].search(vector)).label
                        right.setdefault((shots, name, reach), []).append(predicted == digit)
    return [
        float(np.mean(right[shots, classifier, reach]))
        for shots in SHOTS
        for classifier in args.classifiers
        for reach in REACHES
    ]


def rejections(args: argparse.Namespace, unknown: float | str) -> None:
    """Print false rejections of trained digits, and acceptances of two half digits and of unknown digits."""
    embed = PatchEmbedder().embed
    between = [Box(box.x + 4.75, box.y, box.width, box.height) for box in boxes(4)[:3]]
    for shots in SHOTS:
        known: dict[float, list[bool]] = {reach: [] for reach in REACHES}
        halves, hidden = [], []
        for style in STYLES:
            draw = np.random.default_rng(0)
            trained = teach(style, shots, draw)
            examples = learn(trained, embed, shifted_variants)
            rejector = UnknownRejector(examples, LeaveOneOut(examples), unknown)
            texts = [f"{number:04}" for number in draw.integers(0, 10_000, args.frames)]
            for reach in REACHES:
                known[reach] += [
                    rejector.rejects(examples.search(embed(image)))
                    for _, image in frames(style, texts, reach, draw)
                ]
            for text in texts:
                frame = draw_frame(style, text, random_light(draw, REACHES[0]), draw)
                halves += [not rejector.rejects(examples.search(embed(crop(frame, box)))) for box in between]
            for digit in "0123456789":
                part = learn([each for each in trained if each[0] != digit], embed, shifted_variants)
                held_out_rejector = UnknownRejector(part, LeaveOneOut(part), unknown)
                tested = frames(style, [digit * 4] * 3, REACHES[0], draw)
                hidden += [not held_out_rejector.rejects(part.search(embed(image))) for _, image in tested]
        cells = [
            *(f"{np.mean(known[reach]):.1%}" for reach in REACHES),
            f"{np.mean(halves):.1%}",
            f"{np.mean(hidden):.1%}",
        ]
        print(f"| {unknown} | {shots} | {' | '.join(cells)} |", flush=True)


def timed_ms(work: Callable[[], object], rounds: int = 200) -> float:
    times = []
    for _ in range(rounds):
        begun_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun_s)
    return float(np.median(times)) * 1000


def costs(model: str) -> None:
    """Print the time per crop with 50 examples."""
    draw = np.random.default_rng(0)
    trained = teach("lcd", 5, draw)
    image = trained[0][1]
    for name, embed, augment_query in (
        ("embedding", TfliteEmbedder(find_model(model), crop="squash").embed, None),
        ("patch, shifted_variants", PatchEmbedder().embed, shifted_variants),
    ):
        examples = learn(trained, embed, augment_query)
        embed_ms = timed_ms(partial(embed, image))
        compare_ms = timed_ms(partial(examples.search, embed(image)))
        print(f"{name}: embed {embed_ms:.2f} ms, compare {compare_ms:.3f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the accuracy on drawn digits of 8 x 10 pixels.")
    parser.add_argument("--model", default="edge_embedder_v1", metavar="M", help="model name or .tflite file")
    parser.add_argument("--frames", type=int, default=25, help="test frames per display and draw")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--classifiers", type=lambda text: text.split(","), default=["knn", "auto"])
    args = parser.parse_args()
    columns = [
        f"{shots} {classifier} {reach:g} px"
        for shots in SHOTS
        for classifier in args.classifiers
        for reach in REACHES
    ]
    print("| method | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for name, embed, augment_query in ways(args.model):
        row = accuracies(args, embed, augment_query)
        print(f"| {name} | " + " | ".join(f"{100 * each:.1f}" for each in row) + " |", flush=True)
    print(
        "\n| unknown | examples | rejected at 0.25 px | 0.75 px | 1.5 px | halves accepted "
        "| unknown accepted |"
        "\n|---|---|---|---|---|---|---|"
    )
    for unknown in ("auto", 0.85):
        rejections(args, unknown)
    print()
    costs(args.model)
    return 0


if __name__ == "__main__":
    sys.exit(main())
