"""A subscriber at the broker: mosquitto_sub, at the broker's end of the cable."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.box.wait_until import PATIENCE_S, eventually

BASE = "edge_daemon/box"
BROKER = "192.0.2.1"
AT_THE_BROKER = ("ip", "netns", "exec", "broker")


class Ear:
    """Everything heard so far, and the latest of each topic. A thread of its own listens."""

    def __init__(self, output: Iterator[str]) -> None:
        self._output = output
        self.heard: list[tuple[str, str]] = []
        self._thread = threading.Thread(target=self._listen, name="ear", daemon=True)
        self._thread.start()

    def latest(self, topic: str) -> str | None:
        """Return the last payload at `<base>/<topic>`; None when nothing was heard."""
        return next((text for name, text in reversed(self.heard) if name == f"{BASE}/{topic}"), None)

    def await_label(self, label: str, within_s: float = PATIENCE_S) -> None:
        """Wait until the steady label is this."""
        eventually(lambda: self.latest("label") == label, f"label '{label}'; {self.heard[-3:]}", within_s)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return every event of a kind so far, in order."""
        texts = [text for name, text in list(self.heard) if name == f"{BASE}/event"]
        events = [json.loads(text) for text in texts]
        return [event for event in events if event["event_type"] == kind]

    def forget(self) -> None:
        """Start anew."""
        self.heard.clear()

    def _listen(self) -> None:
        for line in self._output:
            topic, _, text = line.rstrip("\n").partition(" ")
            self.heard.append((topic, "" if text == "(null)" else text))


@contextmanager
def listening() -> Iterator[Ear]:
    """Subscribe to all the device says, except its results, which are one a frame."""
    words = ["-h", BROKER, "-q", "1", "-v", "-t", f"{BASE}/label", "-t", f"{BASE}/event"]
    words += ["-t", f"{BASE}/availability", "-t", f"{BASE}/examples", "-t", f"{BASE}/response/#"]
    command = [*AT_THE_BROKER, "mosquitto_sub", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Ear(iter(process.stdout))
        finally:
            process.terminate()


def say(verb: str, **payload: object) -> None:
    """Send the device a request."""
    topic, text = f"{BASE}/request/{verb}", json.dumps(payload)
    subprocess.run(
        [*AT_THE_BROKER, "mosquitto_pub", "-h", BROKER, "-q", "1", "-t", topic, "-m", text], check=True
    )
