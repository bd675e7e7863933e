#!/usr/bin/env python3
"""Play with what the camera sees: the label of a device holds a key down.

    sudo scripts/arcade.py --config config/arcade.yaml --key left=KEY_LEFT --key right=KEY_RIGHT

The key is released when the label changes, when the device goes offline, and when no result has come for
--dead-man seconds: `mqtt.result_per_s` of the device must be 0 or well above its inverse.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_daemon.actuators.drive import Drive, KeyReader
from edge_daemon.actuators.keys import HeldKeys
from edge_daemon.actuators.uinput import VirtualKeyboard
from edge_daemon.app.regions import region_names
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import EdgeError
from edge_daemon.mqtt.subscriber import ReconnectingSubscriber
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.system.clock import SystemClock


def binding(text: str) -> tuple[str, str]:
    """Read LABEL=KEY."""
    label, key = text.rsplit("=", 1)
    return label, key


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE")
    parser.add_argument("--region", help="the region whose label counts (default: the first)")
    parser.add_argument("--dead-man", type=float, default=1.5, metavar="S")
    parser.add_argument("--key", type=binding, action="append", required=True, metavar="LABEL=KEY")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    config, keys = load_config(args.config, args.set), dict(args.key)
    regions = region_names(config)
    topics = device_topics(config.mqtt.base_topic, config.device.topic_id, regions)
    reader = KeyReader(topics, HeldKeys(keys, args.dead_man), args.region or regions[0])
    with (
        VirtualKeyboard(keys.values()) as keyboard,
        ReconnectingSubscriber(config.mqtt, f"{topics.base}/#") as follower,
    ):
        Drive(topics, reader, keyboard.switch, SystemClock()).run(follower, stopping.is_set)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeError as exc:
        sys.exit(f"arcade: {exc}")
