"""`edge-daemon examples list`: the number of examples and the evaluation of each label."""

from __future__ import annotations

import argparse
import json
import logging
import sys

from edge_daemon.app.model_factory import build_classifier
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import percent
from edge_daemon.domain.types import ClassReport, Evaluation
from edge_daemon.example_store.peer_examples import count_peers
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.learning.sessions import SessionCounter

log = logging.getLogger(__name__)


def run_list(args: argparse.Namespace, config: Config, store: ExampleStore) -> int:
    """Print the labels of the store, and the peers whose examples it has."""
    evaluation = _evaluate(config, store)
    reports = evaluation.classes
    for label, count in store.counts.items():
        report = reports.get(label)
        print_row(
            args,
            f"{label}\t{count}\t{_describe(report)}".rstrip(),
            label=label,
            count=count,
            status=report.status if report else None,
            recall=report.recall if report else None,
            confused_with=report.confused_with if report else None,
            sessions=report.sessions if report else None,
        )
    if evaluation.accuracy is not None:
        print(f"edge-daemon: accuracy {percent(evaluation.accuracy)}: {evaluation.note}", file=sys.stderr)
    peers = count_peers(store)
    for device, accepted, quarantined in peers:
        words = f"of '{device}'\t{accepted}\t{quarantined} quarantined"
        print_row(args, words, device=device, accepted=accepted, quarantined=quarantined)
    if not (reports or peers or args.json):
        print("no examples yet")
    if len(spaces := store.spaces()) > 1:
        log.warning(
            "examples of %d models; `edge-daemon examples reembed` embeds all with the configured one",
            len(spaces),
        )
    return 0


def _evaluate(config: Config, store: ExampleStore) -> Evaluation:
    """Evaluate the examples of the most frequent embedding space. This needs no model."""
    spaces = store.spaces()
    classifier = build_classifier(config, None)
    sessions = SessionCounter()
    for example in store.examples(max(spaces, key=spaces.__getitem__, default=""), thumbnails=False):
        session = sessions.number(example)
        classifier.add(example.embedding, example.label, example.id, example.group, session)
    return classifier.evaluate()


def _describe(report: ClassReport | None) -> str:
    if report is None:
        return ""
    if report.confused_with is not None:
        return f"confused with '{report.confused_with}'"
    return report.status.replace("_", " ")


def print_row(args: argparse.Namespace, words: str, **values: object) -> None:
    """Print `words`, or `values` as JSON with `--json`."""
    print(json.dumps(values) if args.json else words)
