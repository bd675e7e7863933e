"""`edge-daemon evaluate`: measure classifiers, open-set rejection and leave-one-out on labelled pictures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge_daemon.app.model_factory import (
    build_embedder,
    build_query_augmentation,
    open_store_to_read,
    resolve_features,
)
from edge_daemon.cli.config import note
from edge_daemon.cli.evaluation_options import check_options
from edge_daemon.cli.evaluation_report import make_heading, report_errors, write_page
from edge_daemon.cli.feature_comparison import compare_features
from edge_daemon.cli.option_values import read_count, read_model, read_path
from edge_daemon.cli.own_classes_evaluation import PRETRAINED, asks_for_own_classes, run_own_classes
from edge_daemon.cli.progress import Progress
from edge_daemon.cli.session_evaluation import CLASSIFIERS, SessionEvaluation, parse_teach
from edge_daemon.cli.session_report import write_session_page
from edge_daemon.cli.shots import DEFAULT_SHOTS, choose_shots, read_shots
from edge_daemon.cli.store_warnings import warn_of_other_store
from edge_daemon.cli.tuning import tuning_rows
from edge_daemon.config.schema import Config, load_config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, ConfigError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.evaluation import few_shot, open_set
from edge_daemon.evaluation.embedded_pictures import embed_pictures
from edge_daemon.evaluation.few_shot import ClassifierFactory, ClassifierScore, Dataset
from edge_daemon.evaluation.teaching_plan import Teach
from edge_daemon.example_store.image_folders import Picture, find_pictures
from edge_daemon.learning.classifiers.base import Classifier
from edge_daemon.learning.classifiers.knn import NearestNeighbours
from edge_daemon.learning.embedding_index import EmbeddingIndex

if TYPE_CHECKING:
    from edge_daemon.domain.types import Vector


_NEAR_NEEDS = "--unknown holds out each label in turn, which needs three labels"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add = parser.add_argument
    add(
        "directory",
        nargs="?",
        type=read_path,
        metavar="DIR",
        help="folder of label folders (default: the store)",
    )
    add(
        "--shots",
        type=read_shots,
        metavar="K,...",
        help=f"numbers of examples of each label (default {','.join(map(str, DEFAULT_SHOTS))})",
    )
    add("--seeds", type=read_count, default=5, metavar="N", help="number of random draws (default 5)")
    add(
        "--classifiers",
        type=_classifiers,
        metavar="C,...",
        help=f"classifiers to measure, of {', '.join(few_shot.CLASSIFIERS)} (default: all), or "
        f"`{PRETRAINED}`: the model's own classes, top-1 and top-5",
    )
    add("--model", type=read_model, metavar="M", help="model name or .tflite file")
    add(
        "--features",
        type=_words,
        metavar="F,...",
        help="compare these feature layers by cross-validation and recommend one",
    )
    add("--unknown", action="store_true", help="measure the rejection of unknown objects")
    add(
        "--far",
        type=read_path,
        metavar="DIR",
        help="with --unknown or --sessions: pictures of quite different objects, in label folders",
    )
    add(
        "--leave-one-out",
        action="store_true",
        help="compare the device's own evaluation with the accuracy on held-out pictures",
    )
    add("--report", type=read_path, metavar="FILE", help="write an HTML page with pictures (needs DIR)")
    add("--tune", action="store_true", help="recommend classifier, k, metric and vote by cross-validation")
    add(
        "--sessions",
        action="store_true",
        help="train on some sessions, test on these and on the others; DIR has SESSION/LABEL/PICTURE, "
        "and SESSION/_scene for frames without an object",
    )
    add(
        "--teach",
        type=parse_teach,
        metavar="WAY",
        help="with --sessions: one (default; train on each session in turn), each (train each class on a "
        "different session) or N (train on the first N sessions)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: one line per measurement."""
    check_options(args)
    overrides = [*args.set]
    overrides += [f"model.name={json.dumps(args.model)}"] if args.model else []
    config = resolve_features(load_config(args.config, overrides))
    if asks_for_own_classes(args, config):
        return run_own_classes(args, config)
    if args.sessions:
        rows: Iterable[Mapping[str, object]] = _measure_sessions(args, config)
    elif args.features:
        rows = _compare_features(args, config, overrides)
    else:
        args.classifiers = args.classifiers or list(few_shot.CLASSIFIERS)
        rows = _measure(args, config)
    for row in rows:
        print(json.dumps(row) if args.json else _as_line(row), flush=True)
    return 0


def _measure_sessions(args: argparse.Namespace, config: Config) -> Iterator[dict[str, object]]:
    evaluation = SessionEvaluation(config, args.directory, args.far)
    teach: Teach = args.teach or "one"
    try:
        shots = args.shots or DEFAULT_SHOTS
        yield from evaluation.rows(teach, shots, args.classifiers or CLASSIFIERS, args.seeds)
    finally:
        if args.report and evaluation.results:
            heading = make_heading(args.directory, config)
            with report_errors(args.report):
                write_session_page(args.report, heading, str(teach), evaluation.results, evaluation.notes)


def _compare_features(
    args: argparse.Namespace, config: Config, overrides: list[str]
) -> Iterator[dict[str, object]]:
    names = dict.fromkeys([config.model.features, *args.features])
    configs = {
        name: load_config(args.config, [*overrides, f"model.features={json.dumps(name)}"]) for name in names
    }
    yield from compare_features(configs, config.model.features, args.directory)


def _measure(args: argparse.Namespace, config: Config) -> Iterator[dict[str, object]]:
    embedder = build_embedder(config)
    if args.directory:
        data, pictures = _read_pictures(args.directory, embedder)
    else:
        data, pictures = _read_store(config, embedder), []
        note("training and test examples are drawn at random: in another session the accuracy is lower")
    if len(data.labels) < 2:
        raise ConfigError("evaluating needs at least two labels")
    data = replace(data, augment_query=build_query_augmentation(config))
    args.shots = choose_shots(args, data)
    rows: list[Mapping[str, object]] = []
    scores: list[ClassifierScore] = []
    try:
        for row in _rows(args, config, data, embedder, scores):
            rows.append(row)
            yield row
    finally:
        if args.report and rows:
            with report_errors(args.report):
                lines = [_as_line(row) for row in rows]
                write_page(args.report, make_heading(args.directory, config), data, pictures, scores, lines)


def read_folder(root: Path, embedder: Embedder) -> Dataset:
    """Embed every readable picture in the label folders of `root`. Raises ArchiveError if there is none."""
    return _read_pictures(root, embedder)[0]


def _read_pictures(root: Path, embedder: Embedder) -> tuple[Dataset, list[Path]]:
    """Return the embedded pictures and the file of each row."""
    found = find_pictures(root)
    files, labels, vectors = [], [], []
    show: Iterable[Picture] = Progress("embedding")(found, len(found))
    for picture, vector in embed_pictures(show, embedder.embed):
        files.append(picture.path)
        labels.append(picture.label)
        vectors.append(vector)
    if not files:
        raise ArchiveError(f"no picture in '{root}' can be read; it has {len(found)}")
    return _dataset(vectors, labels), files


def _read_store(config: Config, embedder: Embedder) -> Dataset:
    """Return the store's examples of this embedding space. Raises ConfigError if there is none."""
    warn_of_other_store(config, "evaluate")
    with open_store_to_read(config) as store:
        examples = list(store.examples(embedder.space, thumbnails=False))
    if not examples:
        raise ConfigError(
            f"the store {store.path} holds no examples for this model; name a folder of label folders, "
            "or another store with --set store.path=FILE"
        )
    return _dataset([each.embedding for each in examples], [each.label for each in examples])


def _dataset(vectors: Sequence[Vector], labels: Sequence[str]) -> Dataset:
    names = tuple(sorted(set(labels)))
    class_ids = np.array([names.index(label) for label in labels], dtype=np.intp)
    return Dataset(np.stack(vectors), class_ids, names)


def _rows(
    args: argparse.Namespace,
    config: Config,
    data: Dataset,
    embedder: Embedder,
    scores: list[ClassifierScore],
) -> Iterator[dict[str, object]]:
    """Yield the rows of the measurements asked for, by default of the classifiers, and append to `scores`."""
    if args.unknown:
        yield from _unknown(args, data, embedder)
    if args.leave_one_out:
        yield from _leave_one_out(args, data)
    if args.tune:
        seeds = partial(_seeds, args, "tune")
        yield from tuning_rows(data, args.shots, seeds, config.classifier)
    if not (args.unknown or args.leave_one_out or args.tune):
        yield from _classifier_rows(args, _configured(config), data, scores)


def _configured(config: Config) -> Mapping[str, ClassifierFactory]:
    """Return the classifiers, `knn` with the configuration's k, metric and vote."""
    options = config.classifier

    def make_knn(examples: EmbeddingIndex) -> Classifier:
        return NearestNeighbours(examples, options.k, options.vote, options.metric, ties="nearest")

    return {**few_shot.CLASSIFIERS, "knn": make_knn}


def _classifier_rows(
    args: argparse.Namespace,
    factories: Mapping[str, ClassifierFactory],
    data: Dataset,
    scores: list[ClassifierScore],
) -> Iterator[dict[str, object]]:
    for shots, classifier in product(args.shots, args.classifiers):
        score = _measure_classifier(args, data, classifier, factories[classifier], shots)
        scores.append(score)
        yield {
            "classifier": classifier,
            "shots": shots,
            "accuracy": score.accuracy,
            "interval": list(score.interval),
            "deviation": score.deviation,
            "recalls": few_shot.recalls(score.confusion, data.labels),
            "confusion": score.confusion.tolist(),
        }


def _measure_classifier(
    args: argparse.Namespace, data: Dataset, name: str, make: ClassifierFactory, shots: int
) -> ClassifierScore:
    return few_shot.measure(data, name, make, shots, _seeds(args, name, shots))


def _seeds(args: argparse.Namespace, what: str, shots: int) -> Iterator[int]:
    """Return the seed of each draw, with a bar."""
    return Progress(f"{what}, {counted(shots, 'shot')}")(range(args.seeds), args.seeds)


def _unknown(args: argparse.Namespace, data: Dataset, embedder: Embedder) -> Iterator[dict[str, object]]:
    if (few := len(data.labels) < 3) and not args.far:
        raise ConfigError(f"{_NEAR_NEEDS}; measure pictures of other objects with --far DIR")
    far_vectors = read_folder(args.far, embedder).vectors if args.far else None
    if few:
        note(f"no row for near: {_NEAR_NEEDS}")
    for shots in args.shots:
        if not few:
            near = open_set.average(open_set.near_ood(data, shots, _seeds(args, "near", shots)))
            yield {"unknown": "near", "shots": shots, **asdict(near)}
        if far_vectors is not None:
            seeds = _seeds(args, "far", shots)
            far = open_set.average(open_set.far_ood(data, far_vectors, shots, seeds))
            yield {"unknown": "far", "shots": shots, **asdict(far)}


def _leave_one_out(args: argparse.Namespace, data: Dataset) -> Iterator[dict[str, object]]:
    for shots in args.shots:
        seeds = _seeds(args, "leave-one-out", shots)
        accuracies = list(few_shot.leave_one_out_accuracies(data, shots, seeds))
        for name in accuracies[0]:
            accuracy = float(np.mean([each[name] for each in accuracies]))
            held_out = _measure_classifier(args, data, name, few_shot.CLASSIFIERS[name], shots).accuracy
            yield {"leave_one_out": accuracy, "held_out": held_out, "classifier": name, "shots": shots}


def _as_line(row: Mapping[str, object]) -> str:
    kept_values = {
        key: value for key, value in row.items() if key not in ("confusion", "recalls") and value is not None
    }
    return "  ".join(f"{key} {_as_text(value)}" for key, value in kept_values.items())


def _as_text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, list):
        return (" to " if isinstance(value[0], float) else ", ").join(_as_text(each) for each in value)
    if isinstance(value, dict):
        return ", ".join(f"{name} ({count})" for name, count in value.items())
    return str(value)


def _words(text: str) -> list[str]:
    return text.split(",")


def _classifiers(text: str) -> list[str]:
    classifiers = text.split(",")
    if classifiers == [PRETRAINED]:
        return classifiers
    for classifier in classifiers:
        if classifier not in few_shot.CLASSIFIERS:
            raise argparse.ArgumentTypeError(
                f"no classifier '{classifier}'; there are {', '.join(few_shot.CLASSIFIERS)}, "
                f"and {PRETRAINED} on its own"
            )
    return classifiers
