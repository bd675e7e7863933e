"""The `watch` command: a live view of a device's messages, or JSON lines for programs."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TextIO

import msgspec

from edge_daemon.cli.followed_device import followed_topics
from edge_daemon.cli.progress import can_redraw, redraw
from edge_daemon.config.schema import load_config
from edge_daemon.domain.counted import counted, percent
from edge_daemon.domain.types import WHOLE_FRAME, region_prefix
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ConnectionState, ReconnectingSubscriber
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.json_input import decode_json
from edge_daemon.system.printable import printable

_RATE_FRAMES = 30
_STALE_S = 5.0
"""Age at which a result is no longer shown; the slowest camera has a frame every 4 s."""
_OFFLINE_S = 3.0
TICK_S = 0.5


class Writer(Protocol):
    """A view of the received messages."""

    def write(self, received: Incoming | ConnectionState | None) -> None:
        """Show a message or a change of the connection; None if none was received."""


class OfflineTimer:
    """Detects a device without a retained availability, which every running device has."""

    def __init__(self, topics: Topics, monotonic: Callable[[], float]) -> None:
        self._topics = topics
        self._monotonic = monotonic
        self._due_s: float | None = None

    def check(self, received: Incoming | ConnectionState | None) -> str | None:
        """Return a hint once per connection if no message was received for 3 s."""
        if isinstance(received, ConnectionState):
            self._due_s = self._monotonic() + _OFFLINE_S if received.connected else None
        elif received is not None:
            self._due_s = None
        elif self._due_s is not None and self._monotonic() >= self._due_s:
            self._due_s = None
            base = self._topics.base
            return f"no device publishes at {base}; is it running, at this broker, and is its id right?"
        return None


class JsonWriter:
    """Prints one JSON object per line: `topic` and `payload`, or the state of the connection."""

    def __init__(self, topics: Topics, out: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._topics = topics
        self._out = out
        self._offline = OfflineTimer(topics, monotonic)

    def write(self, received: Incoming | ConnectionState | None) -> None:
        """Print a message or a change of the connection."""
        if text := self._offline.check(received):
            self._print({"device": None, "text": text})
        if isinstance(received, ConnectionState):
            self._print({"connected": received.connected, "text": received.text})
        elif received is not None:
            topic = received.topic.removeprefix(f"{self._topics.base}/")
            payload = _text(received.payload) if _is_label(topic) else readable(received.payload)
            self._print({"topic": topic, "retained": received.retained, "payload": payload})

    def _print(self, data: dict[str, Any]) -> None:
        print(json.dumps(data), file=self._out, flush=True)


class LineWriter:
    """Shows the latest results in the last line of the terminal, with the events scrolling above it.

    If the output is no terminal, or a dumb one, only the events are printed.
    """

    def __init__(self, topics: Topics, out: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._topics = topics
        self._out = out
        self._monotonic = monotonic
        self._live = can_redraw(out)
        self._offline = OfflineTimer(topics, monotonic)
        self._availability = "?"
        self._results: dict[str, tuple[float, dict[str, Any]]] = {}
        self._result_s: deque[float] = deque(maxlen=_RATE_FRAMES)

    def write(self, received: Incoming | ConnectionState | None) -> None:
        """Show a message or a change of the connection."""
        if text := self._offline.check(received):
            self._scroll(text)
        if isinstance(received, ConnectionState):
            self._clear()
            self._scroll(received.text if received.connected else f"{received.text}; trying again")
        elif received is not None:
            self._show(received.topic.removeprefix(f"{self._topics.base}/"), received)
        self._draw()

    def _show(self, topic: str, received: Incoming) -> None:
        payload = readable(received.payload)
        if topic == "availability":
            self._availability = str(payload)
            self._scroll(f"the device is {payload}")
            if payload != "online":
                self._results.clear()
        elif topic == "event" and isinstance(payload, dict):
            self._scroll(describe(payload))
        elif (
            topic.endswith("result") and isinstance(payload, dict) and isinstance(payload.get("region"), str)
        ):
            now = self._monotonic()
            self._results[payload["region"]] = now, payload
            self._result_s.append(now)

    def _clear(self) -> None:
        self._availability = "?"
        self._results.clear()
        self._result_s.clear()

    def _scroll(self, text: str) -> None:
        if self._live:
            redraw(self._out, "")
        print(f"{time.strftime('%H:%M:%S')}  {printable(text)}", file=self._out, flush=True)

    def _draw(self) -> None:
        if self._live:
            redraw(self._out, printable(self.line()))

    def line(self) -> str:
        """Return the live line; results older than 5 s are not shown, such as those of a removed region."""
        since_s = self._monotonic() - _STALE_S
        self._results = {name: each for name, each in self._results.items() if each[0] >= since_s}
        if self._availability != "online" or not self._results:
            state = "no results" if self._availability == "online" else "no state"
            return f"{self._availability}  {state}"
        parts = [_result(name, result) for name, (_, result) in self._results.items()]
        per_s = (len(self._result_s) - 1) / max(self._result_s[-1] - self._result_s[0], 1e-9)
        rate = f"{per_s / len(self._results):.1f}/s" if len(self._result_s) > 1 else ""
        return f"{self._availability}  {'  |  '.join(parts)}  {rate}"


def readable(payload: bytes) -> Any:
    """Return the content of JSON, other text as text, and the size of other payloads."""
    text = _text(payload)
    try:
        return decode_json(payload, Any) if text[:1] in ("{", "[") else text
    except msgspec.DecodeError:
        return text


def _text(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return counted(len(payload), "byte")


def _is_label(topic: str) -> bool:
    """Return whether a topic below the base has a label: plain text, also where it looks like JSON."""
    return topic.rpartition("/")[2] == "label" and not topic.startswith(("request/", "response/"))


def describe(event: dict[str, Any]) -> str:
    """Return an event as one line; an event of a later version is shown with its keys."""
    kind = str(event.get("event_type", "event")).replace("_", " ")
    hidden = ("event_type", "at", "event_id", "captured_at", "by", "ranking")
    fields = [
        f"{key} {_short(value)}"
        for key, value in event.items()
        if key not in hidden and (key, value) != ("region", WHOLE_FRAME)
    ]
    return f"{kind:<16} {', '.join(fields)}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _result(region: str, result: dict[str, Any]) -> str:
    share, late = _number(result.get("confidence")), _number(result.get("latency_ms"))
    return f"{region_prefix(region)}{result.get('label')!s:<16} {percent(share):>5} {late:5.0f} ms"


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) else float("nan")
    except OverflowError:
        return float("nan")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--device", metavar="ID", help="another device at this broker (default: this one)")


def run(args: argparse.Namespace) -> int:
    """Run the command until interrupted."""
    config = load_config(args.config, args.set)
    topics = followed_topics(config, args.device)
    writer: Writer = JsonWriter(topics, sys.stdout) if args.json else LineWriter(topics, sys.stdout)
    with ReconnectingSubscriber(config.mqtt, f"{topics.base}/#") as subscriber:
        while True:
            writer.write(subscriber.receive(TICK_S))
