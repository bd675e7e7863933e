"""The review in Chromium: select with mouse and keys, move, delete, restore, and the map."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route, expect

from tests.harness.browser import save_screenshot
from tests.harness.page_layout import layout_faults
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit


@pytest.fixture
def taught(site: WebHarness) -> WebHarness:
    """Three gears of which two are the same, two mugs, and two keys with a mug among them."""
    site.teach("gear", 2)
    site.show("gear", 3)
    site.teach("gear")
    for variation in (1, 2):
        site.show("mug", variation)
        site.teach("mug")
    site.show("key")
    site.teach("key", 2)
    site.show("mug", 1)
    site.teach("key")
    return site


def options(page: Page, label: str) -> list[int]:
    group = page.get_by_role("group", name=f"{label}, ")
    return [int(str(each.get_attribute("data-id"))) for each in group.get_by_role("option").all()]


def open_review(site: WebHarness, visit: Visit, size: str = "desk") -> Page:
    page = visit(size).open(f"{site.url}/#review")
    expect(page.get_by_role("option")).to_have_count(8)
    return page


def test_examples_are_grouped_by_class_with_their_thumbnails(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    assert [len(options(page, label)) for label in ("gear", "mug", "key")] == [3, 2, 3]
    expect(page.locator("#examples-total")).to_have_text("8 in 3 classes")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#examples img')].every(img => img.naturalWidth > 0)"
    )
    save_screenshot(page, "review-desk")


def test_near_duplicates_and_outliers_are_marked_and_filtered(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit, "phone")
    page.get_by_role("button", name="Near-duplicates").click()
    expect(page.get_by_role("option")).to_have_count(2)
    page.get_by_role("button", name="Outliers").click()
    # The mug labelled key, and the mug that is most similar to it.
    expect(page.get_by_role("option", name="outlier, nearest to mug")).to_have_count(1)
    expect(page.get_by_role("option", name="outlier, nearest to key")).to_have_count(1)


def test_an_example_with_two_marks_shows_both(site: WebHarness, visit: Visit) -> None:
    for label in ("key", "mug", "mug"):
        site.teach(label)
    page = visit("phone").open(f"{site.url}/#review")
    marked = page.get_by_role("option", name="near-duplicate, outlier, nearest to key")
    expect(marked.locator(".mark")).to_have_text(["duplicate", "≈ key"])
    assert layout_faults(page) == []
    save_screenshot(page, "two-marks-phone")


def test_selected_with_the_mouse_moved_to_another_class(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    wrong = options(page, "key")[-1]
    page.locator(f"#example-{wrong}").click()
    expect(page.locator("#selected")).to_have_text("1 selected")
    page.fill("#move-to", "mug")
    page.get_by_role("button", name="Move").click()
    expect(page.locator("#toast")).to_contain_text("1 example moved to “mug”")
    expect(page.get_by_role("group", name="mug, 3 examples")).to_be_visible()
    assert wrong in options(page, "mug")


def test_a_range_deleted_with_keys_and_brought_back(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    gears = options(page, "gear")
    page.locator(f"#example-{gears[0]}").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#selected")).to_have_text("3 selected")
    save_screenshot(page, "review-selected-desk")
    page.keyboard.press("Delete")
    expect(page.locator("#toast")).to_contain_text("3 examples deleted")
    expect(page.get_by_role("option")).to_have_count(5)
    removed = page.locator("#removed button").count()
    page.get_by_role("button", name="Restore gear").first.click()
    expect(page.get_by_role("option")).to_have_count(6)
    expect(page.locator("#removed button")).to_have_count(removed - 1)


def test_deleted_by_tapping_and_restored_at_once(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit, "phone")
    for number in options(page, "mug"):
        page.locator(f"#example-{number}").tap()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("option")).to_have_count(6)
    page.locator("#toast").get_by_role("button", name="Restore").click()
    expect(page.get_by_role("option")).to_have_count(8)
    save_screenshot(page, "review-phone")


def test_all_are_selected_by_keys_and_escape_deselects(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    page.get_by_role("option").first.focus()
    page.keyboard.press("Control+a")
    expect(page.locator("#selected")).to_have_text("8 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_be_hidden()


def test_the_map_shows_every_example_and_the_frame_moving_in_it(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    expect(page.locator("#map > path")).to_have_count(8)
    point = page.locator("#map .current")
    expect(point).not_to_have_attribute("visibility", "hidden")
    before = point.get_attribute("style")
    taught.show("gear")
    page.wait_for_function(
        "before => document.querySelector('#map .current').getAttribute('style') !== before", arg=before
    )


def test_the_map_is_that_of_the_objects_while_objects_are_compared(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    states = page.evaluate(
        """async () => {
            const { drawMap, showPoint } = await import("/static/map.js");
            const mark = ({ attributes }) => [attributes.visibility.value, attributes.transform?.value];
            const shown = () => [...document.querySelectorAll("#map > *")].map((each) => mark(each)[0])
                .concat(mark(document.querySelector("#map > path"))[1]);
            const both = { region: [0.5, 0.25], object: [-0.5, 0.75] };
            const gear = { id: 1, label: "gear", places: both };
            drawMap([gear, { id: 2, label: "mug", places: { region: [1, 1] } }], () => {});
            return [{ of: "region", x: 0, y: 0 }, { of: "object", x: 0, y: 0 }, {}].map((point) => {
                showPoint(point);
                return shown();
            });
        }"""
    )
    assert states == [
        ["visible", "visible", "visible", "translate(0.5 -0.25)"],
        ["visible", "hidden", "visible", "translate(-0.5 -0.75)"],
        ["visible", "hidden", "hidden", "translate(-0.5 -0.75)"],
    ]


def test_an_edit_by_another_viewer_appears(taught: WebHarness, visit: Visit) -> None:
    page = open_review(taught, visit)
    taught.teach("gear")
    expect(page.get_by_role("option")).to_have_count(9)


def test_one_list_is_requested_at_a_time(taught: WebHarness, visit: Visit) -> None:
    """A list of thousands of examples takes a small device seconds; a burst has several edits a second."""
    page = open_review(taught, visit)
    held: list[Route] = []
    page.route("**/api/examples", lambda route: held.append(route) if len(held) < 2 else route.continue_())
    for _ in range(3):
        taught.teach("gear")
        page.wait_for_timeout(400)
    assert len(held) == 1
    held.append(held[0])  # the next one passes
    held[0].continue_()
    expect(page.get_by_role("option")).to_have_count(11)
