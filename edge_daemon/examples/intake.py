"""Taking examples in from outside: what is taught already is recognised and left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from edge_daemon.examples.draft import Draft
from edge_daemon.examples.store import ExampleStore

_T = TypeVar("_T")


class Track(Protocol):
    """Passes items through and shows how far it is; `total` is how many will come."""

    def __call__(self, items: Iterable[_T], total: int) -> Iterable[_T]:
        """Return the items."""


def untracked(items: Iterable[_T], total: int) -> Iterable[_T]:
    """Show nothing."""
    return items


@dataclass(slots=True)
class Report:
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


def take_in(store: ExampleStore, drafts: Iterable[Draft], report: Report) -> None:
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
