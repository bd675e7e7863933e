"""The nearest examples of a label in Chromium, and the correction of a wrong one."""

from __future__ import annotations

import json
import re
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect

from tests.harness.browser import BrowserWindow, class_button, save_screenshot
from tests.harness.web_harness import WebHarness, listen
from tests.web.conftest import Visit
from tests.web.test_login_view import violations


@pytest.fixture
def taught(site: WebHarness) -> WebHarness:
    """Two gears and two mugs, with a mug in view that was taught as a key."""
    for variation in (1, 3):
        for kind in ("gear", "mug"):
            site.show(kind, variation)
            site.teach(kind)
    site.show("mug", 2)
    site.teach("key")
    return site


def near(page: Page, name: str) -> Locator:
    return page.locator("#results").get_by_role("button", name=f"{name} example")


def open_with_wrong_nearest(taught: WebHarness, viewer: BrowserWindow) -> Page:
    """Open the page, and wait until the nearest example is the mug that was taught as a key."""
    page = viewer.open(taught.url)
    expect(near(page, "Nearest")).to_contain_text("key")
    return page


def open_dialog_of_wrong_example(taught: WebHarness, viewer: BrowserWindow) -> tuple[Page, Locator]:
    page = open_with_wrong_nearest(taught, viewer)
    near(page, "Nearest").click()
    dialog = page.get_by_role("dialog", name="Taught as “key”")
    expect(dialog).to_be_visible()
    return page, dialog


def test_the_nearest_example_and_the_runner_up_are_beside_the_label(taught: WebHarness, visit: Visit) -> None:
    page = open_with_wrong_nearest(taught, visit("phone"))
    expect(near(page, "Nearest")).to_contain_text("Nearest 1.00")
    expect(near(page, "Runner-up")).to_contain_text("mug")
    expect(near(page, "Runner-up")).to_contain_text(re.compile(r"Runner-up 0\.\d\d"))
    page.wait_for_function(
        "() => [...document.querySelectorAll('.result .near img')].every(i => i.naturalWidth)"
    )
    taught.show("gear", 1)
    expect(near(page, "Nearest")).to_contain_text("gear")
    save_screenshot(page, "why-phone")


def test_nothing_is_shown_before_the_first_example(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    expect(page.locator("#state-text")).to_have_text("Running")
    expect(page.locator(".result .nearest")).to_be_hidden()
    site.teach("gear")
    expect(near(page, "Nearest")).to_be_visible()
    expect(near(page, "Runner-up")).to_be_hidden()


def test_the_first_class_stays_under_the_finger_when_its_nearest_example_comes(
    site: WebHarness, visit: Visit
) -> None:
    viewer = visit("phone")
    holds_results = True

    def connect(route: WebSocketRoute) -> None:
        def forward(message: str | bytes) -> None:
            if not holds_results or '"type":"result"' not in str(message):
                route.send(message)

        route.connect_to_server().on_message(forward)

    viewer.page.route_web_socket("**/live", connect)
    page = viewer.open(site.url)
    site.teach("gear")
    before = class_button(page, "gear").bounding_box()
    assert before is not None
    holds_results = False
    expect(near(page, "Nearest")).to_be_visible()
    assert class_button(page, "gear").bounding_box() == before


def test_a_wrong_example_is_moved_with_one_click_and_back(taught: WebHarness, visit: Visit) -> None:
    page, dialog = open_dialog_of_wrong_example(taught, visit("desk"))
    expect(dialog).to_contain_text("Nearest · similarity 1.00 · example ")
    dialog.get_by_role("button", name="mug").click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#toast")).to_contain_text("Example moved from “key” to “mug”")
    expect(class_button(page, "mug").locator(".count")).to_have_text("3")
    page.get_by_role("button", name="Undo").last.click()
    expect(page.locator("#toast")).to_contain_text("Example moved back to “key”")
    expect(class_button(page, "key").locator(".count")).to_have_text("1")


def test_a_wrong_example_is_removed_and_restored(taught: WebHarness, visit: Visit) -> None:
    page, dialog = open_dialog_of_wrong_example(taught, visit("phone"))
    dialog.get_by_role("button", name="Remove it").tap()
    expect(page.locator("#toast")).to_contain_text("Example of “key” removed")
    expect(class_button(page, "key")).to_have_count(0)
    page.locator("#toast").get_by_role("button", name="Undo").tap()
    expect(page.locator("#toast")).to_contain_text("1 example restored")
    expect(class_button(page, "key").locator(".count")).to_have_text("1")


def test_a_wrong_example_is_corrected_by_keyboard(taught: WebHarness, visit: Visit) -> None:
    page = open_with_wrong_nearest(taught, visit("desk"))
    near(page, "Nearest").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="It is right")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(near(page, "Nearest")).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_label("Name of another class").focus()
    page.keyboard.type(" cup ")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("Example moved from “key” to “cup”")
    expect(class_button(page, "cup").locator(".count")).to_have_text("1")


def test_an_example_that_is_gone_meanwhile_is_said(taught: WebHarness, visit: Visit) -> None:
    page, dialog = open_dialog_of_wrong_example(taught, visit("desk"))
    taught.clear()
    dialog.get_by_role("button", name="Remove it").click()
    expect(page.locator("#toast")).to_contain_text("this example was removed meanwhile")


def test_nothing_is_replaced_under_the_pointer(taught: WebHarness, visit: Visit) -> None:
    page = open_with_wrong_nearest(taught, visit("desk"))
    near(page, "Nearest").hover()
    taught.show("gear", 1)
    expect(page.locator(".label")).to_have_text("gear")
    page.wait_for_timeout(1200)
    expect(near(page, "Nearest")).to_contain_text("key")
    page.mouse.move(5, 5)
    expect(near(page, "Nearest")).to_contain_text("gear")


def test_an_uncertain_moment_shows_its_nearest_examples(taught: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(taught.url)
    taught.show("pencil")
    card = page.locator("#uncertain .full", has=page.locator(".why", has_text="unknown")).first
    expect(card.get_by_role("button", name="Nearest example")).to_be_visible()
    expect(card.get_by_role("button", name="Runner-up example")).to_be_visible()
    taught.show("mug", 2)
    card.get_by_role("button", name="Nearest example").click()
    expect(page.get_by_role("dialog")).to_be_visible()


def test_the_nearest_examples_are_sent_with_each_result(taught: WebHarness) -> None:
    with taught.client() as client:
        ids = {each["id"]: each["label"] for each in client.get("/api/examples").json()["examples"]}
    with listen(taught) as socket:
        while (message := json.loads(socket.recv(10)))["type"] != "result" or message["nearest"] == []:
            pass
    nearest, runner_up = message["nearest"]
    assert ids[nearest["id"]] == nearest["label"] == "key"
    assert ids[runner_up["id"]] == runner_up["label"] != "key"
    assert nearest["similarity"] == pytest.approx(message["similarity"])


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark")])
def test_axe_finds_nothing_serious_in_the_dialog(
    taught: WebHarness, visit: Visit, size: str, scheme: Literal["light", "dark"]
) -> None:
    page, _ = open_dialog_of_wrong_example(taught, visit(size, scheme))
    assert violations(page) == []
    save_screenshot(page, f"why-dialog-{size}-{scheme}")
