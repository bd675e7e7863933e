"""Compare designs of the threshold in other sessions, on session sets. Prints a Markdown table.

    .venv/bin/python scripts/experiments/compare_sessions.py MODEL SET... --far FOLDER... [--plans 2]

A SET is a folder `<session>/<label>/<picture>`; each FOLDER holds pictures of other things, as a session of
its own. Ten presses of each class are taught in one session. Cells are per cent, the sets separated by
slashes: same session named / a held-out class unknown there / other sessions named / the mean and the least
share of a far FOLDER that is unknown. With `--no-cohort` the copies decide in other sessions.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_daemon.evaluation.across_sessions import WHERE, EmbeddingRecognizer, SessionScore, measure
from edge_daemon.evaluation.frame_copies import FrameCopies
from edge_daemon.evaluation.session_set import Session, SessionFrame, find_sessions, read_sessions
from edge_daemon.evaluation.teaching_plan import make_plans
from edge_daemon.example_store.image_folders import find_pictures
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.open_set import cohort as cohort_module
from edge_daemon.learning.open_set import other_sessions, rejector, taught_sessions
from edge_daemon.learning.open_set.cohort import Cohort
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.models.cohort_file import read_cohort
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

SHOTS = 10

COPIES_DESIGNS: Mapping[str, Mapping[str, Any]] = {
    "no recent frames": {"taught_sessions.MIN_FRAMES": 10**9, "rejector.MIN_FRAMES": 10**9},
    "the daemon's": {},
    "threshold: 40 % of the copies": {"other_sessions.MOVED_QUANTILE": 0.4},
    "threshold: 50 % of the copies": {"other_sessions.MOVED_QUANTILE": 0.5},
    "threshold: 80 % of the copies": {"other_sessions.MOVED_QUANTILE": 0.8},
    "nothing subtracted": {"taught_sessions.OFFSET_SHARE": 0.0},
    "the whole difference subtracted": {"taught_sessions.OFFSET_SHARE": 1.0},
    "sessions of any similarity": {"taught_sessions.MIN_SIMILARITY": -1.0},
    "frames in a row count as independent": {"taught_sessions.FRAMES_PER_INDEPENDENT": 1},
    "judged from 16 frames on, one threshold": {
        "taught_sessions.FRAME_COUNTS": (16,),
        "taught_sessions.MIN_FRAMES": 16,
        "rejector.MIN_FRAMES": 16,
    },
    "judged from 4 frames on": {
        "taught_sessions.FRAME_COUNTS": (4, 8, 16, 32, 48),
        "taught_sessions.MIN_FRAMES": 4,
        "rejector.MIN_FRAMES": 4,
    },
}
"""Constants of the daemon that a design replaces, by module."""

COHORT_DESIGNS: Mapping[str, Mapping[str, Any]] = {
    "the daemon's": {},
    "margin: 1.2": {"cohort.MIN_MARGIN": 1.2},
    "margin: 1.6": {"cohort.MIN_MARGIN": 1.6},
    "margin: 2.5": {"cohort.MIN_MARGIN": 2.5},
    "rejected shares refute no session": {"other_sessions.REFUTING_SD": 99},
    "they refute from 16 frames and 1.5 SD on": {
        "other_sessions.REFUTING_SD": 1.5,
        "other_sessions.REFUTING_FRAMES": 16,
    },
    "a query is unlike a session from 4 SD on": {"cohort.UNLIKE_SD": 4.0},
    "no query is unlike a session": {"cohort.UNLIKE_SD": 1e9},
}

MODULES = {
    each.__name__.rpartition(".")[2]: each
    for each in (cohort_module, other_sessions, rejector, taught_sessions)
}


def patched(constants: Mapping[str, Any]) -> ExitStack:
    """Return a context in which the daemon uses these constants."""
    stack = ExitStack()
    for path, value in constants.items():
        module, _, name = path.partition(".")
        for each in {id(MODULES[module]): MODULES[module], id(other_sessions): other_sessions}.values():
            if hasattr(each, name):
                stack.enter_context(mock.patch.object(each, name, value))
    return stack


def score(
    sessions: Sequence[Session],
    far: Sequence[Sequence[SessionFrame]],
    copies: FrameCopies,
    cohort: Cohort | None,
    plans: int,
) -> tuple[float, ...]:
    """Return the five shares of one set."""

    def make() -> EmbeddingRecognizer:
        return EmbeddingRecognizer(make_classifier("knn", cohort=cohort), copies)

    scores = {where: SessionScore() for where in WHERE}
    unknown = [SessionScore() for _ in far]
    for plan in make_plans(sessions, "one", SHOTS)[:plans]:
        measure(sessions, plan, make, SHOTS, 0, (), scores)
        for frames, result in zip(far, unknown, strict=True):
            recognizer = make()
            for session in sessions:
                recognizer.start_session()
                for label in plan.get(session.name, ()):
                    for frame in session.frames[label][:SHOTS]:
                        recognizer.teach(frame, label)
            recognizer.start_session()
            for frame in frames:
                result.add(None, recognizer.predict(frame))
    held_out = scores["strangers_same"]
    return (
        scores["same"].named / max(1, scores["same"].count),
        held_out.unknown / max(1, held_out.count),
        scores["across"].named / max(1, scores["across"].count),
        sum(each.unknown / each.count for each in unknown) / max(1, len(unknown)),
        min((each.unknown / each.count for each in unknown), default=1.0),
    )


def main() -> None:
    """Print a row for each design."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--far", nargs="*", type=Path, default=[])
    parser.add_argument("--plans", type=int, default=2)
    parser.add_argument("--no-cohort", action="store_true")
    args = parser.parse_args()
    path = find_model(args.model)
    embedder = TfliteEmbedder(path)
    embeddings = None if args.no_cohort else read_cohort(path)
    cohort = None if embeddings is None else Cohort(embeddings)
    sets = [read_sessions(find_sessions(each), embedder.embed) for each in args.sets]
    far = [
        [SessionFrame(each.path, embedder.embed(read_image(each.path))) for each in find_pictures(folder)]
        for folder in args.far
    ]
    copies = FrameCopies(embedder.embed)
    print(f"| design | {' | '.join(each.name for each in args.sets)} |\n|{'---|' * (len(sets) + 1)}")
    for name, constants in (COPIES_DESIGNS if cohort is None else COHORT_DESIGNS).items():
        with patched(constants):
            rows = [score(sessions, far, copies, cohort, args.plans) for sessions in sets]
        cells = (" / ".join(f"{100 * share:.0f}" for share in row) for row in rows)
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
