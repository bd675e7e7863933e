#!/usr/bin/env python3
"""Train the embedder that ships with edge_daemon: distillation from two official networks plus class labels.

    python scripts/training/train_embedder.py STAGE --work DIR

Stages, in order:

    targets     run the teacher networks (a quarter of an hour)
    train       train without end; may start while `targets` runs
    cooldown    finish the network from the last checkpoint
    blend       move its weights back towards those that `train` began with, and fit the deployed head
    convert     write the TFLite model to --out

The teachers and the network to start from come from `edge-daemon models pull NAME`.
Each stage keeps its files in --work and resumes after an interruption. `measure_models.py` measures the
result. Install `requirements-train.txt` into a separate environment; the daemon needs none of it.
"""

from __future__ import annotations

import argparse
import copy
import os
import shutil
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from embedder_training.batches import Source
from embedder_training.convert import write
from embedder_training.cutouts import Cutouts
from embedder_training.head import fit_head
from embedder_training.held_out import HeldOut, held_out_classes
from embedder_training.network import Student, export, import_weights
from embedder_training.official import blend_trunks, fit_projection, load_official
from embedder_training.photos import NO_CLASS, SETS, PhotoSet, unpack
from embedder_training.targets import Projection, Targets, embed_all
from embedder_training.teacher import Teachers
from embedder_training.training import LAST_SIZE, Cooldown, Recipe, Run

TEACHERS = ("tf2_mobilenet_v2_1.0_224_ptq.tflite", "efficientnet_lite0.tflite")
START = TEACHERS[0]
PULLED = Path.home() / ".local/share/edge_daemon/models"
TARGET_SIZE = 384
STATE = "state.pt"
FIRST = "first.pt"

#: Photos of each set per batch.
SHARES = {"photos128": 56, "nette112": 24, "tiny64": 48}

#: A class with fewer photos has no class loss.
MIN_PHOTOS_PER_CLASS = 20


def arguments() -> argparse.Namespace:
    shared = Path(os.environ.get("EDGE_DAEMON_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=("targets", "train", "cooldown", "blend", "convert"))
    parser.add_argument(
        "--data", type=Path, default=shared / "data", help="holds train/*.tar and the test sets"
    )
    parser.add_argument(
        "--teachers", type=Path, default=PULLED, help="holds the models of `edge-daemon models pull`"
    )
    parser.add_argument(
        "--work", type=Path, default=Path("build/train_embedder"), help="caches and checkpoints"
    )
    parser.add_argument("--start", type=Path, help="exported weights (.ckpt.npz) for a new --work")
    parser.add_argument("--out", type=Path, default=Path("models"), help="where convert writes")
    parser.add_argument("--name", default="edge_embedder_v2", help="stem of the written files")
    parser.add_argument("--size", type=int, default=136, help="side of the deployed model's picture")
    parser.add_argument("--state", default="blended.pt", help="checkpoint in --work to convert")
    parser.add_argument("--threads", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--passes", type=int, default=150_000, help="length of the cooldown")
    return parser.parse_args()


def embed_part(options: argparse.Namespace, part: int) -> None:
    sets = [unpack(options.data, options.work, name) for name in SETS]
    teachers = Teachers(*(options.teachers / name for name in TEACHERS))
    embed_all(sets, options.work / "targets", teachers, part, options.threads)


def targets(options: argparse.Namespace) -> None:
    """Unpack the photos and run the teachers over all views."""
    (options.work / "targets").mkdir(parents=True, exist_ok=True)
    for name in SETS:
        unpack(options.data, options.work, name)
    with ProcessPoolExecutor(options.threads) as pool:
        list(pool.map(embed_part, [options] * options.threads, range(options.threads)))


def build_run(options: argparse.Namespace) -> Run:
    """Return a run over the targets that exist; a new student has the official weights."""
    recipe = Recipe()
    torch.manual_seed(recipe.seed)
    sets = [unpack(options.data, options.work, name) for name in SETS]
    held_out = held_out_classes(sets)
    sources, classes = training_sources(options, sets, frozenset().union(*held_out.values()))
    student = Student(TARGET_SIZE, classes)
    if not (options.work / STATE).exists():
        start(student, sources, options)
    watched = [HeldOut(photos, held_out[photos.name]) for photos in sets if photos.name in held_out]
    return Run(sources, watched, student, recipe, options.work)


def training_sources(
    options: argparse.Namespace, sets: list[PhotoSet], held_out: frozenset[str]
) -> tuple[list[Source], int]:
    """Return the sources and the number of their classes."""
    folder = options.work / "targets"
    counts = Counter(name for photos in sets for name in photos.names)
    trained = sorted(
        name
        for name, count in counts.items()
        if count >= MIN_PHOTOS_PER_CLASS and name not in held_out and not name.endswith(f"/{NO_CLASS}")
    )
    numbers = {name: number for number, name in enumerate(trained)}
    projection = Projection.load_or_fit(sets, folder, TARGET_SIZE)
    sources = [
        Source(
            photos,
            Targets(photos, folder, projection),
            np.array([numbers.get(name, -1) for name in photos.names]),
            ~photos.rows_of(held_out),
            SHARES[photos.name],
            Cutouts(photos, options.work / f"{photos.name}.cutouts.npz"),
        )
        for photos in sets
    ]
    return sources, len(trained)


def clean_views(sources: list[Source], count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return about `count` views (N x 3 x size x size in 0..1), as many of each set, and their targets."""
    rng, parts = np.random.default_rng(0), []
    for source in sources:
        source.refresh()
        parts += [source.sample(rng, size) for _ in range(count // source.share // len(sources))]
    images, _, targets, _ = (torch.cat(column) for column in zip(*parts, strict=True))
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images[order], targets[order]


def start(student: Student, sources: list[Source], options: argparse.Namespace) -> None:
    """Load the official weights, or exported ones, into a student and fit its projection to clean views.

    The loaded weights are kept for `blend`. Exported ones can't be blended with the official ones: those lose
    their weakest channels by the views that exist, which may be others than at the first start.
    """
    images, targets = clean_views(sources, 5000, size=LAST_SIZE)
    student.eval()
    if options.start:
        import_weights(student, options.start)
    else:
        load_official(student, options.teachers / START, images[:400])
    torch.save(student.state_dict(), options.work / FIRST)
    fit_projection(student, images, targets)


def blend(options: argparse.Namespace) -> None:
    """Average the finished trunk with that of the start; fit its norms and the deployed head."""
    run = build_run(options)
    run.resume(options.work / "cooldown.pt")
    images, _ = clean_views(run.sources, 5000, size=LAST_SIZE)
    first, student = copy.deepcopy(run.average), run.average
    first.load_state_dict(torch.load(options.work / FIRST, weights_only=True))
    blend_trunks(student, first, images[:2000])
    fit_head(student, run.sources, options.size)
    run.measure()
    torch.save({"average": student.state_dict()}, options.work / "blended.pt")


def train(options: argparse.Namespace) -> None:
    """Train or resume training until interrupted."""
    run = build_run(options)
    run.resume(options.work / STATE)
    run.train(options.threads, options.work / STATE, finished=lambda: False)


def cooldown(options: argparse.Namespace) -> None:
    """Finish a copy of the training's state within --passes."""
    run, file = build_run(options), options.work / "cooldown.pt"
    start_file = options.work / "cooldown_start.pt"
    if not start_file.exists():
        shutil.copy(options.work / STATE, start_file)
    run.resume(start_file)
    run.cooldown = phase = Cooldown(int(run.passes), options.passes)
    run.resume(file)
    run.train(options.threads, file, finished=lambda: phase.left(int(run.passes)) == 0)


def convert(options: argparse.Namespace) -> None:
    """Export the averaged weights of --state into --work, and write the int8 model."""
    options.out.mkdir(parents=True, exist_ok=True)
    checkpoint = options.work / f"{options.name}.ckpt.npz"  # not in --out: models/ ships in the wheel
    export(torch.load(options.work / options.state, weights_only=True)["average"], checkpoint)
    sets = [unpack(options.data, options.work, name) for name in SETS]
    write(checkpoint, sets, options.size, options.out / f"{options.name}.tflite")


def keep_memory() -> None:
    """Start again with an allocator that returns no memory: a step takes two thirds of the time."""
    settings = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 36)}
    settings["GLIBC_TUNABLES"] = "glibc.malloc.hugetlb=1"
    if not settings.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)


def main() -> None:
    options = arguments()
    keep_memory()
    stages = {"targets": targets, "train": train, "cooldown": cooldown, "blend": blend, "convert": convert}
    stages[options.stage](options)


if __name__ == "__main__":
    main()
