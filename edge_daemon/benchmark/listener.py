"""A subscriber in a separate process, which records the age of each label."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from edge_daemon.config.mqtt import MqttOptions
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.child_process import module_command


@dataclass(frozen=True, slots=True)
class ReceivedLabel:
    """A received result, with milliseconds from the frame's capture to the label and to this subscriber."""

    seq: int
    label_ms: float
    received_ms: float


@contextmanager
def recording(options: MqttOptions, topic: str, log: Path) -> Iterator[None]:
    """Record results in a file, one JSON array per line, once the subscription is granted.

    Raises EdgeError at the end of the block if the subscriber ended before; it has printed the reason.
    """
    words = [msgspec.json.encode(options).decode(), topic]
    with log.open("w") as out:
        child = subprocess.Popen(module_command(__name__, *words), stdout=out)
    try:
        yield
        if child.poll() is not None:
            raise EdgeError("the subscriber that times the labels has ended, see above; no label was timed")
    finally:
        child.terminate()
        child.wait()


def read_log(log: Path) -> list[ReceivedLabel]:
    """Return the labels recorded so far, without a line that is still being written."""
    lines = log.read_text().split("\n")[:-1]
    return [ReceivedLabel(*json.loads(line)) for line in lines]


def main() -> int:
    """Record until terminated; 1 if the broker refuses or is lost."""
    options, topic = msgspec.json.decode(sys.argv[1], type=MqttOptions), sys.argv[2]
    try:
        _record(options, topic)
    except EdgeError as exc:
        print(f"edge-daemon: {exc}", file=sys.stderr)
        return 1
    return 0


def _record(options: MqttOptions, topic: str) -> None:
    from edge_daemon.mqtt.subscriber import Subscriber

    with Subscriber(options, topic) as subscriber:
        for message in subscriber:
            now_s = time.time()
            result = json.loads(message.payload)
            captured_s = datetime.fromisoformat(result["captured_at"]).timestamp()
            record = [result["seq"], result["latency_ms"], round((now_s - captured_s) * 1000, 2)]
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    sys.exit(main())
