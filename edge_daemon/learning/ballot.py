"""One object's frames vote on what it is."""

from __future__ import annotations

from dataclasses import dataclass

from edge_daemon.types import UNKNOWN, Frame, Prediction


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a ballot says: `confidence` is the label's share of the vote, 0 for unknown.

    `best` is the frame that shows the object best, out of `frames`.
    """

    label: str
    confidence: float
    best: Frame
    frames: int


class Ballot:
    """Adds up votes, each weighted by how well the object is seen (`clarity`) and how sure the head is.

    A frame on which the object is rejected votes for `unknown` with a whole voice. Clarity keeps the
    frames from counting on which an object comes in or leaves, half in view, and looks like nothing taught.
    """

    def __init__(self) -> None:
        self._votes: dict[str, float] = {}
        self._best: Frame | None = None
        self._best_rank = (0.0, 0.0)
        self.frames = 0

    def add(self, frame: Frame, prediction: Prediction, clarity: float) -> None:
        """Take one frame's prediction; `clarity` is above 0 and at most 1."""
        sure = 1.0 if prediction.label == UNKNOWN else prediction.confidence
        self._votes[prediction.label] = self._votes.get(prediction.label, 0.0) + clarity * sure
        self.frames += 1
        rank = (clarity, prediction.confidence)
        if self._best is None or rank > self._best_rank:
            self._best, self._best_rank = frame, rank

    def outcome(self) -> Outcome | None:
        """Return what the frames say; None when there were none."""
        if self._best is None:
            return None
        label = max(self._votes, key=self._votes.__getitem__)
        share = 0.0 if label == UNKNOWN else self._votes[label] / sum(self._votes.values())
        return Outcome(label, share, self._best, self.frames)
