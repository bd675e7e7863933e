"""Unknown rejection on synthetic classes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from edge_daemon.learning.classifiers.plda import fit_plda
from edge_daemon.learning.embedding_index import EmbeddingIndex
from edge_daemon.learning.open_set.rejector import UnknownRejector, lower_bound
from edge_daemon.learning.quality.leave_one_out import LeaveOneOut


def class_of(
    name: int, count: int, seed: int = 0, size: int = 64, spread: float = 0.6
) -> npt.NDArray[np.float32]:
    """Non-negative embeddings around the pattern of a class, similar to pooled features of a network."""
    pattern = np.random.default_rng(name).exponential(size=size)
    noise = np.random.default_rng([name, seed]).exponential(size=(count, size))
    return (pattern + spread * noise).astype(np.float32)


def taught(classes: int, each: int, group: str = "") -> tuple[EmbeddingIndex, UnknownRejector]:
    examples = EmbeddingIndex()
    for row in range(each):
        for class_id in range(classes):
            examples.add(class_of(class_id, each)[row], f"c{class_id}", row * classes + class_id, group)
    return examples, UnknownRejector(examples, LeaveOneOut(examples))


def rejected(examples: EmbeddingIndex, rejector: UnknownRejector, queries: npt.NDArray[np.float32]) -> float:
    return float(np.mean([rejector.rejects(examples.search(query)) for query in queries]))


@pytest.mark.parametrize(("classes", "each"), [(2, 10), (4, 5), (6, 10), (3, 20)])
def test_about_five_percent_of_known_queries_are_rejected(classes: int, each: int) -> None:
    examples, rejector = taught(classes, each)
    shares = [rejected(examples, rejector, class_of(class_id, 100, seed=1)) for class_id in range(classes)]
    assert np.mean(shares) <= 0.12


@pytest.mark.parametrize(("classes", "each"), [(2, 5), (4, 5), (6, 10)])
def test_an_unknown_class_is_rejected(classes: int, each: int) -> None:
    examples, rejector = taught(classes, each)
    assert rejected(examples, rejector, class_of(99, 100)) >= 0.95


def test_one_class_with_a_few_examples_rejects_others() -> None:
    examples, rejector = taught(1, 8)
    assert rejected(examples, rejector, class_of(0, 100, seed=1)) <= 0.15
    assert rejected(examples, rejector, class_of(99, 100)) >= 0.95


def test_a_single_example_rejects_nothing() -> None:
    examples, rejector = taught(1, 1)
    assert rejected(examples, rejector, class_of(99, 5)) == 0.0
    assert rejector.threshold == -math.inf


def test_with_one_example_each_the_threshold_is_their_smallest_similarity() -> None:
    examples, rejector = taught(4, 1)
    assert rejected(examples, rejector, class_of(2, 50, seed=1)) <= 0.1
    assert rejected(examples, rejector, np.eye(64, dtype=np.float32)) >= 0.9


def test_a_burst_alone_does_not_set_a_threshold_of_near_duplicates() -> None:
    examples, rejector = taught(3, 6, group="held")
    rejector.score(examples.search(class_of(0, 1)[0]))
    assert rejector.threshold < 0.9
    assert rejected(examples, rejector, class_of(0, 50, seed=1)) <= 0.1


def add_near_duplicates(examples: EmbeddingIndex, name: int, presses: int) -> None:
    """Add examples of a static object: they differ by sensor noise only."""
    view = class_of(name, 1)[0]
    noise = np.random.default_rng(name).normal(scale=0.02, size=(presses, view.size))
    for shot in view * (1 + noise):
        examples.add(shot, f"c{name}", len(examples))


@pytest.mark.parametrize("presses", [(1, 1), (3, 3), (1, 3), (8, 1), (3, 3, 3, 3)])
def test_near_duplicate_presses_do_not_reject_other_poses(presses: tuple[int, ...]) -> None:
    examples = EmbeddingIndex()
    for name, count in enumerate(presses):
        add_near_duplicates(examples, name, count)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    for name in range(len(presses)):
        assert rejected(examples, rejector, class_of(name, 1)) == 0.0, "a taught view is known"
        assert rejected(examples, rejector, class_of(name, 50, seed=1)) <= 0.1
    assert rejected(examples, rejector, np.eye(64, dtype=np.float32)) >= 0.9


@pytest.mark.parametrize("new_examples", [1, 2])
def test_a_new_class_uses_the_within_class_similarity_of_the_others(new_examples: int) -> None:
    examples, rejector = taught(3, 10)
    for row in range(new_examples):
        examples.add(class_of(50, new_examples)[row], "young", 1000 + row)
    assert rejected(examples, rejector, class_of(50, 50, seed=1)) <= 0.15
    assert rejected(examples, rejector, class_of(99, 100)) >= 0.9
    assert (
        np.mean([rejected(examples, rejector, class_of(class_id, 50, seed=1)) for class_id in range(3)])
        <= 0.12
    )


@pytest.mark.parametrize(("classes", "repetitions"), [(4, 120), (60, 1)])
def test_a_label_taught_once_is_known_where_the_sample_has_one_burst_of_each_other(
    classes: int, repetitions: int
) -> None:
    examples = EmbeddingIndex()
    for name in range(classes):
        view, *others = class_of(name, 3)
        for each in [view] * repetitions + others + [view] * repetitions:
            examples.add(each, f"c{name}", len(examples))
    (view,) = class_of(99, 1)
    examples.add(view, "new", len(examples))
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    assert not rejector.rejects(examples.search(view))
    unlike = examples.search(np.where(view == view.max(), view, 0))
    assert unlike.top_k(1)[0][0] == len(examples) - 1, "the new label is the nearest"
    assert rejector.rejects(unlike)


@pytest.mark.parametrize(("classes", "each"), [(1, 2), (1, 3), (1, 5), (3, 2)])
def test_the_second_view_does_not_reject_the_third(classes: int, each: int) -> None:
    refused = []
    for start in range(0, 40, 4):
        examples = EmbeddingIndex()
        for class_id in range(classes):
            for row in range(each):
                examples.add(class_of(start + class_id, each)[row], f"c{class_id}", len(examples))
        rejector = UnknownRejector(examples, LeaveOneOut(examples))
        queries = [class_of(start + class_id, 20, seed=1) for class_id in range(classes)]
        refused.append(rejected(examples, rejector, np.concatenate(queries)))
    assert np.mean(refused) <= 0.12


def test_two_views_of_one_class_do_not_reject_another() -> None:
    examples = EmbeddingIndex()
    for row, name in enumerate((0, 0, 1)):
        examples.add(class_of(name, 2)[row % 2], f"c{name}", row)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    for name in (0, 1):
        assert rejected(examples, rejector, class_of(name, 50, seed=1)) <= 0.1
    assert math.isfinite(rejector.score(examples.search(class_of(1, 1)[0])))


def test_a_burst_counts_as_one_view() -> None:
    refused = []
    for start in range(0, 40, 4):
        examples = EmbeddingIndex()
        for name in (start, start + 1):
            views = class_of(name, 6)
            for burst, view in enumerate(views[:2]):
                held = views.mean(axis=0) + 0.3 * view
                noise = np.random.default_rng(burst).normal(scale=0.15, size=(30, view.size))
                for shot in held * (1 + noise):
                    examples.add(shot, f"c{name}", len(examples), f"held {burst}")
            for view in views[2:]:
                examples.add(view, f"c{name}", len(examples))
        rejector = UnknownRejector(examples, LeaveOneOut(examples))
        refused += [rejected(examples, rejector, class_of(name, 20, seed=1)) for name in (start, start + 1)]
    assert np.mean(refused) <= 0.15


def test_a_new_class_with_more_variance_than_the_only_other_has_slack() -> None:
    refused = []
    for start in range(0, 60, 3):
        examples = EmbeddingIndex()
        for shot in class_of(start, 6, spread=0.4):
            examples.add(shot, "old", len(examples))
        examples.add(class_of(start + 1, 1)[0], "new", len(examples))
        rejector = UnknownRejector(examples, LeaveOneOut(examples))
        refused.append(rejected(examples, rejector, class_of(start + 1, 30, seed=1)))
    assert np.mean(refused) <= 0.3


def in_scene(name: int, scene: int, count: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Return embeddings of a class in a scene, which adds its own pattern to every picture."""
    return class_of(name, count, seed) + 1.5 * class_of(1000 + scene, 1)


def test_the_first_of_five_scenes_is_as_known_as_the_last() -> None:
    examples = EmbeddingIndex()
    for scene in range(5):
        for name in range(8):
            for view in in_scene(name, scene, 12):
                examples.add(view, f"c{name}", len(examples))
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    for scene in range(5):
        shares = [rejected(examples, rejector, in_scene(name, scene, 10, seed=1)) for name in range(8)]
        assert np.mean(shares) <= 0.12, scene
    new_class = [rejected(examples, rejector, in_scene(99, scene, 20)) for scene in range(5)]
    assert np.mean(new_class) >= 0.9


@pytest.mark.parametrize("scenes", [2, 3, 5])
@pytest.mark.parametrize("classes", [2, 6])
def test_one_held_button_per_class_and_scene_leaves_rejection_on(classes: int, scenes: int) -> None:
    examples = EmbeddingIndex()
    for scene in range(scenes):
        for name in range(classes):
            view = in_scene(name, scene, 1, seed=scene)[0]
            noise = np.random.default_rng([name, scene]).normal(scale=0.02, size=(10, view.size))
            for shot in view * (1 + noise):
                examples.add(shot, f"c{name}", len(examples), f"burst {name} {scene}")
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    for scene in range(scenes):
        for name in range(classes):
            assert rejected(examples, rejector, in_scene(name, scene, 1, seed=scene)) == 0.0
    elsewhere = np.concatenate([in_scene(90 + each, 50 + each, 4) for each in range(10)])
    assert rejected(examples, rejector, elsewhere) >= 0.9


def test_the_threshold_is_above_the_lowest_scores_of_hidden_classes() -> None:
    examples = EmbeddingIndex()
    for scene in range(2):
        for name in range(6):
            for view in in_scene(name, 10 * name + scene, 6, seed=scene):
                examples.add(view, f"c{name}", len(examples), f"burst {name} {scene}")
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    hidden = []
    for name in range(6):
        others = EmbeddingIndex()
        for row in np.flatnonzero(examples.class_ids != examples.labels.index(f"c{name}")).tolist():
            label = examples.labels[examples.class_ids[row]]
            others.add(examples.matrix[row], label, row, examples.groups[row])
        without = UnknownRejector(others, LeaveOneOut(others))
        own = examples.matrix[examples.class_ids == examples.labels.index(f"c{name}")]
        hidden += [without.score(others.search(row)) for row in own]
    rejector.score(examples.search(examples.matrix[0]))
    assert np.mean(np.array(hidden) < rejector.threshold) > 0.1


def test_repeating_one_view_does_not_move_the_threshold() -> None:
    examples, rejector = taught(3, 8)
    rejector.score(examples.search(class_of(0, 1)[0]))
    before = rejector.threshold
    for row in range(20):
        examples.add(class_of(0, 8)[0], "c0", 1000 + row)
    assert (
        np.mean([rejected(examples, rejector, class_of(class_id, 100, seed=1)) for class_id in range(3)])
        <= 0.12
    )
    assert rejector.threshold < before + 0.1


def test_a_change_recalibrates() -> None:
    examples, rejector = taught(3, 8)
    new_class = class_of(99, 30)
    assert rejected(examples, rejector, new_class) >= 0.9
    for row, embedding in enumerate(new_class[:8]):
        examples.add(embedding, "new", 1000 + row)
    assert rejected(examples, rejector, new_class[8:]) <= 0.2


def test_the_relaxed_threshold_accepts_more_of_known_classes_and_no_unknown_class() -> None:
    examples, rejector = taught(4, 8)
    known = np.concatenate([class_of(class_id, 200, seed=1) for class_id in range(4)])
    strict = rejected(examples, rejector, known)
    relaxed = np.mean([rejector.rejects(examples.search(query), relaxed_threshold=True) for query in known])
    assert strict > 0.0
    assert relaxed < strict / 2
    unknown = [examples.search(query) for query in class_of(99, 100)]
    assert all(rejector.rejects(query, relaxed_threshold=True) for query in unknown)


@pytest.mark.parametrize(("classes", "each"), [(2, 8), (1, 8)])
def test_without_held_out_scores_the_thresholds_are_equal(classes: int, each: int) -> None:
    examples, rejector = taught(classes, each)
    rejector.score(examples.search(class_of(0, 1)[0]))
    assert rejector.relaxed_threshold == rejector.threshold


def test_with_indistinguishable_classes_the_thresholds_are_equal() -> None:
    examples = EmbeddingIndex()
    for row, embedding in enumerate(class_of(0, 32)):
        examples.add(embedding, "abcd"[row % 4], row)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    rejector.score(examples.search(class_of(0, 1)[0]))
    assert rejector.relaxed_threshold == rejector.threshold


def test_a_numeric_threshold_is_not_relaxed() -> None:
    examples, rejector = taught(4, 8)
    rejector.set(0.99)
    query = examples.search(class_of(0, 1, seed=1)[0])
    assert rejector.rejects(query, relaxed_threshold=True) is rejector.rejects(query) is True


def test_many_equal_examples_do_not_break_the_fit() -> None:
    examples = EmbeddingIndex()
    for row in range(30):
        examples.add(np.ones(16), "ab"[row % 2], row)
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    assert math.isfinite(rejector.score(examples.search(np.ones(16))))


def test_lower_bound_is_a_quantile_of_many_and_a_prediction_bound_of_few() -> None:
    rng = np.random.default_rng(0)
    for count in (5, 12, 40, 200):
        below = [rng.normal() < lower_bound(rng.normal(size=count).tolist(), count) for _ in range(2000)]
        assert np.mean(below) == pytest.approx(0.065 if count > 19 else 0.05, abs=0.02)


def test_likelihood_ratios_agree_with_their_gaussians() -> None:
    rng = np.random.default_rng(2)
    class_ids = np.repeat(np.arange(4), 12)
    vectors = (rng.normal(size=(4, 20))[class_ids] + 0.5 * rng.normal(size=(48, 20))).astype(np.float32)
    plda = fit_plda(vectors, class_ids, 4)
    assert plda is not None
    ratios = np.stack([plda.ratios(vector) for vector in vectors])
    assert (ratios.argmax(axis=1) == class_ids).mean() > 0.95
    together = plda.ratio_batch(vectors)
    np.testing.assert_allclose(together, np.log(np.exp(ratios).mean(axis=1)), rtol=1e-4)
    assert plda.ratio(vectors[7]) == pytest.approx(together[7], rel=1e-4)
    unknown_ratio = plda.ratio((rng.normal(size=20) * 1.5).astype(np.float32))
    assert unknown_ratio < np.quantile(together, 0.1)


@pytest.mark.parametrize("class_ids", [[0, 0, 0], [0, 1, 2]])
def test_without_two_classes_and_a_second_example_there_is_no_ratio(class_ids: list[int]) -> None:
    assert fit_plda(np.eye(3, 8, dtype=np.float32), np.array(class_ids), 3) is None


def test_with_query_augmentation_the_threshold_is_a_correlation() -> None:
    examples = EmbeddingIndex(lambda vector: vector[None])
    rejector = UnknownRejector(examples, LeaveOneOut(examples))
    for row in range(4):
        examples.add(np.eye(4, dtype=np.float32)[row % 2], str(row % 2), row)
    for similarity, unknown in ((0.75, False), (0.65, True)):
        query = examples.search([similarity, 0, 0, math.sqrt(1 - similarity**2)])
        assert rejector.rejects(query) is unknown
