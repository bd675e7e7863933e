"""From an event to what the page is told of it. Pure: plain data that becomes JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from edge_daemon.domain import events
from edge_daemon.domain.types import Evaluation

Message = Mapping[str, object]


def seen(event: events.Classified, fps: float) -> Message:
    """Say what a region shows now."""
    prediction = event.prediction
    return {
        "type": "seen",
        "region": event.region,
        "label": prediction.label,
        "confidences": dict(prediction.confidences),
        "similarity": prediction.similarity,
        "seq": event.seq,
        "latency_ms": event.latency_ms,
        "fps": fps,
    }


def changed(event: events.LabelChanged) -> Message:
    """Say that a region's stable label became another."""
    return {
        "type": "label",
        "region": event.region,
        "label": event.label,
        "previous": event.previous,
        "confidence": event.confidence,
        "at": utc_ms(event.captured_at),
    }


def examples(event: events.ExamplesChanged) -> Message:
    """Say what is taught, and what the exam thinks of it."""
    return {"type": "examples", "counts": dict(event.counts), "exam": _evaluation(event.evaluation)}


def doubt(event: events.UncertainSampleKept) -> Message:
    """Show a doubtful moment and the labels it may mean, likeliest first."""
    return {
        "type": "doubt",
        "moment": event.sample,
        "region": event.region,
        "reason": event.reason,
        "likely": [row.label for row in event.prediction.ranking],
    }


def deed(event: events.Event) -> Message | None:
    """Say what was done to the examples, by whomever; None for any other event."""
    match event:
        case events.ExampleAdded():
            what = {"deed": "added", "ids": [event.id], "label": event.label, "count": event.count}
        case events.ExampleUndone():
            what = {"deed": "undone", "ids": [event.id], "label": event.label, "count": event.count}
        case events.Cleared():
            what = {"deed": "cleared", "label": event.label, "count": event.removed}
        case events.ExamplesEdited():
            what = {"deed": event.action, "ids": list(event.ids), "label": event.label}
        case _:
            return None
    return {"type": "deed", "via": event.command.origin.via, **what}


def utc_ms(moment: datetime) -> str:
    """Write a moment as UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_VERDICTS = {"ok": "good", "needs_examples": "needs_more", "confused": "looks_like"}


def _evaluation(evaluation: Evaluation | None) -> Message | None:
    if evaluation is None:
        return None
    verdicts = {
        label: {
            "verdict": _VERDICTS[report.status],
            "count": report.count,
            "recall": report.recall,
            "looks_like": report.confused_with,
        }
        for label, report in evaluation.classes.items()
    }
    recommended = evaluation.recommendation
    advice = recommended and {"label": recommended.label, "reason": recommended.reason}
    return {
        "accuracy": evaluation.accuracy,
        "verdicts": verdicts,
        "confused": evaluation.most_confused,
        "near_duplicates": evaluation.near_duplicates,
        "advice": advice,
    }
