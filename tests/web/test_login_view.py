"""Login and accessibility of the page in Chromium: axe-core, light and dark, phone and desk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.harness.browser import save_screenshot
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit

TOKEN = "correct horse battery"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[WebHarness]:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    with WebHarness(tmp_path, [f"web.token_file={path}"]) as site:
        yield site


def violations(page: Page) -> list[str]:
    """Return axe-core's serious and critical violations, rule by rule."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_the_token_is_entered_once_and_a_wrong_one_is_refused(locked: WebHarness, visit: Visit) -> None:
    viewer = visit("phone")
    page = viewer.open(locked.url)
    expect(page.get_by_role("heading", name="Enter the token")).to_be_visible()
    expect(page.locator("#view-live")).to_be_hidden()
    page.fill("#token", "wrong horse battery")
    page.keyboard.press("Enter")
    expect(page.locator("#login-error")).to_have_text("that is not the token")
    save_screenshot(page, "wrong-token-phone")
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#state-text")).to_have_text("Running")
    page.reload()
    expect(page.locator("#state-text")).to_have_text("Running")
    cookie = page.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert TOKEN not in str(cookie["value"])


def test_a_page_whose_cookie_has_ended_asks_for_the_token(locked: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(locked.url)
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#state-text")).to_have_text("Running")
    page.context.clear_cookies()  # the websocket stays open
    page.fill("#new-label", "gear")
    page.click("#teach-new")
    expect(page.get_by_role("heading", name="Enter the token")).to_be_visible()
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#state-text")).to_have_text("Running")


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark")])
def test_axe_finds_nothing_serious(site: WebHarness, visit: Visit, size: str, scheme: str) -> None:
    for label in ("gear", "mug"):
        site.show(label)
        site.teach(label, 2)
    site.show("pencil")
    page = visit(size, scheme).open(site.url)
    expect(page.locator("#uncertain .full").first).to_be_visible()
    assert violations(page) == []
    page.goto(f"{site.url}/#review")
    page.get_by_role("option").first.click()
    expect(page.locator("#selection")).to_be_visible()
    assert violations(page) == []
    save_screenshot(page, f"review-{size}-{scheme}")
    page.goto(f"{site.url}/#health")
    expect(page.locator("#checks li").first).to_be_visible()
    assert violations(page) == []
    save_screenshot(page, f"health-{size}-{scheme}")


def test_axe_finds_nothing_serious_on_the_login_form(locked: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(locked.url)
    expect(page.locator("#token")).to_be_visible()
    assert violations(page) == []


def test_every_control_is_reached_with_the_tab_key(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    page = visit("desk").open(site.url)
    expect(page.locator(".class .count")).to_have_text("1")
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("() => document.activeElement.id || document.activeElement.className"))
    assert reached[:4] == ["tab-live", "tab-review", "tab-settings", "tab-health"]
    assert {"undo", "redo", "class c0", "more", "new-label", "new-pictures"} <= set(reached)
