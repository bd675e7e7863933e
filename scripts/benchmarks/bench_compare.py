"""Put the daemon beside what users would take instead, in one run; prints a table with ratios.

    .venv/bin/python scripts/benchmarks/bench_compare.py --install [--examples 1000,10000] [--only PART]

answer: the browser's KNN classifier in Node, and scikit-learn's brute force. frame: the loop that tutorials
write with OpenCV and an interpreter. publish: JSON of every frame through paho. All that is compared takes
turns, a few calls each of which the best counts; a ratio is the median of the turns'. --install fetches the
rivals from npm and PyPI into a cache folder; what is not there is left out, with a line that says so.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

# A thread each, for all: scikit-learn's would go on spinning into the next one's turn.
os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rivals import browser_knn, scikit_knn
from rivals.answers import compare_answers
from rivals.frames import compare_frames
from rivals.messages import compare_messages
from rivals.turns import Comparison

from edge_daemon.benchmark.report import commit, machine
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.tflite.verdict_cache import cache_folder

PARTS = ("answer", "frame", "publish")


def main() -> int:
    args = _arguments().parse_args()
    cache = args.cache or cache_folder() / "rivals"
    try:
        if args.install:
            browser_knn.install(cache / "npm")
            scikit_knn.install(cache / "scikit-learn")
        found = list(_compare(args, cache))
    except EdgeError as error:
        print(f"bench_compare: {error}", file=sys.stderr)
        return 1
    if args.json:
        rows = [asdict(each) for each in found]
        print(json.dumps({"commit": commit(), "machine": machine(), "comparisons": rows}))
    else:
        print(_table(found))
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--examples", default="1000,10000", metavar="N,N", help="taught examples")
    parser.add_argument("--rounds", type=int, default=25, help="turns of each (default 25)")
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument("--model", metavar="M", help="model name or .tflite file for the frame")
    parser.add_argument("--install", action="store_true", help="fetch the rivals first")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where the rivals are kept")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _compare(args: argparse.Namespace, cache: Path) -> Iterator[Comparison]:
    parts = args.only or PARTS
    if "answer" in parts:
        for count in map(int, args.examples.split(",")):
            yield from compare_answers(count, args.rounds, cache)
    with tempfile.TemporaryDirectory(prefix="bench-compare-") as folder:
        store = json.dumps(str(Path(folder) / "examples.sqlite"))
        words = [f"store.path={store}", "regions=[]", "web.listen=null", "mqtt.discovery.enabled=false"]
        if args.model:
            words.append(f"model.name={json.dumps(args.model)}")
        if "frame" in parts:
            yield from compare_frames(load_config(None, [*words, "mqtt.host=null"]), args.rounds)
        if "publish" in parts:
            yield from compare_messages(words, args.rounds)


def _table(found: list[Comparison]) -> str:
    rows = ["| task | beside | ours ms | theirs ms | theirs / ours |", "|---|---|---|---|---|"]
    rows += [
        f"| {each.task} | {each.rival} | {each.ours_ms:.3f} | {each.rival_ms:.3f} | {each.ratio:.2f} |"
        for each in found
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
