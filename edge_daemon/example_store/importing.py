"""Imports into the store: labels, duplicates, scenes, and salvaged examples."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

from edge_daemon.domain.errors import ArchiveError, LabelError, StoreError
from edge_daemon.domain.labels import check_label
from edge_daemon.example_store.integrity import describe
from edge_daemon.example_store.record import OWN, ExampleRecord, content_digest, pack, unpack
from edge_daemon.example_store.salvage import Row, intact_rows, intact_scenes, open_damaged
from edge_daemon.example_store.salvage_source import Salvage
from edge_daemon.example_store.scene_record import StoredScene
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.system.sqlite import sqlite_errors_of

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_MAX_NAMED = 5
_MAX_ID = 2**63 - 1


class ProgressTracker(Protocol):
    """Returns the items of an iterable and shows the progress; `total` is their number."""

    def __call__(self, items: Iterable[_T], total: int) -> Iterable[_T]:
        """Return the items."""


def no_progress(items: Iterable[_T], total: int) -> Iterable[_T]:
    """Return the items and show nothing."""
    return items


@dataclass(slots=True)
class ImportReport:
    """The result of an import; `problems` has a line for each item left out that its user should look at."""

    added: int = 0
    duplicates: int = 0
    problems: list[str] = field(default_factory=list)

    def add_duplicate(self, name: str, label: str, known_label: str) -> None:
        """Count an item that is in the store already; another label there is a problem."""
        if label == known_label:
            self.duplicates += 1
        else:
            self.problems.append(
                f"{name}: imported as '{label}' but taught as '{known_label}' already; left out"
            )


class ImportLabels:
    """The labels of an import: renamed as `renames` says. Each invalid label is reported once."""

    def __init__(self, report: ImportReport | None = None, renames: Mapping[str, str] | None = None) -> None:
        """`report` gets a problem for each label left out; without a report the log gets a warning."""
        self._report = report
        self._renames = renames or {}
        self._resolved: dict[str, str | None] = {}
        self.rejection: LabelError | None = None
        """The error of the latest invalid label."""

    def resolve(self, name: str, where: str = "") -> str | None:
        """Return the label for `name`; None for an invalid one, which is left out."""
        if name not in self._resolved:
            self._resolved[name] = self._check(name, where)
        return self._resolved[name]

    def renamed(self, name: str) -> str:
        """Return the label that the user chose for `name`, unchecked; by default `name`."""
        self._resolved.setdefault(name, name)
        return self._renames.get(name, name)

    def check_renames(self, where: str) -> None:
        """Raise ArchiveError for a label to rename that the import does not hold."""
        for old in self._renames:
            if old not in self._resolved:
                raise ArchiveError(
                    f"'{where}' holds no label '{old}' to rename; it has {_quote_some(self._resolved)}"
                )

    def is_renamed(self, name: str) -> bool:
        """Return whether the user chose another label for `name`."""
        return name in self._renames

    def _check(self, name: str, where: str) -> str | None:
        try:
            return check_label(self._renames.get(name, name))
        except LabelError as exc:
            self.rejection = LabelError(f"{where}{exc}")
            problem = f"{where}{exc}; left out"
            if self._report is None:
                log.warning("%s", problem)
            else:
                self._report.problems.append(f"{problem}; --rename OLD=NEW imports it")
            return None


def _quote_some(labels: Iterable[str]) -> str:
    names = [f"'{name}'" for name in labels]
    return ", ".join(names[:_MAX_NAMED]) + (", …" if len(names) > _MAX_NAMED else "")


def similar_labels(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of labels that differ only in case or spaces."""
    first: dict[str, str] = {}
    pairs = []
    for label in dict.fromkeys(labels):
        known = first.setdefault("".join(label.split()).casefold(), label)
        if known != label:
            pairs.append((known, label))
    return pairs


def no_scene(scene_id: int) -> StoredScene | None:
    """Return no scene: the source of the import has none."""
    return None


def add_new(
    store: ExampleStore,
    records: Iterable[ExampleRecord],
    report: ImportReport,
    scene_of: Callable[[int], StoredScene | None] = no_scene,
    key: str = "",
    *,
    unique: bool = False,
) -> None:
    """Add the records that the store lacks, in one transaction with this `key`: all or none.

    Two records of the same content are two examples, as they are where they come from; with `unique` they
    are one. A problem names a record by its place, or with `unique` by its source.
    `scene_of` returns the scene that a record's `scene_id` names where the records come from.
    """
    added = 0
    adopted: dict[int | None, int | None] = {None: None}
    with store.transaction(key):
        last_id = _MAX_ID if unique else store.query("SELECT coalesce(max(id), 0) FROM examples")[0][0]
        for number, record in enumerate(records):
            known_label = _known_label(store, record, last_id)
            if known_label is None:
                if record.scene_id is not None and record.scene_id not in adopted:
                    scene = scene_of(record.scene_id)
                    adopted[record.scene_id] = None if scene is None else store.scenes.adopt(scene)
                store.add_record(replace(record, scene_id=adopted[record.scene_id]))
                added += 1
            else:
                name = record.source if unique and record.source else f"example {number}"
                report.add_duplicate(name, record.label, known_label)
    report.added += added


def _known_label(store: ExampleStore, record: ExampleRecord, last_id: int) -> str | None:
    """Return the label of a live example of this device with the same content; None without one.

    It is the record's own label if one of them has that. Only examples up to `last_id` count.
    """
    known: list[str] = []
    for kind, content in (("picture", record.thumbnail), ("embedding", pack(record.embedding))):
        statement = (
            f"SELECT label {OWN} AND space = ? AND region = ? AND {kind}_digest = ? AND id <= ?"
            " ORDER BY label <> ? LIMIT 1"
        )
        values = (record.space, record.region, content_digest(content), last_id, record.label)
        known += (row[0] for row in store.query(statement, *values))
    return record.label if record.label in known else next(iter(known), None)


def import_salvage(store: ExampleStore, path: Path) -> ImportReport:
    """Add the intact examples of a damaged file that the store lacks, in one transaction: all or none.

    Removed examples and peers' examples are left out. Raises StoreError, EmbeddingError.
    """
    salvage, report = Salvage(), ImportReport()
    if path.exists() and path.samefile(store.path):
        raise StoreError(f"'{path}' is the store in use; name the file that was kept of a corrupt one")
    with sqlite_errors_of(path), open_damaged(path) as source:
        records = _salvaged_records(intact_rows(source, salvage), report)
        add_new(store, records, report, intact_scenes(source).get)
    report.problems += salvage.problems
    if not (report.added or report.duplicates or report.problems):
        raise StoreError(f"nothing can be read of '{path}'; it is no example store, or all of it is damaged")
    return report


def _salvaged_records(rows: Iterator[Row], report: ImportReport) -> Iterator[ExampleRecord]:
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
            scene_id=row["scene_id"],
            object_embedding=None if row["object_embedding"] is None else unpack(row["object_embedding"]),
            boot_id=row["boot_id"],
            uptime_s=row["uptime_s"],
        )
