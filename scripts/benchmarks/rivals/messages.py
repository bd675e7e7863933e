"""Publishing one result: our sink beside JSON of every frame through paho, as most scripts do it.

paho's `publish` leaves the sending to its thread. Ours sends from the frame's thread, so that the time of the
call is longer, and the processor time of all threads shorter.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.publish import single

from edge_daemon.app.sink_factory import build_mqtt
from edge_daemon.benchmark.broker import HOST, Mosquitto, find_mosquitto
from edge_daemon.benchmark.statistics import timed_ms
from edge_daemon.config.schema import load_config
from edge_daemon.daemon.mailbox import Mailbox
from edge_daemon.domain.errors import EdgeError
from edge_daemon.domain.events import Classified
from edge_daemon.domain.types import Prediction
from edge_daemon.system.clock import SystemClock
from rivals.turns import OURS, Comparison, Timed, leave_out, take_turns

TOPIC = "camera/result"
_CONNECT_S = 10.0

RESULTS, PERIOD_S = 20, 0.002
"""Results of one call that takes processor time, and the time between them: other threads send meanwhile."""


def compare_messages(words: list[str], rounds: int) -> Iterator[Comparison]:
    """Compare what a frame waits for its result to be on its way; `words` are settings."""
    program = find_mosquitto()
    if program is None:
        leave_out("paho", "mosquitto is not installed")
        return
    # paho reports an error whenever `single` has ended its connection.
    logging.getLogger("paho").setLevel(logging.CRITICAL)
    with Mosquitto(program) as broker, ExitStack() as stack:
        contenders: dict[str, Timed] = {
            OURS: _ours([*words, f"mqtt.host={HOST}", f"mqtt.port={broker.port}"], stack),
            "paho, published by the frame's thread": _connected(broker.port, stack),
            "paho, a connection for each": lambda number: timed_ms(
                lambda: single(TOPIC, _payload(number), hostname=HOST, port=broker.port)
            ),
        }
        yield from take_turns("publish a result", contenders, rounds)
        costs: dict[str, Timed] = {name: _processor_ms(work) for name, work in contenders.items()}
        yield from take_turns("publish a result, processor time of all threads", costs, rounds)


def _processor_ms(publish: Timed) -> Timed:
    """Return what takes the processor time of a result, that of the threads that send it included."""

    def spend(number: int) -> float:
        begun_s = time.process_time()
        for each in range(RESULTS):
            publish(number * RESULTS + each)
            time.sleep(PERIOD_S)
        return (time.process_time() - begun_s) * 1000 / RESULTS

    return spend


def _ours(words: list[str], stack: ExitStack) -> Timed:
    sink = build_mqtt(load_config(None, words), Mailbox(), SystemClock())
    sink.start()
    stack.callback(sink.stop)
    _wait_until(lambda: sink.connected)
    prediction = Prediction("cup", {"cup": 0.9, "pen": 0.1}, 0.8)

    def publish(number: int) -> float:
        event = Classified("frame", prediction, number, datetime.now(UTC), 1.0)
        return timed_ms(lambda: sink.handle(event))

    return publish


def _connected(port: int, stack: ExitStack) -> Timed:
    client = Client(CallbackAPIVersion.VERSION2)
    client.connect(HOST, port)
    client.loop_start()
    stack.callback(client.loop_stop)
    stack.callback(client.disconnect)
    _wait_until(client.is_connected)
    return lambda number: timed_ms(lambda: client.publish(TOPIC, _payload(number)))


def _payload(number: int) -> str:
    return json.dumps({"label": "cup", "confidence": 0.9, "frame": number})


def _wait_until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _CONNECT_S
    while not done():
        if time.monotonic() > deadline_s:
            raise EdgeError("no connection to the broker")
        time.sleep(0.01)
