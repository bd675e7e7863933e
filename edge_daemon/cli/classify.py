"""`edge-daemon classify`: classify pictures and videos by the taught examples or the model's own classes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from edge_daemon.app.build import build_trainer
from edge_daemon.app.model_factory import build_embedder, choose_features, model_path, open_store_to_read
from edge_daemon.app.region_factory import build_regions
from edge_daemon.camera.frame_readers import is_motion_jpeg
from edge_daemon.cli.config import note
from edge_daemon.cli.option_values import read_count, read_model, read_path, read_seconds
from edge_daemon.cli.store_warnings import warn_of_other_store
from edge_daemon.config.schema import load_config
from edge_daemon.domain.counted import counted, percent
from edge_daemon.domain.errors import CameraError, EmbeddingError, ImageError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.types import UNKNOWN_PREDICTION, WHOLE_FRAME, Prediction
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import is_image, named_as_image, read_image
from edge_daemon.imaging.regions import crop
from edge_daemon.learning.open_set_classifier import OpenSetClassifier
from edge_daemon.models.class_names import load_class_names
from edge_daemon.pipeline.region import Region
from edge_daemon.system.printable import printable
from edge_daemon.teaching.trainer import Trainer
from edge_daemon.tracking.region_text import join_predictions

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "image", nargs="+", type=read_path, metavar="IMAGE", help="picture or video to classify"
    )
    parser.add_argument(
        "--model",
        type=read_model,
        metavar="M",
        help="model name or .tflite file; without --store, classify by the model's own classes",
    )
    parser.add_argument(
        "--store", type=read_path, metavar="S", help="store of the examples (default: store.path)"
    )
    parser.add_argument(
        "--topk",
        type=read_count,
        metavar="N",
        help="show the N best labels (default with a model's own classes: 5)",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="show the nearest taught example, and the nearest one of another label",
    )
    parser.add_argument(
        "--every",
        type=read_seconds,
        default=1.0,
        metavar="S",
        help="seconds of a video between two classified frames (default 1)",
    )


@dataclass(frozen=True, slots=True)
class _View:
    """A picture or a frame of a video. `time_s` is the video's time, None for a picture."""

    path: Path
    image: Image
    time_s: float | None = None


@dataclass(frozen=True, slots=True)
class _Output:
    """Prints predictions, as JSON or as text. `class_ids` has the numbers of a model's own classes."""

    as_json: bool
    topk: int | None
    explain: bool
    class_ids: Mapping[str, int]

    def print(self, view: _View, region: str, prediction: Prediction) -> None:
        """Print a prediction, with its ranking and its nearest examples if requested."""
        if self.as_json:
            print(json.dumps(self._as_object(view, region, prediction)), flush=True)
        else:
            print(
                self._as_line(view, region, prediction),
                *self._ranking_lines(prediction),
                *self._nearest_lines(prediction),
                sep="\n",
                flush=True,
            )

    def _as_object(self, view: _View, region: str, prediction: Prediction) -> dict[str, object]:
        ranking = [
            {"label": row.label, **self._class_id(row.label), "confidence": row.confidence}
            for row in prediction.ranking[: self.topk]
        ]
        return {
            "image": str(view.path),
            **({} if view.time_s is None else {"time": round(view.time_s, 3)}),
            "region": region,
            "label": prediction.label,
            **self._class_id(prediction.label),
            "confidence": prediction.confidence,
            "similarity": prediction.similarity,
            "ranking": ranking,
            **({"nearest": [asdict(each) for each in prediction.nearest]} if self.explain else {}),
        }

    def _class_id(self, label: str) -> dict[str, int | None]:
        return {"class_id": self.class_ids.get(label)} if self.class_ids else {}

    def _as_line(self, view: _View, region: str, prediction: Prediction) -> str:
        cells = [printable(str(view.path))]
        cells += [] if view.time_s is None else [f"{view.time_s:.1f} s"]
        cells += [] if region == WHOLE_FRAME else [region]
        share = percent(prediction.confidence) if prediction.confidence else ""
        cells.append(printable(prediction.label))
        if not self.class_ids:
            return "\t".join([*cells, share, f"similarity {prediction.similarity:.2f}"])
        # The similarity to a model's own class is its confidence.
        class_id = self.class_ids.get(prediction.label)
        return "\t".join([*cells, share, f"class {class_id}"] if class_id is not None else cells)

    def _ranking_lines(self, prediction: Prediction) -> list[str]:
        rows = prediction.ranking[: self.topk] if self.topk else ()
        width = len(str(len(self.class_ids)))
        return [
            f"    {percent(row.confidence, 1):>7}  "
            + (f"{self.class_ids[row.label]:>{width}}  " if self.class_ids else "")
            + printable(row.label)
            for row in rows
        ]

    def _nearest_lines(self, prediction: Prediction) -> list[str]:
        names = ("nearest", "runner-up")
        return [
            f"    {name:<9}  {printable(each.label)}\tsimilarity {each.similarity:.2f}\texample {each.id}"
            for name, each in zip(names, prediction.nearest, strict=False)
            if self.explain
        ]


def run(args: argparse.Namespace) -> int:
    """Run the command: print a line per image or video frame and region, with details if requested."""
    config, chosen = choose_features(load_config(args.config, _overrides(args)))
    own_classes = config.classifier.type == "pretrained"
    embedder = chosen or build_embedder(config)
    classes = load_class_names(model_path(config), embedder.size) if own_classes else ()
    regions = build_regions(config)
    if not own_classes:
        warn_of_other_store(config, "classify")
    with open_store_to_read(config) as store:
        trainer = build_trainer(config, store, embedder, regions, classes)
        if not own_classes and not trainer.examples().counts:
            note(_no_examples_note(store))
        trainer.copy_maker(embedder.embed).make_all()
    topk = args.topk or (5 if own_classes else None)
    output = _Output(args.json, topk, args.explain, {label: number for number, label in enumerate(classes)})
    failures: list[Exception] = []
    for view in _views(args.image, args.every, failures):
        rows = _classify(view.image, embedder, regions, trainer)
        if config.combine_regions == "text":
            rows.append((WHOLE_FRAME, join_predictions(prediction for _, prediction in rows)))
        for region, prediction in rows:
            output.print(view, region, prediction)
    return 1 if failures else 0


def _views(paths: Iterable[Path], every_s: float, failures: list[Exception]) -> Iterator[_View]:
    """Yield the pictures, and the frames of each video.

    A line on stderr names a file that can't be read; the other files are used.
    """
    for path in paths:
        try:
            if _is_video(path):
                yield from _video_views(path, every_s)
            else:
                yield _View(path, read_image(path))
        except (ImageError, CameraError) as exc:
            note(str(exc))
            failures.append(exc)


def _is_video(path: Path) -> bool:
    try:
        if not path.is_file() or named_as_image(path):
            return False
        return not is_image(path) or is_motion_jpeg(path)
    except OSError:
        return False  # the error of `read_image` names the fault


def _video_views(path: Path, every_s: float) -> Iterator[_View]:
    from edge_daemon.camera.video_decoder import film_frames

    for time_s, image in film_frames(path, every_s):
        yield _View(path, image, time_s)


def _no_examples_note(store: ExampleStore) -> str:
    others = sum(store.spaces().values())
    if others:
        return (
            f"{store.path} holds {counted(others, 'example')} of another model or other features, so "
            "everything is unknown; `edge-daemon examples reembed` converts them"
        )
    return (
        f"the store {store.path} holds no examples, so everything is unknown; teach it first, "
        "for example with `edge-daemon examples import FOLDER`, or use a model's own classes with --model"
    )


def _overrides(args: argparse.Namespace) -> list[str]:
    """Return the options as overrides. A model without a store classifies by its own classes."""
    overrides = [f"model.name={json.dumps(args.model)}"] if args.model else []
    overrides += [f"store.path={json.dumps(str(args.store))}"] if args.store else []
    if args.model and not args.store:
        overrides += ["classifier.type=pretrained", "classifier.unknown=off"]
    return [*overrides, *args.set]


def _classify(
    image: Image, embedder: Embedder, regions: Sequence[Region], trainer: Trainer
) -> list[tuple[str, Prediction]]:
    crops = [crop(image, region.box) if region.box else image for region in regions]
    return [
        (region.name, _predict(part, embedder, trainer.classifier(region.name)))
        for region, part in zip(regions, crops, strict=True)
    ]


def _predict(image: Image, embedder: Embedder, classifier: OpenSetClassifier) -> Prediction:
    """Classify as the daemon does: a picture without an embedding, such as a black one, is `unknown`."""
    try:
        return classifier.predict(embedder.embed(image))
    except EmbeddingError:
        return UNKNOWN_PREDICTION
