"""Write the cohort files of models: embeddings of 128 training photos, beside the manifests in models/.

    python scripts/training/make_cohort.py DATA MODEL...

DATA holds train/*.tar. The photos are drawn at random (seed 7), most of them from the sharpest set. None of
them is of a set that the models are measured on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from embedder_training.photos import unpack

from edge_daemon.models.cohort_file import write_cohort
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

COUNTS = {"photos128": 90, "nette112": 26, "tiny64": 12}


def main() -> None:
    """Embed the same photos with each model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--work", type=Path, help="folder of train_embedder.py with the unpacked photos")
    args = parser.parse_args()
    rng, photos = np.random.default_rng(7), []
    with tempfile.TemporaryDirectory() as scratch:
        for name, count in COUNTS.items():
            pixels = unpack(args.data, args.work or Path(scratch), name).pixels
            rows = np.sort(rng.choice(len(pixels), count, replace=False))
            photos += [np.array(pixels[row]) for row in rows]
    for model in args.models:
        path = find_model(model)
        embedder = TfliteEmbedder(path)
        write_cohort(path, np.stack([embedder.embed(photo) for photo in photos]))


if __name__ == "__main__":
    main()
