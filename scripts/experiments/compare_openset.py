"""Compare unknown scores on near and far unknowns; prints the table of docs/measurements/unknown.md.

    .venv/bin/python scripts/experiments/compare_openset.py MODEL.tflite FOLDER... [--shots 10] [--seeds 5]

Each FOLDER holds label folders. Near unknowns: each class of a set is hidden in turn. Far unknowns: the
other sets. A method scores queries against the training examples (unit vectors); a higher score is more
familiar. Figures are means over the seeds, each a draw of examples, with their standard error. `--ours`
measures the daemon's own score only, so that many seeds take little time.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_daemon.cli.evaluate import read_folder
from edge_daemon.evaluation.few_shot import Dataset, build_index, split
from edge_daemon.evaluation.open_set import auroc
from edge_daemon.learning.classifiers.plda import fit_plda
from edge_daemon.learning.classifiers.softmax_regression import MAX_ITERATIONS, SoftmaxFit
from edge_daemon.learning.open_set.rejector import UnknownRejector
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut
from edge_daemon.tflite.embedder import TfliteEmbedder

Doubles: TypeAlias = Any
"""Rows or vectors of real numbers; numpy's stubs lose the type in most of these expressions."""

Codes: TypeAlias = npt.NDArray[np.intp]
Method: TypeAlias = Callable[[Doubles, Codes, Doubles], Doubles]


def unit(rows: Doubles) -> Doubles:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def means(taught: Doubles, codes: Codes) -> Doubles:
    return np.stack([taught[codes == code].mean(axis=0) for code in range(int(codes.max()) + 1)])


def votes(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
    near = codes[np.argsort(-(asked @ taught.T), axis=1)[:, :3]]
    return np.stack([(near == code).mean(axis=1) for code in range(int(codes.max()) + 1)]).max(axis=0)


def neighbour(k: int) -> Method:
    """Similarity to the k-th nearest example (Sun et al., ICML 2022)."""
    return lambda taught, codes, asked: np.sort(asked @ taught.T, axis=1)[:, -k]


def class_mean(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
    """Nearest class mean, the base of NNO (Bendale and Boult, CVPR 2015)."""
    return (asked @ unit(means(taught, codes)).T).max(axis=1)


def centred(method: Method) -> Method:
    """Move the examples' mean to the origin first."""

    def score(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
        centre = taught.mean(axis=0)
        return method(unit(taught - centre), codes, unit(asked - centre))

    return score


def mahalanobis(relative: bool, share: float = 1.0) -> Method:
    """Distance under the shrunken pooled scatter (Lee et al., NeurIPS 2018; relative: Ren et al., 2021)."""

    def score(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
        centre, class_means = taught.mean(axis=0), means(taught, codes)
        _, spread, axes = np.linalg.svd(taught - class_means[codes], full_matrices=False)
        variance = spread**2 / (len(taught) - len(class_means))
        floor = share * variance.mean()

        def whiten(rows: Doubles) -> Doubles:
            z = (rows - centre) @ axes.T
            return (rows - centre) / floor**0.5 + (z * ((variance + floor) ** -0.5 - floor**-0.5)) @ axes

        query = whiten(asked)
        squared = np.stack([((query - mean) ** 2).sum(axis=1) for mean in whiten(class_means)]).min(axis=0)
        return (query**2).sum(axis=1) - squared if relative else -np.sqrt(squared)

    return score


def local_outlier(taught: Doubles, codes: Codes, asked: Doubles, k: int = 5) -> Doubles:
    """Minus the local outlier factor (Breunig et al., SIGMOD 2000)."""
    between = np.sqrt(np.maximum(0, 2 - 2 * taught @ taught.T))
    np.fill_diagonal(between, np.inf)
    reach = np.sort(between, axis=1)[:, k - 1]
    near = np.argsort(between, axis=1)[:, :k]
    density = 1 / np.maximum(reach[near], np.take_along_axis(between, near, 1)).mean(axis=1)
    distance = np.sqrt(np.maximum(0, 2 - 2 * asked @ taught.T))
    near = np.argsort(distance, axis=1)[:, :k]
    own = 1 / np.maximum(reach[near], np.take_along_axis(distance, near, 1)).mean(axis=1)
    return -(density[near].mean(axis=1) / own)


def residual(taught: Doubles, codes: Codes, asked: Doubles, rank: int = 30) -> Doubles:
    """Minus what the examples' principal subspace leaves over (as in ViM: Wang et al., CVPR 2022)."""
    centre = taught.mean(axis=0)
    axes = np.linalg.svd(taught - centre, full_matrices=False)[2][:rank]
    rest = asked - centre
    return -np.linalg.norm(rest - (rest @ axes.T) @ axes, axis=1)


def softmax(kind: str) -> Method:
    """Largest probability (Hendrycks and Gimpel, 2017) or energy (Liu et al., 2020) of the linear head."""

    def score(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
        fit = SoftmaxFit(taught.astype(np.float32), codes, int(codes.max()) + 1)
        scores = fit.run_iterations(MAX_ITERATIONS).scores(asked.astype(np.float32)).astype(np.float64)
        best = scores.max(axis=1)
        energy = best + np.log(np.exp(scores - best[:, None]).sum(axis=1))
        return energy if kind == "energy" else best - energy

    return score


def null_space(taught: Doubles, codes: Codes, asked: Doubles, ridge: float = 1e-3) -> Doubles:
    """Minus the distance to a class in the scatter's null space (KNFST: Bodesheim et al., CVPR 2013)."""
    centre = taught.mean(axis=0)
    rows = taught - centre
    gram = rows @ rows.T
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    targets = np.eye(int(codes.max()) + 1)
    middle = targets[codes].mean(axis=0)
    place = (asked - centre) @ rows.T @ np.linalg.solve(gram, targets[codes] - middle) + middle
    return -np.stack([((place - target) ** 2).sum(axis=1) for target in targets]).min(axis=0)


def plda(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
    """Likelihood ratio of a taught class against a new one (Ioffe, ECCV 2006)."""
    fitted = fit_plda(taught.astype(np.float32), codes, int(codes.max()) + 1)
    if fitted is None:
        return np.zeros(len(asked))
    return fitted.ratio_batch(asked.astype(np.float32))


def strong_pattern(taught: Doubles, codes: Codes, asked: Doubles) -> Doubles:
    """Class mean of the activations above mean plus a deviation (pruning of Djurisic et al., ICLR 2023)."""

    def prune(rows: Doubles) -> Doubles:
        level = rows.mean(axis=1, keepdims=True) + rows.std(axis=1, keepdims=True)
        return unit(np.where(rows > level, rows, 0))

    return class_mean(prune(taught), codes, prune(asked))


METHODS: Mapping[str, Method] = {
    "share of votes, k=3": votes,
    "nearest example": neighbour(1),
    "5th nearest example (kNN)": neighbour(5),
    "class mean (NNO)": class_mean,
    "nearest example, centred": centred(neighbour(1)),
    "class mean, centred": centred(class_mean),
    "Mahalanobis, shrunken": mahalanobis(relative=False),
    "relative Mahalanobis": mahalanobis(relative=True),
    "local outlier factor": local_outlier,
    "residual of the subspace (ViM)": residual,
    "softmax probability": softmax("probability"),
    "energy": softmax("energy"),
    "null space (KNFST)": null_space,
    "likelihood ratio (PLDA)": plda,
    "strong activations' class mean": strong_pattern,
}
OURS = "familiarity (what the daemon uses)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ours", action="store_true")
    args = parser.parse_args()
    embedder = TfliteEmbedder(args.model)
    methods = {} if args.ours else METHODS
    sets = {folder.name: read_folder(folder, embedder) for folder in args.folders}
    print(f"{args.model.stem}, {args.shots} examples a class, {args.seeds} seeds")
    for name, data in sets.items():
        strangers = [other.vectors for key, other in sets.items() if key != name]
        print(f"\n## {name}\n")
        print("| score | near | FA@5 | far | FA@5 | false rejects |\n|---|---|---|---|---|---|")
        for method, columns in _measure(methods, data, strangers, args.shots, args.seeds).items():
            print("| " + method + " | " + " | ".join(_cell(each, args.seeds) for each in columns) + " |")
    return 0


def _cell(values: list[float], seeds: int) -> str:
    """Return the mean, and its standard error over the seeds; they are noted one seed after the other."""
    if not values:
        return ""
    draws = np.reshape(values, (seeds, -1)).mean(axis=1)
    error = f" ± {draws.std(ddof=1) / seeds**0.5:.3f}" if seeds > 1 else ""
    return f"{draws.mean():.3f}{error}"


def _measure(
    methods: Mapping[str, Method], data: Dataset, strangers: list[Doubles], shots: int, seeds: int
) -> dict[str, list[list[float]]]:
    """Return each method's near AUROCs and false accepts, far ones, and realised false rejects."""
    figures: dict[str, list[list[float]]] = {method: [[], [], [], [], []] for method in (*methods, OURS)}
    for seed in range(seeds):
        part = split(data, shots, seed)
        for hidden in range(len(data.labels)):
            shown = data.class_ids != hidden
            taught, known = part.train[shown[part.train]], part.test[shown[part.test]]
            _score(methods, figures, 0, data, taught, known, data.vectors[~shown])
            print(f"\r{seed + 1}/{seeds} {data.labels[hidden]:20s}", end="", file=sys.stderr, flush=True)
        for others in strangers:
            _score(methods, figures, 2, data, part.train, part.test, others)
    return figures


def _score(
    methods: Mapping[str, Method],
    figures: dict[str, list[list[float]]],
    place: int,
    data: Dataset,
    taught: Codes,
    known: Codes,
    strangers: Doubles,
) -> None:
    codes = np.unique(data.class_ids[taught], return_inverse=True)[1].astype(np.intp)
    rows, asked = data.vectors[taught].astype(np.float64), data.vectors[known].astype(np.float64)
    others = strangers.astype(np.float64)
    for method, score in methods.items():
        _note(figures[method], place, score(rows, codes, asked), score(rows, codes, others))
    examples = build_index(data, taught)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    ours = [
        np.array([rejector.score(examples.search(row)) for row in queries])
        for queries in (data.vectors[known], strangers)
    ]
    _note(figures[OURS], place, ours[0], ours[1])
    if place:
        figures[OURS][4].append(float((ours[0] < rejector.threshold).mean()))


def _note(values: list[list[float]], place: int, known: Doubles, unknown: Doubles) -> None:
    values[place].append(auroc(known, unknown))
    values[place + 1].append(float((unknown >= np.quantile(known, 0.05)).mean()))


if __name__ == "__main__":
    sys.exit(main())
