"""Measure the shipped models and write accuracy and relative cost into their manifests.

    python scripts/training/measure_models.py DATA [NAME...]

DATA holds `trashnet6` and `signdigits10`, each with one folder per class. Models are found as the program
finds them. Few-shot accuracy follows embedder_training/measure.py. The relative cost is the shortest time of
one inference on one thread, in alternation with the reference model: background load only adds to a time.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from embedder_training.measure import few_shot

from edge_daemon.config.paths import package_data
from edge_daemon.imaging.image_io import read_image
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

SETS = ("trashnet6", "signdigits10")
REFERENCE = "mobilenet_v1_0.25_128_quant"
ROUNDS = 60


def accuracy(embedder: TfliteEmbedder, folder: Path) -> dict[str, dict[str, float]]:
    """Return per cent by head and examples a class."""
    rows, labels = [], []
    for number, kind in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for picture in sorted(kind.glob("*.jpg")):
            rows.append(embedder.embed(read_image(picture)))
            labels.append(number)
    return few_shot(np.stack(rows), np.array(labels, dtype=np.int64))


def cost(embedder: TfliteEmbedder, reference: TfliteEmbedder) -> float:
    """Return how many times as long as the reference one inference takes."""

    def one(model: TfliteEmbedder) -> float:
        picture = np.zeros((*model.input_shape[:2], 3), np.uint8)
        started = time.perf_counter()
        model.embed(picture)
        return time.perf_counter() - started

    pairs = [(one(embedder), one(reference)) for _ in range(ROUNDS)]
    return min(a for a, _ in pairs) / min(b for _, b in pairs)


def main() -> None:
    data, names = Path(sys.argv[1]), sys.argv[2:]
    reference = TfliteEmbedder(find_model(REFERENCE))
    for path in sorted(package_data("models").glob("*.json")):
        manifest = json.loads(path.read_text())
        if names and manifest["name"] not in names:
            continue
        embedder = TfliteEmbedder(find_model(manifest["name"]))
        reference_itself = manifest["name"] == REFERENCE
        manifest["relative_cost"] = 1.0 if reference_itself else float(f"{cost(embedder, reference):.2g}")
        manifest["few_shot"] = {name: accuracy(embedder, data / name) for name in SETS}
        path.write_text(json.dumps(manifest, indent=2) + "\n")
        print(manifest["name"], manifest["relative_cost"], manifest["few_shot"], flush=True)


if __name__ == "__main__":
    main()
