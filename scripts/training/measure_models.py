"""Measure models on all test sets: print Markdown tables, and write the figures into the manifests.

    python scripts/training/measure_models.py DATA [NAME...] [--write] [--draws 5] [--keep FILE]

DATA holds photo sets (`<set>/<class>/<picture>`) and in `sessions/` session sets
(`<set>/<session>/<class>/<picture>`). A NAME is a model as the program finds it; without names, all that
ship or were pulled. Within a set: K examples a class, tested on all others, mean of the draws. Across
sessions: ten examples a class in one session, asked in the others; `linear` is the bare head of
embedder_training/measure.py, `knn` and `auto` are the program's, with rejection. The relative cost is the
shortest time of one inference on one thread, in alternation with the reference model, as background load only
adds to a time; the memory is what a process takes in addition when it loads a model and embeds a picture.

--write stores cost and few-shot figures in the manifests in models/. With --keep, an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from embedder_training.measure import Floats, Ints, few_shot, linear, unit

from edge_daemon.config.paths import package_data
from edge_daemon.domain.errors import EdgeError
from edge_daemon.evaluation.across_sessions import WHERE, EmbeddingRecognizer, SessionScore, measure
from edge_daemon.evaluation.few_shot import CLASSIFIERS, Dataset
from edge_daemon.evaluation.few_shot import measure as measure_within
from edge_daemon.evaluation.frame_copies import FrameCopies
from edge_daemon.evaluation.session_set import Session, find_sessions, labels_of, read_sessions
from edge_daemon.evaluation.teaching_plan import make_plans
from edge_daemon.imaging.image_io import read_image
from edge_daemon.learning.open_set.cohort import Cohort
from edge_daemon.learning.open_set_classifier import make_classifier
from edge_daemon.models.cohort_file import read_cohort
from edge_daemon.models.registry import find_model, read_manifest
from edge_daemon.tflite.embedder import TfliteEmbedder

REFERENCE = "mobilenet_v1_0.25_128_quant"
ROUNDS = 60
SHOTS = 10
HEADS = ("knn", "centroid", "linear")
GENERAL = "Size and cost"

_MEMORY = """
import sys, numpy as np
from pathlib import Path
from edge_daemon.tflite.embedder import TfliteEmbedder
def used():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
before = used()
model = TfliteEmbedder(Path(sys.argv[1]))
model.embed(np.zeros((*model.input_shape[:2], 3), np.uint8))
print(used() - before)
"""


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A folder of class folders: picture files and class numbers."""

    name: str
    files: tuple[Path, ...]
    class_ids: Ints
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SessionFigures:
    """Per cent of the queries of a session set whose first label is right, or that are named or rejected."""

    first_linear: float
    same: dict[str, SessionScore]
    across: dict[str, SessionScore]


def find_photo_sets(data: Path) -> list[PhotoSet]:
    """Return the photo sets in a folder, the smallest first."""
    found = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        kinds = sorted(path for path in folder.iterdir() if path.is_dir())
        files = [sorted(kind.glob("*.jpg")) for kind in kinds]
        if len(kinds) > 1 and all(files):
            numbers = np.repeat(np.arange(len(kinds)), [len(each) for each in files]).astype(np.int64)
            names = tuple(kind.name for kind in kinds)
            found.append(
                PhotoSet(folder.name, tuple(file for each in files for file in each), numbers, names)
            )
    return sorted(found, key=lambda each: len(each.files))


def cost(embedder: TfliteEmbedder, reference: TfliteEmbedder) -> float:
    """Return how many times as long as the reference one inference takes."""

    def one(model: TfliteEmbedder) -> float:
        picture = np.zeros((*model.input_shape[:2], 3), np.uint8)
        started = time.perf_counter()
        model.embed(picture)
        return time.perf_counter() - started

    pairs = [(one(embedder), one(reference)) for _ in range(ROUNDS)]
    return min(a for a, _ in pairs) / min(b for _, b in pairs)


def memory(file: Path) -> float:
    """Return the MB that a process takes in addition for a model."""
    command = [sys.executable, "-c", _MEMORY, str(file)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 1024


def auto_accuracy(rows: Floats, photos: PhotoSet, draws: int) -> float:
    """Return the accuracy of the program's default classifier in per cent."""
    data = Dataset(unit(rows), photos.class_ids.astype(np.intp), photos.labels)
    return 100 * measure_within(data, "auto", CLASSIFIERS["auto"], SHOTS, range(draws)).accuracy


def linear_across(sessions: Sequence[Session], draws: int) -> float:
    """Return how often the bare linear head is right in sessions that did not teach, in per cent."""
    number = {label: index for index, label in enumerate(labels_of(sessions))}
    right: list[bool] = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        for plan in make_plans(sessions, "one", SHOTS):
            ((teacher, taught),) = plan.items()
            presses = [
                (frames[row].embedding, number[label])
                for session in sessions
                if session.name == teacher
                for label in taught
                for frames in [session.frames[label]]
                for row in rng.permutation(len(frames))[:SHOTS]
            ]
            queries = [
                (frame.embedding, number[label])
                for session in sessions
                if session.name != teacher
                for label in taught
                for frame in session.frames.get(label, ())
            ]
            (examples, labels), (asked, truth) = (zip(*part, strict=True) for part in (presses, queries))
            guess = linear(np.stack(examples), np.array(labels), np.stack(asked), len(number))
            right += (guess == np.array(truth)).tolist()
    return 100 * float(np.mean(right))


def across_sessions(
    sessions: Sequence[Session], copies: FrameCopies, cohort: Cohort | None, draws: int
) -> SessionFigures:
    """Teach in each session in turn, ask in all."""
    same, across = {}, {}
    for name in ("knn", "auto"):
        scores = {where: SessionScore() for where in WHERE}
        for plan in make_plans(sessions, "one", SHOTS):
            for seed in range(draws):
                measure(sessions, plan, _recognizers(name, copies, cohort), SHOTS, seed, (), scores)
        same[name], across[name] = scores["same"], scores["across"]
    return SessionFigures(linear_across(sessions, draws), same, across)


def _recognizers(name: str, copies: FrameCopies, cohort: Cohort | None) -> Callable[[], EmbeddingRecognizer]:
    return lambda: EmbeddingRecognizer(make_classifier(name, cohort=cohort), copies)


def shares(score: SessionScore) -> str:
    """Return first / named / unknown in per cent."""
    return " / ".join(f"{100 * part / score.count:.0f}" for part in (score.first, score.named, score.unknown))


Rows = dict[str, list[str]]
"""A model's row in each table, by the table's title."""


class Kept:
    """The rows of the models measured so far, in a file, if one is given, so that a run can go on."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file is not None and file.exists() else ()
        self.rows: dict[str, Rows] = dict(json.loads(line) for line in lines)

    def add(self, name: str, rows: Rows) -> None:
        self.rows[name] = rows
        if self._file is not None:
            with self._file.open("a") as file:
                file.write(json.dumps([name, rows]) + "\n")


def print_table(title: str, columns: Sequence[str], rows: dict[str, Rows]) -> None:
    print(f"\n## {title}")
    for cells in (("model", *columns), ("---",) * (len(columns) + 1)):
        print(_row(cells))
    for name, found in rows.items():
        print(_row((name, *found[title])), flush=True)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def model_names() -> list[str]:
    """Return the names of all known models whose files are here."""
    names = []
    for path in sorted(package_data("models").glob("*.json")):
        name = read_manifest(path).name
        try:
            find_model(name)
        except EdgeError:
            print(f"{name}: not here; left out", file=sys.stderr)
        else:
            names.append(name)
    return names


def write_manifest(name: str, relative_cost: float, figures: dict[str, dict[str, dict[str, float]]]) -> None:
    """Store cost and few-shot figures in a model's manifest."""
    for path in package_data("models").glob("*.json"):
        manifest = json.loads(path.read_text())
        if manifest["name"] == name:
            manifest["relative_cost"] = 1.0 if name == REFERENCE else float(f"{relative_cost:.2g}")
            manifest["few_shot"] = figures
            path.write_text(json.dumps(manifest, indent=2) + "\n")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--session-draws", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="FILE", help="go on with the rows of this file")
    return parser.parse_args()


def within_sets(
    embedder: TfliteEmbedder, photo_sets: Sequence[PhotoSet], draws: int
) -> tuple[dict[str, dict[str, dict[str, float]]], Rows]:
    """Return the few-shot figures of each set, for the manifest, and their cells."""
    figures, cells = {}, {}
    for photos in photo_sets:
        rows = np.stack([embedder.embed(read_image(each)) for each in photos.files])
        figures[photos.name] = few_shot(rows, photos.class_ids)
        heads = [" / ".join(f"{v:.0f}" for v in figures[photos.name][head].values()) for head in HEADS]
        cells[photos.name] = [*heads, f"{auto_accuracy(rows, photos, draws):.1f}"]
    return figures, cells


def in_sessions(file: Path, embedder: TfliteEmbedder, folders: Sequence[Path], draws: int) -> Rows:
    """Return the cells of each session set."""
    stored = read_cohort(file)
    cohort = None if stored is None else Cohort(stored)
    cells = {}
    for folder in folders:
        read = read_sessions(find_sessions(folder), embedder.embed)
        found = across_sessions(read, FrameCopies(embedder.embed), cohort, draws)
        parts = (found.across["knn"], found.across["auto"], found.same["auto"])
        cells[folder.name] = [f"{found.first_linear:.1f}", *map(shares, parts)]
    return cells


def size_and_cost(file: Path, embedder: TfliteEmbedder, relative_cost: float) -> list[str]:
    height, width = embedder.input_shape[:2]
    numbers = embedder.embed(np.zeros((height, width, 3), np.uint8)).size
    megabytes = f"{file.stat().st_size / 1e6:.2f}"
    return [f"{width} x {height}", str(numbers), megabytes, f"{memory(file):.1f}", f"{relative_cost:.2g}"]


def main() -> None:
    """Measure each model that --keep lacks, and print the tables."""
    args = arguments()
    photo_sets = find_photo_sets(args.data)
    session_sets = sorted(path for path in (args.data / "sessions").iterdir() if path.is_dir())
    reference = TfliteEmbedder(find_model(REFERENCE))
    kept = Kept(args.keep)
    for name in args.names or model_names():
        if name in kept.rows:
            continue
        file = find_model(name)
        embedder = TfliteEmbedder(file)
        relative_cost = cost(embedder, reference)
        figures, rows = within_sets(embedder, photo_sets, args.draws)
        rows |= in_sessions(file, embedder, session_sets, args.session_draws)
        kept.add(name, {GENERAL: size_and_cost(file, embedder, relative_cost), **rows})
        if args.write:
            write_manifest(name, relative_cost, figures)
        print(f"{name}: measured", file=sys.stderr, flush=True)
    print_table(GENERAL, ("input", "numbers", "file, MB", "memory, MB", "cost"), kept.rows)
    for photos in photo_sets:
        print_table(photos.name, (*HEADS, "auto, K = 10"), kept.rows)
    for folder in session_sets:
        columns = ("linear, first", "knn, other sessions", "auto, other sessions", "auto, same session")
        print_table(folder.name, columns, kept.rows)


if __name__ == "__main__":
    main()
