"""Request policy, allowed hosts, sessions and token."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_daemon.config.web import Address, WebOptions, parse_listen
from edge_daemon.domain.errors import WebError
from edge_daemon.web.auth import COOKIE, MAX_AGE_S, Lockout, Sessions, check_reach, read_token
from edge_daemon.web.security import AllowedHosts, RequestHead, RequestPolicy

TOKEN = "correct horse battery"
HOST = {"host": "edge.local:8080"}
OWN = HOST | {"x-edge-daemon": "1", "content-type": "application/json", "origin": "http://edge.local:8080"}


class SettableClock:
    """A clock in seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make_sessions(token: str | None = TOKEN, clock: SettableClock | None = None) -> Sessions:
    return Sessions(token, clock or SettableClock(), Lockout(SettableClock()))


def make_policy(token: str | None = None, *, proxied: bool = False) -> RequestPolicy:
    return RequestPolicy(AllowedHosts(own="edge"), make_sessions(token), proxied=proxied)


def status(
    policy: RequestPolicy, method: str, path: str, headers: dict[str, str], is_websocket: bool = False
) -> int:
    refusal = policy.check(RequestHead(method, path, headers, is_websocket))
    return refusal.status if refusal else 200


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (8080, Address("127.0.0.1", 8080)),
        ("8080", Address("127.0.0.1", 8080)),
        ("localhost:81", Address("127.0.0.1", 81)),
        ("0.0.0.0:80", Address("0.0.0.0", 80)),
        ("[::]:80", Address("::", 80)),
    ],
)
def test_a_port_alone_means_the_loopback(listen: int | str, address: Address) -> None:
    assert parse_listen(listen) == address


@pytest.mark.parametrize("listen", ["", "edge.local:80", "0.0.0.0", "0.0.0.0:", "1.2.3.4:70000", "1.2.3.4:0"])
def test_an_invalid_address_is_named(listen: str) -> None:
    with pytest.raises(WebError, match=r"web\.listen"):
        parse_listen(listen)


@pytest.mark.parametrize(
    "host", ["edge", "edge.local:8080", "EDGE.local", "localhost", "10.0.0.7:80", "[::1]:80"]
)
def test_own_names_and_addresses_are_allowed(host: str) -> None:
    assert AllowedHosts(own="edge").allows(host)


@pytest.mark.parametrize("host", ["", "evil.example", "edge.local.evil.example", "edge:80:80", "[::1]evil"])
def test_names_of_others_are_not_allowed(host: str) -> None:
    assert not AllowedHosts(own="edge").allows(host)


def test_a_proxys_name_is_allowed_when_configured() -> None:
    assert AllowedHosts(["Camera.example.org"], own="edge").allows("camera.example.org")


@pytest.mark.parametrize("left_out", ["x-edge-daemon", "content-type"])
def test_a_change_needs_the_pages_own_header_and_json(left_out: str) -> None:
    policy = make_policy()
    assert status(policy, "POST", "/api/undo", OWN) == 200
    poor = {name: value for name, value in OWN.items() if name != left_out}
    assert status(policy, "POST", "/api/undo", poor) in (403, 415)


def test_another_origin_is_refused_for_requests_and_websockets() -> None:
    policy = make_policy()
    foreign = OWN | {"origin": "http://edge.local.evil.example"}
    assert status(policy, "POST", "/api/undo", foreign) == 403
    assert status(policy, "GET", "/live", HOST | {"origin": "https://evil.example"}, is_websocket=True) == 403
    assert (
        status(policy, "GET", "/live", HOST | {"origin": "http://edge.local:8080"}, is_websocket=True) == 200
    )


def test_a_link_from_another_site_may_open_the_page() -> None:
    link = HOST | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert status(make_policy(), "GET", "/", link) == 200
    assert status(make_policy(), "GET", "/", link | {"sec-fetch-mode": "no-cors"}) == 403


def test_without_a_session_only_the_login_is_open() -> None:
    policy = make_policy(TOKEN)
    assert [status(policy, "GET", path, HOST) for path in ("/", "/static/main.js", "/healthz")] == [200] * 3
    assert [status(policy, "GET", path, HOST) for path in ("/live", "/metrics", "/api/examples")] == [401] * 3
    assert status(policy, "POST", "/api/login", OWN) == 200


def test_a_cookie_is_valid_until_its_end_and_for_its_token_alone() -> None:
    clock = SettableClock()
    sessions = make_sessions(clock=clock)
    cookie = sessions.login(TOKEN, "")
    assert sessions.is_authorized(cookie, None, "")
    assert not make_sessions("another long token", clock).is_authorized(cookie, None, "")
    assert not sessions.is_authorized(f"9{cookie}", None, "")
    clock.now += MAX_AGE_S + 1
    assert not sessions.is_authorized(cookie, None, "")


@pytest.mark.parametrize("cookie", [None, "", ".", "1.2", "٣.x", "9999999999.é", f"{COOKIE}=x"])
def test_forged_cookies_are_refused(cookie: str | None) -> None:
    assert not make_sessions().is_authorized(cookie, None, "")


@pytest.mark.parametrize("proxied", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"x-forwarded-for": "203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
        {"x-real-ip": "203.0.113.9"},
        {"via": "1.1 proxy"},
    ],
)
def test_a_request_through_a_proxy_needs_a_token(headers: dict[str, str], proxied: bool) -> None:
    open_policy = make_policy(proxied=proxied)
    for path in ("/", "/live", "/metrics", "/api/archive.zip"):
        assert status(open_policy, "GET", path, HOST | headers) == 403
    assert status(open_policy, "POST", "/api/teach", OWN | headers) == 403
    assert status(open_policy, "GET", "/healthz", HOST | headers) == 200
    token_policy = make_policy(TOKEN, proxied=proxied)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert status(token_policy, "POST", "/api/teach", OWN | headers | bearer) == 200


def test_a_proxy_that_adds_no_header_needs_a_token_too() -> None:
    assert status(make_policy(proxied=True), "POST", "/api/teach", OWN) == 403
    assert status(make_policy(proxied=False), "POST", "/api/teach", OWN) == 200


def test_a_proxys_name_without_a_token_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    check_reach(Address("127.0.0.1", 80), TOKEN, ["cam.example.org"])
    check_reach(Address("127.0.0.1", 80), None)
    assert not caplog.records
    check_reach(Address("127.0.0.1", 80), None, ["cam.example.org"])
    (record,) = caplog.records
    assert "cam.example.org" in record.getMessage()
    assert "web.token_file" in record.getMessage()


def test_the_token_comes_from_file_credential_or_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    assert read_token(WebOptions(token_file=str(tmp_path / "token")), {}) == TOKEN
    assert read_token(WebOptions(credential="token"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == TOKEN
    assert read_token(WebOptions(), {"EDGE_DAEMON_WEB_TOKEN": TOKEN}) == TOKEN
    assert read_token(WebOptions(), {}) is None


def test_unusable_tokens_are_named_without_showing_them(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("short")
    for options in (
        WebOptions(token_file=str(tmp_path / "token")),
        WebOptions(token_file=str(tmp_path / "missing")),
        WebOptions(credential="token"),
    ):
        with pytest.raises(WebError, match=r"web\.") as caught:
            read_token(options, {})
        assert "short" not in str(caught.value)


def test_others_may_reach_the_page_only_with_a_token() -> None:
    check_reach(Address("127.0.0.1", 80), None)
    check_reach(Address("0.0.0.0", 80), TOKEN)
    with pytest.raises(WebError, match=r"web\.token_file"):
        check_reach(Address("0.0.0.0", 80), None)
