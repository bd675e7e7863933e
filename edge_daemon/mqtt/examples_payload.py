"""The payload at `<base>/examples`: counts, evaluation and fleet."""

from __future__ import annotations

import msgspec

from edge_daemon.domain.events import ExamplesChanged
from edge_daemon.domain.types import ClassReport, Evaluation, FleetFigures
from edge_daemon.mqtt import payloads

_MAX_COUNTS = 200
_MAX_CLASSES = 50


def examples_payload(event: ExamplesChanged) -> payloads.Examples:
    """Return the payload of changed examples, shortened to 200 labels and 50 evaluated ones."""
    return payloads.Examples(
        counts=dict(list(event.counts.items())[-_MAX_COUNTS:]),
        total=sum(event.counts.values()),
        labels=len(event.counts),
        evaluation=None if event.evaluation is None else _evaluation(event.evaluation),
        fleet=msgspec.UNSET if event.fleet is None else _fleet(event.fleet),
    )


def _fleet(figures: FleetFigures) -> payloads.Fleet:
    return payloads.Fleet(
        group=figures.group,
        shared=figures.shared,
        peers={
            device: payloads.FleetPeer(accepted=peer.accepted, quarantined=peer.quarantined)
            for device, peer in figures.peers.items()
        },
        rejected=dict(figures.rejected),
    )


def _is_ok(labelled: tuple[str, ClassReport]) -> bool:
    return labelled[1].status == "ok"


def _evaluation(evaluation: Evaluation) -> payloads.EvaluationFigures:
    classes = {
        label: payloads.ClassEvaluation(
            status=report.status,
            count=report.count,
            recall=report.recall,
            confused_with=report.confused_with,
            sessions=report.sessions,
        )
        for label, report in sorted(evaluation.classes.items(), key=_is_ok)[:_MAX_CLASSES]
    }
    pair, next_label = evaluation.most_confused, evaluation.recommendation
    return payloads.EvaluationFigures(
        accuracy=evaluation.accuracy,
        classes=classes,
        most_confused=None if pair is None else list(pair),
        near_duplicates=evaluation.near_duplicates,
        recommendation=None
        if next_label is None
        else payloads.NextLabel(label=next_label.label, reason=next_label.reason),
        sessions=evaluation.sessions,
        across_sessions=evaluation.across_sessions,
        note=evaluation.note,
    )
