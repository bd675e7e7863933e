"""The experiment on view, scale, shape, light and background runs with few pictures."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_row_for_each_challenge_and_what_was_taught_is_recognised() -> None:
    script = ROOT / "scripts/experiments/challenges.py"
    words = ["--shots", "2", "--queries", "1", "--draws", "1"]
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=True)
    rows = dict(re.findall(r"^\| (.+?) \| (\d+) / \d+ \| \d+ / \d+ \|$", done.stdout, re.MULTILINE))
    assert int(rows["as taught"]) > 90
    assert {name.partition(":")[0].split()[0] for name in rows} == {
        "as",
        "viewpoint",
        "scale",
        "deformation",
        "occlusion",
        "illumination",
        "background",
        "intra-class",
        "sub-classes",
    }
