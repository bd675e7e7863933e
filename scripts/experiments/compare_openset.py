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
from edge_daemon.models.registry import find_model
from edge_daemon.tflite.embedder import TfliteEmbedder

Floats: TypeAlias = Any
"""Rows or vectors of real numbers; numpy's stubs lose the type in most of these expressions."""

Codes: TypeAlias = npt.NDArray[np.intp]
Method: TypeAlias = Callable[[Floats, Codes, Floats], Floats]


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def means(train: Floats, codes: Codes) -> Floats:
    return np.stack([train[codes == code].mean(axis=0) for code in range(int(codes.max()) + 1)])


def votes(train: Floats, codes: Codes, queries: Floats) -> Floats:
    near = codes[np.argsort(-(queries @ train.T), axis=1)[:, :3]]
    return np.stack([(near == code).mean(axis=1) for code in range(int(codes.max()) + 1)]).max(axis=0)


def neighbour(k: int) -> Method:
    """Similarity to the k-th nearest example (Sun et al., ICML 2022)."""
    return lambda train, codes, queries: np.sort(queries @ train.T, axis=1)[:, -k]


def class_mean(train: Floats, codes: Codes, queries: Floats) -> Floats:
    """Nearest class mean, the base of NNO (Bendale and Boult, CVPR 2015)."""
    return (queries @ unit(means(train, codes)).T).max(axis=1)


def centred(method: Method) -> Method:
    """Subtract the mean of the examples first."""

    def score(train: Floats, codes: Codes, queries: Floats) -> Floats:
        centre = train.mean(axis=0)
        return method(unit(train - centre), codes, unit(queries - centre))

    return score


def mahalanobis(relative: bool, share: float = 1.0) -> Method:
    """Distance under the shrunken pooled scatter (Lee et al., NeurIPS 2018; relative: Ren et al., 2021)."""

    def score(train: Floats, codes: Codes, queries: Floats) -> Floats:
        centre, class_means = train.mean(axis=0), means(train, codes)
        _, spread, axes = np.linalg.svd(train - class_means[codes], full_matrices=False)
        variance = spread**2 / (len(train) - len(class_means))
        floor = share * variance.mean()

        def whiten(rows: Floats) -> Floats:
            z = (rows - centre) @ axes.T
            return (rows - centre) / floor**0.5 + (z * ((variance + floor) ** -0.5 - floor**-0.5)) @ axes

        query = whiten(queries)
        squared = np.stack([((query - mean) ** 2).sum(axis=1) for mean in whiten(class_means)]).min(axis=0)
        return (query**2).sum(axis=1) - squared if relative else -np.sqrt(squared)

    return score


def local_outlier(train: Floats, codes: Codes, queries: Floats, k: int = 5) -> Floats:
    """Minus the local outlier factor (Breunig et al., SIGMOD 2000)."""
    between = np.sqrt(np.maximum(0, 2 - 2 * train @ train.T))
    np.fill_diagonal(between, np.inf)
    reach = np.sort(between, axis=1)[:, k - 1]
    near = np.argsort(between, axis=1)[:, :k]
    density = 1 / np.maximum(reach[near], np.take_along_axis(between, near, 1)).mean(axis=1)
    distance = np.sqrt(np.maximum(0, 2 - 2 * queries @ train.T))
    near = np.argsort(distance, axis=1)[:, :k]
    own = 1 / np.maximum(reach[near], np.take_along_axis(distance, near, 1)).mean(axis=1)
    return -(density[near].mean(axis=1) / own)


def residual(train: Floats, codes: Codes, queries: Floats, rank: int = 30) -> Floats:
    """Minus the residual outside the principal subspace (as in ViM: Wang et al., CVPR 2022)."""
    centre = train.mean(axis=0)
    axes = np.linalg.svd(train - centre, full_matrices=False)[2][:rank]
    rest = queries - centre
    return -np.linalg.norm(rest - (rest @ axes.T) @ axes, axis=1)


def softmax(kind: str) -> Method:
    """Largest probability (Hendrycks, Gimpel, 2017) or energy (Liu et al., 2020) of softmax regression."""

    def score(train: Floats, codes: Codes, queries: Floats) -> Floats:
        fit = SoftmaxFit(train.astype(np.float32), codes, int(codes.max()) + 1)
        scores = fit.run_iterations(MAX_ITERATIONS).scores(queries.astype(np.float32)).astype(np.float64)
        best = scores.max(axis=1)
        energy = best + np.log(np.exp(scores - best[:, None]).sum(axis=1))
        return energy if kind == "energy" else best - energy

    return score


def null_space(train: Floats, codes: Codes, queries: Floats, ridge: float = 1e-3) -> Floats:
    """Minus the distance to a class in the scatter's null space (KNFST: Bodesheim et al., CVPR 2013)."""
    centre = train.mean(axis=0)
    rows = train - centre
    gram = rows @ rows.T
    gram += ridge * np.trace(gram) / len(gram) * np.eye(len(gram))
    targets = np.eye(int(codes.max()) + 1)
    middle = targets[codes].mean(axis=0)
    place = (queries - centre) @ rows.T @ np.linalg.solve(gram, targets[codes] - middle) + middle
    return -np.stack([((place - target) ** 2).sum(axis=1) for target in targets]).min(axis=0)


def plda(train: Floats, codes: Codes, queries: Floats) -> Floats:
    """Likelihood ratio of a trained class against a new class (Ioffe, ECCV 2006)."""
    fitted = fit_plda(train.astype(np.float32), codes, int(codes.max()) + 1)
    if fitted is None:
        return np.zeros(len(queries))
    return fitted.ratio_batch(queries.astype(np.float32))


def strong_pattern(train: Floats, codes: Codes, queries: Floats) -> Floats:
    """Class mean of the activations above mean plus a deviation (pruning of Djurisic et al., ICLR 2023)."""

    def prune(rows: Floats) -> Floats:
        level = rows.mean(axis=1, keepdims=True) + rows.std(axis=1, keepdims=True)
        return unit(np.where(rows > level, rows, 0))

    return class_mean(prune(train), codes, prune(queries))


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
OURS = "novelty score of the daemon"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=find_model)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--shots", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ours", action="store_true")
    args = parser.parse_args()
    embedder = TfliteEmbedder(args.model)
    methods = {} if args.ours else METHODS
    sets = {folder.name: read_folder(folder, embedder) for folder in args.folders}
    print(f"{args.model.stem}, {args.shots} examples per class, {args.seeds} seeds")
    for name, data in sets.items():
        unknown = [other.vectors for key, other in sets.items() if key != name]
        print(f"\n## {name}\n")
        print("| score | near | FA@5 | far | FA@5 | false rejects |\n|---|---|---|---|---|---|")
        for method, columns in _measure(methods, data, unknown, args.shots, args.seeds).items():
            print("| " + method + " | " + " | ".join(_cell(each, args.seeds) for each in columns) + " |")
    return 0


def _cell(values: list[float], seeds: int) -> str:
    """Return the mean and its standard error over the seeds; `values` are grouped by seed."""
    if not values:
        return ""
    draws = np.reshape(values, (seeds, -1)).mean(axis=1)
    error = f" ± {draws.std(ddof=1) / seeds**0.5:.3f}" if seeds > 1 else ""
    return f"{draws.mean():.3f}{error}"


def _measure(
    methods: Mapping[str, Method], data: Dataset, unknown: list[Floats], shots: int, seeds: int
) -> dict[str, list[list[float]]]:
    """Return each method's near AUROC and FA@5, far AUROC and FA@5, and false reject rate."""
    figures: dict[str, list[list[float]]] = {method: [[], [], [], [], []] for method in (*methods, OURS)}
    for seed in range(seeds):
        part = split(data, shots, seed)
        for hidden in range(len(data.labels)):
            shown = data.class_ids != hidden
            train, known = part.train[shown[part.train]], part.test[shown[part.test]]
            _score(methods, figures, 0, data, train, known, data.vectors[~shown])
            print(f"\r{seed + 1}/{seeds} {data.labels[hidden]:20s}", end="", file=sys.stderr, flush=True)
        for others in unknown:
            _score(methods, figures, 2, data, part.train, part.test, others)
    return figures


def _score(
    methods: Mapping[str, Method],
    figures: dict[str, list[list[float]]],
    column: int,
    data: Dataset,
    train: Codes,
    known: Codes,
    unknown: Floats,
) -> None:
    codes = np.unique(data.class_ids[train], return_inverse=True)[1].astype(np.intp)
    rows, queries = data.vectors[train].astype(np.float64), data.vectors[known].astype(np.float64)
    others = unknown.astype(np.float64)
    for method, score in methods.items():
        _append(figures[method], column, score(rows, codes, queries), score(rows, codes, others))
    examples = build_index(data, train)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    ours = [
        np.array([rejector.score(examples.search(row)) for row in queries])
        for queries in (data.vectors[known], unknown)
    ]
    _append(figures[OURS], column, ours[0], ours[1])
    if column:
        figures[OURS][4].append(float((ours[0] < rejector.threshold).mean()))


def _append(values: list[list[float]], column: int, known: Floats, unknown: Floats) -> None:
    values[column].append(auroc(known, unknown))
    values[column + 1].append(float((unknown >= np.quantile(known, 0.05)).mean()))


if __name__ == "__main__":
    sys.exit(main())
