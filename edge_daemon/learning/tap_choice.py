"""Which reading of the same pictures suits them: a model's embedding, or their own pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edge_daemon.errors import NoExamplesError
from edge_daemon.learning.auto import HEADS
from edge_daemon.learning.contest import Marks, better, cross_validate
from edge_daemon.learning.example_set import ExampleSet


@dataclass(frozen=True, slots=True)
class TapScore:
    """How a tap does with the head that does best on it: the share named right in cross-validation."""

    tap: str
    head: str
    accuracy: float
    asked: int


def choose_tap(taps: Mapping[str, ExampleSet], present: str) -> tuple[list[TapScore], str]:
    """Cross-validate each tap; name the best one if its gain over the present one is real.

    The sets hold the same pictures in the same order. Raises NoExamplesError for too few to ask any.
    """
    marks: dict[str, Marks] = {}
    scores = []
    for tap, examples in taps.items():
        heads = cross_validate(examples, HEADS)
        head = max(heads, key=lambda each: int(heads[each].sum()))
        marks[tap] = heads[head]
        if not len(marks[tap]):
            raise NoExamplesError("comparing taps needs two labels with two examples each")
        scores.append(TapScore(tap, head, float(marks[tap].mean()), len(marks[tap])))
    return scores, better(marks, present)
