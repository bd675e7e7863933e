#!/usr/bin/env python3
"""Train the embedder that ships with edge_daemon: distillation from an official MobileNet plus class labels.

Every stage keeps its files in --work and goes on where it was stopped:

    python scripts/train_embedder.py prepare --work DIR      # unpack photos, run the teacher (a few minutes)
    python scripts/train_embedder.py train --work DIR --minutes 80
    python scripts/train_embedder.py convert --work DIR --out models

`scripts/measure_models.py` measures the result. Install scripts/requirements-train.txt into an environment
of its own; the daemon needs none of it.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

SETS = ("nette112", "tiny64")
SHARES = {"tiny64": 104, "nette112": 24}
TEACHER = "tf2_mobilenet_v2_1.0_224_ptq.tflite"
TARGET_SIZE = 384
CHECKPOINTS = Path(__file__).parent / "embedder_training"  # not models/, which ships in the wheel


def arguments() -> argparse.Namespace:
    shared = Path(os.environ.get("EDGE_DAEMON_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=("prepare", "train", "convert"))
    parser.add_argument(
        "--data", type=Path, default=shared / "data", help="holds train/*.tar and the measuring sets"
    )
    parser.add_argument(
        "--teachers", type=Path, default=shared / "models", help="holds the official TFLite models"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/train_embedder"), help="caches and checkpoints"
    )
    parser.add_argument("--out", type=Path, default=Path("models"), help="where convert writes")
    parser.add_argument("--name", default="edge_embedder_v1", help="stem of the written files")
    parser.add_argument(
        "--start", type=Path, help="exported checkpoint (.ckpt.npz) to train on from, or to convert"
    )
    parser.add_argument("--size", type=int, default=128, help="side of the deployed model's picture")
    parser.add_argument(
        "--minutes", type=float, default=80.0, help="training time in all, earlier starts included"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def teacher_part(options: argparse.Namespace, part: int) -> None:
    from embedder_training.photos import unpack, view_boxes
    from embedder_training.teacher import embed_views

    for seed, name in enumerate(SETS, start=1):
        photos = unpack(options.data, options.work, name)
        target = options.work / f"{name}.teacher.{part}of{options.threads}.npy"
        boxes = view_boxes(len(photos.labels), seed)
        embed_views(options.teachers / TEACHER, photos, boxes, target, part, options.threads)


def prepare(options: argparse.Namespace) -> None:
    """Unpack the photos, run the teacher over all views, whiten its embeddings into targets."""
    import numpy as np
    from embedder_training.photos import unpack
    from embedder_training.targets import training_targets

    options.work.mkdir(parents=True, exist_ok=True)
    counts = [len(unpack(options.data, options.work, name).labels) for name in SETS]
    with ProcessPoolExecutor(options.threads) as pool:
        list(pool.map(teacher_part, [options] * options.threads, range(options.threads)))
    views = []
    for name, count in zip(SETS, counts, strict=True):
        parts = [
            np.load(options.work / f"{name}.teacher.{i}of{options.threads}.npy")
            for i in range(options.threads)
        ]
        whole = np.empty((count, *parts[0].shape[1:]), np.float16)
        for index, part in enumerate(parts):
            whole[index :: options.threads] = part
        views.append(whole)
    for name, target in zip(SETS, training_targets(views, TARGET_SIZE), strict=True):
        np.save(options.work / f"{name}.targets.npy", target)


def train(options: argparse.Namespace) -> None:
    """Train, or go on training, until --minutes are spent."""
    import numpy as np
    import torch
    from embedder_training.batches import Source
    from embedder_training.photos import unpack, view_boxes
    from embedder_training.training import Recipe, Run

    torch.set_num_threads(1)
    sources, offset = [], 0
    for seed, name in enumerate(SETS, start=1):
        photos = unpack(options.data, options.work, name)
        targets = np.load(options.work / f"{name}.targets.npy", mmap_mode="r")
        sources.append(Source(photos, view_boxes(len(photos.labels), seed), targets, offset, SHARES[name]))
        offset += len(photos.classes)
    run = Run(sources, offset, Recipe(options.minutes, options.seed), options.work)
    if not run.resume() and options.start:
        run.start_from(options.start)
    run.train(options.threads)


def convert(options: argparse.Namespace) -> None:
    """Write the int8 model of an exported checkpoint (--start), or export the training's state first."""
    from embedder_training.convert import write
    from embedder_training.photos import unpack

    options.out.mkdir(parents=True, exist_ok=True)
    options.work.mkdir(parents=True, exist_ok=True)
    checkpoint = options.start or export_state(options)
    sets = [unpack(options.data, options.work, name) for name in SETS]
    write(checkpoint, sets, options.size, options.out / f"{options.name}.tflite")


def export_state(options: argparse.Namespace) -> Path:
    """Write the averaged weights so far beside the training code; any moment of the training will do."""
    import torch
    from embedder_training.network import export

    checkpoint = CHECKPOINTS / f"{options.name}.ckpt.npz"
    export(torch.load(options.work / "state.pt", map_location="cpu")["average"], checkpoint)
    return checkpoint


def main() -> None:
    options = arguments()
    {"prepare": prepare, "train": train, "convert": convert}[options.stage](options)


if __name__ == "__main__":
    main()
