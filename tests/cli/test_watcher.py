"""The output of the watch command."""

from __future__ import annotations

import fcntl
import io
import json
import os
import struct
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_daemon.cli.watch import JsonWriter, LineWriter
from edge_daemon.mqtt.message import Incoming
from edge_daemon.mqtt.subscriber import ConnectionState
from edge_daemon.mqtt.topics import device_topics

TOPICS = device_topics(None, "pi", ("frame",))
RESULT = {"region": "frame", "label": "cat", "confidence": 0.914, "latency_ms": 12.3}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Watch:
    """A LineWriter with a clock set by the test."""

    def __init__(self, out: io.StringIO) -> None:
        self.now = 100.0
        self.out = out
        self.live = LineWriter(TOPICS, out, lambda: self.now)

    def receive(self, topic: str, payload: object) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.live.write(Incoming(f"edge_daemon/pi/{topic}", text.encode(), retained=False))

    def results(self, count: int) -> None:
        for _ in range(count):
            self.now += 0.1
            self.receive("result", RESULT)


@pytest.fixture
def watch() -> Watch:
    return Watch(Terminal())


def test_the_line_shows_label_confidence_latency_rate_and_availability(watch: Watch) -> None:
    watch.receive("availability", "online")
    watch.results(20)
    assert watch.live.line().split() == ["online", "cat", "91", "%", "12", "ms", "10.0/s"]
    assert watch.out.getvalue().endswith("\r\x1b[K" + watch.live.line())


def test_results_that_stop_are_not_shown_as_current(watch: Watch) -> None:
    watch.receive("availability", "online")
    watch.results(2)
    watch.now += 4
    assert "cat" in watch.live.line(), "the slowest camera has a frame every 4 s"
    watch.now += 2
    watch.live.write(None)
    assert watch.live.line() == "online  no results"


def test_the_last_result_of_a_removed_region_goes(watch: Watch) -> None:
    watch.receive("availability", "online")
    watch.receive("left/result", {**RESULT, "region": "left", "label": "dog"})
    watch.results(10)
    assert "left: dog" in watch.live.line()
    watch.results(50)
    assert watch.live.line().split() == ["online", "cat", "91", "%", "12", "ms", "10.0/s"]


@pytest.mark.parametrize("loss", [ConnectionState(False, "lost the broker"), "offline"])
def test_no_label_is_shown_after_the_loss_of_device_or_broker(
    watch: Watch, loss: ConnectionState | str
) -> None:
    watch.receive("availability", "online")
    watch.results(2)
    if isinstance(loss, ConnectionState):
        watch.live.write(loss)
    else:
        watch.receive("availability", loss)
    assert "cat" not in watch.live.line()


def test_events_scroll_above_the_line(watch: Watch) -> None:
    watch.receive("availability", "online")
    watch.results(1)
    watch.receive("event", {"event_type": "object", "label": "nut", "confidence": 0.75, "frames": 4})
    *scrolled, line = watch.out.getvalue().split("\n")
    assert "object           label nut, confidence 0.75, frames 4" in scrolled[-1]
    assert line.endswith(watch.live.line())


def test_without_a_terminal_only_events_are_written() -> None:
    watch = Watch(io.StringIO())
    watch.receive("availability", "online")
    watch.results(5)
    assert watch.out.getvalue().count("\n") == 1
    assert "\x1b" not in watch.out.getvalue()


def test_control_characters_of_a_payload_are_not_printed(watch: Watch) -> None:
    watch.receive("event", {"event_type": "object", "label": "\x1b[2Jboo"})
    assert "\x1b[2J" not in watch.out.getvalue()


def _read(master: int) -> bytes:
    """Read from a terminal; nothing when its other end is closed and all is read."""
    try:
        return os.read(master, 10_000)
    except OSError:
        os.close(master)
        return b""


@pytest.mark.parametrize("columns", [40, 80])
def test_the_line_fits_the_terminal_because_a_wrapped_one_is_not_erased(columns: int) -> None:
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with open(slave, "w", encoding="utf-8") as terminal:
        live = LineWriter(TOPICS, terminal)
        live.write(Incoming("edge_daemon/pi/availability", b"online", retained=True))
        for region in ("left", "middle", "right"):
            content = json.dumps({**RESULT, "region": region}).encode()
            live.write(Incoming(f"edge_daemon/pi/{region}/result", content, retained=False))
        line = live.line()
    drawn = b"".join(iter(lambda: _read(master), b"")).decode()
    assert drawn.split("\r\x1b[K")[-1] == line[: columns - 1]


def test_a_dumb_terminal_gets_events_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    watch = Watch(Terminal())
    watch.receive("availability", "online")
    watch.results(5)
    assert "\x1b" not in watch.out.getvalue()


@pytest.mark.parametrize("payload", ['{"a":NaN}', '{"a":[1e999]}', "[-Infinity]"])
def test_a_number_that_json_lacks_keeps_the_line_json(payload: str) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(text)

    out = io.StringIO()
    JsonWriter(TOPICS, out).write(Incoming("edge_daemon/pi/request/add", payload.encode(), retained=False))
    assert json.loads(out.getvalue(), parse_constant=refuse)["payload"] == payload


KEYS = st.sampled_from(["region", "label", "confidence", "latency_ms"])
JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
)


@given(
    st.sampled_from(["result", "event", "availability", "label", "a/result"]),
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_any_payload_is_shown_or_ignored(topic: str, payload: bytes) -> None:
    for watcher in (LineWriter(TOPICS, Terminal()), JsonWriter(TOPICS, io.StringIO())):
        watcher.write(Incoming("edge_daemon/pi/availability", b"online", retained=True))
        watcher.write(Incoming(f"edge_daemon/pi/{topic}", payload, retained=False))


def test_a_missing_device_is_reported_once_per_connection(watch: Watch) -> None:
    watch.live.write(ConnectionState(True, "connected to here:1883"))
    for _ in range(3):
        watch.now += 2
        watch.live.write(None)
    assert watch.out.getvalue().count("no device publishes at edge_daemon/pi") == 1
    watch.live.write(ConnectionState(False, "lost"))
    watch.live.write(ConnectionState(True, "connected"))
    watch.receive("availability", "offline")
    watch.now += 10
    watch.live.write(None)
    assert watch.out.getvalue().count("no device publishes") == 1


def test_a_missing_device_is_reported_as_json() -> None:
    out, now = io.StringIO(), [100.0]
    lines = JsonWriter(TOPICS, out, lambda: now[0])
    lines.write(ConnectionState(True, "connected"))
    now[0] += 5
    lines.write(None)
    last = json.loads(out.getvalue().splitlines()[-1])
    assert last["device"] is None
    assert "edge_daemon/pi" in last["text"]


@pytest.mark.parametrize(
    ("topic", "payload", "shown"),
    [
        ("label", "[1]", "[1]"),
        ("left/label", '{"a": 1}', '{"a": 1}'),
        ("request/label", '{"label": "cat"}', {"label": "cat"}),
        ("info", '{"a": 1}', {"a": 1}),
        ("label", "", ""),
    ],
)
def test_a_label_is_text_also_where_it_looks_like_json(topic: str, payload: str, shown: object) -> None:
    out = io.StringIO()
    JsonWriter(TOPICS, out).write(Incoming(f"edge_daemon/pi/{topic}", payload.encode(), retained=False))
    assert json.loads(out.getvalue())["payload"] == shown


def test_the_whole_frame_has_no_region_name(watch: Watch) -> None:
    watch.receive("event", {"event_type": "label_changed", "region": "frame", "label": "cat"})
    watch.receive("event", {"event_type": "label_changed", "region": "left", "label": "dog"})
    text = watch.out.getvalue()
    assert "frame" not in text
    assert "region left" in text
