"""Taking examples in from outside: what is taught already is recognised and left out."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from edge_daemon.domain.errors import ArchiveError, EmbeddingError, ImageError, LabelError
from edge_daemon.domain.interfaces import Embedder
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image

if TYPE_CHECKING:
    from edge_daemon.domain.types import Image


log = logging.getLogger(__name__)

_T = TypeVar("_T")


class Track(Protocol):
    """Passes items through and shows how far it is; `total` is how many will come."""

    def __call__(self, items: Iterable[_T], total: int) -> Iterable[_T]:
        """Return the items."""


def untracked(items: Iterable[_T], total: int) -> Iterable[_T]:
    """Show nothing."""
    return items


@dataclass(slots=True)
class ImportReport:
    """What an import did: `problems` holds a line for each item left out for a reason to look at."""

    added: int = 0
    duplicates: int = 0
    problems: list[str] = field(default_factory=list)

    def meet_twin(self, name: str, label: str, taught_as: str) -> None:
        """Note an item that is taught already, under its own label or another."""
        if label == taught_as:
            self.duplicates += 1
        else:
            self.problems.append(f"{name}: wanted as '{label}' but taught as '{taught_as}' already; left out")


class ForeignLabels:
    """The labels of an import: renamed where `renames` says so, each that can't be taken left out once."""

    def __init__(self, report: ImportReport | None = None, renames: Mapping[str, str] | None = None) -> None:
        """`report` gets a problem for each label left out; without one the log does."""
        self._report = report
        self._renames = renames or {}
        self._taken: dict[str, str | None] = {}
        self.refusal: LabelError | None = None
        """The last label's that was left out."""

    def take(self, name: str, where: str = "") -> str | None:
        """Return the label that `name` becomes, None for one that is left out."""
        if name not in self._taken:
            self._taken[name] = self._checked(name, where)
        return self._taken[name]

    def renamed(self, name: str) -> str:
        """Return the label that the user chose for `name`, unchecked; by default the same."""
        self._taken.setdefault(name, name)
        return self._renames.get(name, name)

    def check_renames(self, where: str) -> None:
        """Raise ArchiveError when a label that should be renamed did not come."""
        for old in self._renames:
            if old not in self._taken:
                raise ArchiveError(f"'{where}' holds no label '{old}' to rename; it has {_some(self._taken)}")

    def is_renamed(self, name: str) -> bool:
        """Whether the user chose another label for `name`."""
        return name in self._renames

    def _checked(self, name: str, where: str) -> str | None:
        try:
            return check_label(self._renames.get(name, name))
        except LabelError as exc:
            self.refusal = LabelError(f"{where}{exc}")
            problem = f"{where}{exc}; left out, take it in with --rename OLD=NEW"
            if self._report is None:
                log.warning("%s", problem)
            else:
                self._report.problems.append(problem)
            return None


def _some(labels: Iterable[str]) -> str:
    names = [f"'{name}'" for name in labels]
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def take_in(store: ExampleStore, drafts: Iterable[ExampleRecord], report: ImportReport) -> None:
    """Add what is new of `drafts` in one transaction, all or none."""
    added = 0
    with store.transaction():
        for draft in drafts:
            taught_as = store.twin(
                draft.space, draft.region, thumbnail=draft.thumbnail, embedding=draft.embedding
            )
            if taught_as is None:
                store.keep(draft)
                added += 1
            else:
                report.meet_twin(draft.source or "example", draft.label, taught_as)
    report.added += added


def lookalikes(labels: Iterable[str]) -> list[tuple[str, str]]:
    """Return the pairs of labels that differ only in case or spaces."""
    first: dict[str, str] = {}
    pairs = []
    for label in dict.fromkeys(labels):
        known = first.setdefault("".join(label.split()).casefold(), label)
        if known != label:
            pairs.append((known, label))
    return pairs


def reembed(store: ExampleStore, embedder: Embedder, track: Track = untracked) -> ImportReport:
    """Move the examples of other spaces into the embedder's, all in one transaction at the end.

    Until then, and after a failure, the store is as it was. An example without a usable thumbnail
    stays where it is and is reported; one whose picture is taught in the new space already is removed.
    """
    counts = store.spaces()
    foreign = (example for example in store if example.space != embedder.space)
    report = ImportReport()
    moving = []
    twins = []
    for example in track(foreign, sum(counts.values()) - counts.get(embedder.space, 0)):
        if store.twin(embedder.space, example.region, thumbnail=example.thumbnail) == example.label:
            twins.append(example.id)
            continue
        try:
            moving.append((example.id, embedder.embed(_picture(example))))
        except (ImageError, EmbeddingError) as exc:
            report.problems.append(f"example {example.id} ('{example.label}') stays as it is: {exc}")
    with store.transaction():
        report.duplicates = len(store.remove(twins))
        report.added = store.move(moving, embedder.space)
    return report


def _picture(example: Example) -> Image:
    if not example.thumbnail:
        raise ImageError("it has no thumbnail")
    return read_image(example.thumbnail)
