"""`edge-daemon classify`: classify pictures by the taught examples."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_daemon.app.build import build_trainer
from edge_daemon.app.model_factory import build_embedder, open_store, resolve_features
from edge_daemon.app.regions import build_regions
from edge_daemon.config.schema import load_config
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import WHOLE_FRAME, Prediction
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from edge_daemon.imaging.regions import crop
from edge_daemon.pipeline.region import Region
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.region_text import join_predictions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("image", nargs="+", type=Path, metavar="IMAGE", help="picture to classify")
    parser.add_argument(
        "--model",
        metavar="M",
        help="model name or .tflite file; without --store, classify by its own classes",
    )
    parser.add_argument("--store", metavar="S", help="example store that supplies the examples")
    parser.add_argument(
        "--topk",
        type=_positive,
        metavar="N",
        help="show the N best labels (default with a model's own classes: 5)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command: print a line per image and region, with the ranking if requested."""
    config = resolve_features(load_config(args.config, _overrides(args)))
    own_classes = config.classifier.type == "pretrained"
    topk = args.topk or (5 if own_classes else None)
    embedder = build_embedder(config)
    regions = build_regions(config)
    with open_store(config) as store:
        trainer = build_trainer(config, store, embedder, regions)
        if not own_classes and not trainer.examples().counts:
            print(_no_examples_note(store), file=sys.stderr)
    for path in args.image:
        rows = _classify(path, embedder, regions, trainer)
        if config.combine_regions == "text":
            rows.append((WHOLE_FRAME, join_predictions(prediction for _, prediction in rows)))
        for region, prediction in rows:
            if args.json:
                print(_as_json(path, region, prediction, topk))
            else:
                print(_as_line(path, region, prediction), *_ranking_lines(prediction, topk), sep="\n")
    return 0


def _ranking_lines(prediction: Prediction, topk: int | None) -> list[str]:
    rows = prediction.ranking[:topk] if topk else ()
    return [f"    {row.confidence:>6.1%}  {row.label}" for row in rows]


def _no_examples_note(store: ExampleStore) -> str:
    others = sum(store.spaces().values())
    if others:
        return (
            f"edge-daemon: the {others} examples in {store.path} are of another model or other features, so "
            "everything is unknown; `edge-daemon examples reembed` converts them"
        )
    return (
        f"edge-daemon: the store {store.path} holds no examples, so everything is unknown; teach it first, "
        "for example with `edge-daemon examples import FOLDER`, or use a model's own classes with --model"
    )


def _overrides(args: argparse.Namespace) -> list[str]:
    """Return the options as overrides. A model without a store classifies by its own classes."""
    overrides = [f"model.name={json.dumps(args.model)}"] if args.model else []
    overrides += [f"store.path={json.dumps(args.store)}"] if args.store else []
    if args.model and not args.store:
        overrides += ["classifier.type=pretrained", "classifier.unknown=off"]
    return [*overrides, *args.set]


def _classify(
    path: Path, embedder: Embedder, regions: Sequence[Region], trainer: Trainer
) -> list[tuple[str, Prediction]]:
    image = read_image(path)
    crops = [crop(image, region.box) if region.box else image for region in regions]
    return [
        (region.name, trainer.classifier(region.name).predict(embedder.embed(part)))
        for region, part in zip(regions, crops, strict=True)
    ]


def _as_json(path: Path, region: str, prediction: Prediction, topk: int | None) -> str:
    ranking = [{"label": row.label, "confidence": row.confidence} for row in prediction.ranking[:topk]]
    return json.dumps(
        {
            "image": str(path),
            "region": region,
            "label": prediction.label,
            "confidence": prediction.confidence,
            "similarity": prediction.similarity,
            "ranking": ranking,
        }
    )


def _as_line(path: Path, region: str, prediction: Prediction) -> str:
    share = f"{prediction.confidence:.0%}" if prediction.confidence else ""
    place = str(path) if region == WHOLE_FRAME else f"{path}\t{region}"
    return f"{place}\t{prediction.label}\t{share}\tsimilarity {prediction.similarity:.2f}"


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number
