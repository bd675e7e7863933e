"""Events and reply data of an undone, redone, renamed or merged change of the examples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edge_daemon.domain import commands, events
from edge_daemon.example_store.change_history import Change, Step


def undo_events(
    change: Change, command: commands.Undo | commands.Redo, counts: Mapping[str, int]
) -> Iterator[events.Event]:
    """Yield the events and the reply of an undone or redone change; `counts` are those after it."""
    for label, ids in _by_label(change.removed):
        if isinstance(command, commands.Undo):
            burst = ids if len(ids) > 1 else ()
            yield events.ExampleUndone(ids[-1], label, counts.get(label, 0), command, burst)
        else:
            yield events.ExamplesEdited("removed", ids, command)
    if restored := tuple(step.id for step in change.restored):
        yield events.ExamplesEdited("restored", restored, command)
    for label, ids in _by_label(change.relabelled):
        yield events.ExamplesEdited("relabelled", ids, command, label)
    labels = dict.fromkeys(label for step in change.steps for label in (step.label_before, step.label_after))
    data: dict[str, object] = {
        "change": change.number,
        "text": change.text,
        "counts": {each: counts.get(each, 0) for each in labels},
    }
    if change.removed and len(labels) == 1:
        [label] = labels
        data |= {"id": change.steps[-1].id, "label": label, "count": counts.get(label, 0)}
    yield events.CommandReply(command, data=data)


def _by_label(steps: Sequence[Step]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield each label and the ids of its examples."""
    for label in dict.fromkeys(step.label_after for step in steps):
        yield label, tuple(step.id for step in steps if step.label_after == label)
