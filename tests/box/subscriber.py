"""A mosquitto_sub in the network namespace of the broker."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.box.wait_until import TIMEOUT_S, wait_until

BASE = "edge_daemon/box"
BROKER = "192.0.2.1"
AT_THE_BROKER = ("ip", "netns", "exec", "broker")


class Subscriber:
    """Messages received so far. A separate thread reads them."""

    def __init__(self, output: Iterator[str]) -> None:
        self._output = output
        self.received: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._listen, name="subscriber", daemon=True)
        self._thread.start()

    def latest(self, topic: str) -> str | None:
        """Return the last payload at `<base>/<topic>`; None if there was none."""
        return next((text for name, text in reversed(self.received) if name == f"{BASE}/{topic}"), None)

    def wait_for_label(self, label: str, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until the published label is `label`."""
        wait_until(lambda: self.latest("label") == label, f"label '{label}'; {self.received[-3:]}", timeout_s)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of a kind so far, in order."""
        texts = [text for name, text in list(self.received) if name == f"{BASE}/event"]
        events = [json.loads(text) for text in texts]
        return [event for event in events if event["event_type"] == kind]

    def clear(self) -> None:
        """Discard the received messages."""
        self.received.clear()

    def _listen(self) -> None:
        for line in self._output:
            topic, _, text = line.rstrip("\n").partition(" ")
            self.received.append((topic, "" if text == "(null)" else text))


@contextmanager
def subscribed() -> Iterator[Subscriber]:
    """Subscribe to all topics of the device except the results, which are one per frame."""
    words = ["-h", BROKER, "-q", "1", "-v", "-t", f"{BASE}/label", "-t", f"{BASE}/event"]
    words += ["-t", f"{BASE}/availability", "-t", f"{BASE}/examples", "-t", f"{BASE}/response/#"]
    command = [*AT_THE_BROKER, "mosquitto_sub", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Subscriber(iter(process.stdout))
        finally:
            process.terminate()


def publish_request(verb: str, **payload: object) -> None:
    """Send the device a request."""
    topic, text = f"{BASE}/request/{verb}", json.dumps(payload)
    subprocess.run(
        [*AT_THE_BROKER, "mosquitto_pub", "-h", BROKER, "-q", "1", "-t", topic, "-m", text], check=True
    )
