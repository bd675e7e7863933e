"""The part that `sort` and `keys` share: outputs follow a device over MQTT until a signal."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from edge_daemon.actuators.controller import MessageReader, OutputController
from edge_daemon.cli.watch import OfflineTimer
from edge_daemon.config.schema import Config
from edge_daemon.domain.errors import LabelError
from edge_daemon.domain.labels import check_label
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ConnectionState, ReconnectingSubscriber
from edge_daemon.mqtt.topics import Topics
from edge_daemon.system.clock import SystemClock, utc_ms
from edge_daemon.system.unblocked_output import drop_unread_logs, may_write

log = logging.getLogger(__name__)

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""SIGHUP too: without its handler a closed terminal would end the process with outputs on."""


def run_actuator(
    config: Config,
    topics: Topics,
    topic_filter: str,
    reader: MessageReader,
    switch: Callable[[str, bool], None],
    report: Callable[[str, bool], None],
) -> None:
    """Switch outputs as `reader` plans until SIGTERM, SIGINT or SIGHUP. All outputs are off afterwards.

    No output waits for a reader of the log or the reports.
    """
    drop_unread_logs()
    stop = threading.Event()
    for number in _STOP_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda *_: stop.set())
    offline = OfflineTimer(topics, time.monotonic)
    with ReconnectingSubscriber(config.mqtt, topic_filter) as subscriber:

        def receive(timeout_s: float) -> Incoming | ConnectionState | None:
            received = subscriber.receive(timeout_s)
            if text := offline.check(received):
                log.warning("%s", text)
            return received

        OutputController(topics, reader, switch, SystemClock(), report).run(receive, stop.is_set)


def read_label(text: str) -> str:
    """Read a label as devices publish it; `unknown` is one here."""
    try:
        return text if text == UNKNOWN else check_label(text)
    except LabelError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def print_json(**values: object) -> None:
    """Print one JSON line that begins with the time, `at`, in UTC; drop it if nobody reads them."""
    if may_write(sys.stdout):
        print(json.dumps({"at": utc_ms(datetime.now(UTC)), **values}), flush=True)
