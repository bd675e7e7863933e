"""Self-contained HTML report of an evaluation: confusion, map of the pictures, mistakes, histograms."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from edge_daemon.app.model_factory import model_name
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import counted, percent
from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation.few_shot import ClassifierScore, Dataset, predict_split, split
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.learning.quality.pca_map import fit_pca
from edge_daemon.system.atomic_file import rewritten_file

REPORT_MARK = b"<title>Evaluation of edge-daemon</title>"
"""Head of a report; only an earlier report is replaced."""

THUMBNAIL_PX = 56
MAX_MAPPED = 300
MAX_MISTAKES = 24
BINS = 30

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: .3em .6em; text-align: right; }
.map { position: relative; height: 40em; background: #f4f4f4; overflow: hidden; }
.map img { position: absolute; width: 36px; border: 2px solid; transform: translate(-50%, -50%); }
.map img:hover { transform: translate(-50%, -50%) scale(4); z-index: 1; }
figure { display: inline-block; margin: .4em; text-align: center; font-size: 13px; }
svg { background: #f4f4f4; } @media (prefers-color-scheme: dark) {
  body { background: #1c1c1c; color: #ddd; } .map, svg { background: #2a2a2a; } }
"""


@dataclass(frozen=True, slots=True)
class Heading:
    """The data and the model of a report, and its local time."""

    folder: Path
    model: str
    features: str
    made_at: datetime

    def as_html(self) -> str:
        """Return the line under the title."""
        return (
            f"<p>Folder {html.escape(str(self.folder))}, model {html.escape(self.model)} "
            f"({html.escape(self.features)}), {self.made_at:%Y-%m-%d %H:%M %Z}."
        )


def make_heading(folder: Path, config: Config) -> Heading:
    """Return the heading of a report that is made now."""
    return Heading(folder, model_name(config), config.model.features, datetime.now().astimezone())


@contextmanager
def report_errors(target: Path) -> Iterator[None]:
    """Turn the OSError of writing a report into a ConfigError."""
    try:
        yield
    except OSError as exc:
        raise ConfigError(f"--report {target} can't be written: {exc.strerror}") from exc


@dataclass(frozen=True, slots=True)
class Mistake:
    """A misclassified picture, and the confidence of its prediction (0 to 1)."""

    row: int
    predicted: str
    confidence: float


def write_page(
    target: Path,
    heading: Heading,
    data: Dataset,
    pictures: Sequence[Path],
    scores: Sequence[ClassifierScore],
    lines: Sequence[str],
) -> None:
    """Write a report on the best classifier at the most shots, or on `lines` if `scores` is empty.

    `pictures` are the files of the rows. Raises OSError.
    """

    def thumbnail(row: int) -> str:
        return picture_url(pictures[row])

    parts = [
        f"<h1>{counted(len(data.class_ids), 'picture')}, {counted(len(data.labels), 'label')}</h1>",
        heading.as_html(),
        "<p>Training and test pictures are drawn at random: in another session the accuracy is lower.",
        *(_classifier_parts(data, scores, thumbnail) if scores else _as_list(lines)),
        "<h2>Map of the pictures</h2>",
        *_map(data, thumbnail),
    ]
    write_html(target, parts)


def picture_url(path: Path) -> str:
    """Return a small picture as a data address."""
    jpeg = encode_jpeg(read_image(path), THUMBNAIL_PX)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def write_html(target: Path, parts: Sequence[str]) -> None:
    """Write the parts of a report as one page in the report's style. Raises OSError."""
    head = f"<!doctype html><html lang=en><meta charset=utf-8>{REPORT_MARK.decode()}<style>{_STYLE}</style>"
    with rewritten_file(target, REPORT_MARK) as file:
        file.write((head + "\n".join(parts) + "</html>\n").encode())


def _as_list(lines: Sequence[str]) -> Iterator[str]:
    yield "<ul>" + "".join(f"<li>{html.escape(line)}" for line in lines) + "</ul>"


def _classifier_parts(
    data: Dataset, scores: Sequence[ClassifierScore], thumbnail: Callable[[int], str]
) -> Iterator[str]:
    shots = max(score.shots for score in scores)
    best = max((score for score in scores if score.shots == shots), key=lambda score: score.accuracy)
    yield from _accuracies(scores)
    yield f"<h2>Confusion of {best.classifier}, {counted(shots, 'example')} a label</h2>"
    yield from _confusion(data, best)
    yield f"<h2>Most confident mistakes of {best.classifier}</h2>"
    yield from _mistakes(data, best, thumbnail)
    yield "<h2>Similarity to the nearest example</h2>"
    yield from _histogram(data, shots)


def _accuracies(scores: Sequence[ClassifierScore]) -> Iterator[str]:
    yield "<table><tr><th>classifier<th>examples a label<th>accuracy<th>95 % interval"
    for score in scores:
        low, high = score.interval
        figures = (
            f"<td>{score.shots}<td>{percent(score.accuracy, 1)}<td>{percent(low, 1)} to {percent(high, 1)}"
        )
        yield f"<tr><th>{score.classifier}{figures}"
    yield "</table>"


def _confusion(data: Dataset, score: ClassifierScore) -> Iterator[str]:
    names = [html.escape(label) for label in data.labels]
    shares = score.confusion / np.maximum(score.confusion.sum(axis=1, keepdims=True), 1)
    yield "<table><tr><th>true / predicted" + "".join(f"<th>{name}" for name in names)
    for name, row in zip(names, shares.tolist(), strict=True):
        yield f"<tr><th>{name}" + "".join(
            f'<td style="background: rgba(70, 130, 220, {share:.2f})">{percent(share)}' for share in row
        )
    yield "</table>"


def _map(data: Dataset, thumbnail: Callable[[int], str]) -> Iterator[str]:
    """Place pictures by the first two principal components, with a border in the colour of the label."""
    rows = np.random.default_rng(0).permutation(len(data.class_ids))[:MAX_MAPPED]
    points = fit_pca(data.vectors[rows]).points
    yield "<div class=map>"
    for row, (x, y) in zip(rows.tolist(), points.tolist(), strict=True):
        class_id = int(data.class_ids[row])
        style = f"left: {50 + 47 * x:.1f}%; top: {50 - 45 * y:.1f}%; border-color: {_colour(class_id, data)}"
        yield f'<img style="{style}" title="{html.escape(data.labels[class_id])}" src="{thumbnail(row)}">'
    yield "</div><p>" + " ".join(
        f'<b style="color: {_colour(class_id, data)}">{html.escape(label)}</b>'
        for class_id, label in enumerate(data.labels)
    )


def _colour(class_id: int, data: Dataset) -> str:
    return f"hsl({360 * class_id // len(data.labels)} 70% 45%)"


def _mistakes(data: Dataset, score: ClassifierScore, thumbnail: Callable[[int], str]) -> Iterator[str]:
    mistakes = sorted(_find_mistakes(data, score), key=lambda mistake: -mistake.confidence)
    shown = mistakes[:MAX_MISTAKES]
    for mistake in shown:
        true = html.escape(data.labels[int(data.class_ids[mistake.row])])
        caption = f"{true}<br>predicted {html.escape(mistake.predicted)}, {percent(mistake.confidence)}"
        yield f'<figure><img src="{thumbnail(mistake.row)}"><figcaption>{caption}</figcaption></figure>'
    if not shown:
        yield "<p>None."


def _find_mistakes(data: Dataset, score: ClassifierScore) -> Iterator[Mistake]:
    for row, prediction in predict_split(data, score.make, split(data, score.shots, seed=0)):
        if prediction.label != data.labels[int(data.class_ids[row])]:
            yield Mistake(row, prediction.label, prediction.confidence)


def _histogram(data: Dataset, shots: int) -> Iterator[str]:
    """Draw the nearest-neighbour similarities with all classes taught, and with the own class held out."""
    part = split(data, shots, seed=0)
    # The product of two equal unit vectors can be a rounding step above 1.
    similarities = np.minimum(data.vectors[part.test] @ data.vectors[part.train].T, 1.0)
    own = data.class_ids[part.test][:, None] == data.class_ids[part.train]
    known = similarities.max(axis=1)
    unknown = np.where(own, -1.0, similarities).max(axis=1)
    low = float(min(known.min(), unknown.min()))
    yield f'<svg viewBox="0 0 {BINS * 20} 220" width="100%">'
    for values, colour in ((known, "rgba(40, 140, 70, .55)"), (unknown, "rgba(210, 70, 40, .55)")):
        counts, _ = np.histogram(values, bins=BINS, range=(low, 1.0))
        for bin_index, share in enumerate((counts / max(1, counts.max())).tolist()):
            top, height = 220 - 200 * share, 200 * share
            box = f'x="{20 * bin_index}" y="{top:.0f}" width="18" height="{height:.0f}"'
            yield f'<rect {box} fill="{colour}"/>'
    yield f"</svg><p>Left {low:.2f}, right 1. Green: all labels taught. Red: the picture's label not taught."
