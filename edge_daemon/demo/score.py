"""How often the labels that a subscriber received were right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Tally:
    """Frames of one true label: how many were labelled, how many right, and as what the others went."""

    frames: int = 0
    right: int = 0
    mistaken: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Right labels among all, 0 to 1."""
        return self.right / self.frames if self.frames else 0.0


class Score:
    """Counts received labels against the truth. `truth(seq)` is None for a frame that isn't scored."""

    def __init__(self, truth: Callable[[int], str | None]) -> None:
        self._truth = truth
        self.tallies: dict[str, Tally] = {}

    def add(self, seq: int, label: str) -> None:
        """Count the label that was received for frame `seq`."""
        expected = self._truth(seq)
        if expected is None:
            return
        tally = self.tallies.setdefault(expected, Tally())
        tally.frames += 1
        if label == expected:
            tally.right += 1
        else:
            tally.mistaken[label] = tally.mistaken.get(label, 0) + 1

    @property
    def total(self) -> Tally:
        """All labels together."""
        every = self.tallies.values()
        return Tally(sum(tally.frames for tally in every), sum(tally.right for tally in every))

    def table(self) -> str:
        """Write the score as lines of text, worst label last."""
        rows = [f"{'shown':<14}{'frames':>7}{'right':>8}   taken for"]
        for label, tally in sorted(self.tallies.items(), key=lambda item: -item[1].share):
            wrong = ", ".join(f"{name} ({count})" for name, count in tally.mistaken.items())
            rows.append(f"{label:<14}{tally.frames:>7}{tally.share:>8.1%}   {wrong}".rstrip())
        total = self.total
        rows.append(f"{'all':<14}{total.frames:>7}{total.share:>8.1%}")
        return "\n".join(rows)
