"""Taught sessions: whether the recent frames come from one of them.

A session is a time and place of teaching: its light, its background and its camera position are in every
example. In that session the mean of recent frames is a mixture of the class means, whichever classes are in
view, so it lies in the span of the class means. In another session it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from msgspec import Struct

from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.recent_frames import RecentFrames
from edge_daemon.learning.sampling import Doubles, Flags, Floats, evenly_spaced, unique

FRAME_COUNTS = (8, 16, 32, 48)
"""Numbers of recent frames from which on a session has another threshold: more frames have a surer mean."""

MIN_FRAMES = FRAME_COUNTS[0]
"""Number of recent frames below which the session is not determined."""

FRAMES_PER_INDEPENDENT = 4
"""Number of frames in a row that are worth an independent one, as they are alike."""

MAX_SESSIONS = 8
"""Number of newest sessions that are known; their bases take 0.6 MB with embeddings of 1,280 numbers."""

MAX_CLASSES = 12
"""Number of classes that span a session; more are sampled evenly."""

MAX_EXAMPLES = 20
"""Number of examples of a class in a session, sampled evenly, whose mean is used."""

NEW_CLASS_SD = 3.0
"""Distance, in standard deviations, from a new class in a taught session to another session."""

FEW_CLASSES_SD = 8.0
"""Standard deviations that are added to NEW_CLASS_SD, divided by the number of classes: the spread of few
classes is uncertain."""

UNKNOWN_NEW_CLASS_SD = 1.0
"""NEW_CLASS_SD and FEW_CLASSES_SD where most recent frames are unknown: other things of the place seldom are
most of what it shows."""

KNOWN_SHARE = 0.3
"""Share of the recent frames that are known in a taught session; with fewer, most are unknown."""

PRIOR_FRAMES = 8
"""Strength of the assumption that recent frames are those of a taught session, in frames."""

OFFSET_SHARE = 0.5
"""Share of the difference between two sessions that is subtracted. The mean of frames that show one class
holds that class too: the whole difference would remove it."""

MIN_SIMILARITY = 0.2
"""Similarity of two sessions below which they show different things."""

_EPSILON = 1e-6


class TaughtSession(Struct, frozen=True):
    """The mean of a session's class means, and an orthonormal basis (rows) of their span.

    Recent frames come from this session if their mean, at unit length, has a projection of length
    `least[i][0]`, or of `least[i][1]` if most of them are unknown, with `FRAME_COUNTS[i]` frames or more.
    """

    mean: Doubles
    basis: Floats
    least: Sequence[tuple[float, float]]

    def contains(self, recent: RecentFrames) -> bool:
        """Return whether recent frames come from this session."""
        inside = float(np.linalg.norm(self.basis @ recent.mean.astype(np.float32)))
        known, unknown = self.least[sum(recent.count >= count for count in FRAME_COUNTS[1:])]
        least = known if recent.known_share >= KNOWN_SHARE else unknown
        return inside >= least * float(np.linalg.norm(recent.mean))

    def similarity(self, mean: Doubles) -> float:
        """Return how much the mean of recent frames shares with this session: all (1) to nothing (0).

        Nothing is the expected product with the same numbers in a random order: after a rectifier, embeddings
        of any two pictures are similar.
        """
        own = float(self.mean @ self.mean)
        nothing = float(self.mean.sum()) ** 2 / (len(mean) * own)
        return (float(self.mean @ mean) / own - nothing) / max(1 - nothing, _EPSILON)


class SessionShift(Struct, frozen=True):
    """The shift of recent frames that come from no taught session.

    `offset` (d) added to a query moves it towards the nearest taught session; None if the two have too little
    in common.
    """

    offset: Floats | None


class TaughtSessions:
    """The newest taught sessions. Without two classes in one session there are none."""

    def __init__(self, sessions: Sequence[TaughtSession]) -> None:
        self._sessions = sessions

    def session_shift(self, recent: RecentFrames) -> SessionShift | None:
        """Return how the recent frames differ from the nearest taught session.

        None in a taught session, and with too few frames to know. The offset is half of the difference; it is
        None if the two have too little in common: then other things are in view, and a move would make them
        alike.
        """
        if recent.count < MIN_FRAMES or not self._are_comparable(recent):
            return None
        if any(each.contains(recent) for each in self._sessions):
            return None
        return self.shift_to_nearest(recent)

    def shift_to_nearest(self, recent: RecentFrames) -> SessionShift | None:
        """Return how the recent frames differ from the nearest taught session; None if there is none."""
        if not self._are_comparable(recent):
            return None
        mean = recent.mean
        nearest = min(self._sessions, key=lambda each: float(np.linalg.norm(each.mean - mean)))
        if nearest.similarity(mean) < MIN_SIMILARITY:
            return SessionShift(None)
        trust = OFFSET_SHARE * recent.count / (recent.count + PRIOR_FRAMES)
        return SessionShift((trust * (nearest.mean - mean)).astype(np.float32))

    def _are_comparable(self, recent: RecentFrames) -> bool:
        return bool(self._sessions) and len(recent.mean) == len(self._sessions[0].mean)


def fit_taught_sessions(examples: EmbeddingIndex) -> TaughtSessions:
    """Return the newest sessions of the examples.

    A session with one class has no threshold; it uses the lowest one of the others.
    """
    ids = np.asarray(examples.sessions, np.intp)
    means = [_class_means(examples, ids == number) for number in unique(ids)[-MAX_SESSIONS:].tolist()]
    scatter = [1 - float(np.square(each).sum(axis=1).mean()) for each in means]
    least = [_least_projections(each, within) for each, within in zip(means, scatter, strict=True)]
    lowest = min((each for each in least if each), default=None)
    if lowest is None:
        return TaughtSessions(())
    return TaughtSessions(
        [
            TaughtSession(each.mean(axis=0), _basis(each), bounds or lowest)
            for each, bounds in zip(means, least, strict=True)
        ]
    )


def _class_means(examples: EmbeddingIndex, own: Flags) -> Doubles:
    """Return the mean of each class (rows) in a session."""
    class_ids = evenly_spaced(unique(examples.class_ids[own]), MAX_CLASSES).tolist()
    rows = [np.flatnonzero(own & (examples.class_ids == class_id)) for class_id in class_ids]
    means = [examples.matrix[evenly_spaced(each, MAX_EXAMPLES)].mean(axis=0) for each in rows]
    return np.array(means, np.float64)


def _least_projections(means: Doubles, scatter: float) -> list[tuple[float, float]]:
    """Return the projections that the mean of recent frames has in this session if it shows a new class.

    One pair for each of FRAME_COUNTS; the second number is that of unknown frames. Each class in turn is the
    new one, beside one of the others. `scatter` is the variance within a class; a mean keeps its share of it.
    Empty with one class.
    """
    if len(means) < 2:
        return []
    coordinates = means @ _basis(means).T  # the lengths are the same, the products are shorter
    inside, squares = np.array(list(_new_class_projections(coordinates))).T
    known = NEW_CLASS_SD + FEW_CLASSES_SD / len(means)
    unknown = UNKNOWN_NEW_CLASS_SD + UNKNOWN_NEW_CLASS_SD / len(means)
    found = []
    for count in FRAME_COUNTS:
        shares = inside / np.sqrt(squares + scatter * FRAMES_PER_INDEPENDENT / count)
        mean, spread = float(shares.mean()), float(shares.std())
        found.append((mean - known * spread, mean - unknown * spread))
    return found


def _new_class_projections(means: Doubles) -> Iterator[tuple[float, float]]:
    """Yield the length of the projection and the squared length of the mean of a new class beside another."""
    for new_class in range(len(means)):
        others = np.delete(means, new_class, axis=0)
        basis = _basis(others)
        beside = (means[new_class] + others) / 2 if len(others) > 1 else means[new_class, None]
        for mean in beside:
            yield float(np.linalg.norm(basis @ mean)), float(mean @ mean)


def _basis(vectors: Doubles) -> Floats:
    """Return an orthonormal basis (rows) of the span of vectors (rows)."""
    basis: Floats = np.ascontiguousarray(np.linalg.qr(vectors.T)[0].T, np.float32)
    return basis
