"""`edge-daemon examples list` in a fleet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_daemon.cli.main import main
from edge_daemon.example_store.peer_examples import PeerExamples
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from tests.harness.unit_vectors import unit


def test_peers_are_listed_with_accepted_and_quarantined_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "examples.sqlite"
    with ExampleStore(path) as store:
        peers = PeerExamples(store, "space")
        kept = peers.add(
            ExampleRecord(unit(number), "cat", "space", origin="north", number=number)
            for number in range(1, 4)
        )
        peers.accept(each.id for each in kept[:2])
    words = ["examples", "list", "--set", f"store.path={path}"]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"device": "north", "accepted": 2, "quarantined": 1}
    assert main(words) == 0
    assert capsys.readouterr().out == "of 'north'\t2\t1 quarantined\n"
