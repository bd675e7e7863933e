"""A browser's camera as the device's: Chromium's fake camera, and senders that misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from edge_daemon.camera import browser
from edge_daemon.config.base import MIN_FRAMES_PER_S
from edge_daemon.web import camera_sender
from edge_daemon.web.camera_sender import MAX_PICTURE_BYTES, describe_sender
from tests.harness.browser import BrowserWindow, save_screenshot
from tests.harness.daemon_harness import Stage, wait_until
from tests.harness.http_camera import jpeg
from tests.harness.mosquitto import free_port
from tests.harness.web_harness import OWN_HEADERS
from tests.web.conftest import Visit

TOKEN = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
NOBODY = "no browser gives its camera; press “Use this browser's camera” on the page"


class GivenSite:
    """A daemon whose camera is that of a browser."""

    def __init__(self, folder: Path, overrides: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        camera = "camera={type: browser, size: [320, 240]}"
        own = ["mqtt.host=null", f"web.listen={self.port}", f"web.settings_file={folder / 'settings.yaml'}"]
        self.stage = Stage(None, [*own, camera, *overrides], folder)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.url + path, headers=OWN_HEADERS, timeout=10)

    def camera_state(self) -> str:
        """Return the text of the camera's health check."""
        try:
            checks = self.get("/api/health").json()["checks"]
        except httpx.HTTPError:
            return ""
        return str(next(each["value"] for each in checks if each["name"] == "Camera"))

    def wait_for_camera(self, text: str) -> None:
        wait_until(lambda: "yes" if text in self.camera_state() else "", lambda: f"{self.camera_state()!r}")

    def give(self, token: str = TOKEN, **headers: str) -> Connection:
        """Connect as a sender, and present its token."""
        line = connect(f"ws://127.0.0.1:{self.port}/camera", additional_headers=headers)
        line.send(json.dumps({"token": token}))
        return line


@contextmanager
def _giving(folder: Path, *overrides: str) -> Iterator[GivenSite]:
    site = GivenSite(folder, overrides)
    with site.stage:
        site.wait_for_camera(NOBODY)
        yield site


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GivenSite]:
    with _giving(tmp_path_factory.mktemp("given")) as site:
        yield site


def test_a_slow_browser_is_awaited_at_the_lowest_frame_rate() -> None:
    """After the pause of that rate it is asked again, and then has the whole time for its answer."""
    assert 1 / MIN_FRAMES_PER_S + camera_sender.STALL_S < browser.STALL_S


def _answer(line: Connection, picture: bytes) -> None:
    """Send a picture when it is asked for."""
    assert line.recv(timeout=10) == "next"
    line.send(picture)


def _keep_giving(line: Connection, picture: bytes, ended: threading.Event) -> None:
    while not ended.is_set():
        _answer(line, picture)


def _refusal(line: Connection) -> str:
    """Answer with nothing more, and return why the connection is closed."""
    try:
        while True:
            line.recv(timeout=20)
    except ConnectionClosed:
        return line.close_reason or ""


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_a_browser_gives_its_camera_and_takes_it_back(given: GivenSite, visit: Visit, size: str) -> None:
    page = visit(size).open(given.url)
    expect(page.locator("#sender")).to_have_text("No browser gives its camera")
    expect(page.locator("#state-text")).to_have_text("Camera lost")
    expect(page.locator("#frozen")).to_contain_text("browser")
    save_screenshot(page, f"sender-nobody-{size}")
    page.get_by_role("button", name="Use this browser’s camera").click()
    expect(page.locator("#state-text")).to_have_text("Running")
    expect(page.locator("#sender")).to_have_text("This browser gives the picture")
    page.wait_for_function(
        """() => {
            const picture = document.querySelector("#picture");
            const { width, height } = picture;
            const colours = picture.getContext("2d").getImageData(0, 0, width, height);
            return width === 320 && colours.data.some((level, index) => index % 4 < 3 && level > 60);
        }"""
    )
    other = visit("phone").open(given.url)
    expect(other.locator("#sender")).to_have_text("Picture from 127.0.0.1 (Chrome, Linux)")
    other.get_by_role("button", name="Use this browser’s camera").click()
    expect(other.locator("#toast")).to_have_text("the camera of 127.0.0.1 (Chrome, Linux) is in use")
    save_screenshot(page, f"sender-{size}")
    page.get_by_role("button", name="Stop this camera").click()
    expect(page.locator("#state-text")).to_have_text("Camera lost")
    expect(page.locator("#frozen")).to_contain_text("127.0.0.1 (Chrome, Linux) ended its camera")
    expect(other.locator("#sender")).to_have_text("No browser gives its camera")


def test_two_clicks_leave_one_open_camera(given: GivenSite, visit: Visit) -> None:
    """A second stream would keep the camera on after the stop."""
    page = visit("desk").open(given.url)
    expect(page.locator("#give-camera")).to_be_visible()  # a hidden button takes no focus
    page.evaluate(
        """() => {
            const media = navigator.mediaDevices;
            const original = media.getUserMedia.bind(media);
            window.opened = [];
            media.getUserMedia = async (wanted) => {
                const stream = await original(wanted);
                window.opened.push(stream);
                return stream;
            };
            const button = document.querySelector("#give-camera");
            button.focus();
            for (let clicks = 0; clicks < 2; clicks++) button.click();
        }"""
    )
    live = "() => window.opened.filter((stream) => stream.active).length"
    page.wait_for_function("() => window.opened.length === 2")
    page.wait_for_function(f"{live[6:]} === 1")
    expect(page.get_by_role("button", name="Stop this camera")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_function(f"{live[6:]} === 0")


def test_a_browser_that_gives_its_camera_stays_awake_until_the_end(given: GivenSite, visit: Visit) -> None:
    """A browser releases the lock of a page that is hidden, and a phone then turns off screen and camera."""
    window = visit("phone")
    window.page.add_init_script(
        """
        window.locks = [];
        const request = async () => {
            const lock = { held: true, release() { this.held = false; } };
            window.locks.push(lock);
            return lock;
        };
        Object.defineProperty(navigator, "wakeLock", { value: { request } });
        let hidden = false;
        Object.defineProperty(document, "hidden", { get: () => hidden });
        window.hide = (hides) => {
            hidden = hides;
            for (const lock of window.locks) lock.held = false;
            document.dispatchEvent(new Event("visibilitychange"));
        };
        """
    )
    page = window.open(given.url)
    page.evaluate("() => { hide(true); hide(false); }")
    assert page.evaluate("() => locks.length") == 0, "it gives no camera yet"
    page.get_by_role("button", name="Use this browser’s camera").click()
    page.wait_for_function("() => locks.length === 1 && locks[0].held")
    page.evaluate("() => { hide(true); hide(false); }")
    page.wait_for_function("() => locks.length === 2 && locks[1].held")
    page.get_by_role("button", name="Stop this camera").click()
    page.wait_for_function("() => locks.every((lock) => !lock.held)")


def test_an_example_is_taught_from_a_browsers_camera(given: GivenSite, visit: Visit) -> None:
    page = visit("desk").open(given.url)
    page.get_by_role("button", name="Use this browser’s camera").click()
    expect(page.locator("#state-text")).to_have_text("Running")
    page.fill("#new-label", "green")
    page.click("#new-class button")
    expect(page.locator(".class .count").first).to_have_text("1")


def test_a_closed_page_loses_the_camera_with_the_cause(given: GivenSite, browser: Browser) -> None:
    window = BrowserWindow(browser, "phone")
    page = window.open(given.url)
    page.get_by_role("button", name="Use this browser’s camera").click()
    given.wait_for_camera("running")
    window.close()
    given.wait_for_camera("127.0.0.1 (Chrome, Linux) ended its camera; another browser can give its own")


def test_a_page_without_a_secure_context_says_why_it_can_give_no_camera(
    given: GivenSite, visit: Visit
) -> None:
    window = visit("phone")
    window.page.add_init_script("Object.defineProperty(navigator, 'mediaDevices', {value: undefined})")
    page = window.open(given.url)
    expect(page.locator("#sender")).to_contain_text("this browser gives its own to pages over HTTPS")
    expect(page.locator("#give-camera")).to_be_disabled()


def test_no_more_pictures_are_asked_for_than_set(tmp_path: Path) -> None:
    with _giving(tmp_path, "camera.fps=2") as site, site.give() as line:
        started_s = time.monotonic()
        for _ in range(4):
            _answer(line, jpeg("red"))
        assert time.monotonic() - started_s >= 1.4
        site.wait_for_camera("running")


def test_a_second_sender_is_refused_and_the_same_one_may_connect_again(given: GivenSite) -> None:
    with given.give() as line:
        _answer(line, jpeg("red"))
        given.wait_for_camera("running")
        with given.give(OTHER) as second:
            assert _refusal(second) == "the camera of 127.0.0.1 is in use"
        with given.give() as again:
            _answer(again, jpeg("red"))
            assert _refusal(line) == "another browser gives its camera"
            given.wait_for_camera("running")


def test_a_sender_that_sleeps_is_lost_and_may_be_replaced(given: GivenSite) -> None:
    with given.give() as line:
        _answer(line, jpeg("red"))
        given.wait_for_camera("running")
        given.wait_for_camera("127.0.0.1 sends no picture; its page is hidden, or it is asleep")
        with given.give(OTHER) as second:
            _answer(second, jpeg("red"))
            given.wait_for_camera("running")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"GIF89a", "127.0.0.1 sent no JPEG picture of at most 512 kB"),
        (b"\xff\xd8\xff" + bytes(MAX_PICTURE_BYTES), ""),
    ],
)
def test_what_is_no_picture_ends_the_connection(given: GivenSite, content: bytes, reason: str) -> None:
    with given.give() as line:
        assert line.recv(timeout=10) == "next"
        line.send(content)
        assert reason in _refusal(line)


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (jpeg("red")[:-200], "the browser's picture is damaged"),
        (jpeg("red", (3000, 1400)), "the browser's picture has more than 4 megapixels"),
    ],
)
def test_a_picture_that_cannot_be_read_is_a_lost_camera(given: GivenSite, picture: bytes, fault: str) -> None:
    with given.give() as line:
        for content, state in ((picture, fault), (jpeg("red"), "running")):
            ended = threading.Event()
            sender = threading.Thread(target=_keep_giving, args=(line, content, ended))
            sender.start()
            given.wait_for_camera(state)
            ended.set()
            sender.join()


@pytest.mark.parametrize("first", ["", "{}", '{"token": "short"}', "[]", '{"' + "ä" * 200 + '": 1}'])
def test_a_sender_without_a_token_is_refused(
    given: GivenSite, first: str, caplog: pytest.LogCaptureFixture
) -> None:
    with connect(f"ws://127.0.0.1:{given.port}/camera") as line:
        line.send(first)
        assert _refusal(line).startswith("the request can't be read") or first == ""
    assert "ERROR" not in {each.levelname for each in caplog.records}


def test_giving_needs_the_pages_token_its_host_and_its_origin(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct horse battery")
    site = GivenSite(tmp_path, (f"web.token_file={tmp_path / 'token'}",))
    with site.stage:
        wait_until(lambda: "yes" if _answers(site) else "", lambda: "the page does not answer")
        bearer = {"authorization": "Bearer correct horse battery"}
        for wrong in ({}, bearer | {"origin": "http://evil.example"}):
            with pytest.raises(InvalidStatus):
                site.give(**wrong)
        with site.give(**bearer) as line:
            assert line.recv(timeout=10) == "next"


def _answers(site: GivenSite) -> bool:
    try:
        return site.get("/api/session").status_code == 200
    except httpx.HTTPError:
        return False


def test_only_a_page_with_a_browsers_camera_may_ask_for_it(given: GivenSite) -> None:
    assert "camera=(self)" in given.get("/").headers["permissions-policy"]


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Version/17 Safari/604", "Safari, iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit Chrome/120 Safari/537 Edg/120", "Edge, Windows"),
        ("Mozilla/5.0 (Android 14; Mobile) Firefox/121", "Firefox, Android"),
    ],
)
def test_a_sender_is_named_by_address_and_known_words(agent: str, name: str) -> None:
    assert describe_sender("10.0.0.7", {"user-agent": agent}) == f"10.0.0.7 ({name})"
    assert describe_sender("10.0.0.7", {"user-agent": "<script>"}) == "10.0.0.7"
