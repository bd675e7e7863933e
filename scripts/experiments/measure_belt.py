"""Count the `object` events per object of a simulated conveyor belt with a real model. Prints JSON.

.venv/bin/python scripts/experiments/measure_belt.py --model edge_embedder_v1 --objects 200 --speeds 0.5,1.0
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from itertools import product
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edge_daemon.config.schema import load_config
from edge_daemon.demo.belt_run import BeltPlan, BeltRun


def main() -> int:
    parser = argparse.ArgumentParser(description="Count and name drawn objects on a belt.")
    parser.add_argument("--model", metavar="M", help="model name or .tflite file")
    parser.add_argument("--objects", type=int, default=200)
    parser.add_argument("--speeds", default="0.5,1.0", help="widths of the frame per second")
    parser.add_argument("--seeds", default="7", help="each draws other objects at other angles")
    parser.add_argument("--presses", type=int, default=8, help="examples of each kind")
    parser.add_argument("--labels", default="gear,lemon,strawberry,mug", help="kinds that are taught")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE")
    args = parser.parse_args()
    model = [f"model.name={json.dumps(args.model)}"] if args.model else []
    for speed, seed in product(args.speeds.split(","), args.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            store = f"store.path={json.dumps(str(Path(folder) / 'examples.sqlite'))}"
            config = load_config(None, ["trigger=motion", store, *model, *args.set])
            plan = BeltPlan(
                tuple(args.labels.split(",")), args.objects, float(speed), args.presses, seed=int(seed)
            )
            print(json.dumps(BeltRun(config, plan).run().figures(), ensure_ascii=False), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
