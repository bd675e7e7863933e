"""Idle, slow and unread connections to the real server: each is closed in time, and others are served."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import h11
import pytest

from edge_daemon.web.http_timeouts import REQUEST_LIMITS_S
from edge_daemon.web.server import MAX_CONNECTIONS
from tests.harness.daemon_harness import MODEL, wait_until
from tests.harness.mosquitto import free_port
from tests.harness.shared_files import shared_path
from tests.harness.web_harness import WebHarness

TOKEN = "correct horse battery"
HEALTHZ = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMIT_S = 0.3


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "token").write_text(TOKEN)
    with WebHarness(folder, [f"web.token_file={folder / 'token'}"]) as site:
        yield site


@pytest.fixture
def short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for state in (h11.IDLE, h11.SEND_BODY):
        monkeypatch.setitem(REQUEST_LIMITS_S, state, LIMIT_S)


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def is_served(port: int) -> bool:
    """Return whether one request on a new connection gets its response."""
    with suppress(OSError), connect(port) as channel:
        channel.sendall(HEALTHZ)
        return b" 200 " in channel.recv(4096)
    return False


def is_closed(channel: socket.socket, drip: bytes = b"") -> bool:
    """Send a little more and return whether the server has closed the connection."""
    channel.settimeout(0.01)
    try:
        if drip:
            channel.send(drip)
        while channel.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.usefixtures("short_limits")
@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        pytest.param(b"", b"", id="nothing"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: ", b"y", id="first head"),
        pytest.param(HEALTHZ, b"", id="nothing after a response"),
        pytest.param(HEALTHZ + b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nx: ", b"y", id="second head"),
        pytest.param(HEALTHZ * 3 + b"G", b"E", id="head after pipelined ones"),
        pytest.param(
            b"POST /api/teach HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9000\r\n\r\n",
            b" ",
            id="body of a refused request",
        ),
        pytest.param(
            b"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nx-edge-daemon: 1\r\n"
            b"content-type: application/json\r\nContent-Length: 9000\r\n\r\n",
            b" ",
            id="body that is read",
        ),
        pytest.param(
            HEALTHZ + b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nx\r\n",
            id="chunked body that nobody reads",
        ),
        pytest.param(HANDSHAKE.replace(b"GET", b"POST"), b"", id="handshake that is no GET"),
        pytest.param(
            HANDSHAKE[:-2] + b"x: " + b"y" * 9000 + b"\r\n\r\n", b"", id="handshake with a long line"
        ),
        pytest.param(HANDSHAKE, b"", id="handshake without the token"),
    ],
)
def test_every_request_of_a_connection_has_a_time_limit(
    locked: WebHarness, begin: bytes, drip: bytes
) -> None:
    with connect(locked.port) as channel:
        channel.sendall(begin)
        wait_until(
            lambda: "yes" if is_closed(channel, drip) else "", lambda: "the slow connection is still open"
        )


def test_a_connection_in_use_stays_open(locked: WebHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(REQUEST_LIMITS_S, h11.IDLE, 2.0)
    connection = http.client.HTTPConnection("127.0.0.1", locked.port, timeout=10)
    connection.connect()
    channel, begun = connection.sock, time.monotonic()
    while time.monotonic() - begun < 3:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b'{"status":"ok"}'
        time.sleep(0.2)
    assert connection.sock is channel
    connection.close()


def request_without_reading(port: int, stack: ExitStack) -> socket.socket:
    """Pipeline requests until their responses fill every buffer."""
    request = b"GET /static/main.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    channel = stack.enter_context(socket.socket())
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    channel.connect(("127.0.0.1", port))
    channel.settimeout(1)
    with suppress(TimeoutError):
        channel.sendall(request * 20_000)
    return channel


def is_reset(channel: socket.socket) -> bool:
    """Return whether the server has reset the connection, without reading."""
    channel.setblocking(False)
    try:
        channel.send(b" ")
    except BlockingIOError:
        return False
    except OSError:
        return True
    return False


def test_a_response_that_is_not_read_is_aborted(locked: WebHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_daemon.web.http_timeouts.UNREAD_S", LIMIT_S)
    with ExitStack() as stack:
        channel = request_without_reading(locked.port, stack)
        wait_until(
            lambda: "yes" if is_reset(channel) else "", lambda: "the response that nobody reads is still held"
        )


def test_clients_that_read_are_served_despite_clients_that_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_daemon.web.server.MAX_CONNECTIONS", 4)
    monkeypatch.setattr("edge_daemon.web.http_timeouts.UNREAD_S", 600.0)
    with WebHarness(tmp_path) as site, ExitStack() as stack:
        unread = [request_without_reading(site.port, stack) for _ in range(4)]
        assert not any(map(is_reset, unread))
        wait_until(
            lambda: "yes" if is_served(site.port) else "",
            lambda: "clients that do not read occupy the server",
        )


def test_requests_are_served_despite_waiting_connections(locked: WebHarness) -> None:
    """More idle connections of every kind than the limit: others are served without delay."""
    begun = (b"", HEALTHZ + b"G", b"POST /api/login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n")
    with ExitStack() as stack:
        for number in range(3 * MAX_CONNECTIONS):
            channel = stack.enter_context(connect(locked.port))
            with suppress(OSError):
                channel.sendall((*begun, HANDSHAKE.replace(b"GET", b"POST"))[number % 4])
        wait_until(
            lambda: "yes" if is_served(locked.port) else "", lambda: "waiting connections occupy the server"
        )


def connect_viewer(port: int) -> socket.socket:
    """Return an open websocket, once the connections of an earlier test are closed."""
    for _ in range(200):
        viewer = connect(port)
        with suppress(OSError):
            viewer.sendall(HANDSHAKE[:-2] + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode())
            if b" 101 " in viewer.recv(4096):
                return viewer
        viewer.close()
        time.sleep(0.05)
    raise AssertionError("no viewer is accepted")


def test_a_viewer_stays_connected_at_the_limit_of_connections(locked: WebHarness) -> None:
    with ExitStack() as stack:
        viewer = stack.enter_context(connect_viewer(locked.port))
        for _ in range(3 * MAX_CONNECTIONS):
            stack.enter_context(connect(locked.port))
        wait_until(lambda: "yes" if is_served(locked.port) else "", lambda: "no request is served")
        assert not is_closed(viewer)


def test_more_connections_than_descriptors_are_survived(tmp_path: Path) -> None:
    """As under systemd: a soft limit of open files, a watchdog, and a client that only connects."""
    port = free_port()
    (tmp_path / "config.yaml").write_text(
        f"model: {{name: {shared_path(MODEL)}}}\nstore: {{path: {tmp_path}/examples.sqlite}}\n"
        f"camera: {{type: synthetic, size: [160, 120]}}\nmqtt: {{host: null}}\nweb: {{listen: {port}}}\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, ExitStack() as stack:
        manager.bind(str(tmp_path / "notify"))
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "30000000",
            "EDGE_DAEMON_WEB_TOKEN": TOKEN,
        }
        command = f"ulimit -Sn 128; exec {sys.executable} -m edge_daemon run --config {tmp_path}/config.yaml"
        process = subprocess.Popen(["bash", "-c", command], env=environment, stderr=subprocess.PIPE)
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_until(lambda: "yes" if is_served(port) else "", lambda: "the page never came up")
        flood = [socket.socket() for _ in range(300)]
        for channel in flood:
            stack.enter_context(channel)
            channel.setblocking(False)
            channel.connect_ex(("127.0.0.1", port))
        wait_until(lambda: "yes" if is_served(port) else "", lambda: "idle connections occupy the server")
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < 128 - 16
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert errors.count(b"further ones are closed") <= 1
