"""Subscriber of the demo: a separate connection that prints and scores received messages."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, TextIO

from edge_daemon.config.schema import Config
from edge_daemon.domain.counted import percent
from edge_daemon.domain.errors import BrokerError
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import Subscriber


@dataclass
class Tally:
    """Frames of one true label: labelled, correct, and wrong labels with their counts."""

    frames: int = 0
    correct: int = 0
    wrong: dict[str, int] = field(default_factory=dict)

    @property
    def accuracy(self) -> float:
        """Share of correct labels, 0 to 1."""
        return self.correct / self.frames if self.frames else 0.0


class LabelScore:
    """Compares received labels with the ground truth. `truth(seq)` is None for a frame that is not scored."""

    def __init__(self, truth: Callable[[int], str | None]) -> None:
        self._truth = truth
        self.tallies: dict[str, Tally] = {}

    def add(self, seq: int, label: str) -> None:
        """Count the label received for frame `seq`."""
        expected = self._truth(seq)
        if expected is None:
            return
        tally = self.tallies.setdefault(expected, Tally())
        tally.frames += 1
        if label == expected:
            tally.correct += 1
        else:
            tally.wrong[label] = tally.wrong.get(label, 0) + 1

    @property
    def total(self) -> Tally:
        """Sum over all labels."""
        tallies = self.tallies.values()
        return Tally(sum(tally.frames for tally in tallies), sum(tally.correct for tally in tallies))

    def table(self) -> str:
        """Return the score as lines of text, worst label last."""
        rows = [f"{'shown':<14}{'frames':>7}{'correct':>9}   classified as"]
        for label, tally in sorted(self.tallies.items(), key=lambda item: -item[1].accuracy):
            wrong = ", ".join(f"{name} ({count})" for name, count in tally.wrong.items())
            rows.append(f"{label:<14}{tally.frames:>7}{percent(tally.accuracy, 1):>9}   {wrong}".rstrip())
        total = self.total
        rows.append(f"{'all':<14}{total.frames:>7}{percent(total.accuracy, 1):>9}")
        return "\n".join(rows)


class DemoSubscriber:
    """Prints label changes and scores every result that it receives. A context manager."""

    def __init__(self, config: Config, score: LabelScore, out: TextIO, *, as_json: bool) -> None:
        self._base = config.mqtt.base_topic or f"edge_daemon/{config.device.topic_id}"
        self._subscriber = Subscriber(config.mqtt, f"{self._base}/#")
        self._score = score
        self._out = out
        self._as_json = as_json
        self._offline = threading.Event()
        self._fault: BrokerError | None = None
        self._thread = threading.Thread(target=self._listen, name="demo-subscriber", daemon=True)

    def __enter__(self) -> DemoSubscriber:
        self._subscriber.__enter__()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._subscriber.stop()
        self._thread.join()
        self._subscriber.__exit__(kind, error, trace)

    def wait_until_offline(self, timeout_s: float) -> None:
        """Wait until the device has published that it is offline, which is its last message.

        Raises the BrokerError of a lost connection: messages are missing then.
        """
        self._offline.wait(timeout_s)
        if self._fault is not None:
            raise self._fault

    def _listen(self) -> None:
        try:
            self._receive()
        except BrokerError as exc:
            self._fault = exc

    def _receive(self) -> None:
        for message in self._subscriber:
            topic = message.topic.removeprefix(f"{self._base}/")
            if topic == "result":
                result = json.loads(message.payload)
                self._score.add(result["seq"], result["label"])
            elif topic == "event":
                self._print_event(json.loads(message.payload))
            elif topic == "availability":
                self._print_availability(message)

    def _print_availability(self, message: Incoming) -> None:
        state = message.payload.decode()
        if not message.retained:
            self._print({"availability": state}, f"the device is {state}")
        if state == "offline" and not message.retained:
            self._offline.set()

    def _print_event(self, event: dict[str, Any]) -> None:
        match event["event_type"]:
            case "example_added":
                text = f"taught {event['label']} ({event['count']}) by its button"
            case "label_changed" if event["label"] == "unknown":
                text = f"label  unknown{'':<21}{event['latency_ms']:6.0f} ms"
            case "label_changed":
                share = percent(event["confidence"])
                text = f"label  {event['label']:<18}{share:>6}{event['latency_ms']:9.0f} ms"
            case _:
                return
        self._print(event, text)

    def _print(self, data: dict[str, Any], text: str) -> None:
        line = json.dumps(data) if self._as_json else f"{time.strftime('%H:%M:%S')}  {text}"
        print(line, file=self._out, flush=True)
