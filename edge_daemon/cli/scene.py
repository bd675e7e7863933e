"""The `scene` command: show, learn or forget the scene of a running device, over MQTT."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import msgspec

from edge_daemon.cli.followed_device import followed_topics
from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import RequestError
from edge_daemon.domain.types import region_prefix
from edge_daemon.mqtt.message import Message
from edge_daemon.mqtt.subscriber import Subscriber
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.json_input import decode_json
from edge_daemon.system.printable import printable

TIMEOUT_S = 30.0
"""Longest wait for the reply; a press takes up to 28.6 s with a slow camera."""

_EPILOG = """\
Without an action, the state of each region's scene is shown. `learn` takes the next frames as the scene: let
nothing be in view. `forget` lets the device learn it by itself again. The user of the `mqtt` section needs
the right to send requests to the device, as the teacher in mosquitto-acl.conf has.

With --json the line is {"regions": {"frame": {"state": "known", "age_s": 12, "automatic": false}}}.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("action", nargs="?", choices=("show", "learn", "forget"), default="show")
    parser.add_argument("--region", metavar="NAME", help="one region (default: all)")
    parser.add_argument("--device", metavar="ID", help="another device at this broker (default: this one)")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    config = load_config(args.config, args.set)
    regions = ask(config.mqtt, followed_topics(config, args.device), args.action, args.region)
    if args.json:
        print(json.dumps({"regions": regions}))
    else:
        for name, scene in regions.items():
            print(printable(f"{region_prefix(name)}{describe(scene)}"))
    return 0


def ask(
    options: MqttOptions, topics: Topics, action: str, region: str | None
) -> Mapping[str, Mapping[str, Any]]:
    """Send the request and return the state per region. Raises BrokerError, RequestError."""
    transaction = uuid4().hex
    request = {"action": action, "region": region, "transaction": transaction}
    with Subscriber(options, topics.response("scene")) as subscriber:
        body = msgspec.json.encode(request)
        subscriber.publish(Message(topics.request("scene"), body, qos=1, retain=False))
        deadline = time.monotonic() + TIMEOUT_S
        while (left_s := deadline - time.monotonic()) > 0:
            incoming = subscriber.receive(left_s)
            reply = None if incoming is None else _read(incoming.payload)
            if reply is None or reply.get("transaction") != transaction:
                continue
            if reply.get("status") != "ok":
                raise RequestError(f"the device did not {action} the scene: {reply.get('error')}")
            return _regions(reply)
    raise RequestError(
        f"no answer at {topics.response('scene')} for {TIMEOUT_S:g} s; "
        "is the device online, and may this MQTT user send it requests? While an import locks the "
        "store, the answer comes later"
    )


class _Scene(msgspec.Struct):
    """State of one region's scene; without `age_s` it is not known."""

    state: str
    age_s: float = 0.0
    automatic: bool = False


class _Answer(msgspec.Struct):
    regions: dict[str, _Scene]


def _regions(reply: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """Return the state per region as the device sent it. Raises RequestError for other data."""
    try:
        msgspec.convert(reply.get("data"), _Answer)
    except msgspec.ValidationError as exc:
        raise RequestError(f"the device did not answer with the states of scenes: {exc}") from exc
    regions: Mapping[str, Mapping[str, Any]] = reply["data"]["regions"]
    return regions


def describe(scene: Mapping[str, Any]) -> str:
    """Return the state of a scene in words."""
    if "age_s" not in scene:
        return str(scene["state"])
    how = "by itself" if scene.get("automatic") else "by a press"
    return f"{scene['state']}, learned {how} {_age(scene['age_s'])} ago"


def _age(seconds: float) -> str:
    for unit, length in (("days", 172_800), ("h", 7200), ("min", 120)):
        if seconds >= length:
            return f"{seconds // (length // 2):.0f} {unit}"
    return f"{seconds:.0f} s"


def _read(payload: bytes) -> dict[str, Any] | None:
    try:
        return decode_json(payload, dict[str, Any])
    except msgspec.DecodeError:
        return None
