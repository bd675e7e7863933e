"""Bad input against the real server on a real socket: a one-line error, and nothing is lost or kept."""

from __future__ import annotations

import io
import json
import logging
import socket
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.connection import Connection

from edge_daemon.domain.errors import WebError
from edge_daemon.web.listener import BoundedListener
from tests.harness.daemon_harness import wait_until
from tests.harness.mosquitto import free_port
from tests.harness.web_harness import WebHarness, listen

HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
IMAGE_REQUEST = b"\x81\x87" + bytes(4) + b"picture"
"""A text frame under the mask of zeros."""
"""A text frame under the mask of zeros."""


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    with WebHarness(tmp_path_factory.mktemp("open")) as site:
        site.teach("gear")
        yield site


def read_to_the_end(line: Connection) -> None:
    while True:
        line.recv(timeout=5)


def is_served(line: Connection) -> bool:
    """Return whether a viewer was accepted; others are asked to try again later."""
    try:
        return bool(json.loads(line.recv(timeout=5))["type"] == "hello")
    except ConnectionClosed:
        return line.close_code != 1013 and pytest.fail("refused without the reason")


def count(site: WebHarness) -> int:
    with site.client() as client:
        return len(client.get("/api/examples").json()["examples"])


def raw(site: WebHarness, request: bytes) -> bytes:
    """Send bytes as they are and return the first of the answer."""
    with socket.create_connection(("127.0.0.1", site.port), timeout=5) as channel:
        channel.sendall(request)
        return channel.recv(65536)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "a b"])
def test_a_foreign_host_is_refused(open_site: WebHarness, host: str) -> None:
    with open_site.client() as client:
        reply = client.get("/", headers={"host": host})
    assert reply.status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_sites_request_changes_and_reads_nothing(
    open_site: WebHarness, headers: dict[str, str]
) -> None:
    before = count(open_site)
    with open_site.client() as client:
        assert client.post("/api/undo", json={}, headers=headers).status_code == 403
        assert client.get("/api/examples", headers=headers).status_code == 403
    with pytest.raises(InvalidStatus):
        listen(open_site, **headers)
    assert count(open_site) == before


def test_a_form_of_another_site_is_refused(open_site: WebHarness) -> None:
    with httpx.Client(base_url=open_site.url) as client:
        assert client.post("/api/undo", json={}).status_code == 403
        own = {"x-edge-daemon": "1"}
        assert client.post("/api/undo", data={"a": "b"}, headers=own).status_code == 415
    assert count(open_site) >= 1


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/config.py",
        "/static//etc/passwd",
        "/static/..\\app.py",
        "/../../../../etc/passwd",
        "/api/examples/../../../etc/passwd.jpg",
        "/api/examples/99999999999999999999.jpg",
        f"/api/examples/{'9' * 5000}.jpg",
        f"/api/history/{'9' * 5000}.jpg",
        f"/api/uncertain/{'9' * 5000}.jpg",
        "/static/app.py",
    ],
)
def test_no_path_leads_out_of_the_static_files(open_site: WebHarness, path: str) -> None:
    reply = raw(open_site, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    assert b" 404 " in reply.splitlines()[0]
    assert b"root:" not in reply


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("teach", b"{"),
        ("teach", b"\xff\xfe"),
        ("teach", b"[]"),
        ("teach", b'{"label": 5}'),
        ("teach", b'{"label": "cup", "extra": 1}'),
        ("teach", b'{"label": "unknown"}'),
        ("teach", b'{"label": "a/b"}'),
        ("teach", b'{"label": "cup", "region": "nowhere"}'),
        ("teach", b"[" * 16_000),
        ("label", b'{"sample": 12345, "label": "cup"}'),
        ("remove", b'{"ids": []}'),
        ("remove", b'{"ids": [99999999999999999999999]}'),
        ("relabel", b'{"ids": [1], "label": ""}'),
        ("undo", b'{"change": 99999999999999999999}'),
        ("redo", b'{"change": 9223372036854775807}'),
        ("settings", b'{"settings": {"regions": [{"name": "a", "box": [NaN, 0, 1, 1]}]}, "revision": ""}'),
        ("settings", b'{"settings": {"regions": ' + b"[" * 9000),
    ],
)
def test_malformed_requests_get_a_one_line_error(open_site: WebHarness, verb: str, body: bytes) -> None:
    before = count(open_site)
    with open_site.client() as client:
        reply = client.post(f"/api/{verb}", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400
    assert 0 < len(reply.json()["error"]) < 250
    assert count(open_site) == before


def test_bytes_that_are_not_http_are_refused(open_site: WebHarness) -> None:
    assert b" 400 " in raw(open_site, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")


def test_a_long_or_unknown_message_closes_the_websocket(open_site: WebHarness) -> None:
    for message in ("x" * 10_000, "picture please", b"\x00\x01"):
        with listen(open_site) as line:
            line.send(message)
            with pytest.raises(ConnectionClosed):
                read_to_the_end(line)


def test_a_text_that_is_not_utf_8_closes_the_websocket_without_a_traceback(
    open_site: WebHarness, caplog: pytest.LogCaptureFixture
) -> None:
    with listen(open_site) as line:
        line.send(b"\xff\xff", text=True)
        with pytest.raises(ConnectionClosed):
            read_to_the_end(line)
    assert [record for record in caplog.records if record.exc_info or record.levelno > logging.DEBUG] == []


def test_a_viewer_that_never_reads_is_disconnected(
    open_site: WebHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It requests images again and again and reads none; the server closes the connection."""
    monkeypatch.setattr("edge_daemon.web.websocket.SEND_S", 0.2)
    with socket.socket() as line, open_site.client() as client:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", open_site.port))
        line.sendall(HANDSHAKE)
        wait_until(lambda: "yes" if viewers(client) == 1 else "", lambda: "the viewer was never counted")
        line.setblocking(False)

        def is_disconnected() -> str:
            with suppress(OSError):
                line.send(IMAGE_REQUEST)
            return "yes" if viewers(client) == 0 else ""

        begun = time.monotonic()
        wait_until(is_disconnected, lambda: "the viewer that never reads is still there")
        # The limit is that of one message; a missed ping would take twenty seconds.
        assert time.monotonic() - begun < 19
        assert client.get("/healthz").status_code == 200


def viewers(client: httpx.Client) -> float:
    text = client.get("/metrics").text
    return float(
        next(line.split()[1] for line in text.splitlines() if line.startswith("edge_daemon_viewers"))
    )


def test_fifty_viewers_at_once_leave_the_pipeline_working(open_site: WebHarness) -> None:
    with ExitStack() as stack:
        lines = [stack.enter_context(listen(open_site)) for _ in range(50)]
        assert 1 <= sum(map(is_served, lines)) <= 12
        with open_site.client() as client:
            assert client.get("/healthz").json() == {"status": "ok"}
            assert client.post("/api/teach", json={"label": "gear"}).status_code == 200


def test_a_hundred_idle_connections_are_closed(open_site: WebHarness) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(socket.create_connection(("127.0.0.1", open_site.port), timeout=5))
        with open_site.client() as client:
            wait_until(
                lambda: "yes" if client.get("/healthz").status_code == 200 else "",
                lambda: "idle connections occupy the server",
            )


def test_every_response_has_the_security_headers(open_site: WebHarness) -> None:
    with open_site.client() as client:
        replies = [
            client.get(path) for path in ("/", "/static/main.js", "/api/session", "/nowhere", "/healthz")
        ]
    for reply in replies:
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
    assert "server" not in replies[0].headers


def test_a_static_file_is_revalidated_by_the_hash_of_its_content(open_site: WebHarness) -> None:
    with open_site.client() as client:
        for path, kind in (
            ("/", "text/html"),
            ("/static/main.js", "text/javascript"),
            ("/static/base.css", "text/css"),
        ):
            first = client.get(path)
            assert first.headers["cache-control"] == "no-cache"
            assert first.headers["content-type"] == f"{kind}; charset=utf-8"
            etag = first.headers["etag"]
            again = client.get(path, headers={"if-none-match": etag})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
            assert client.get(path, headers={"if-none-match": '"other"'}).content == first.content
            head = client.head(path)
            assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", etag)
            assert client.post(path, json={}).status_code == 405


def test_latency_is_a_histogram_of_every_classified_frame(open_site: WebHarness) -> None:
    with open_site.client() as client:

        def value(name: str) -> float:
            lines = client.get("/metrics").text.splitlines()
            return float(next(line for line in lines if line.startswith(name)).split()[-1])

        count = 'edge_daemon_latency_seconds_count{region="frame"}'
        wait_until(lambda: "yes" if value(count) >= 20 else "", lambda: "frames are not counted")
        text = client.get("/metrics").text
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert abs(float(samples[count]) - float(samples["edge_daemon_classifications_total"])) <= 2
    assert samples['edge_daemon_latency_seconds_bucket{le="+Inf",region="frame"}'] == samples[count]
    assert 0 < float(samples['edge_daemon_latency_seconds_sum{region="frame"}']) < 30 * float(samples[count])


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline() -> None:
    folder = Path(__file__).parents[2] / "edge_daemon" / "web" / "static"
    for path in folder.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text
        assert "https://" not in text
        assert "innerHTML" not in text
    index = (folder / "index.html").read_text()
    assert "<style" not in index
    assert " style=" not in index
    assert " onclick=" not in index


def test_health_figures_and_downloads(open_site: WebHarness) -> None:
    with open_site.client() as client:
        names = {each["name"] for each in client.get("/api/health").json()["checks"]}
        assert {"Camera", "Broker", "Store", "Memory", "Model", "Version"} <= names
        archive = zipfile.ZipFile(io.BytesIO(client.get("/api/archive.zip").content))
        assert "manifest.json" in archive.namelist()
        support = zipfile.ZipFile(io.BytesIO(client.get("/api/support.zip").content))
        assert json.loads(support.read("settings.json"))["device"]["id"] == "stage"


def test_healthz_fails_while_the_camera_is_lost(open_site: WebHarness) -> None:
    open_site.table.broken = True
    try:
        with open_site.client() as client:
            wait_until(
                lambda: "yes" if client.get("/healthz").status_code == 503 else "",
                lambda: "healthz is ok without a camera",
            )
            assert "edge_daemon_camera_up 0.0" in client.get("/metrics").text
    finally:
        open_site.table.broken = False


def test_a_taken_port_is_named(open_site: WebHarness, tmp_path: Path) -> None:
    second = WebHarness(tmp_path, port=open_site.port)
    with pytest.raises(WebError, match="pick another port"):
        second.stage.supervisor.run()


@pytest.mark.parametrize(("ip", "written"), [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]")])
def test_at_boot_the_page_waits_for_its_address_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ip: str, written: str
) -> None:
    monkeypatch.setattr("edge_daemon.web.listener.link_fault", lambda: "eth0 has no link: is the cable in?")

    with BoundedListener(ip, free_port(), limit=1, make_room=bool, now=time.monotonic) as listener:
        assert listener.getsockname()[0] == ip

    assert f"web.listen {written}:" in caplog.text
    assert "eth0 has no link" in caplog.text


def test_with_a_network_an_address_of_another_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_daemon.web.listener.link_fault", lambda: None)

    with pytest.raises(WebError, match=r"192\.0\.2\.1"):
        BoundedListener("192.0.2.1", free_port(), limit=1, make_room=bool, now=time.monotonic)
