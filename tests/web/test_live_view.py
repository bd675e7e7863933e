"""The live view in Chromium against the real daemon: labels, teaching, undo and outages."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from edge_daemon.domain.types import Example
from edge_daemon.example_store.record import ExampleRecord
from edge_daemon.example_store.store import ExampleStore
from tests.harness.browser import class_button, save_screenshot
from tests.harness.daemon_harness import wait_until
from tests.harness.unreliable_proxy import Proxy
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit

KINDS = ("gear", "mug", "key")


def teach_new(page: Page, label: str) -> None:
    page.fill("#new-label", label)
    page.click("#new-class button")
    expect(class_button(page, label)).to_be_visible()


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_three_classes_taught_by_tapping_are_classified_right(
    site: WebHarness, visit: Visit, size: str
) -> None:
    viewer = visit(size)
    page = viewer.open(site.url)
    for kind in KINDS:
        site.show(kind)
        teach_new(page, kind)
        class_button(page, kind).click()
        expect(class_button(page, kind).locator(".count")).to_have_text("2")
    for kind in KINDS:
        site.show(kind)
        viewer.wait_for_label(kind)
    expect(page.locator("#changes li").first).to_contain_text(KINDS[-1])
    expect(page.locator("#announce")).to_have_text(KINDS[-1])
    expect(page.locator("#state-text")).to_have_text("Running")
    save_screenshot(page, f"live-{size}")


def test_undo_names_what_it_took_back_and_offers_redo(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    teach_new(page, "gear")
    class_button(page, "gear").click()
    expect(page.locator(".class .count")).to_have_text("2")
    page.click("#undo")
    expect(page.locator("#toast")).to_contain_text("Undone: 1 example of “gear” removed")
    expect(page.locator(".class .count")).to_have_text("1")
    page.locator("#toast").get_by_role("button", name="Redo").click()
    expect(page.locator(".class .count")).to_have_text("2")
    page.click("#undo")
    expect(page.locator(".class .count")).to_have_text("1")
    page.click("#redo")
    expect(page.locator(".class .count")).to_have_text("2")
    page.click("#redo")
    expect(page.locator("#toast")).to_contain_text("nothing to redo")


def test_a_held_button_teaches_a_burst(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    teach_new(page, "gear")
    class_button(page, "gear").hover()
    page.mouse.down()
    page.wait_for_function("() => Number(document.querySelector('.class .count').textContent) >= 4")
    page.mouse.up()
    with site.client() as client:
        taught = len(client.get("/api/examples").json()["examples"])
    assert taught >= 4
    page.wait_for_timeout(700)
    assert int(page.locator(".class .count").inner_text()) <= taught + 1


def test_classes_are_taught_by_keyboard(site: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(site.url)
    expect(page.locator("#state-text")).to_have_text("Running")
    page.focus("#new-label")
    page.keyboard.type("gear")
    page.keyboard.press("Enter")
    expect(page.locator(".class .count")).to_have_text("1")
    page.locator(".class").focus()
    page.keyboard.press("Space")
    expect(page.locator(".class .count")).to_have_text("2")


def test_an_uncertain_sample_is_labelled_with_one_tap(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    site.show("mug")
    site.teach("mug")
    page = visit("phone").open(site.url)
    site.show("pencil")
    card = page.locator("#uncertain .full", has=page.get_by_role("button", name="It was mug")).first
    expect(card.locator("> img")).to_be_visible()
    card.locator("> img").evaluate("img => img.decode()")
    card.get_by_role("button", name="It was mug").click()
    expect(page.locator("#toast")).to_contain_text("Added to “mug”")
    expect(class_button(page, "mug").locator(".count")).to_have_text("2")
    page.locator("#toast").get_by_role("button", name="Undo").click()
    expect(class_button(page, "mug").locator(".count")).to_have_text("1")


def test_after_a_label_by_keyboard_the_focus_stays_in_the_list(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    site.show("mug")
    site.teach("mug")
    page = visit("desk").open(site.url)
    site.show("pencil")
    expect(page.locator("#uncertain .full").nth(1)).to_be_visible()
    page.locator("#uncertain").get_by_role("button", name="It was mug").first.focus()
    page.keyboard.press("Enter")
    expect(class_button(page, "mug").locator(".count")).to_have_text("2")
    expect(page.locator("#uncertain .full button:focus")).to_have_count(1)


def test_the_evaluation_and_its_recommendation_are_shown(site: WebHarness, visit: Visit) -> None:
    site.teach("gear", 2)
    page = visit("phone").open(site.url)
    expect(page.locator(".class .status")).to_have_text("needs examples")
    expect(page.locator("#recommendation")).to_contain_text("Show next: gear")


def test_the_page_says_what_the_evaluation_holds_for(site: WebHarness, visit: Visit) -> None:
    for variation in range(3):
        for kind in ("gear", "mug"):
            site.show(kind, variation)
            site.teach(kind)
    page = visit("phone").open(site.url)
    hint = page.locator("#recommendation")
    expect(hint).to_contain_text(
        re.compile(
            "measured in one session; show each thing again in other light or on another day", re.IGNORECASE
        )
    )
    with ExampleStore(site.stage.store_path) as store, store.transaction():
        for example in [each for each in store if each.label == "gear"]:
            store.add_record(as_of_yesterday(example))
    expect(hint).to_contain_text("Measured across sessions: each one is predicted by the others.")
    expect(class_button(page, "mug").locator(".status")).to_have_text("one session only")


def as_of_yesterday(example: Example) -> ExampleRecord:
    return ExampleRecord(
        example.embedding,
        example.label,
        example.space,
        example.region,
        created_at=example.created_at - timedelta(days=1),
        boot_id="yesterday",
    )


def test_confused_classes_name_each_other(site: WebHarness, visit: Visit) -> None:
    for variation in range(4):
        site.show("gear", variation)
        site.teach("gear")
        site.teach("cog")
    page = visit("phone").open(site.url)
    expect(class_button(page, "gear").locator(".status.confused")).to_have_text("confused with cog")
    expect(class_button(page, "cog").locator(".status.confused")).to_have_text("confused with gear")


def test_a_lost_camera_and_its_return_are_shown(site: WebHarness, visit: Visit) -> None:
    viewer = visit("phone")
    page = viewer.open(site.url)
    teach_new(page, "gear")
    viewer.wait_for_label("gear")
    site.table.broken = True
    expect(page.locator("#state-text")).to_have_text("Camera lost")
    expect(page.locator("#frozen")).to_have_text("Camera lost: the cable is out")
    assert viewer.label() == "–"
    save_screenshot(page, "camera-lost-phone")
    site.table.broken = False
    expect(page.locator("#state-text")).to_have_text("Running")
    expect(page.locator("#frozen")).to_be_hidden()
    viewer.wait_for_label("gear")


def test_a_page_opened_while_the_camera_is_lost_shows_no_label(site: WebHarness, visit: Visit) -> None:
    site.teach("gear")
    site.table.broken = True
    viewer = visit("phone")
    page = viewer.open(site.url)
    expect(page.locator("#state-text")).to_have_text("Camera lost")
    expect(class_button(page, "gear")).to_be_visible()
    assert viewer.label() == "–"
    with site.client() as client:
        client.post("/api/rename", json={"label": "gear", "to": "cog"}).raise_for_status()
    expect(class_button(page, "cog")).to_be_visible()
    assert viewer.label() == "–"
    site.table.broken = False
    viewer.wait_for_label("cog")


def test_a_frozen_picture_is_marked(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    page.wait_for_function("() => document.querySelector('#fps').textContent !== '–'")
    site.table.flowing.clear()
    expect(page.locator("#frozen")).to_be_visible()
    expect(page.locator("#frozen")).to_contain_text("Frozen")
    site.table.flowing.set()
    expect(page.locator("#frozen")).to_be_hidden()


def test_the_page_reconnects_to_a_restarted_daemon(tmp_path: Path, visit: Visit) -> None:
    viewer = visit("desk")
    with WebHarness(tmp_path) as first:
        page = viewer.open(first.url)
        teach_new(page, "gear")
        viewer.wait_for_label("gear")
    expect(page.locator("#state-text")).to_have_text("No connection")
    expect(page.locator("#frozen")).to_contain_text("No connection to the device")
    with WebHarness(tmp_path, port=first.port):
        expect(page.locator("#state-text")).to_have_text("Running")
        viewer.wait_for_label("gear")
        expect(page.locator("#frozen")).to_be_hidden()


def test_the_page_reconnects_although_a_request_gets_no_reply(site: WebHarness, visit: Visit) -> None:
    """A network that was cut silently keeps a request waiting for minutes after its return."""
    silent: list[Route] = []
    with Proxy(site.port) as network:
        page = visit("desk").open(f"http://127.0.0.1:{network.port}")
        expect(page.locator("#state-text")).to_have_text("Running")
        page.route("**/api/session", lambda route: route.continue_() if silent else silent.append(route))
        network.cut()
        expect(page.locator("#state-text")).to_have_text("No connection")
        expect(page.locator("#state-text")).to_have_text("Running")
    assert silent


def test_an_example_of_one_viewer_appears_to_both(site: WebHarness, visit: Visit) -> None:
    one, other = visit("phone"), visit("desk")
    page = one.open(site.url)
    other.open(site.url)
    teach_new(page, "gear")
    for viewer in (one, other):
        viewer.wait_for_label("gear")
        expect(viewer.page.locator(".class .count")).to_have_text("1")


def test_html_in_a_label_is_text(site: WebHarness, visit: Visit) -> None:
    viewer = visit("desk")
    page = viewer.open(site.url)
    hostile = "<img src=x onerror=alert(1)>"
    teach_new(page, hostile)
    viewer.wait_for_label(hostile)
    expect(page.locator(".class .name")).to_have_text(hostile)
    assert page.locator("img[src=x]").count() == 0
    page.goto(f"{site.url}/#review")
    expect(page.locator("#examples h3")).to_contain_text(hostile)
    assert page.locator("img[src=x]").count() == 0


def encoded(site: WebHarness) -> str:
    with site.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("edge_daemon_preview_pictures_total"))


def test_pictures_are_encoded_only_while_they_are_shown(site: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(site.url)
    before = encoded(site)
    wait_until(lambda: "yes" if encoded(site) != before else "", lambda: "no picture is encoded for a viewer")
    page.goto(f"{site.url}/#health")
    expect(page.locator("#checks li").first).to_be_visible()
    page.wait_for_timeout(300)
    before = encoded(site)
    page.wait_for_timeout(600)
    assert encoded(site) == before


def test_nothing_moves_while_pictures_stream(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    teach_new(page, "gear")
    page.wait_for_timeout(500)
    page.evaluate(
        "window.shift = 0; new PerformanceObserver(list => {"
        " for (const entry of list.getEntries()) window.shift += entry.value;"
        "}).observe({type: 'layout-shift', buffered: false})"
    )
    for kind in KINDS:
        site.show(kind)
        page.wait_for_timeout(700)
    assert page.evaluate("window.shift") < 0.01


def test_the_confidence_is_that_of_the_large_label(tmp_path: Path, visit: Visit) -> None:
    steady = ["smoothing.window=1", "smoothing.min_hold_s=4", "classifier.k=1"]
    with WebHarness(tmp_path, steady) as site:
        for kind in ("mug", "gear"):
            site.show(kind)
            site.teach(kind)
        viewer = visit("desk")
        page = viewer.open(site.url)
        viewer.wait_for_label("gear")
        expect(page.locator(".result .meter b").first).to_have_text("90 %")
        site.show("mug")
        expect(page.locator(".result .meter b").first).to_have_text("10 %")
        assert page.locator(".result .label").inner_text() == "gear", "held for four seconds"
        viewer.wait_for_label("mug")
        expect(page.locator(".result .meter b").first).to_have_text("90 %")
