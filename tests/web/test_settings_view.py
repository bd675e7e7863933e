"""The settings on the page: changed, refused, given back, and changed by two people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from edge_daemon.domain.commands import Origin, SetThreshold
from edge_daemon.domain.errors import CameraError
from tests.harness.browser import save_screenshot
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit


@pytest.fixture
def device(tmp_path: Path) -> Iterator[WebHarness]:
    config = tmp_path / "config.yaml"
    config.write_text("classifier: {type: knn}\n")
    with WebHarness(tmp_path, ["trigger=continuous"], config_path=config) as running:
        yield running


def open_settings(site: WebHarness, visit: Visit, size: str = "desk", scheme: str = "light") -> Page:
    page = visit(size, scheme).open(f"{site.url}/#settings")
    expect(page.get_by_label("Type", exact=True)).to_have_value("knn")
    return page


def apply(page: Page) -> None:
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#toast")).to_contain_text("Applied")


def wait_for_daemons(site: WebHarness, number: int) -> None:
    wait_until(
        lambda: "yes" if site.stage.built == number else "", lambda: f"{site.stage.built} daemons were built"
    )


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark"), ("phone", "dark")])
def test_smoothing_is_changed_while_the_daemon_runs(
    device: WebHarness, visit: Visit, size: str, scheme: str
) -> None:
    page = open_settings(device, visit, size, scheme)
    save_screenshot(page, f"settings-{size}-{scheme}")
    expect(page.get_by_role("button", name="Apply")).to_be_disabled()
    expect(page.get_by_role("button", name="Reset to the configuration")).to_be_disabled()
    expect(page.locator("#set-smoothing-window-source")).to_have_text("Now 5, the default")
    expect(page.locator("#set-classifier-type-source")).to_have_text("Now knn, from config.yaml:1")
    page.get_by_label("Frames in the vote").fill("9")
    apply(page)
    expect(page.locator("#set-smoothing-window-source")).to_have_text("Now 9, set here")
    assert "window: 9" in device.settings_file.read_text()
    assert device.stage.built == 1
    page.reload()
    expect(page.get_by_label("Frames in the vote")).to_have_value("9")
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    save_screenshot(page, f"settings-set-{size}-{scheme}")


def test_another_classifier_needs_another_daemon_and_the_page_comes_back(
    device: WebHarness, visit: Visit
) -> None:
    device.teach("gear", 2)
    page = open_settings(device, visit)
    expect(page.get_by_label("Neighbours (k)")).to_be_visible()
    page.get_by_label("Type", exact=True).select_option("centroid")
    expect(page.get_by_label("Neighbours (k)")).to_be_hidden()
    apply(page)
    wait_for_daemons(device, 2)
    expect(page.locator("#set-classifier-type-source")).to_have_text("Now centroid, set here")
    page.get_by_role("link", name="Live").click()
    expect(page.locator(".class .count")).to_have_text("2")


def test_keys_alone_set_a_threshold(device: WebHarness, visit: Visit) -> None:
    page = open_settings(device, visit)
    page.get_by_label("Threshold").focus()
    page.keyboard.press("End")
    expect(page.get_by_label("Threshold")).to_have_value("number")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Similarity, -1 to 1")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("0.75")
    page.keyboard.press("Enter")
    expect(page.locator("#set-classifier-unknown-source")).to_have_text("Now 0.75, set here")
    page.get_by_label("Threshold").select_option("off")
    apply(page)
    expect(page.locator("#set-classifier-unknown-source")).to_have_text("Now off, set here")
    assert device.stage.built == 1


def test_a_wrong_value_is_refused_with_the_line_of_the_configuration_and_stays(
    device: WebHarness, visit: Visit
) -> None:
    page = open_settings(device, visit, "phone")
    page.get_by_label("Neighbours (k)").fill("0")
    page.get_by_label("Lead of a new label").fill("0.5")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#settings-error")).to_have_text(
        "the page: classifier.k: expected `int` >= 1 (got 0)"
    )
    expect(page.get_by_label("Neighbours (k)")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Lead of a new label")).to_have_attribute("aria-invalid", "false")
    save_screenshot(page, "settings-refused-phone")
    assert not device.settings_file.exists()
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_label("Neighbours (k)")).to_have_value("3")
    expect(page.locator("#settings-error")).to_have_text("")


def test_everything_goes_back_to_the_configuration_and_can_be_set_again(
    device: WebHarness, visit: Visit
) -> None:
    page = open_settings(device, visit)
    page.get_by_label("Frames in the vote").fill("9")
    page.get_by_label("Lead of a new label").fill("0.5")
    apply(page)
    page.get_by_role("button", name="Reset to the configuration").click()
    expect(page.locator("#set-smoothing-window-source")).to_have_text("Now 5, the default")
    assert not device.settings_file.exists()
    page.locator("#toast").get_by_role("button", name="Undo").click()
    expect(page.locator("#set-smoothing-hysteresis-source")).to_have_text("Now 0.5, set here")


def test_the_later_of_two_people_sees_the_change_of_the_first_and_keeps_what_was_entered(
    device: WebHarness, visit: Visit
) -> None:
    page, other = open_settings(device, visit), open_settings(device, visit, "phone")
    other.get_by_label("Lead of a new label").fill("0.5")
    page.get_by_label("Frames in the vote").fill("9")
    apply(page)
    expect(other.get_by_label("Frames in the vote")).to_have_value("9")
    expect(other.get_by_label("Lead of a new label")).to_have_value("0.5")
    apply(other)
    text = device.settings_file.read_text()
    assert "window: 9" in text
    assert "hysteresis: 0.5" in text


def test_a_region_that_is_drawn_while_a_change_of_another_arrives_stays(
    device: WebHarness, visit: Visit
) -> None:
    page = visit("desk").open(device.url)
    page.get_by_role("button", name="Edit regions").click()
    expect(page.locator("#region-none")).to_be_visible()
    held: list[Route] = []
    page.route("**/api/settings", lambda route: held.append(route))
    with device.client() as client, page.expect_request("**/api/settings"):
        revision = client.get("/api/settings").json()["revision"]
        change = {"settings": {"smoothing": {"window": 9}}, "revision": revision}
        client.post("/api/settings", json=change).raise_for_status()
    page.get_by_role("button", name="Add region").click()
    with page.expect_response("**/api/settings"):
        held[0].continue_()
    page.wait_for_timeout(300)
    expect(page.locator(".region-row")).to_have_count(1)


def test_what_the_command_line_fixes_can_not_be_changed(device: WebHarness, visit: Visit) -> None:
    page = open_settings(device, visit)
    expect(page.get_by_label("Classify")).to_be_disabled()
    expect(page.locator("#set-trigger-source")).to_have_text("Fixed on the command line (--set)")


def test_without_the_device_there_is_no_empty_form_and_it_comes_with_the_connection(
    device: WebHarness, visit: Visit
) -> None:
    page = visit("phone").open(device.url)
    expect(page.locator("#state-text")).to_have_text("Running")
    page.context.set_offline(True)
    page.get_by_role("link", name="Settings").click()
    expect(page.locator("#settings-none")).to_have_text("the device can't be reached")
    expect(page.get_by_role("button", name="Apply")).to_be_hidden()
    expect(page.locator("#state-text")).to_have_text("No connection")
    page.get_by_role("link", name="Live").click()
    expect(page.locator(".since")).to_be_empty()
    page.get_by_role("link", name="Settings").click()
    page.context.set_offline(False)
    expect(page.get_by_label("Type", exact=True)).to_have_value("knn")
    page.get_by_label("Frames in the vote").fill("8")
    page.context.set_offline(True)
    expect(page.locator("#state-text")).to_have_text("No connection")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#settings-error")).to_have_text("the device can't be reached")
    page.context.set_offline(False)
    expect(page.locator("#state-text")).to_have_text("Running")
    expect(page.get_by_label("Frames in the vote")).to_have_value("8")
    apply(page)


def test_a_daemon_that_fails_with_the_settings_is_said_and_the_old_ones_are_shown(
    device: WebHarness, visit: Visit
) -> None:
    page = open_settings(device, visit)
    device.stage.fault = CameraError("the cable is out")
    page.get_by_label("Type", exact=True).select_option("linear")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#settings-fault")).to_have_text(
        "What was set on the page is not used: the cable is out"
    )
    expect(page.get_by_label("Type", exact=True)).to_have_value("knn")
    save_screenshot(page, "settings-failed-desk")


def test_a_threshold_of_a_request_is_shown_and_given_back(device: WebHarness, visit: Visit) -> None:
    page = open_settings(device, visit)
    device.stage.daemon._mailbox.submit(SetThreshold(Origin("mqtt", "request"), 0.7))
    expect(page.locator("#set-classifier-unknown-source")).to_have_text(
        "Now 0.7, set by a request, until the next start or change here"
    )
    expect(page.get_by_label("Similarity, -1 to 1")).to_have_value("0.7")
    page.get_by_label("Threshold").select_option("auto")
    apply(page)
    expect(page.locator("#set-classifier-unknown-source")).to_have_text("Now auto, set here")
    assert device.stage.built == 1
