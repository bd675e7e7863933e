"""Measure the accuracy lost when examples are re-embedded from thumbnails after a change of model.

    python scripts/experiments/measure_thumbnails.py DATA [MODEL...]

For each data set (folder of label folders) and model: accuracy of nearest class mean and KNN with 10
examples per class, from the original photos and from thumbnails of several sizes and JPEG qualities. All
other photos are the test set, at the camera's resolution. Prints a Markdown table; 5 seeds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from pathlib import Path

import numpy as np

from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.learning.classifiers.knn import KNNClassifier
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

SHOTS, SEEDS = 10, 5
FORMS = [(96, 85), (128, 85), (160, 85), (224, 70), (224, 85), (224, 95)]


def accuracy(taught: np.ndarray, shown: np.ndarray, labels: list[str]) -> float:
    """Teach with rows of `taught`, test with the other rows of `shown`; mean over seeds, per cent."""
    right = total = 0
    for seed in range(SEEDS):
        order = np.random.default_rng(seed).permutation(len(labels))
        knn, counts, rest = KNNClassifier(k=3), dict.fromkeys(labels, 0), []
        for row in order:
            if counts[labels[row]] < SHOTS:
                counts[labels[row]] += 1
                knn.add(taught[row], labels[row])
            else:
                rest.append(row)
        right += sum(knn.predict(shown[row]).label == labels[row] for row in rest)
        total += len(rest)
    return 100 * right / total


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure what re-embedding from thumbnails costs.")
    parser.add_argument("data", type=Path)
    parser.add_argument("model", nargs="*", default=["mobilenet_v1_0.25_128_quant"])
    args = parser.parse_args()
    print(
        "| set | model | "
        + " | ".join(["photo", *(f"{size} px q{quality}" for size, quality in FORMS)])
        + " | kB |"
    )
    print("|---|---|" + "---|" * (len(FORMS) + 2))
    for folder in sorted(path for path in args.data.iterdir() if path.is_dir() and path.name != "train"):
        files = sorted(folder.rglob("*.jpg"))
        labels = [file.parent.name for file in files]
        images = [read_image(file) for file in files]
        for name in args.model:
            embedder = TfliteEmbedder(find_model(name))
            shown = np.stack([embedder.embed(image) for image in images])
            figures, sizes = [accuracy(shown, shown, labels)], []
            for size, quality in FORMS:
                jpegs = [encode_jpeg(image, size, quality) for image in images]
                sizes.append(sum(map(len, jpegs)) / len(jpegs) / 1000)
                taught = np.stack([embedder.embed(read_image(jpeg)) for jpeg in jpegs])
                figures.append(accuracy(taught, shown, labels))
            row = " | ".join(f"{figure:.1f}" for figure in figures)
            print(
                f"| {folder.name} | {name} | {row} | {'/'.join(f'{size:.0f}' for size in sizes)} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
