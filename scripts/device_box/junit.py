"""Outcome of a JUnit file; a missing or empty file is a failure."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

SHOWN_CHARACTERS = 2000
"""Of each failure's text, counted from its end, where the assertion is."""


def all_passed(path: Path) -> bool:
    """Print the counts and the failures of a results file; return whether it has a check and none failed."""
    if not path.exists():
        print(f"error: the machine has written no {path}", file=sys.stderr)
        return False
    root = ElementTree.parse(path).getroot()
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in root.iter("testsuite"):
        for name in counts:
            counts[name] += int(suite.get(name, 0))
    print(f"{path}: {', '.join(f'{count} {name}' for name, count in counts.items())}", flush=True)
    for case in root.iter("testcase"):
        for outcome in (*case.findall("failure"), *case.findall("error")):
            text = outcome.text or outcome.get("message") or ""
            print(f"--- {case.get('classname')}.{case.get('name')}\n{text[-SHOWN_CHARACTERS:]}", flush=True)
    return counts["tests"] > 0 and counts["failures"] + counts["errors"] == 0
