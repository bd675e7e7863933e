"""Teaching on the page in Chromium: recording, classes, undo of bursts, the first-use walk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.harness.browser import class_button, save_screenshot
from tests.harness.locked_store import locked
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit
from tests.web.test_live_view import teach_new
from tests.web.test_login_view import violations

COUNT_AT_LEAST = "n => Number(document.querySelector('.class .count')?.textContent) >= n"


def open_class(page: Page, label: str) -> None:
    page.get_by_role("button", name=f"Change {label}", exact=True).click()
    expect(page.locator("#label-dialog")).to_be_visible()


def test_a_hold_is_counted_and_taken_back_whole(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    teach_new(page, "gear")
    class_button(page, "gear").hover()
    page.mouse.down()
    page.wait_for_function("() => Number(document.querySelector('.class').dataset.recorded) >= 4")
    save_screenshot(page, "recording-phone")
    page.mouse.up()
    toast = page.locator("#toast")
    expect(toast).to_contain_text(re.compile(r"\d+ examples of “gear” recorded"))
    toast.get_by_role("button", name="Undo").click()
    expect(toast).to_contain_text(re.compile(r"Undone: \d+ examples of “gear” removed"))
    expect(page.locator(".class .count")).to_have_text("1")
    toast.get_by_role("button", name="Redo").click()
    page.wait_for_function(COUNT_AT_LEAST, arg=5)


def test_a_class_may_have_a_name_of_the_script_language(site: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(site.url)
    teach_new(page, "gear")
    open_class(page, "gear")
    page.fill("#rename-to", "constructor")
    expect(page.locator("#rename-button")).to_have_text("Rename")
    page.click("#rename-button")
    expect(page.locator("#toast")).to_contain_text("“gear” is now “constructor”")
    open_class(page, "constructor")
    page.click("#label-delete")
    expect(page.locator(".class")).to_have_count(0)


def test_a_press_that_waits_for_a_locked_store_says_so_and_is_counted_later(
    site: WebHarness, visit: Visit
) -> None:
    page = visit("phone").open(site.url)
    teach_new(page, "gear")
    with locked(site.stage.store_path):
        class_button(page, "gear").click()
        expect(page.locator("#toast")).to_contain_text("has not answered yet", timeout=8000)
    expect(page.locator(".class .count")).to_have_text("2")


def test_a_key_that_is_held_records_until_it_is_let_go(site: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(site.url)
    teach_new(page, "gear")
    page.locator(".class").focus()
    page.keyboard.down("Space")
    page.wait_for_function(COUNT_AT_LEAST, arg=4)
    page.keyboard.up("Space")
    expect(page.locator("#toast")).to_contain_text("recorded")
    expect(page.locator(".class")).not_to_have_class(re.compile("recording"))


@pytest.mark.parametrize(
    "sleep",
    [
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))",
        "window.dispatchEvent(new PageTransitionEvent('pagehide'))",
        # The clock of a phone that slept has jumped, though no event came.
        "const real = Date.now; let jump = 0; Date.now = () => real() + (jump += 5000)",
    ],
)
def test_a_phone_that_sleeps_in_a_hold_ends_it(site: WebHarness, visit: Visit, sleep: str) -> None:
    page = visit("phone").open(site.url)
    teach_new(page, "gear")
    class_button(page, "gear").hover()
    page.mouse.down()
    page.wait_for_function(COUNT_AT_LEAST, arg=3)
    page.evaluate(sleep)
    expect(page.locator(".class")).not_to_have_class(re.compile("recording"))
    expect(page.locator("#toast")).to_contain_text("recorded")
    with site.client() as client:
        taught = len(client.get("/api/examples").json()["examples"])
        page.wait_for_timeout(600)
        assert len(client.get("/api/examples").json()["examples"]) == taught
    page.mouse.up()


def test_a_recording_ends_when_its_class_is_deleted_elsewhere(site: WebHarness, visit: Visit) -> None:
    """A finger that is let go then reaches no button any more."""
    site.teach("gear")
    page = visit("phone").open(site.url)
    box = class_button(page, "gear").bounding_box()
    assert box is not None
    finger = page.context.new_cdp_session(page)
    touched = {"x": box["x"] + 20, "y": box["y"] + 20}
    finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [touched]})
    page.wait_for_function(COUNT_AT_LEAST, arg=4)
    with site.client() as client:
        client.post("/api/clear", json={"label": "gear"}).raise_for_status()
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#toast")).to_contain_text("examples of “gear” recorded")


def test_a_tap_before_a_hold_is_a_burst_by_itself(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    page = visit("desk").open(site.url)
    bursts: list[str] = []

    def note(sent: Request) -> None:
        if sent.url.endswith("/api/teach"):
            bursts.append((sent.post_data_json or {})["burst"])

    page.on("request", note)
    class_button(page, "gear").hover()
    page.mouse.down()
    page.mouse.up()
    page.mouse.down()
    page.wait_for_function("() => Number(document.querySelector('.class').dataset.recorded) >= 4")
    page.mouse.up()
    expect(page.locator("#toast")).to_contain_text("recorded")
    assert bursts.count(bursts[0]) == 1
    assert len(set(bursts)) == 2


def test_two_who_teach_at_once_each_take_back_a_burst(site: WebHarness, visit: Visit) -> None:
    pages = [visit("phone").open(site.url), visit("desk").open(site.url)]
    for page, label in zip(pages, ("gear", "cog"), strict=True):
        teach_new(page, label)
    for page, label in zip(pages, ("gear", "cog"), strict=True):
        class_button(page, label).hover()
        page.mouse.down()
    for page, label in zip(pages, ("gear", "cog"), strict=True):
        class_button(page, label).locator(".count").filter(has_text=re.compile("[4-9]|[1-9][0-9]")).wait_for(
            state="attached"
        )
        page.mouse.up()
    for page, label in zip(pages, ("gear", "cog"), strict=True):
        page.locator("#toast").get_by_role("button", name="Undo").click()
        expect(page.locator("#toast")).to_contain_text(f"of “{label}” removed")
        expect(class_button(page, label).locator(".count")).to_have_text("1")


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark")])
def test_a_class_is_renamed_merged_and_deleted_with_undo(
    site: WebHarness, visit: Visit, size: str, scheme: str
) -> None:
    for label in ("gear", "mug"):
        site.show(label)
        site.teach(label)
    viewer = visit(size, scheme)
    page = viewer.open(site.url)
    viewer.wait_for_label("mug")
    open_class(page, "mug")
    expect(page.locator("#label-count")).to_have_text("1 example")
    save_screenshot(page, f"class-{size}-{scheme}")
    assert violations(page) == []
    page.fill("#rename-to", "cup")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("“mug” is now “cup”")
    viewer.wait_for_label("cup")
    open_class(page, "cup")
    page.fill("#rename-to", "gear")
    page.get_by_role("button", name="Merge into “gear”").click()
    expect(class_button(page, "gear").locator(".count")).to_have_text("2")
    expect(class_button(page, "cup")).to_have_count(0)
    page.locator("#toast").get_by_role("button", name="Undo").click()
    expect(class_button(page, "cup").locator(".count")).to_have_text("1")
    open_class(page, "cup")
    page.click("#label-delete")
    expect(page.locator("#toast")).to_contain_text("“cup” deleted: 1 example")
    expect(class_button(page, "cup")).to_have_count(0)
    page.click("#undo")
    viewer.wait_for_label("cup")


def test_a_name_that_can_not_be_used_is_said_in_the_dialog(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    page = visit("phone").open(site.url)
    open_class(page, "gear")
    expect(page.locator("#rename-button")).to_be_disabled()
    page.fill("#rename-to", "a/b")
    page.keyboard.press("Enter")
    expect(page.locator("#label-error")).to_contain_text("'a/b'")
    page.keyboard.press("Escape")
    expect(page.locator("#label-dialog")).to_be_hidden()
    expect(page.locator(".class .count")).to_have_text("1")


def test_a_class_that_another_deletes_closes_its_dialog(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    page = visit("phone").open(site.url)
    open_class(page, "gear")
    with site.client() as client:
        client.post("/api/clear", json={"label": "gear"}).raise_for_status()
    expect(page.locator("#label-dialog")).to_be_hidden()


@pytest.fixture
def with_button(tmp_path: Path) -> Iterator[WebHarness]:
    with WebHarness(tmp_path, ['buttons=[{"pin": 17, "label": "gear"}]']) as site:
        yield site


def test_a_rename_says_which_button_still_teaches_the_former_name(
    with_button: WebHarness, visit: Visit
) -> None:
    with_button.teach("gear")
    page = visit("phone").open(with_button.url)
    open_class(page, "gear")
    page.fill("#rename-to", "cog")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("buttons[0] (BCM 17) still teaches 'gear'")


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark")])
def test_the_walk_leads_through_three_steps_and_never_comes_back(
    site: WebHarness, visit: Visit, size: str, scheme: str
) -> None:
    page = visit(size, scheme).open(site.url)
    walk = page.locator("#walk")
    expect(walk.locator("[aria-current]")).to_have_text("Show")
    save_screenshot(page, f"walk-{size}-{scheme}")
    assert violations(page) == []
    teach_new(page, "gear")
    expect(walk.locator("[aria-current]")).to_have_text("Hold")
    class_button(page, "gear").hover()
    page.mouse.down()
    expect(walk.locator("[aria-current]")).to_have_text("Ask")
    page.mouse.up()
    site.show("mug")
    site.teach("mug")
    expect(page.locator("#walk-text")).to_contain_text("Teach the next thing in the same way")
    expect(walk).to_be_hidden()
    page.reload()
    expect(class_button(page, "gear")).to_be_visible()
    expect(walk).to_be_hidden()


def test_empty_places_of_uncertain_frames_are_not_shown_beside_the_walk(tmp_path: Path, visit: Visit) -> None:
    with WebHarness(tmp_path) as new_device:
        page = visit("desk").open(new_device.url)
        expect(page.locator("#walk")).to_be_visible()
        expect(page.locator(".uncertain")).to_be_hidden()
        page.locator("#walk").get_by_role("button", name="Skip").click()
        expect(page.locator(".uncertain")).to_be_visible()


def test_the_walk_can_be_left(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    page.locator("#walk").get_by_role("button", name="Skip").click()
    expect(page.locator("#walk")).to_be_hidden()
    teach_new(page, "gear")
    expect(page.locator("#walk")).to_be_hidden()
