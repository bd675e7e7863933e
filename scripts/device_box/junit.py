"""Outcome of a JUnit file; a missing or empty file is a failure."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def all_passed(path: Path) -> bool:
    """Print the counts of a results file; return whether it has a check and none failed."""
    if not path.exists():
        print(f"error: the machine has written no {path}", file=sys.stderr)
        return False
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        for name in counts:
            counts[name] += int(suite.get(name, 0))
    print(f"{path}: {', '.join(f'{count} {name}' for name, count in counts.items())}", flush=True)
    return counts["tests"] > 0 and counts["failures"] + counts["errors"] == 0
