"""Pictures that a command imports are of the session of the presses shortly before them."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.board.clock import boot_id
from edge_daemon.cli.main import main
from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from tests.harness.shared_files import shared_path

PICTURES = shared_path("images/imprinting/train")


def examples(store: Path, *words: str) -> None:
    assert main(["examples", *words, "--set", f"store.path={store}"]) == 0


def press_again(store: Path, shown: list[Example], before: timedelta, boot: str) -> None:
    """Add presses of nearly the same pictures, made that long ago in that boot."""
    with ExampleStore(store) as opened, opened.transaction():
        for each in shown:
            noise = np.random.default_rng(each.id).normal(0, 0.001, each.embedding.shape)
            opened.add_record(
                ExampleRecord(
                    (each.embedding + noise).astype(np.float32),
                    each.label,
                    each.space,
                    created_at=datetime.now(UTC) - before,
                    boot_id=boot,
                    uptime_s=time.monotonic() - before.total_seconds(),
                )
            )


@pytest.mark.parametrize(
    ("before", "boot", "sessions", "note"),
    [
        (timedelta(seconds=9), boot_id(), 1, "measured in one session"),
        (timedelta(minutes=30), boot_id(), 2, "measured across sessions"),
        (timedelta(seconds=9), "another boot", 2, "measured across sessions"),
    ],
)
def test_an_import_continues_the_session_of_presses_of_this_boot(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    before: timedelta,
    boot: str,
    sessions: int,
    note: str,
) -> None:
    examples(tmp_path / "other.sqlite", "import", str(PICTURES))
    with ExampleStore(tmp_path / "other.sqlite") as other:
        press_again(tmp_path / "own.sqlite", list(other), before, boot)
    examples(tmp_path / "own.sqlite", "import", str(PICTURES))
    capsys.readouterr()
    examples(tmp_path / "own.sqlite", "list", "--json")
    listed, error = capsys.readouterr()
    assert {json.loads(line)["sessions"] for line in listed.splitlines()} == {sessions}
    assert note in error
