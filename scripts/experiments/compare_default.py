"""Compare the default classifier with its parts, and the threshold over scenes and bursts; print tables.

    python scripts/experiments/compare_default.py MODEL FOLDER FOLDER [...] [--seeds 5] [--cache FOLDER]

Each FOLDER holds label folders. The first table is few-shot accuracy with 1, 5, 10 and 20 examples of each
class. The second table is rejection with simulated scenes: a class of the first folder in a scene is its
picture's embedding plus a direction of the scene; five scenes are taught one after another or mixed, by
single presses or by one held button for each class and scene. Pictures of the other folders are unknown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edge_daemon.cli.evaluate import read_folder
from edge_daemon.evaluation.few_shot import CLASSIFIERS, Dataset, measure
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.learning.sampling import Floats
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

SHOTS = (1, 5, 10, 20)
SCENES, PRESSES, ASKED = 5, 10, 8
SCENE_LENGTH = 0.6
"""Length of a scene's direction, beside embeddings of unit length."""


def read(model: str, folder: Path, cache: Path | None) -> Dataset:
    """Return the embeddings of a folder, from the cache if they are there."""
    file = None if cache is None else cache / f"{Path(model).stem}.{folder.name}.npz"
    if file is not None and file.exists():
        with np.load(file) as arrays:
            return Dataset(arrays["vectors"], arrays["class_ids"], tuple(arrays["labels"].tolist()))
    data = read_folder(folder, TfliteEmbedder(find_model(model)))
    if file is not None:
        np.savez(file, vectors=data.vectors, class_ids=data.class_ids, labels=np.array(data.labels))
    return data


def print_accuracy(name: str, data: Dataset, seeds: int) -> None:
    """Print a row per classifier."""
    for classifier, make in CLASSIFIERS.items():
        scores = [measure(data, classifier, make, shots, range(seeds)).accuracy for shots in SHOTS]
        print(f"| {name} | {classifier} | " + " / ".join(f"{100 * each:.1f}" for each in scores) + " |")


def print_rejection(data: Dataset, unknown: Floats, order: str, presses: str, seed: int) -> None:
    """Print the shares that are unknown: of the first scene, of the last one, and of other pictures."""
    random = np.random.default_rng(seed)
    places = random.normal(size=(SCENES, data.vectors.shape[1]))
    places *= SCENE_LENGTH / np.linalg.norm(places, axis=1, keepdims=True)
    rows = [
        random.permutation(np.flatnonzero(data.class_ids == class_id)) for class_id in range(len(data.labels))
    ]
    taught = []
    for scene in range(SCENES):
        for class_id, own in enumerate(rows):
            first = own[scene * PRESSES % (len(own) - ASKED) :]
            for press in range(PRESSES):
                row = first[0] if presses == "held" else first[press % len(first)]
                noise = 0.01 * random.normal(size=data.vectors.shape[1]) if presses == "held" else 0.0
                taught.append((class_id, scene, data.vectors[row] + places[scene] + noise))
    if order == "mixed":
        taught = [taught[place] for place in random.permutation(len(taught))]
    examples = EmbeddingIndex()
    for number, (class_id, scene, vector) in enumerate(taught):
        group = f"{class_id} {scene}" if presses == "held" else ""
        examples.add(vector, data.labels[class_id], number, group)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))

    def share(queries: Floats) -> str:
        return f"{100 * np.mean([rejector.rejects(examples.search(query)) for query in queries]):.0f}"

    asked = data.vectors[np.concatenate([own[-ASKED:] for own in rows])]
    shares = [share(asked + places[0]), share(asked + places[-1]), share(unknown)]
    print(f"| {order} | {presses} | " + " | ".join(shares) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cache", type=Path, help="folder for embeddings")
    args = parser.parse_args()
    sets = {folder.name: read(args.model, folder, args.cache) for folder in args.folders}
    print("| set | classifier | 1 / 5 / 10 / 20 examples of each class |\n|---|---|---|")
    for name, data in sets.items():
        print_accuracy(name, data, args.seeds)
    first, *others = sets.values()
    if others:
        unknown = np.concatenate([each.vectors[:: len(each.vectors) // 50 or 1] for each in others])
        print("\n| order | presses | first scene unknown | last scene unknown | other pictures unknown |")
        print("|---|---|---|---|---|")
        for order in ("one after another", "mixed"):
            for presses in ("single", "held"):
                print_rejection(first, unknown, order, presses, seed=0)


if __name__ == "__main__":
    main()
