#!/usr/bin/env python3
"""Fetch all examples of a device over MQTT, as an archive for `edge-daemon examples import`.

    scripts/fetch_examples.py --config /etc/edge_daemon/config.yaml --device tray-1 tray-1.zip

The user of the `mqtt` section must be one who may ask the device, as the teacher in mosquitto-acl.conf.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from uuid import uuid4

import msgspec

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import EdgeError, RequestError
from edge_daemon.mqtt.example_export import ExportReassembler
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.subscriber import Subscriber
from edge_daemon.mqtt.topics import Topics, device_topics
from edge_daemon.system.atomic_file import new_file

PATIENCE_S = 30.0
"""How long nothing may come: the device writes the whole archive before it sends the first part."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("file", type=Path, help="the archive to write; must not exist")
    parser.add_argument("--device", metavar="ID", help="another device at this broker (default: this one)")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE")
    args = parser.parse_args()
    config = load_config(args.config, args.set)
    base = None if args.device else config.mqtt.base_topic
    topics = device_topics(base, args.device or config.device.topic_id, ())
    with new_file(args.file) as file:
        archive = fetch(config.mqtt, topics)
        file.write(archive)
    print(f"{args.file}: {len(archive)} bytes", file=sys.stderr)
    return 0


def fetch(options: MqttOptions, topics: Topics) -> bytes:
    """Ask for the archive and wait until it is whole. Raises BrokerError, RequestError."""
    reassembler = ExportReassembler(transaction := uuid4().hex)
    with Subscriber(options, topics.response("examples")) as subscriber:
        asked = msgspec.json.encode({"export": True, "transaction": transaction})
        subscriber.publish(Message(topics.request("examples"), asked, qos=1, retain=False))
        deadline = time.monotonic() + PATIENCE_S
        while (left_s := deadline - time.monotonic()) > 0:
            incoming = subscriber.receive(left_s)
            if incoming is None:
                continue
            before = reassembler.parts
            if (archive := reassembler.add(incoming.payload)) is not None:
                return archive
            if reassembler.parts > before:
                deadline = time.monotonic() + PATIENCE_S
    raise RequestError(
        f"nothing came for {PATIENCE_S:g} s after {reassembler.parts} parts; is the device online?"
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EdgeError as exc:
        sys.exit(f"fetch_examples: {exc}")
