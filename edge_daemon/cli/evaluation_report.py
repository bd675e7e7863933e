"""One self-contained HTML page of an evaluation: confusion, a map with pictures, mistakes, histograms."""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from edge_daemon.evaluation.few_shot import HEADS, ClassifierScore, Dataset, split, teach
from edge_daemon.imaging.image_io import encode_jpeg, read_image
from edge_daemon.learning.quality.pca_map import fit_pca

THUMBNAIL_PX = 56
MAPPED = 300
MISTAKES = 24
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
    """What was measured, and when (local time)."""

    folder: Path
    model: str
    tap: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Mistake:
    """A picture named wrongly, and how sure of it the head was (0 to 1)."""

    row: int
    named: str
    confidence: float


def write_page(
    target: Path,
    heading: Heading,
    data: Dataset,
    pictures: Sequence[Path],
    scores: Sequence[ClassifierScore],
    lines: Sequence[str],
) -> None:
    """Show the best head at the most shots, or the measured `lines` where no head was measured.

    `pictures` are the rows' files. Raises OSError.
    """

    def thumbnail(row: int) -> str:
        jpeg = encode_jpeg(read_image(pictures[row]), THUMBNAIL_PX)
        return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()

    parts = [
        f"<h1>{len(data.codes)} pictures, {len(data.labels)} labels</h1>",
        f"<p>Folder {html.escape(str(heading.folder))}, model {html.escape(heading.model)} "
        f"({html.escape(heading.tap)}), {heading.made_at:%Y-%m-%d %H:%M %Z}.",
        *(_of_heads(data, scores, thumbnail) if scores else _as_list(lines)),
        "<h2>Map of the pictures</h2>",
        *_map(data, thumbnail),
    ]
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style>"
    )
    target.write_text(head + "\n".join(parts) + "</html>\n", encoding="utf-8")


def _as_list(lines: Sequence[str]) -> Iterator[str]:
    yield "<ul>" + "".join(f"<li>{html.escape(line)}" for line in lines) + "</ul>"


def _of_heads(
    data: Dataset, scores: Sequence[ClassifierScore], thumbnail: Callable[[int], str]
) -> Iterator[str]:
    shots = max(score.shots for score in scores)
    best = max((score for score in scores if score.shots == shots), key=lambda score: score.accuracy)
    yield from _accuracies(scores)
    yield f"<h2>What {best.head} takes for what, {shots} examples a label</h2>"
    yield from _confusion(data, best)
    yield f"<h2>Mistakes that {best.head} was surest of</h2>"
    yield from _mistakes(data, best.head, shots, thumbnail)
    yield "<h2>Similarity to the nearest example</h2>"
    yield from _histogram(data, shots)


def _accuracies(scores: Sequence[ClassifierScore]) -> Iterator[str]:
    yield "<table><tr><th>head<th>examples a label<th>accuracy<th>95 % interval"
    for score in scores:
        low, high = score.interval
        yield f"<tr><th>{score.head}<td>{score.shots}<td>{score.accuracy:.1%}<td>{low:.1%} to {high:.1%}"
    yield "</table>"


def _confusion(data: Dataset, score: ClassifierScore) -> Iterator[str]:
    names = [html.escape(label) for label in data.labels]
    shares = score.confusion / np.maximum(score.confusion.sum(axis=1, keepdims=True), 1)
    yield "<table><tr><th>shown / named" + "".join(f"<th>{name}" for name in names)
    for name, row in zip(names, shares.tolist(), strict=True):
        yield f"<tr><th>{name}" + "".join(
            f'<td style="background: rgba(70, 130, 220, {share:.2f})">{share:.0%}' for share in row
        )
    yield "</table>"


def _map(data: Dataset, thumbnail: Callable[[int], str]) -> Iterator[str]:
    """Place pictures by the two directions in which the embeddings vary most, bordered by label."""
    rows = np.random.default_rng(0).permutation(len(data.codes))[:MAPPED]
    points = fit_pca(data.vectors[rows]).points
    yield "<div class=map>"
    for row, (x, y) in zip(rows.tolist(), points.tolist(), strict=True):
        code = int(data.codes[row])
        place = f"left: {50 + 47 * x:.1f}%; top: {50 - 45 * y:.1f}%; border-color: {_colour(code, data)}"
        yield f'<img style="{place}" title="{html.escape(data.labels[code])}" src="{thumbnail(row)}">'
    yield "</div><p>" + " ".join(
        f'<b style="color: {_colour(code, data)}">{html.escape(label)}</b>'
        for code, label in enumerate(data.labels)
    )


def _colour(code: int, data: Dataset) -> str:
    return f"hsl({360 * code // len(data.labels)} 70% 45%)"


def _mistakes(data: Dataset, head: str, shots: int, thumbnail: Callable[[int], str]) -> Iterator[str]:
    worst = sorted(_wrong(data, head, shots), key=lambda mistake: -mistake.confidence)[:MISTAKES]
    for mistake in worst:
        true = html.escape(data.labels[int(data.codes[mistake.row])])
        caption = f"{true}<br>named {html.escape(mistake.named)}, {mistake.confidence:.0%}"
        yield f'<figure><img src="{thumbnail(mistake.row)}"><figcaption>{caption}</figcaption></figure>'
    if not worst:
        yield "<p>None."


def _wrong(data: Dataset, head: str, shots: int) -> Iterator[Mistake]:
    part = split(data, shots, seed=0)
    examples = teach(data, part.taught)
    named_by = HEADS[head](examples)
    for row in part.asked.tolist():
        prediction = named_by.predict(examples.compare(data.vectors[row]))
        if prediction.label != data.labels[int(data.codes[row])]:
            yield Mistake(row, prediction.label, prediction.confidence)


def _histogram(data: Dataset, shots: int) -> Iterator[str]:
    """Draw the nearest similarities of taught classes, and of each class while it is hidden."""
    part = split(data, shots, seed=0)
    similarities = data.vectors[part.asked] @ data.vectors[part.taught].T
    own = data.codes[part.asked][:, None] == data.codes[part.taught]
    known = similarities.max(axis=1)
    unknown = np.where(own, -1.0, similarities).max(axis=1)
    low = float(min(known.min(), unknown.min()))
    yield f'<svg viewBox="0 0 {BINS * 20} 220" width="100%">'
    for values, colour in ((known, "rgba(40, 140, 70, .55)"), (unknown, "rgba(210, 70, 40, .55)")):
        counts, _ = np.histogram(values, bins=BINS, range=(low, 1.0))
        for place, share in enumerate((counts / max(1, counts.max())).tolist()):
            top, height = 220 - 200 * share, 200 * share
            yield f'<rect x="{20 * place}" y="{top:.0f}" width="18" height="{height:.0f}" fill="{colour}"/>'
    yield f"</svg><p>Left {low:.2f}, right 1. Green: taught. Red: the same while their label is hidden."
