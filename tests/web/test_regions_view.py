"""Editing the regions on the page: drawn, moved, resized, named, ordered, removed, and taken at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from edge_daemon.config.schema import Config, load_config
from tests.harness.browser import save_screenshot
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit

CONFIG = """\
regions:
  - {name: left, box: [0.05, 0.1, 0.4, 0.8]}
  - {name: right, box: [0.55, 0.1, 0.4, 0.8]}
"""


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def place(tmp_path: Path, config_path: Path) -> Iterator[WebHarness]:
    with WebHarness(tmp_path, config_path=config_path) as running:
        yield running


def saved(site: WebHarness, config_path: Path) -> Config:
    return load_config(config_path, [f"web.settings_file={site.settings_file}"])


def open_page(site: WebHarness, visit: Visit, size: str, regions: int = 2) -> Page:
    page = visit(size).open(site.url)
    expect(page.locator("#regions g")).to_have_count(regions)
    page.wait_for_function("() => document.querySelector('#picture').width === 320")
    return page


def open_editor(site: WebHarness, visit: Visit, size: str, regions: int = 2) -> Page:
    page = open_page(site, visit, size, regions)
    page.get_by_role("button", name="Edit regions").click()
    expect(page.get_by_role("button", name="Add region")).to_be_visible()
    expect(page.locator(".region-row")).to_have_count(regions)
    return page


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toast")).to_contain_text("Regions saved")
    expect(page.locator("#region-editor")).to_be_hidden()


def region(page: Page, name: str) -> Locator:
    return page.locator("#regions .region", has_text=name)


def row(page: Page, number: int) -> Locator:
    return page.locator(".region-row").nth(number)


def name_field(page: Page, number: int) -> Locator:
    return row(page, number).get_by_label("Name of the region")


def percents(page: Page, name: str) -> list[int]:
    """Return left, top, width and height of a region in percent, as a screen reader hears them."""
    label = region(page, name).get_attribute("aria-label") or ""
    return [int(number) for number in re.findall(r"(\d+) %", label)]


def point(page: Page, x: float, y: float) -> tuple[float, float]:
    """Return the place on the screen of fractions of the picture."""
    box = page.locator("#regions").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*point(page, *start))
    page.mouse.down()
    page.mouse.move(*point(page, *end), steps=4)
    page.mouse.up()


def touch_drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag with a finger, which the browser may take for a scroll."""
    session = page.context.new_cdp_session(page)
    places = [
        point(page, *(a + (b - a) * step / 4 for a, b in zip(start, end, strict=True))) for step in range(5)
    ]
    for kind, (x, y) in zip(["touchStart", *["touchMove"] * 4], places, strict=True):
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def wait_for_daemons(site: WebHarness, number: int) -> None:
    wait_until(
        lambda: "yes" if site.stage.built == number else "", lambda: f"{site.stage.built} daemons were built"
    )


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_a_dragged_region_is_saved_and_taken_by_the_daemon_that_runs(
    place: WebHarness, config_path: Path, visit: Visit, size: str
) -> None:
    page = open_editor(place, visit, size)
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    (drag if size == "desk" else touch_drag)(page, (0.25, 0.5), (0.35, 0.5))
    expect(page.get_by_role("button", name="Save")).to_be_enabled()
    save_screenshot(page, f"regions-{size}")
    assert percents(page, "left")[:2] == [15, 10]
    assert not place.settings_file.exists()
    save(page)
    config = saved(place, config_path)
    assert config.regions[0].box[0] == pytest.approx(0.15, abs=0.01)
    assert config.regions[1].box == (0.55, 0.1, 0.4, 0.8)
    assert place.stage.built == 1


def test_a_region_is_drawn_named_and_classified(place: WebHarness, config_path: Path, visit: Visit) -> None:
    page = open_editor(place, visit, "desk")
    drag(page, (0.46, 0.95), (0.54, 0.15))
    expect(page.locator(".region-row")).to_have_count(3)
    page.keyboard.type("middle")  # the name is selected, to be typed over
    expect(name_field(page, 2)).to_have_value("middle")
    expect(row(page, 2)).to_have_class(re.compile("selected"))
    save(page)
    wait_for_daemons(place, 2)
    expect(page.locator(".result h2")).to_have_text(["left", "right", "middle"])
    box = saved(place, config_path).regions[2].box
    assert box == pytest.approx((0.46, 0.15, 0.08, 0.8), abs=0.01)


def test_a_finger_draws_a_region_and_moves_a_corner(place: WebHarness, visit: Visit) -> None:
    page = open_editor(place, visit, "phone")
    before = page.evaluate("scrollY")
    touch_drag(page, (0.5, 0.95), (0.9, 0.99))
    expect(page.locator(".region-row")).to_have_count(3)
    region(page, "left").focus()  # the selected region has grips
    touch_drag(page, (0.05, 0.1), (0.15, 0.3))
    wait_until(
        lambda: "yes" if percents(page, "left") == [15, 30, 30, 60] else "",
        lambda: str(percents(page, "left")),
    )
    assert page.evaluate("scrollY") == before
    save_screenshot(page, "regions-drawn-phone")


def test_keys_add_move_resize_order_and_remove(place: WebHarness, config_path: Path, visit: Visit) -> None:
    page = open_page(place, visit, "desk")
    page.get_by_role("button", name="Edit regions").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Add region").focus()
    page.keyboard.press("Enter")
    expect(region(page, "region-1")).to_be_focused()
    for key in ("ArrowRight", "ArrowUp", "Shift+ArrowLeft", "Shift+ArrowDown", "Control+ArrowRight"):
        page.keyboard.press(key)
    name_field(page, 2).focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("top")
    page.get_by_role("button", name="Move top earlier").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    region(page, "right").focus()
    page.keyboard.press("Delete")
    expect(page.locator("#region-note")).to_contain_text("“right” goes when you save.")
    page.get_by_role("button", name="Save").focus()
    page.keyboard.press("Enter")
    wait_for_daemons(place, 2)
    regions = saved(place, config_path).regions
    assert [each.name for each in regions] == ["top", "left"]
    x, y, width, height = regions[0].box
    assert (round(y, 2), round(width, 2), round(height, 2)) == (0.35, 0.39, 0.41)
    assert x == pytest.approx(0.37 + 1 / 320, abs=0.0005)  # two regions shifted it by 0.06


def test_the_picture_of_each_region_is_what_the_model_gets(place: WebHarness, visit: Visit) -> None:
    place.table.picture = place.table.picture.copy()
    place.table.picture[:, :160] = (250, 0, 0)
    place.table.picture[:, 160:] = (0, 0, 250)
    page = open_editor(place, visit, "desk")
    pixel = "each => [...each.getContext('2d').getImageData(36, 36, 1, 1).data].map(value => value > 120)"
    expected = [[True, False, False, True], [False, False, True, True]]

    def colours() -> list[list[bool]]:
        return [row(page, number).locator("canvas").evaluate(pixel) for number in (0, 1)]

    wait_until(lambda: "yes" if colours() == expected else "", lambda: str(colours()))
    expect(row(page, 0).get_by_role("img")).to_have_attribute("aria-label", "What left sees")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("right", "Another region has this name."),
        ("", "Give it a name."),
        ("two words", "Letters, digits"),
        ("a/b", "Letters, digits"),
    ],
)
def test_a_name_that_can_not_be_used_is_refused_at_once(
    place: WebHarness, visit: Visit, name: str, text: str
) -> None:
    page = open_editor(place, visit, "desk")
    name_field(page, 1).fill("other") if name == "right" else None
    name_field(page, 1).fill(name if name != "right" else "left")
    expect(row(page, 1).locator(".bad")).to_contain_text(text)
    expect(page.get_by_role("button", name="Save")).to_be_disabled()


def test_a_region_can_not_leave_the_picture_nor_vanish(place: WebHarness, visit: Visit) -> None:
    page = open_editor(place, visit, "desk")
    drag(page, (0.75, 0.5), (1.5, 2.0))  # which selects it
    assert percents(page, "right") == [60, 20, 40, 80]
    drag(page, (0.98, 0.98), (0.3, 0.1))
    assert percents(page, "right")[:2] == [60, 20]
    expect(row(page, 1)).to_contain_text("4 × 4 pixels")
    drag(page, (0.5, 0.05), (0.502, 0.052))  # a tap draws nothing
    expect(page.locator(".region-row")).to_have_count(2)


def test_escape_leaves_an_unchanged_draft(place: WebHarness, visit: Visit) -> None:
    page = open_editor(place, visit, "desk")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Edit regions")).to_be_focused()


def test_what_the_configuration_refuses_is_said_and_the_draft_stays(
    tmp_path: Path, config_path: Path, visit: Visit
) -> None:
    config_path.write_text(CONFIG + "buttons: [{pin: 17, label: gear, region: right}]\n")
    with WebHarness(tmp_path, config_path=config_path) as site:
        page = open_editor(site, visit, "desk")
        name_field(page, 1).fill("other")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#region-fault")).to_contain_text("buttons[0].region: no region 'right'")
        expect(name_field(page, 1)).to_have_value("other")
        page.keyboard.press("Escape")
        expect(page.locator("#region-note")).to_have_text("Not saved yet: save or cancel.")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#region-editor")).to_be_hidden()
        expect(page.locator("#regions g").nth(1)).to_have_attribute("aria-label", "right")


def test_a_removed_region_keeps_its_examples_and_says_so(
    place: WebHarness, config_path: Path, visit: Visit
) -> None:
    with place.client() as client:
        client.post("/api/teach", json={"label": "gear", "region": "left"}).raise_for_status()
    page = open_editor(place, visit, "phone")
    page.get_by_role("button", name="Remove left").click()
    expect(page.locator("#region-note")).to_contain_text("Its 1 example stays.")
    page.get_by_role("button", name="Remove right").click()
    expect(page.locator("#region-none")).to_be_visible()
    save_screenshot(page, "regions-none-phone")
    save(page)
    undo = page.locator("#toast").get_by_role("button", name="Undo")
    undo.focus()  # so that the message stays
    wait_for_daemons(place, 2)
    assert saved(place, config_path).regions == ()
    expect(page.locator(".label")).to_have_count(1)
    expect(page.locator(".label")).to_have_text("gear")
    undo.click()
    wait_for_daemons(place, 3)
    assert [each.name for each in saved(place, config_path).regions] == ["left", "right"]


def test_the_later_of_two_people_sees_the_change_of_the_first(
    place: WebHarness, config_path: Path, visit: Visit
) -> None:
    page, other = open_editor(place, visit, "desk"), open_editor(place, visit, "phone")
    region(page, "left").focus()
    page.keyboard.press("ArrowRight")
    region(other, "left").focus()
    other.keyboard.press("ArrowDown")
    save(page)
    other.get_by_role("button", name="Save").click()
    expect(other.locator("#region-note")).to_contain_text("Someone else changed the settings")
    assert percents(other, "left") == [6, 10, 40, 80]
    save_screenshot(other, "regions-conflict-phone")
    other.get_by_role("button", name="Back to mine").click()
    assert percents(other, "left") == [5, 11, 40, 80]
    save(other)
    assert saved(place, config_path).regions[0].box == (0.05, 0.11, 0.4, 0.8)


def test_who_has_changed_nothing_sees_the_change_of_another_at_once(place: WebHarness, visit: Visit) -> None:
    page, other = open_editor(place, visit, "desk"), open_editor(place, visit, "phone")
    watcher = open_page(place, visit, "desk")
    before = watcher.locator("#regions rect").first.get_attribute("x")
    region(page, "left").focus()
    page.keyboard.press("ArrowRight")
    save(page)
    wait_until(lambda: "yes" if percents(other, "left")[:1] == [6] else "", lambda: "the old place")
    expect(watcher.locator("#regions rect").first).not_to_have_attribute("x", str(before))


def test_digits_are_read_in_the_order_of_the_list_and_keep_half_pixels(
    tmp_path: Path, config_path: Path, visit: Visit
) -> None:
    config_path.write_text(
        "regions:\n  - {name: tens, box: [100.5, 20.5, 8, 10]}\n  - {name: ones, box: [110.0, 20.5, 8, 10]}\n"
        "combine_regions: text\nmodel: {features: patch}\n"
    )
    with WebHarness(tmp_path, config_path=config_path) as site:
        page = open_editor(site, visit, "phone")
        expect(page.locator("#region-order")).to_have_text("Read as one text, in this order: tens, ones")
        save_screenshot(page, "regions-digits-phone")
        region(page, "ones").focus()
        page.keyboard.press("Control+ArrowRight")
        page.get_by_role("button", name="Move ones earlier").click()
        expect(page.locator("#region-order")).to_have_text("Read as one text, in this order: ones, tens")
        save(page)
        wait_for_daemons(site, 2)
        boxes: dict[str, Any] = {each.name: each.box for each in saved(site, config_path).regions}
        assert list(boxes.items()) == [("ones", (111, 20.5, 8, 10)), ("tens", (100.5, 20.5, 8, 10))]


def test_the_first_region_is_drawn_on_a_device_without_any(
    tmp_path: Path, config_path: Path, visit: Visit
) -> None:
    config_path.write_text("")
    with WebHarness(tmp_path, config_path=config_path) as site:
        page = open_editor(site, visit, "desk", regions=0)
        drag(page, (0.2, 0.2), (0.7, 0.7))
        save(page)
        wait_for_daemons(site, 2)
        expect(page.locator("#regions g")).to_have_count(1)
        assert [each.name for each in saved(site, config_path).regions] == ["region-1"]


def test_the_region_to_teach_is_chosen(place: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(place.url)
    page.get_by_role("button", name="right", exact=True).click()
    page.fill("#new-label", "gear")
    page.click("#new-class button")
    expect(page.locator(".class .count")).to_have_text("1")
    with place.client() as client:
        assert client.get("/api/examples").json()["examples"][0]["region"] == "right"
