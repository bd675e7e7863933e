"""`edge-daemon evaluate`: measure heads, the rejection of the unknown and the exam on labelled pictures."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.app.model_factory import (
    build_embedder,
    build_variants,
    model_name,
    open_store,
    resolve_features,
)
from edge_daemon.cli.evaluation_report import Heading, write_page
from edge_daemon.cli.feature_advice import advise
from edge_daemon.cli.progress import Progress
from edge_daemon.config.schema import Config, load_effective
from edge_daemon.domain.errors import ArchiveError, ConfigError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.evaluation import few_shot as evaluate
from edge_daemon.evaluation import open_set as unknowns
from edge_daemon.evaluation.few_shot import ClassifierScore, Dataset
from edge_daemon.example_store.image_folders import Picture, find_pictures, read_pictures

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add("directory", nargs="?", type=Path, metavar="DIR", help="a folder of label folders; else the store")
    add(
        "--shots",
        type=_numbers,
        default=[1, 5, 10, 20],
        metavar="K,...",
        help="examples taught",
    )
    add("--seeds", type=int, default=5, metavar="N", help="random draws (default 5)")
    add(
        "--classifiers",
        type=_heads,
        default=list(evaluate.HEADS),
        metavar="C,...",
        help="classifiers to measure",
    )
    add("--model", metavar="M", help="model name or .tflite file")
    add("--tap", metavar="T", help="embedding, logits, probabilities, pixels or patch")
    add(
        "--features",
        type=_words,
        metavar="F,...",
        help="compare features by cross-validation and advise on one",
    )
    add("--unknown", action="store_true", help="measure the rejection of what was not taught")
    add("--far", type=Path, metavar="DIR", help="with --unknown: pictures of other things, in label folders")
    add("--exam", action="store_true", help="compare the exam with pictures held out")
    add("--report", type=Path, metavar="FILE", help="write a page with pictures (needs DIR)")
    add("--tune", action="store_true", help="choose head, k, metric and vote on the taught part alone")


def run(args: argparse.Namespace) -> int:
    """Run the command: a line for each measurement."""
    if args.seeds < 1:
        raise ConfigError(f"--seeds must be at least 1, got {args.seeds}")
    if args.report and not args.directory:
        raise ConfigError("--report shows pictures; name the folder they are in")
    overrides = [*args.set]
    overrides += [f"model.name={json.dumps(args.model)}"] if args.model else []
    overrides += [f"model.features={json.dumps(args.tap)}"] if args.tap else []
    config = resolve_features(load_effective(args.config, overrides))
    for row in _compare_taps(args, config, overrides) if args.features else _measure(args, config):
        print(json.dumps(row) if args.json else _as_line(row), flush=True)
    return 0


def _compare_taps(
    args: argparse.Namespace, config: Config, overrides: list[str]
) -> Iterator[dict[str, object]]:
    names = dict.fromkeys([config.model.features, *args.features])
    taps = {
        name: load_effective(args.config, [*overrides, f"model.features={json.dumps(name)}"])
        for name in names
    }
    yield from advise(taps, config.model.features, args.directory)


def _measure(args: argparse.Namespace, config: Config) -> Iterator[dict[str, object]]:
    embedder = build_embedder(config)
    if args.directory:
        data, pictures = _read_pictures(args.directory, embedder)
    else:
        data, pictures = _read_store(config, embedder), []
    if len(data.labels) < 2:
        raise ConfigError("evaluating needs at least two labels")
    data = replace(data, variants=build_variants(config))
    args.shots = _measurable(args.shots, data)
    rows: list[Mapping[str, object]] = []
    scores: list[ClassifierScore] = []
    try:
        for row in _rows(args, data, embedder, scores):
            rows.append(row)
            yield row
    finally:
        if args.report and rows:
            heading = Heading(
                args.directory, model_name(config), config.model.features, datetime.now().astimezone()
            )
            _write_report(args.report, heading, data, pictures, scores, [_as_line(row) for row in rows])


def _measurable(shots: Sequence[int], data: Dataset) -> list[int]:
    """Return the numbers of shots that leave a picture of each class to ask; say which do not.

    All of them when none does, so that the error of the first names the class.
    """
    fewest = int(np.bincount(data.codes).min())
    kept = [each for each in shots if each < fewest]
    if kept and len(kept) < len(shots):
        label = data.labels[int(np.bincount(data.codes).argmin())]
        left_out = ", ".join(str(each) for each in shots if each >= fewest)
        print(f"edge-daemon: {left_out} shots left out: '{label}' has {fewest} pictures", file=sys.stderr)
    return kept or list(shots)


def read_folder(root: Path, embedder: Embedder) -> Dataset:
    """Embed every picture under the label folders of `root` that can be read. Raises ArchiveError."""
    return _read_pictures(root, embedder)[0]


def _read_pictures(root: Path, embedder: Embedder) -> tuple[Dataset, list[Path]]:
    """Return the embedded pictures and the file of each row."""
    found = find_pictures(root)
    files, labels, vectors = [], [], []
    show: Iterable[Picture] = Progress("embedding")(found, len(found))
    for picture, image in read_pictures(show):
        files.append(picture.path)
        labels.append(picture.label)
        vectors.append(embedder.embed(image))
    if not files:
        raise ArchiveError(f"none of the {len(found)} pictures in '{root}' can be read")
    return _dataset(vectors, labels), files


def _read_store(config: Config, embedder: Embedder) -> Dataset:
    """Take the store's examples of this embedding space."""
    with open_store(config) as store:
        examples = list(store.examples(embedder.space, thumbnails=False))
    if not examples:
        raise ConfigError("the store holds no examples for this model; name a folder of label folders")
    return _dataset([each.embedding for each in examples], [each.label for each in examples])


def _dataset(vectors: Sequence[Vector], labels: Sequence[str]) -> Dataset:
    names = tuple(sorted(set(labels)))
    codes = np.array([names.index(label) for label in labels], dtype=np.intp)
    return Dataset(np.stack(vectors), codes, names)


def _rows(
    args: argparse.Namespace, data: Dataset, embedder: Embedder, scores: list[ClassifierScore]
) -> Iterator[dict[str, object]]:
    """Measure what was asked for; the heads, whose `scores` are kept, when nothing special was."""
    if args.unknown:
        yield from _unknown(args, data, embedder)
    if args.exam:
        yield from _exam(args, data)
    if args.tune:
        yield from _tune(args, data)
    if not (args.unknown or args.exam or args.tune):
        yield from _heads_rows(args, data, scores)


def _heads_rows(
    args: argparse.Namespace, data: Dataset, scores: list[ClassifierScore]
) -> Iterator[dict[str, object]]:
    jobs = [(head, shots) for shots in args.shots for head in args.classifiers]
    for head, shots in Progress("evaluating")(jobs, len(jobs)):
        score = evaluate.measure(data, head, evaluate.HEADS[head], shots, args.seeds)
        scores.append(score)
        yield {
            "head": head,
            "shots": shots,
            "accuracy": score.accuracy,
            "interval": list(score.interval),
            "deviation": score.deviation,
            "recalls": evaluate.per_class(score.confusion, data.labels),
            "confusion": score.confusion.tolist(),
        }


def _write_report(
    target: Path,
    heading: Heading,
    data: Dataset,
    pictures: Sequence[Path],
    scores: Sequence[ClassifierScore],
    lines: Sequence[str],
) -> None:
    try:
        write_page(target, heading, data, pictures, scores, lines)
    except OSError as exc:
        raise ConfigError(f"--report {target} can't be written: {exc.strerror}") from exc


def _unknown(args: argparse.Namespace, data: Dataset, embedder: Embedder) -> Iterator[dict[str, object]]:
    strangers = read_folder(args.far, embedder).vectors if args.far else None
    for shots in args.shots:
        if len(data.labels) > 2:
            near = unknowns.average(unknowns.near(data, shots, args.seeds))
            yield {"unknown": "near", "shots": shots, **asdict(near)}
        if strangers is not None:
            far = unknowns.average(unknowns.far(data, strangers, shots, args.seeds))
            yield {"unknown": "far", "shots": shots, **asdict(far)}


def _exam(args: argparse.Namespace, data: Dataset) -> Iterator[dict[str, object]]:
    for shots in args.shots:
        exams = list(evaluate.exam_accuracies(data, shots, args.seeds))
        for head in exams[0]:
            exam = float(np.mean([each[head] for each in exams]))
            held_out = evaluate.measure(data, head, evaluate.HEADS[head], shots, args.seeds).accuracy
            yield {"exam": exam, "held_out": held_out, "head": head, "shots": shots}


def _tune(args: argparse.Namespace, data: Dataset) -> Iterator[dict[str, object]]:
    for shots in args.shots:
        chosen = evaluate.tune(data, shots, args.seeds)
        names = [name for name, _ in chosen]
        yield {"tuned": names, "shots": shots, "accuracy": float(np.mean([right for _, right in chosen]))}


def _as_line(row: Mapping[str, object]) -> str:
    shown = {
        key: value for key, value in row.items() if key not in ("confusion", "recalls") and value is not None
    }
    return "  ".join(f"{key} {_readable(value)}" for key, value in shown.items())


def _readable(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return (" to " if isinstance(value[0], float) else ", ").join(_readable(each) for each in value)
    return str(value)


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,5,10, got '{text}'") from exc
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("at least one example must be taught")
    return numbers


def _words(text: str) -> list[str]:
    return text.split(",")


def _heads(text: str) -> list[str]:
    heads = text.split(",")
    for head in heads:
        if head not in evaluate.HEADS:
            raise argparse.ArgumentTypeError(f"no head '{head}'; there are {', '.join(evaluate.HEADS)}")
    return heads
