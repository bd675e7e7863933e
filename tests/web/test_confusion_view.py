"""The confusion matrix of the evaluation in Chromium."""

from __future__ import annotations

from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.harness.browser import save_screenshot
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit
from tests.web.test_login_view import violations


@pytest.fixture
def confused(site: WebHarness) -> WebHarness:
    """Gears, mugs and keys, of which one mug was taught as a key."""
    for variation in range(4):
        for kind in ("gear", "mug", "key"):
            site.show(kind, variation)
            site.teach(kind)
    site.show("mug", 2)
    site.teach("key")
    return site


def open_review(
    site: WebHarness, visit: Visit, size: str, scheme: Literal["light", "dark"] = "light"
) -> Page:
    page = visit(size, scheme).open(f"{site.url}/#review")
    expect(page.get_by_role("option")).to_have_count(13)
    return page


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("desk", "light")])
def test_a_cell_shows_the_examples_that_were_taken_for_another_class(
    confused: WebHarness, visit: Visit, size: str, scheme: Literal["light", "dark"]
) -> None:
    page = open_review(confused, visit, size, scheme)
    cell = page.get_by_role("button", name="1 example of key taken for mug: show it")
    expect(cell).to_have_text("1")
    assert violations(page) == []
    save_screenshot(page, f"confusion-{size}-{scheme}")
    cell.click()
    expect(page.get_by_role("option")).to_have_count(1)
    expect(page.get_by_role("option", name="key, ")).to_have_count(1)
    expect(page.locator("#cell-filter")).to_have_text("“key” taken for “mug”")
    expect(cell).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="All", exact=True).click()
    expect(page.get_by_role("option")).to_have_count(13)
    expect(cell).to_have_attribute("aria-pressed", "false")


def test_a_corrected_mistake_leaves_the_matrix(confused: WebHarness, visit: Visit) -> None:
    page = open_review(confused, visit, "desk")
    cell = page.get_by_role("button", name="1 example of key taken for mug: show it")
    cell.focus()
    page.keyboard.press("Enter")
    page.get_by_role("option").focus()
    page.keyboard.press("Space")
    page.fill("#move-to", "mug")
    page.get_by_role("button", name="Move").click()
    expect(page.get_by_role("option")).to_have_count(13)
    expect(cell).to_have_count(0)
    expect(page.locator("#cell-filter")).to_be_hidden()
    expect(page.get_by_role("button", name="All", exact=True)).to_have_attribute("aria-pressed", "true")


def test_the_matrix_equals_the_evaluation(confused: WebHarness, visit: Visit) -> None:
    with confused.client() as client:
        examples = client.get("/api/examples").json()["examples"]
    scored = [each for each in examples if each["predicted"] is not None]
    right = sum(each["predicted"] == each["label"] for each in scored)
    assert len(scored) == 13
    assert right < 13
    page = open_review(confused, visit, "desk")
    expect(page.locator("#confusion-summary")).to_have_text(
        f"{right} of 13 examples recognised by the others"
    )
    numbers = page.locator("#confusion td button").all_inner_texts()
    wrong_rows = {each["label"] for each in scored if each["predicted"] != each["label"]}
    assert sum(map(int, numbers)) == sum(each["label"] in wrong_rows for each in scored)


def test_what_the_matrix_leaves_out_is_named(confused: WebHarness, visit: Visit) -> None:
    confused.show("nut")
    confused.teach("nut")
    with confused.client() as client:
        examples = client.get("/api/examples").json()["examples"]
    wrong = {each["label"] for each in examples if each["predicted"] not in (None, each["label"])}
    right = [label for label in ("gear", "mug", "key") if label not in wrong]
    assert right
    page = visit("phone").open(f"{confused.url}/#review")
    expect(page.locator("#confusion-note")).to_have_text(
        f"Without a mistake: {', '.join(right)}. "
        "Not evaluated: 1 of 1 example of nut. An example needs another view of its class."
    )


def test_without_a_mistake_there_is_no_matrix(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(f"{site.url}/#review")
    expect(page.locator("#examples-empty")).to_be_visible()
    expect(page.locator("#confusion-section")).to_be_hidden()
    site.teach("gear")
    expect(page.locator("#confusion-summary")).to_have_text("No example is evaluated yet")
    expect(page.locator("#confusion-note")).to_have_text(
        "Not evaluated: 1 of 1 example of gear. An example needs another view of its class."
    )
    site.clear()
    for variation in range(2):
        for kind in ("gear", "key"):
            site.show(kind, variation)
            site.teach(kind)
    expect(page.locator("#confusion-summary")).to_have_text("4 of 4 examples recognised by the others")
    expect(page.locator("#confusion")).to_be_hidden()
