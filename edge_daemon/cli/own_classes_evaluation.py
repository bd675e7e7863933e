"""`edge-daemon evaluate --classifiers pretrained`: top-1 and top-5 of a model's own classes."""

from __future__ import annotations

import argparse
import difflib
import html
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from edge_daemon.app.model_factory import build_embedder, model_path
from edge_daemon.cli.config import note
from edge_daemon.cli.evaluation_report import (
    MAX_MISTAKES,
    Heading,
    make_heading,
    picture_url,
    report_errors,
    write_html,
)
from edge_daemon.cli.progress import Progress
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import counted, percent
from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation.embedded_pictures import embed_pictures
from edge_daemon.evaluation.own_classes import Accuracy, Judged, accuracy, by_label, judge, match_labels
from edge_daemon.example_store.image_folders import Picture, find_pictures
from edge_daemon.models.class_names import load_class_names
from edge_daemon.system.printable import printable

PRETRAINED: Literal["pretrained"] = "pretrained"
_OTHER_MEASUREMENTS = ("sessions", "features", "unknown", "leave_one_out", "tune")


def asks_for_own_classes(args: argparse.Namespace, config: Config) -> bool:
    """Return whether `evaluate` is to measure the model's own classes, by option or configuration."""
    others = any(getattr(args, option) for option in _OTHER_MEASUREMENTS)
    is_default = config.classifier.type == PRETRAINED and not args.classifiers and not others
    return args.classifiers == [PRETRAINED] or is_default


def run_own_classes(args: argparse.Namespace, config: Config) -> int:
    """Print top-1 and top-5 of the model's own classes. Raises ConfigError."""
    if not args.directory:
        raise ConfigError("the model's own classes are measured on pictures: name a folder of label folders")
    for option in _OTHER_MEASUREMENTS:
        if getattr(args, option):
            raise ConfigError(
                f"--{option.replace('_', '-')} can't be combined with the classifier {PRETRAINED}"
            )
    config = _as_pretrained(config)
    evaluation = OwnClassesEvaluation(config, args.directory)
    for row in evaluation.rows():
        print(json.dumps(row) if args.json else printable(_as_text(row)), flush=True)
    if args.report:
        with report_errors(args.report):
            evaluation.write_page(args.report, make_heading(args.directory, config))
    return 0


def _as_pretrained(config: Config) -> Config:
    return msgspec.structs.replace(
        config, classifier=msgspec.structs.replace(config.classifier, type=PRETRAINED)
    )


@dataclass(slots=True)
class OwnClassesEvaluation:
    """Measurement of a model on a folder of label folders, by `rows`. `config` has the type `pretrained`."""

    config: Config
    directory: Path
    classes: tuple[str, ...] = ()
    matches: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    unmatched: Mapping[str, int] = field(default_factory=dict)
    """Numbers of pictures of the folders that match no class."""
    judged: list[Judged] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def rows(self) -> Iterator[dict[str, object]]:
        """Yield a row for each matched folder and one for all. Raises ConfigError if no folder matches."""
        embedder = build_embedder(self.config)
        self.classes = load_class_names(model_path(self.config), embedder.size)
        matched = self._match(find_pictures(self.directory))
        shown = Progress("classifying")(matched, len(matched))
        for picture, probabilities in embed_pictures(shown, embedder.embed):
            true = self.matches[picture.label]
            self.judged.append(judge(len(self.files), picture.label, true, probabilities))
            self.files.append(picture.path)
        if not self.judged:
            raise ConfigError(f"no picture in '{self.directory}' can be read; it has {len(matched)}")
        for label, judged in by_label(self.judged).items():
            yield (
                {"folder": label, "labels": self._labels(label), "class_ids": list(self.matches[label])}
                | (_figures(accuracy(judged, len(self.classes))))
                | {"confused_with": self._confused_with(judged)}
            )
        yield {"classifier": PRETRAINED, "folders": len(by_label(self.judged))} | (
            _figures(self.total) | {"unmatched": dict(self.unmatched)}
        )

    @property
    def total(self) -> Accuracy:
        """The figures over all pictures."""
        return accuracy(self.judged, len(self.classes))

    def write_page(self, target: Path, heading: Heading) -> None:
        """Write the report. Raises OSError."""
        figures = self.total
        top5 = "" if figures.top5 is None else f", top-5 {percent(figures.top5, 1)}"
        low, high = figures.interval
        write_html(
            target,
            [
                f"<h1>{counted(figures.pictures, 'picture')}, {len(self.classes)} classes of the model</h1>",
                heading.as_html(),
                f"<p>Top-1 {percent(figures.top1, 1)} ({percent(low, 1)} to {percent(high, 1)}){top5}.",
                *(f"<p>{html.escape(text)}." for text in self._notes()),
                *self._table(),
                "<h2>Most confident mistakes</h2>",
                *self._mistakes(),
            ],
        )

    def _match(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Return the pictures of folders with a class; print a line for each other folder."""
        counts = Counter(picture.label for picture in pictures)
        self.matches = match_labels(counts, self.classes)
        self.unmatched = {label: count for label, count in counts.items() if not self.matches[label]}
        if len(self.unmatched) == len(counts):
            first, count = next(iter(self.unmatched)), len(self.classes)
            raise ConfigError(
                f"no folder of '{self.directory}' has the name of one of the model's {count} classes"
                f"{self._nearest(first)}; name each folder like its class, see `edge-daemon classify`"
            )
        for text in self._notes():
            note(text)
        return [picture for picture in pictures if self.matches[picture.label]]

    def _notes(self) -> Iterator[str]:
        for label, count in self.unmatched.items():
            yield (
                f"'{label}' is none of the model's {len(self.classes)} classes{self._nearest(label)}; "
                f"{counted(count, 'picture')} left out"
            )

    def _nearest(self, folder: str) -> str:
        names = {part.strip().casefold(): label for label in self.classes for part in label.split(",")}
        near = difflib.get_close_matches(folder.replace("_", " ").casefold(), names, n=1, cutoff=0.75)
        return f" (did you mean '{names[near[0]]}'?)" if near else ""

    def _labels(self, folder: str) -> list[str]:
        return [self.classes[number] for number in self.matches[folder]]

    def _confused_with(self, judged: Sequence[Judged]) -> str | None:
        wrong = Counter(each.predicted for each in judged if each.rank > 0)
        return self.classes[wrong.most_common(1)[0][0]] if wrong else None

    def _table(self) -> Iterator[str]:
        yield "<table><tr><th>folder<th>class<th>pictures<th>top-1<th>top-5<th>most frequent mistake"
        for label, judged in by_label(self.judged).items():
            figures = accuracy(judged, len(self.classes))
            top5 = "" if figures.top5 is None else percent(figures.top5)
            names = html.escape("; ".join(self._labels(label)))
            mistake = html.escape(self._confused_with(judged) or "")
            cells = (html.escape(label), names, figures.pictures, percent(figures.top1), top5, mistake)
            yield "<tr>" + "".join(f"<td>{cell}" for cell in cells)
        yield "</table>"

    def _mistakes(self) -> Iterator[str]:
        wrong = sorted((each for each in self.judged if each.rank > 0), key=lambda each: -each.probability)
        for each in wrong[:MAX_MISTAKES]:
            predicted = html.escape(self.classes[each.predicted])
            caption = f"{html.escape(each.label)}<br>predicted {predicted}, {percent(each.probability)}"
            image = f'<img src="{picture_url(self.files[each.row])}">'
            yield f"<figure>{image}<figcaption>{caption}</figcaption></figure>"
        if not wrong:
            yield "<p>None."


def _as_text(row: Mapping[str, object]) -> str:
    """Return a row as one line."""
    cells = [str(row.get("folder") or "all folders")]
    for key, name in (("top1", "top-1"), ("top5", "top-5")):
        if isinstance(share := row[key], float):
            cells.append(f"{name} {share:.3f}")
    cells.append(counted(int(str(row["pictures"])), "picture"))
    if isinstance(ids := row.get("class_ids"), list):
        cells.append(f"class {', '.join(str(number) for number in ids)}")
    if isinstance(interval := row["interval"], list) and "folder" not in row:
        cells.append(f"interval {interval[0]:.3f} to {interval[1]:.3f}")
    if mistake := row.get("confused_with"):
        cells.append(f"confused with '{mistake}'")
    return "  ".join(cells)


def _figures(figures: Accuracy) -> dict[str, object]:
    return {
        "pictures": figures.pictures,
        "top1": figures.top1,
        "top5": figures.top5,
        "interval": list(figures.interval),
    }
