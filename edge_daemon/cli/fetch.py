"""`edge-daemon examples fetch`: the examples of a device, over MQTT, as an archive."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import msgspec

from edge_daemon.cli.followed_device import followed_topics
from edge_daemon.cli.option_values import read_path
from edge_daemon.cli.progress import draw_transfer
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ArchiveError, RequestError
from edge_daemon.example_store.archive import check_archive
from edge_daemon.mqtt.example_export import EXPIRY_S, ExportReassembler
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.subscriber import Subscriber
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.atomic_file import new_file

TIMEOUT_S = 30.0
"""Longest time between two parts."""

FIRST_TIMEOUT_S = 60.0
"""Longest time until the first part, before which the device writes the whole archive. An x86-64 core needs
3 s for 10,000 examples."""

_EPILOG = """\
The archive holds the examples with their pictures; `edge-daemon examples import FILE` adds them to a store.
The user of the `mqtt` section needs the right to send requests to the device, as the teacher in
mosquitto-acl.conf has. The file appears when it is complete; no file is overwritten.

example: keep a copy of the examples of the device tray-1:
  edge-daemon examples fetch --set mqtt.host=broker.local --device tray-1 tray-1.zip

With --json the line is {"path": "tray-1.zip", "bytes": 120345, "parts": 3}.
"""


def add_fetch_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the action's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "file", type=read_path, metavar="FILE", help="the archive to write, such as tray-1.zip"
    )
    parser.add_argument("--device", metavar="ID", help="another device at this broker (default: this one)")


def run_fetch(args: argparse.Namespace, config: Config) -> int:
    """Run the action."""
    topics = followed_topics(config, args.device)
    with new_file(args.file) as file:
        archive, parts = fetch_archive(config.mqtt, topics, partial(draw_transfer, args.file.name))
        file.write(archive)
        file.flush()
        _check_archive(file)
    if args.json:
        print(json.dumps({"path": str(args.file), "bytes": len(archive), "parts": parts}))
    else:
        print(f"{args.file}: {len(archive)} bytes in {counted(parts, 'part')}")
    return 0


def _check_archive(file: BinaryIO) -> None:
    """Raise RequestError if the file, which has no name yet, is no archive of examples."""
    path = Path(f"/proc/self/fd/{file.fileno()}")
    try:
        check_archive(path)
    except ArchiveError as exc:
        raise RequestError(str(exc).replace(f"archive '{path}'", "what the device sent")) from exc


def fetch_archive(
    options: MqttOptions,
    topics: Topics,
    progress: Callable[[int, int], None] = lambda done, total: None,
    timeout_s: float = TIMEOUT_S,
    first_timeout_s: float = FIRST_TIMEOUT_S,
) -> tuple[bytes, int]:
    """Request the archive and return it with its number of parts. Raises BrokerError, RequestError.

    `progress` gets the number of received bytes and that of the archive.
    """
    reassembler = ExportReassembler(transaction := uuid4().hex)
    request = msgspec.json.encode({"export": True, "transaction": transaction})
    with Subscriber(options, topics.response("examples")) as subscriber:
        subscriber.publish(Message(topics.request("examples"), request, qos=1, retain=False))
        end = time.monotonic() + EXPIRY_S
        deadline = time.monotonic() + first_timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            incoming = subscriber.receive(left_s)
            if incoming is None:
                continue
            before = reassembler.parts
            archive = reassembler.add(incoming.payload)
            if reassembler.parts > before:
                progress(*reassembler.received_bytes)
                deadline = min(end, time.monotonic() + timeout_s)
            if archive is not None:
                return archive, reassembler.parts
    if time.monotonic() >= end:
        raise RequestError(f"the device sends for more than {EXPIRY_S:g} s; send the request again")
    parts = counted(reassembler.parts, "part")
    waited_s = timeout_s if reassembler.parts else first_timeout_s
    raise RequestError(
        f"no answer at {topics.response('examples')} for {waited_s:g} s, after {parts}; "
        "is the device online, and may this MQTT user send it requests?"
    )
