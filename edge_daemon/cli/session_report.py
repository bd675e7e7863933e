"""Self-contained HTML report of an evaluation across sessions: table, bar chart, reliability diagrams."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_daemon.cli.evaluation_report import Heading, write_html
from edge_daemon.domain.counted import counted, percent
from edge_daemon.evaluation.across_sessions import SessionScore, Where
from edge_daemon.evaluation.calibration import ReliabilityBin

CHART_PX = 200
BAR_PX = 22

_BARS: tuple[tuple[Where, str, str], ...] = (
    ("same", "first", "#7fb58a"),
    ("same", "named", "#2c8c46"),
    ("across", "first", "#e2a08c"),
    ("across", "named", "#d2462a"),
)
_FIGURES = {"first": "first of the ranking right", "named": "label right"}
_MEANINGS: Mapping[Where, str] = {
    "same": "taught classes, sessions that taught them",
    "across": "taught classes, other sessions: in other light or on another day",
    "scene": "frames without an object",
    "strangers_same": "a class not taught, sessions that taught the others",
    "strangers_across": "a class not taught, other sessions",
    "far": "pictures of other sets",
}


@dataclass(frozen=True, slots=True)
class SessionResult:
    """The scores of one classifier at one number of shots, by kind of query, empty ones left out."""

    classifier: str
    shots: int
    scores: Mapping[Where, SessionScore]


def write_session_page(
    target: Path, heading: Heading, teach: str, results: Sequence[SessionResult], notes: Sequence[str]
) -> None:
    """Write the report; `notes` are the reasons of missing rows. Raises OSError."""
    parts = [
        f"<h1>Evaluation across sessions, --teach {html.escape(teach)}</h1>",
        heading.as_html(),
        *(f"<p>{html.escape(note)}." for note in notes),
        *_table(results),
        "<h2>Taught classes: first of the ranking and label</h2>",
        *_chart(results),
        "<h2>Reliability: accuracy over confidence, with rejection off</h2>",
        *(_diagram(result) for result in results),
        "<p>Green: sessions that taught. Red: other sessions. Grey: perfect calibration.",
    ]
    write_html(target, parts)


def _table(results: Sequence[SessionResult]) -> Iterator[str]:
    yield (
        "<table><tr><th>classifier<th>examples a label<th>queries<th>count<th>first right"
        "<th>right, or any, label<th>unknown<th>calibration error"
    )
    for result in results:
        for where, score in result.scores.items():
            yield (
                f"<tr><th>{result.classifier}<td>{result.shots}<td>{_MEANINGS[where]}<td>{score.count}"
                f"<td>{_percent(score.first_share)}<td>{_percent(score.named / score.count)}"
                f"<td>{_percent(score.unknown / score.count)}<td>{_percent(score.calibration_error)}"
            )
    yield "</table>"


def _percent(share: float | None) -> str:
    return "" if share is None else percent(share, 1)


def _chart(results: Sequence[SessionResult]) -> Iterator[str]:
    """Draw a group of bars per classifier and number of shots."""
    group = BAR_PX * (len(_BARS) + 1)
    yield f'<svg viewBox="0 0 {max(8, len(results)) * group} {CHART_PX + 20}" width="100%">'
    for number, result in enumerate(results):
        for bar, (where, figure, colour) in enumerate(_BARS):
            score = result.scores.get(where)
            if score is not None:
                height = CHART_PX * getattr(score, figure) / score.count
                left = number * group + bar * BAR_PX
                box = f'x="{left}" y="{CHART_PX - height:.0f}" width="{BAR_PX - 2}" height="{height:.0f}"'
                yield f'<rect {box} fill="{colour}"/>'
        text = f"{html.escape(result.classifier)}, {result.shots}"
        yield f'<text x="{number * group}" y="{CHART_PX + 15}" font-size="12" fill="gray">{text}</text>'
    legend = " ".join(
        f'<b style="color: {colour}">{_MEANINGS[where]}: {_FIGURES[figure]}</b>.'
        for where, figure, colour in _BARS
    )
    yield f"</svg><p>The full height is 100 %. {legend}"


def _diagram(result: SessionResult) -> str:
    lines = [f'<path d="M0 {CHART_PX}L{CHART_PX} 0" stroke="gray" fill="none"/>']
    captions = []
    for where, _, colour in _BARS[1::2]:
        score = result.scores.get(where)
        if score is not None and score.confidences:
            lines += _curve(score.reliability(), colour)
            captions.append(f"{where} {_percent(score.calibration_error)}")
    caption = (
        f"{html.escape(result.classifier)}, {counted(result.shots, 'shot')}<br>error: {', '.join(captions)}"
    )
    svg = f'<svg viewBox="0 0 {CHART_PX} {CHART_PX}" width="{CHART_PX}">{"".join(lines)}</svg>'
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _curve(bins: Sequence[ReliabilityBin], colour: str) -> Iterator[str]:
    """Draw a line through the bins, with dots whose area is the bin's share of the queries."""
    total = sum(each.count for each in bins)
    points = [(CHART_PX * each.confidence, CHART_PX * (1 - each.accuracy)) for each in bins]
    path = "L".join(f"{x:.0f} {y:.0f}" for x, y in points)
    yield f'<path d="M{path}" stroke="{colour}" fill="none"/>'
    for (x, y), each in zip(points, bins, strict=True):
        radius = 12 * (each.count / total) ** 0.5
        yield f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.1f}" fill="{colour}"/>'
