"""The demo's subscriber: a connection of its own, whose received messages are all that is printed."""

from __future__ import annotations

import json
import threading
import time
from types import TracebackType
from typing import Any, TextIO

from edge_daemon.config import Config
from edge_daemon.demo.score import Score
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import Subscriber


class Audience:
    """Subscribes as any program would, prints what changes and counts every result. A context manager."""

    def __init__(self, config: Config, score: Score, out: TextIO, *, as_json: bool) -> None:
        self._base = config.mqtt.base_topic or f"edge_daemon/{config.device.topic_id}"
        self._subscriber = Subscriber(config.mqtt, f"{self._base}/#")
        self._score = score
        self._out = out
        self._as_json = as_json
        self._offline = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="audience", daemon=True)

    def __enter__(self) -> Audience:
        self._subscriber.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscriber.stop()
        self._thread.join()
        self._subscriber.__exit__(kind, error, trace)

    def hear_out(self, timeout_s: float) -> None:
        """Wait until the device has said that it is offline, which is its last message."""
        self._offline.wait(timeout_s)

    def _listen(self) -> None:
        for message in self._subscriber:
            topic = message.topic.removeprefix(f"{self._base}/")
            if topic == "result":
                result = json.loads(message.payload)
                self._score.add(result["seq"], result["label"])
            elif topic == "event":
                self._tell(json.loads(message.payload))
            elif topic == "availability":
                self._tell_availability(message)

    def _tell_availability(self, message: Incoming) -> None:
        state = message.payload.decode()
        if not message.retained:
            self._print({"availability": state}, f"the device is {state}")
        if state == "offline" and not message.retained:
            self._offline.set()

    def _tell(self, event: dict[str, Any]) -> None:
        match event["event_type"]:
            case "example_added":
                text = f"taught {event['label']} ({event['count']}) by its button"
            case "label_changed" if event["label"] == "unknown":
                text = f"sees   nothing it knows{'':<12}{event['latency_ms']:6.0f} ms"
            case "label_changed":
                text = f"sees   {event['label']:<18}{event['confidence']:>6.0%}{event['latency_ms']:9.0f} ms"
            case _:
                return
        self._print(event, text)

    def _print(self, data: dict[str, Any], text: str) -> None:
        line = json.dumps(data) if self._as_json else f"{time.strftime('%H:%M:%S')}  {text}"
        print(line, file=self._out, flush=True)
