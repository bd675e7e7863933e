"""JSON messages of the page, built from events. Pure: an event in, plain data out."""

from __future__ import annotations

from collections.abc import Mapping

from edge_daemon.domain import events
from edge_daemon.domain.types import Evaluation
from edge_daemon.system.clock import utc_ms

Message = Mapping[str, object]


def result(event: events.Classified, fps: float) -> Message:
    """Return the classification of a region's latest frame; `fps` is the rate of classified frames.

    `confidence` is that of an interpolated number, which is none of the labels in `confidences`.
    """
    prediction = event.prediction
    return {
        "type": "result",
        "region": event.region,
        "label": prediction.label,
        "confidences": dict(prediction.confidences),
        "confidence": prediction.confidence if prediction.number is not None else 0.0,
        "similarity": prediction.similarity,
        "nearest": prediction.nearest,
        "seq": event.seq,
        "latency_ms": event.latency_ms,
        "fps": fps,
    }


def label(event: events.LabelChanged) -> Message:
    """Return a region's new stable label."""
    return {
        "type": "label",
        "region": event.region,
        "label": event.label,
        "previous": event.previous,
        "confidence": event.confidence,
        "at": utc_ms(event.captured_at),
        "held_s": 0.0,
    }


def examples(event: events.ExamplesChanged) -> Message:
    """Return the number of examples per label and their evaluation."""
    return {
        "type": "examples",
        "counts": dict(event.counts),
        "evaluation": _evaluation(event.evaluation),
    }


def scene(event: events.SceneStatus) -> Message:
    """Return the state of a region's scene."""
    return {
        "type": "scene",
        "region": event.region,
        "state": event.state,
        "learned_at": None if event.learned_at is None else utc_ms(event.learned_at),
        "automatic": event.automatic,
    }


def uncertain(event: events.UncertainSampleKept) -> Message:
    """Return an uncertain sample and the labels it may have, likeliest first."""
    return {
        "type": "uncertain",
        "sample": event.sample,
        "region": event.region,
        "reason": event.reason,
        "likely": [row.label for row in event.prediction.ranking],
        "nearest": event.prediction.nearest,
    }


def edit(event: events.Event) -> Message | None:
    """Return a change of the examples, from any source; None for any other event."""
    match event:
        case events.ExampleAdded():
            change = {"action": "added", "ids": [event.id], "label": event.label, "count": event.count}
        case events.ExampleUndone():
            change = {
                "action": "undone",
                "ids": list(event.ids or [event.id]),
                "label": event.label,
                "count": event.count,
            }
        case events.Cleared():
            change = {"action": "cleared", "label": event.label, "count": event.removed}
        case events.ExamplesEdited():
            change = {"action": event.action, "ids": list(event.ids), "label": event.label}
        case _:
            return None
    return {"type": "edit", "via": event.command.origin.via, **change}


def _evaluation(evaluation: Evaluation | None) -> Message | None:
    if evaluation is None:
        return None
    classes = {
        label: {
            "status": report.status,
            "count": report.count,
            "recall": report.recall,
            "confused_with": report.confused_with,
            "sessions": report.sessions,
        }
        for label, report in evaluation.classes.items()
    }
    recommended = evaluation.recommendation
    return {
        "accuracy": evaluation.accuracy,
        "classes": classes,
        "most_confused": evaluation.most_confused,
        "near_duplicates": evaluation.near_duplicates,
        "recommendation": recommended and {"label": recommended.label, "reason": recommended.reason},
        "sessions": evaluation.sessions,
        "note": evaluation.note,
    }
