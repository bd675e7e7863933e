#!/usr/bin/env python3
"""Push each object that a device has named into its bin, at the moment it passes.

    scripts/sorter.py --config /etc/edge_daemon/config.yaml --eject bolt:5:0.80:0.15 --eject nut:6:1.10:0.15

Each --eject is LABEL:PIN:TRAVEL_S:HOLD_S, with `:servo` after it for a servo instead of a relay or valve.
TRAVEL_S is the time from where the camera sees an object in the middle to the ejector.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_daemon.actuators.drive import Drive, SortingReader
from edge_daemon.actuators.gpio import Outputs, Wire
from edge_daemon.actuators.sorting import Ejection, Sorting
from edge_daemon.app.regions import region_names
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.mqtt.subscriber import ReconnectingSubscriber
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.clock import SystemClock


def ejector(text: str) -> tuple[str, Wire, Ejection]:
    """Read LABEL:PIN:TRAVEL_S:HOLD_S[:servo]."""
    label, pin, travel_s, hold_s, *kind = text.split(":")
    if kind not in ([], ["servo"]):
        raise ValueError(text)
    return label, Wire(int(pin), "servo" if kind else "output"), Ejection(float(travel_s), float(hold_s))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE")
    parser.add_argument("--region", help="only objects of this region")
    parser.add_argument("--eject", type=ejector, action="append", required=True, metavar="LABEL:PIN:S:S")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    config, clock = load_config(args.config, args.set), SystemClock()
    topics = device_topics(config.mqtt.base_topic, config.device.topic_id, region_names(config))
    sorting = Sorting({label: ejection for label, _, ejection in args.eject})
    reader = SortingReader(topics, sorting, clock, args.region)
    with (
        Outputs({label: wire for label, wire, _ in args.eject}) as outputs,
        ReconnectingSubscriber(config.mqtt, f"{topics.base}/#") as follower,
    ):
        Drive(topics, reader, outputs.switch, clock).run(follower, stopping.is_set)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeError as exc:
        sys.exit(f"sorter: {exc}")
