"""Teaching plans: the sessions that teach, and the classes that each of them teaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation.session_set import Session, labels_of

Teach: TypeAlias = Literal["one", "each"] | int

TeachingPlan: TypeAlias = Mapping[str, Sequence[str]]
"""The labels that each teaching session teaches, in order of time."""


def press_count(session: Session, label: str, shots: int) -> int:
    """Return the number of presses of a class: `shots`, or fewer so that one frame is left as a query."""
    return min(shots, max(0, len(session.frames.get(label, ())) - 1))


def make_plans(sessions: Sequence[Session], teach: Teach, shots: int) -> list[TeachingPlan]:
    """Return the plans of a way of teaching; each plan is measured on its own.

    `one`: each session in turn teaches all its classes. `each`: every class is taught in one session, dealt
    round robin, once from each session on. A number: that many sessions teach, the first ones that can.
    Empty if the sessions have too few frames. Raises ConfigError if every session would teach.
    """
    if teach == "each":
        return _dealt_plans(sessions, shots)
    teachable = {session.name: _teachable(session, shots) for session in sessions}
    able = [name for name, labels in teachable.items() if labels]
    if teach == "one":
        return [{name: teachable[name]} for name in able]
    if teach >= len(sessions):
        raise ConfigError(
            f"--teach {teach} leaves no session to ask in, of {counted(len(sessions), 'session')}"
        )
    return [{name: teachable[name] for name in able[:teach]}] if len(able) >= teach else []


def _teachable(session: Session, shots: int) -> list[str]:
    """Return the labels that a session can teach; none if half of them or more are short of frames."""
    labels = [label for label in sorted(session.frames) if press_count(session, label, shots)]
    full = [label for label in labels if press_count(session, label, shots) == shots]
    return labels if len(labels) > 1 and 2 * len(full) > len(labels) else []


def _dealt_plans(sessions: Sequence[Session], shots: int) -> list[TeachingPlan]:
    plans: list[TeachingPlan] = []
    for first in range(len(sessions)):
        dealt: dict[str, list[str]] = {session.name: [] for session in sessions}
        for position, label in enumerate(labels_of(sessions), start=first):
            turn = position % len(sessions)
            for session in (*sessions[turn:], *sessions[:turn]):
                if press_count(session, label, shots) == shots:
                    dealt[session.name].append(label)
                    break
        plan = {name: labels for name, labels in dealt.items() if labels}
        if sum(map(len, plan.values())) > 1 and plan not in plans:
            plans.append(plan)
    return plans


def shortfalls(sessions: Sequence[Session], teach: Teach, shots: int) -> Iterator[str]:
    """Yield a line per session or class that has too few frames for this number of shots."""
    if teach == "each":
        for label in labels_of(sessions):
            most = max(len(session.frames.get(label, ())) for session in sessions)
            if most <= shots:
                has = counted(most, "picture")
                yield f"{counted(shots, 'shot')}: '{label}' is left out; a session has {has} of it at most"
        return
    for session in sessions:
        counts = {label: len(session.frames.get(label, ())) for label in labels_of(sessions)}
        short = ", ".join(f"{count} of '{label}'" for label, count in counts.items() if count <= shots)
        if short:
            verb = "teaches with fewer" if _teachable(session, shots) else "does not teach"
            yield f"{counted(shots, 'shot')}: session '{session.name}' {verb}; it has {short}"
