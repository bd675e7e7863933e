"""`edge-daemon bench` prints the figures of a real run."""

from __future__ import annotations

import json

import pytest

from edge_daemon.cli.main import main
from tests.harness.shared_files import shared_path


def test_bench_times_each_stage_against_the_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    model = shared_path("models/mobilenet_v1_0.25_128_quant.tflite")
    words = ["bench", "--frames", "5", "--examples", "30", "--set", f"model.name={model}"]
    assert main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    stages = figures["stages_ms"]
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in stages.values())
    assert figures["ratio_to_baseline"] == pytest.approx(
        stages["whole frame"]["p50"] / stages["baseline interpreter"]["p50"], rel=0.02
    )
    assert figures["press_to_disk_ms"]["p50"] > 0
    assert main(words) == 0
    assert "whole frame / baseline interpreter" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--frames", "--examples"])
@pytest.mark.parametrize("count", ["0", "-3", "many"])
def test_a_count_of_nothing_is_a_usage_error(
    option: str, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", f"{option}={count}"])
    assert ended.value.code == 2
    assert f"'{count}' is no whole number of at least 1" in capsys.readouterr().err
