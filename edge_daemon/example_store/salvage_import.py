"""Taking what a damaged store still holds into the store in use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from edge_daemon.domain.errors import LabelError, StoreError
from edge_daemon.domain.labels import check_label
from edge_daemon.example_store.importing import ImportReport, take_in
from edge_daemon.example_store.integrity import describe
from edge_daemon.example_store.record import ExampleRecord, unpack
from edge_daemon.example_store.salvage import Row, Salvage, sound_rows
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.sqlite import named


def import_salvage(store: ExampleStore, path: Path) -> ImportReport:
    """Add the sound examples of a damaged file that the store lacks, in one transaction: all or none.

    Those that were removed, or that peers taught, are left out. Raises StoreError, EmbeddingError.
    """
    salvage, report = Salvage(), ImportReport()
    if path.exists() and path.samefile(store.path):
        raise StoreError(f"'{path}' is the store in use; name the file that was kept of a corrupt one")
    with named(path):
        take_in(store, _drafts(sound_rows(path, salvage), report), report)
    report.problems += salvage.problems
    if not (report.added or report.duplicates or report.problems):
        raise StoreError(f"nothing can be read of '{path}'; it is no example store, or all of it is damaged")
    return report


def _drafts(rows: Iterator[Row], report: ImportReport) -> Iterator[ExampleRecord]:
    for row in rows:
        if row["origin"] or row["removed_at"]:
            continue
        try:
            check_label(row["label"])
        except LabelError as exc:
            report.problems.append(describe(row["id"], row["label"], str(exc)))
            continue
        yield ExampleRecord(
            unpack(row["embedding"]),
            row["label"],
            space=row["space"],
            region=row["region"],
            group=row["burst"],
            source=row["source"],
            thumbnail=row["thumbnail"],
            created_at=datetime.fromisoformat(row["created_at"]),
        )
