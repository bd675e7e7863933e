"""What a device says, for a person at a terminal or for a program."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TextIO

from edge_daemon.app.regions import region_names
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import WHOLE_FRAME
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ConnectionState, ReconnectingSubscriber
from edge_daemon.mqtt.topics import Topics, device_topics

_RATE_FRAMES = 30
_STALE_S = 3.0
_ABSENT_S = 3.0
_WIDTH = 100


class Watcher(Protocol):
    """Shows what comes; None says that nothing came for a while."""

    def take(self, heard: Incoming | ConnectionState | None) -> None:
        """Take the next thing."""


class OfflineTimer:
    """Notices a device that the broker knows nothing of: a running one has a retained availability."""

    def __init__(self, topics: Topics, monotonic: Callable[[], float]) -> None:
        self._topics = topics
        self._monotonic = monotonic
        self._due_s: float | None = None

    def notice(self, heard: Incoming | ConnectionState | None) -> str | None:
        """Take what came, or None; return what to say, once a connection, when nothing came for 3 s."""
        if isinstance(heard, ConnectionState):
            self._due_s = self._monotonic() + _ABSENT_S if heard.connected else None
        elif heard is not None:
            self._due_s = None
        elif self._due_s is not None and self._monotonic() >= self._due_s:
            self._due_s = None
            base = self._topics.base
            return f"no device publishes at {base}; is it running, at this broker, and is its id right?"
        return None


class JsonWriter:
    """One JSON object a line: `topic` and `payload`, or the state of the connection."""

    def __init__(self, topics: Topics, out: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._topics = topics
        self._out = out
        self._absence = OfflineTimer(topics, monotonic)

    def take(self, heard: Incoming | ConnectionState | None) -> None:
        """Write it, if it is anything."""
        if text := self._absence.notice(heard):
            self._write({"device": None, "text": text})
        if isinstance(heard, ConnectionState):
            self._write({"connected": heard.connected, "text": heard.text})
        elif heard is not None:
            topic = heard.topic.removeprefix(f"{self._topics.base}/")
            self._write({"topic": topic, "retained": heard.retained, "payload": readable(heard.payload)})

    def _write(self, data: dict[str, Any]) -> None:
        print(json.dumps(data, ensure_ascii=False), file=self._out, flush=True)


class LineWriter:
    """The last line of the terminal follows the results; events scroll above it.

    Where the output is no terminal, only the events are written.
    """

    def __init__(self, topics: Topics, out: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._topics = topics
        self._out = out
        self._monotonic = monotonic
        self._live = out.isatty()
        self._absence = OfflineTimer(topics, monotonic)
        self._availability = "?"
        self._results: dict[str, dict[str, Any]] = {}
        self._heard_s: deque[float] = deque(maxlen=_RATE_FRAMES)

    def take(self, heard: Incoming | ConnectionState | None) -> None:
        """Show it."""
        if text := self._absence.notice(heard):
            self._scroll(text)
        if isinstance(heard, ConnectionState):
            self._forget()
            self._scroll(heard.text if heard.connected else f"{heard.text}; trying again")
        elif heard is not None:
            self._hear(heard.topic.removeprefix(f"{self._topics.base}/"), heard)
        self._draw()

    def _hear(self, topic: str, heard: Incoming) -> None:
        payload = readable(heard.payload)
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
            self._results[payload["region"]] = payload
            self._heard_s.append(self._monotonic())

    def _forget(self) -> None:
        self._availability = "?"
        self._results.clear()
        self._heard_s.clear()

    def _scroll(self, text: str) -> None:
        clear = "\r\x1b[K" if self._live else ""
        print(f"{clear}{time.strftime('%H:%M:%S')}  {_printable(text)}", file=self._out, flush=True)

    def _draw(self) -> None:
        if self._live:
            self._out.write(f"\r\x1b[K{_printable(self.line())[:_WIDTH]}")
            self._out.flush()

    def line(self) -> str:
        """Return the live line: nothing is shown as current that was not heard for three seconds."""
        now = self._monotonic()
        if self._availability != "online" or not self._heard_s or now - self._heard_s[-1] > _STALE_S:
            state = "no results" if self._availability == "online" else "no word"
            return f"{self._availability}  {state}"
        parts = [_result(name, result) for name, result in self._results.items()]
        per_s = (len(self._heard_s) - 1) / max(self._heard_s[-1] - self._heard_s[0], 1e-9)
        rate = f"{per_s / len(self._results):.1f}/s" if len(self._heard_s) > 1 else ""
        return f"{self._availability}  {'  |  '.join(parts)}  {rate}"


def readable(payload: bytes) -> Any:
    """Return JSON as what it holds, other text as text, anything else as its size."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return f"{len(payload)} bytes"
    try:
        return json.loads(text) if text[:1] in ("{", "[") else text
    except (ValueError, RecursionError):
        return text


def describe(event: dict[str, Any]) -> str:
    """Say an event in a line; one of a later version is shown by its keys."""
    kind = str(event.get("event_type", "event")).replace("_", " ")
    hidden = ("event_type", "at", "event_id", "captured_at", "by", "ranking")
    told = [
        f"{key} {_short(value)}"
        for key, value in event.items()
        if key not in hidden and (key, value) != ("region", WHOLE_FRAME)
    ]
    return f"{kind:<16} {', '.join(told)}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _result(region: str, result: dict[str, Any]) -> str:
    name = "" if region == WHOLE_FRAME else f"{region}: "
    share, late = _number(result.get("confidence")), _number(result.get("latency_ms"))
    return f"{name}{result.get('label')!s:<16} {share:4.0%} {late:5.0f} ms"


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) else float("nan")
    except OverflowError:
        return float("nan")


def _printable(text: str) -> str:
    """Keep what strangers publish from steering the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


TICK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--device", metavar="ID", help="another device at this broker (default: this one)")


def run(args: argparse.Namespace) -> int:
    """Run the command, until interrupted."""
    config = load_config(args.config, args.set)
    if config.mqtt.host is None:
        raise ConfigError("mqtt.host: there is no broker to watch; set one")
    base = None if args.device else config.mqtt.base_topic
    topics = device_topics(base, args.device or config.device.topic_id, region_names(config))
    watcher: Watcher = JsonWriter(topics, sys.stdout) if args.json else LineWriter(topics, sys.stdout)
    with ReconnectingSubscriber(config.mqtt, f"{topics.base}/#") as follower:
        while True:
            watcher.take(follower.receive(TICK_S))
