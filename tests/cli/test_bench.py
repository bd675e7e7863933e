"""`edge-daemon bench` prints figures of a real run; what they are is for people to judge."""

from __future__ import annotations

import json

import pytest

from edge_daemon.benchmark.end_to_end import ages_of
from edge_daemon.benchmark.listener import ReceivedLabel
from edge_daemon.benchmark.sources import LEAD_IN
from edge_daemon.cli.main import main
from edge_daemon.domain.errors import EdgeError
from tests.harness.shared_files import shared_path


def test_bench_times_each_stage_beside_the_bare_interpreter(capsys: pytest.CaptureFixture[str]) -> None:
    model = shared_path("models/mobilenet_v1_0.25_128_quant.tflite")
    words = ["bench", "--frames", "5", "--examples", "30", "--set", f"model.name={model}"]
    assert main([*words, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    stages = figures["stages_ms"]
    assert all(0 < row["p50"] <= row["p95"] <= row["p99"] for row in stages.values())
    assert figures["ratio_to_bare"] == pytest.approx(
        stages["whole frame"]["p50"] / stages["bare interpreter"]["p50"], rel=0.02
    )
    assert figures["press_to_disk_ms"]["p50"] > 0
    assert main(words) == 0
    assert "whole frame / bare interpreter" in capsys.readouterr().out


def test_ages_leave_the_lead_in_out() -> None:
    heard = [ReceivedLabel(seq, 50.0, 60.0) for seq in range(LEAD_IN)] + [ReceivedLabel(LEAD_IN, 5.0, 6.0)]
    ages = ages_of(heard)
    assert (ages.labelled.p99, ages.received.p99, ages.frames) == (5.0, 6.0, 1)


def test_too_few_labels_heard_are_told_in_words() -> None:
    with pytest.raises(EdgeError, match=f"heard {LEAD_IN} labels.*try again"):
        ages_of([ReceivedLabel(seq, 5.0, 6.0) for seq in range(LEAD_IN)])
