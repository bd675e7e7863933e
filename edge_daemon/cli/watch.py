"""`edge-daemon watch`: what a device says over MQTT, live, until interrupted."""

from __future__ import annotations

import argparse
import sys

from edge_daemon.app import region_names
from edge_daemon.config import load_effective
from edge_daemon.errors import ConfigError
from edge_daemon.mqtt.follower import Follower
from edge_daemon.mqtt.topics import device_topics
from edge_daemon.mqtt.watcher import JsonLines, LiveLine, Watcher

TICK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--device", metavar="ID", help="another device at this broker (default: this one)")


def run(args: argparse.Namespace) -> int:
    """Run the command, until interrupted."""
    config = load_effective(args.config, args.set)
    if config.mqtt.host is None:
        raise ConfigError("mqtt.host: there is no broker to watch; set one")
    base = None if args.device else config.mqtt.base_topic
    topics = device_topics(base, args.device or config.device.topic_id, region_names(config))
    watcher: Watcher = JsonLines(topics, sys.stdout) if args.json else LiveLine(topics, sys.stdout)
    with Follower(config.mqtt, f"{topics.base}/#") as follower:
        while True:
            watcher.take(follower.receive(TICK_S))
