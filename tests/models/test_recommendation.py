from __future__ import annotations

import pytest

from edge_daemon.board.identity import Board
from edge_daemon.models.recommendation import (
    FEW_CORES_LIMIT_MS,
    ModelRecommendation,
    limit,
    recommend,
    unit_time,
)
from edge_daemon.models.registry import Input, Manifest, PackagedWeights

GB = 1_000_000_000
PI5 = Board("Raspberry Pi 5 Model B Rev 1.0", 4, 8 * GB)
ZERO2 = Board("Raspberry Pi Zero 2 W Rev 1.0", 4, 436_000_000)
PACKAGE = PackagedWeights(
    package="p", version="1", sha256="0" * 64, weights="w", network="efficientnet_lite0", calibration="c"
)


def model(
    name: str, accuracy: float | None, cost: float | None, size: int = GB // 1000, **more: object
) -> Manifest:
    few_shot = {} if accuracy is None else {"photos": {"linear": {"10": accuracy}}}
    given = more or {"url": "https://models.test/m"}
    return Manifest(
        name=name,
        file=f"{name}.tflite",
        sha256="0" * 64,
        bytes=size,
        licence="none",
        input=Input(width=8, height=8, channels=3, dtype="uint8"),
        embedding_size=8,
        relative_cost=cost,
        few_shot=few_shot,
        **given,  # type: ignore[arg-type]
    )


SHIPPED = model("shipped", 67.0, 2.0)
KNOWN = [
    SHIPPED,
    model("weak", 60.0, 1.0),
    model("small", 68.0, 1.0),
    model("middle", 71.0, 8.0),
    model("packaged", 72.0, 10.0, package=PACKAGE),
    model("large", 72.5, 30.0),
    model("unmeasured", None, None),
    model("huge", 80.0, 40.0, size=200_000_000),
]


def advice(
    board: Board, shipped_ms: float, here: tuple[str, ...] = (), offline: bool = False
) -> ModelRecommendation:
    return recommend(
        board, KNOWN, ("shipped", *here), "shipped", unit_time(SHIPPED, shipped_ms), offline=offline
    )


def names(found: ModelRecommendation) -> list[str]:
    return [choice.name for choice in found.better]


def test_the_most_accurate_that_is_fast_enough_comes_first_and_equals_by_their_cost() -> None:
    found = advice(PI5, 2.0)
    assert names(found) == ["huge", "packaged", "large", "middle"]
    assert found.best.ms == pytest.approx(40.0)
    assert names(advice(PI5, 6.0)) == ["packaged", "large", "middle"], "a huge one takes 120 ms"
    assert names(advice(PI5, 40.0)) == []
    assert advice(PI5, 40.0).best.name == "shipped"


def test_a_model_must_exceed_the_shipped_one_by_more_than_the_figures_scatter() -> None:
    assert "small" not in names(advice(PI5, 2.0))
    assert "unmeasured" not in names(advice(PI5, 2.0))


def test_memory_excludes_a_large_file() -> None:
    assert names(advice(Board("", 4, 1 * GB), 2.0)) == ["packaged", "large", "middle"]
    assert "huge" in names(advice(Board("", 4, 2 * GB), 2.0))
    assert "huge" in names(advice(Board("", 4, 0), 2.0)), "a machine that does not report its memory"


@pytest.mark.parametrize(
    ("name", "cores", "limit_ms"),
    [
        ("Raspberry Pi Zero 2 W Rev 1.0", 4, 50),
        ("Raspberry Pi 3 Model B Plus Rev 1.3", 4, 100),
        ("Raspberry Pi Compute Module 3 Rev 1.0", 4, 100),
        ("Raspberry Pi 400 Rev 1.0", 4, 100),
        ("Raspberry Pi 4 Model B Rev 1.5", 4, 100),
        ("Raspberry Pi 500 Rev 1.0", 4, 100),
        ("Raspberry Pi 5 Model B Rev 1.0", 4, 100),
        ("Some Board", 8, 100),
        ("", 2, FEW_CORES_LIMIT_MS),
    ],
)
def test_each_kind_of_board_has_its_limit(name: str, cores: int, limit_ms: float) -> None:
    assert limit(Board(name, cores, GB)) == limit_ms


def test_a_zero_2_keeps_the_shipped_model_where_a_5_takes_a_larger_one() -> None:
    assert advice(ZERO2, 14.0).best.name == "shipped"
    assert advice(PI5, 1.5).best.name == "huge"


def test_offline_only_models_on_disk_count() -> None:
    assert names(advice(PI5, 2.0, offline=True)) == []
    found = advice(PI5, 2.0, here=("middle",), offline=True)
    assert [(choice.name, choice.source) for choice in found.better] == [("middle", "here")]


def test_one_model_of_each_source_is_tried_and_then_the_shipped_one() -> None:
    found = advice(PI5, 6.0)
    tried = found.to_try("shipped")
    assert [(choice.name, choice.source) for choice in tried] == [
        ("packaged", "registry"),
        ("large", "address"),
    ]
    assert [choice.name for choice in found.to_try("weak")] == ["packaged", "large", "shipped"]
    assert found.to_try("packaged") == ()


def test_where_the_shipped_model_is_too_slow_a_faster_one_is_recommended() -> None:
    assert names(advice(PI5, 120.0)) == ["small", "weak"], "60 ms"
    assert names(advice(PI5, 240.0)) == [], "120 ms"
    assert advice(PI5, 240.0).better_than("weak") is None, "the shipped one is slower"
    better = advice(PI5, 240.0).better_than("large")
    assert better is not None
    assert better.name == "shipped", "too slow as well, but faster"


def test_better_than_the_model_in_use() -> None:
    found = advice(PI5, 6.0)
    better = found.better_than("shipped")
    assert better is not None
    assert better.name == "packaged"
    assert found.better_than("packaged") is None
    assert found.better_than("middle") is None, "less than two points"
    assert found.better_than("mine") is None, "an unknown model can't be compared"
    slow = found.better_than("huge")
    assert slow is not None, "the model in use takes 120 ms"


def test_without_a_known_cost_of_the_measured_model_the_shipped_one_is_recommended() -> None:
    new = model("new", 70.0, None)
    unit = unit_time(new, 2.0)
    assert unit is None
    assert recommend(PI5, [new, *KNOWN], (), "new", unit).best.name == "new"
