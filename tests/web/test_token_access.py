"""Access with and without the token, against the real server on a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from edge_daemon.domain.errors import WebError
from tests.harness.mosquitto import free_port
from tests.harness.web_harness import OWN_HEADERS, WebHarness, listen

TOKEN = "correct horse battery"


@pytest.fixture(scope="module")
def locked_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    folder = tmp_path_factory.mktemp("locked")
    (folder / "token").write_text(TOKEN)
    with WebHarness(folder, [f"web.token_file={folder / 'token'}"]) as site:
        yield site


def test_without_the_token_only_the_login_is_open(locked_site: WebHarness) -> None:
    with locked_site.client() as client:
        assert client.get("/").status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/session").json() == {"open": False, "name": None}
        for path in ("/api/examples", "/metrics", "/api/archive.zip", "/api/support.zip", "/api/health"):
            assert client.get(path).status_code == 401
        assert client.post("/api/teach", json={"label": "gear"}).status_code == 401
        assert client.post("/api/settings", json={}).status_code == 401
    with pytest.raises(InvalidStatus):
        listen(locked_site)
    with pytest.raises(InvalidStatus):
        listen(locked_site, cookie="edge_daemon_session=9999999999.abc")


def test_the_token_permits_as_cookie_and_as_bearer(locked_site: WebHarness) -> None:
    with locked_site.client() as client:
        assert client.post("/api/login", json={"token": "wrong"}).status_code == 403
        reply = client.post("/api/login", json={"token": TOKEN})
        assert reply.status_code == 200
        cookie = reply.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/api/examples").status_code == 200
        with listen(locked_site, cookie=reply.headers["set-cookie"].split(";")[0]) as line:
            assert json.loads(line.recv(timeout=5))["type"] == "hello"
    bearer = {"authorization": f"Bearer {TOKEN}"}
    with locked_site.client() as client:
        assert "edge_daemon_camera_up 1.0" in client.get("/metrics", headers=bearer).text


def test_a_wrong_token_locks_out_only_its_own_address(tmp_path: Path) -> None:
    """Behind a proxy all connections come from the loopback; the proxy names the client."""
    (tmp_path / "token").write_text(TOKEN)
    proxied = [f"web.token_file={tmp_path / 'token'}", "web.hosts=[cam.example.org]"]
    with WebHarness(tmp_path, proxied) as site, site.client() as client:
        client.headers["host"] = "cam.example.org"

        def enter(token: str, client_address: str) -> int:
            forged = {"x-forwarded-for": f"192.0.2.7, {client_address}", "x-forwarded-proto": "https"}
            reply = client.post("/api/login", json={"token": token}, headers=forged)
            assert "secure" in reply.headers.get("set-cookie", "secure").lower()
            return reply.status_code

        assert [enter("wrong", "203.0.113.9") for _ in range(11)] == [403] * 9 + [429] * 2
        assert enter(TOKEN, "203.0.113.9") == 429
        assert enter(TOKEN, "192.0.2.7") == 200


def enter_through(client: httpx.Client, token: str, claimed_address: str) -> httpx.Response:
    """Log in with the headers of a reverse proxy with TLS, for the client of this address."""
    headers = {
        "host": "cam.example.org",
        "x-forwarded-for": claimed_address,
        "x-forwarded-proto": "https",
    }
    return client.post("/api/login", json={"token": token}, headers=headers)


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]"])
def test_a_proxy_of_this_machine_is_trusted_wherever_the_page_listens(tmp_path: Path, address: str) -> None:
    (tmp_path / "token").write_text(TOKEN)
    port = free_port()
    overrides = ["web.hosts=[cam.example.org]", f"web.listen='{address}:{port}'"]
    overrides.append(f"web.token_file={tmp_path / 'token'}")
    with WebHarness(tmp_path, overrides, port) as site, site.client() as proxy:
        for number in range(11):
            assert enter_through(proxy, "wrong", "203.0.113.9").status_code == (403 if number < 9 else 429)
        reply = enter_through(proxy, TOKEN, "198.51.100.9")
        assert reply.status_code == 200
        assert "; secure" in reply.headers["set-cookie"].lower()

        own_address = address_on_the_network()
        with httpx.Client(base_url=f"http://{own_address}:{port}", headers=OWN_HEADERS) as neighbour:
            for number in range(10):
                enter_through(neighbour, "wrong", f"192.0.2.{number}")
            assert enter_through(neighbour, TOKEN, "192.0.2.77").status_code == 429, "it is no proxy"


def address_on_the_network() -> str:
    """Return an IPv4 address of this machine that is not the loopback's; skip the test without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no network")
        return str(probe.getsockname()[0])


def test_without_a_proxy_no_client_can_claim_another_address(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with WebHarness(tmp_path, [f"web.token_file={tmp_path / 'token'}"]) as site, site.client() as client:
        for number in range(10):
            client.post(
                "/api/login", json={"token": "wrong"}, headers={"x-forwarded-for": f"192.0.2.{number}"}
            )
        assert client.post("/api/login", json={"token": TOKEN}).status_code == 429
        for _ in range(10):
            assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.get("/metrics", headers=bearer).status_code == 200


def test_a_proxys_name_without_a_token_permits_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with WebHarness(tmp_path, ["web.hosts=[cam.example.org]"]) as site, site.client() as client:
        for host in ("cam.example.org", "127.0.0.1"):
            client.headers["host"] = host
            reply = client.post("/api/teach", json={"label": "gear"})
            assert reply.status_code == 403
            assert "needs a token" in reply.json()["error"]
            assert client.get("/").status_code == 403
            assert client.get("/healthz").status_code == 200
    assert "web.hosts 'cam.example.org'" in caplog.text


def test_wider_than_the_loopback_needs_a_token(tmp_path: Path) -> None:
    with pytest.raises(WebError, match="give the page a token"):
        WebHarness(tmp_path, [f"web.listen=0.0.0.0:{free_port()}"])
