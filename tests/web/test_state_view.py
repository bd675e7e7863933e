"""The state on the page: lost parts with their cause, no teaching without frames, the picture of a tap."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Page, WebSocket, expect
from websockets.sync.client import connect

from edge_daemon.web.viewers import MAX_VIEWERS
from tests.harness.browser import class_button, save_screenshot
from tests.harness.mosquitto import Mosquitto
from tests.harness.page_layout import layout_faults
from tests.harness.unreliable_proxy import Proxy
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit
from tests.web.test_layout import violations


def expect_running(page: Page) -> None:
    expect(page.locator("#state-text")).to_have_text("Running")
    expect(page.locator("#causes p")).to_have_count(0)


def test_a_lost_camera_is_in_the_header_with_its_cause(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    expect_running(page)
    site.table.broken = True
    expect(page.locator("#state")).to_have_attribute("data-state", "lost")
    expect(page.locator("#causes p")).to_have_text(["Camera: the cable is out"])
    assert layout_faults(page) == []
    assert violations(page) == []
    save_screenshot(page, "camera-lost-phone")
    page.get_by_role("link", name="Review").click()
    expect(page.locator("#view-review")).to_be_visible()
    page.get_by_role("link", name="Live").click()
    site.table.broken = False
    expect_running(page)


def test_a_lost_broker_is_in_the_header_with_its_cause(tmp_path: Path, visit: Visit) -> None:
    with (
        Mosquitto() as broker,
        WebHarness(tmp_path, ["mqtt.host=127.0.0.1", f"mqtt.port={broker.port}"]) as site,
    ):
        page = visit("desk", "dark").open(site.url)
        expect_running(page)
        broker.stop()
        expect(page.locator("#state-text")).to_have_text("Broker lost")
        expect(page.locator("#causes p")).to_have_text(
            re.compile(rf"^Broker: .* the MQTT broker at 127\.0\.0\.1:{broker.port}: .+")
        )
        assert violations(page) == []
        save_screenshot(page, "broker-lost-desk")
        site.table.broken = True
        expect(page.locator("#state-text")).to_have_text("Camera, broker lost")
        expect(page.locator("#causes p")).to_have_count(2)
        site.table.broken = False
        broker.start()
        expect_running(page)


def test_nothing_can_be_taught_while_no_frame_comes(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    page = visit("phone").open(site.url)
    expect(class_button(page, "gear")).to_be_enabled()
    site.table.flowing.clear()
    expect(page.locator("#state-text")).to_have_text("No frames")
    expect(page.locator("#causes")).to_have_text("The camera gives no new frames")
    expect(page.locator("#frozen")).to_contain_text("Frozen: no new picture for")
    expect(class_button(page, "gear")).to_be_disabled()
    expect(page.get_by_role("button", name="Teach it")).to_be_disabled()
    expect(page.locator("#teach-hint")).to_have_text("No frames")
    assert violations(page) == []
    save_screenshot(page, "no-frames-phone")
    site.table.flowing.set()
    expect_running(page)
    expect(class_button(page, "gear")).to_be_enabled()
    expect(page.get_by_role("button", name="Teach it")).to_be_enabled()


def test_the_picture_that_was_taken_is_shown_and_goes(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    page = visit("phone").open(site.url)
    class_button(page, "gear").click()
    taken = page.locator(".taken")
    expect(taken).to_be_visible()
    save_screenshot(page, "taken-phone")
    expect(taken).to_be_hidden()
    [mine] = site.teach("gear")  # by anyone
    expect(taken).to_be_visible()
    expect(taken).to_have_attribute("src", f"/api/examples/{mine}.jpg")


def test_a_message_goes_by_itself_after_a_tap_on_it(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    site.teach("gear")
    page.click("#undo")
    toast = page.locator("#toast span")
    expect(toast).to_be_visible()
    toast.tap()
    expect(page.locator("#toast")).to_be_empty()


def test_a_slow_network_gets_no_more_pictures_than_it_takes(site: WebHarness, visit: Visit) -> None:
    waiting: list[int] = []
    pictures = []

    def watch(socket: WebSocket) -> None:
        requested, received = 0, 0

        def sent(payload: str | bytes) -> None:
            nonlocal requested
            requested += payload == "picture"
            waiting.append(requested - received)

        def got(payload: str | bytes) -> None:
            nonlocal received
            if isinstance(payload, bytes):
                received += 1
                pictures.append(len(payload))

        socket.on("framesent", sent)
        socket.on("framereceived", got)

    viewer = visit("phone")
    viewer.page.on("websocket", watch)
    with Proxy(site.port) as slow:
        page = viewer.open(f"http://127.0.0.1:{slow.port}")
        expect_running(page)
        slow.delay(0.1)
        before = len(pictures)
        while len(pictures) < before + 4:
            page.wait_for_timeout(50)
        expect_running(page)
        slow.delay(0)
    assert set(waiting) == {1}


def test_one_viewer_too_many_sees_why_it_has_no_connection(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    expect_running(page)
    with ExitStack() as others:
        for _ in range(MAX_VIEWERS - 1):
            others.enter_context(connect(f"{site.url.replace('http', 'ws')}/live"))
        late = visit("desk").open(site.url)
        expect(late.locator("#state-text")).to_have_text("No connection")
        expect(late.locator("#causes p")).to_have_text(
            re.compile("^12 pages are open, .*; close one elsewhere")
        )
        expect(late.locator("#frozen")).to_contain_text("12 pages are open")
        assert layout_faults(late) == []
    expect_running(late)
