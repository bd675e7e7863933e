"""`edge-daemon evaluate --tune`: the choices of the draws, and one recommendation from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from edge_daemon.config.schema import ClassifierOptions
from edge_daemon.evaluation.few_shot import Dataset, TuningDraw, most_frequent, tune

_PART_OF_AUTO = "discriminant"
"""The choice that no type uses alone."""


def tuning_rows(
    data: Dataset,
    shots: Sequence[int],
    seeds: Callable[[int], Iterable[int]],
    configured: ClassifierOptions,
) -> Iterator[dict[str, object]]:
    """Yield a row for each number of shots, and one with the recommendation for the largest number.

    `seeds` returns the seeds of the draws for a number of shots.
    """
    for each in shots:
        draws = tune(data, each, seeds(each))
        accuracy = float(np.mean([draw.accuracy for draw in draws]))
        counts = dict(Counter(draw.choice for draw in draws).most_common())
        yield {"tuned": counts, "shots": each, "accuracy": accuracy}
        if each == max(shots):
            recommended = _recommendation(draws, each, configured)
    yield recommended


def _recommendation(
    draws: Sequence[TuningDraw], shots: int, configured: ClassifierOptions
) -> dict[str, object]:
    best = most_frequent(draws)
    settings = choice_settings(best)
    words = " ".join(f"classifier.{key}={value}" for key, value in settings.items())
    is_set = all(str(getattr(configured, key)) == value for key, value in settings.items())
    return {
        "recommendation": f"keep {words}" if is_set else f"set {words}",
        "best": best,
        "chosen": sum(draw.choice == best for draw in draws),
        "draws": len(draws),
        "shots": shots,
    }


def choice_settings(choice: str) -> dict[str, str]:
    """Return the values of the section `classifier` for a choice of `few_shot.GRID`."""
    if choice == _PART_OF_AUTO:
        return {"type": "auto"}
    kind, *options = choice.split()
    if not options:
        return {"type": kind}
    k, metric, vote = options
    return {"type": kind, "k": k.removeprefix("k="), "metric": metric, "vote": vote}
