"""Regions on the picture: moved by pointer and keys, saved, and read by the next daemon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from edge_daemon.config.schema import load_config
from tests.harness.browser import save_screenshot
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


def open_editing(site: WebHarness, visit: Visit, size: str) -> Page:
    page = visit(size).open(site.url)
    expect(page.locator("#regions g")).to_have_count(2)
    page.get_by_role("button", name="Adjust regions").click()
    return page


def drag(page: Page, selector: str, dx: float, dy: float) -> None:
    box = page.locator(selector).bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + dx, y + dy, steps=4)
    page.mouse.up()


def box_of(site: WebHarness, page: Page, name: str) -> list[int]:
    label = page.locator("#regions g", has_text=name).get_attribute("aria-label") or ""
    return [int(word) for word in label.replace(",", " ").split() if word.isdigit()]


@pytest.mark.parametrize("size", ["phone", "desk"])
def test_a_dragged_region_moves_at_once_and_is_saved_on_request(
    tmp_path: Path, config_path: Path, visit: Visit, size: str
) -> None:
    with WebHarness(tmp_path, config_path=config_path) as site:
        page = open_editing(site, visit, size)
        width = page.locator("#frame").evaluate("each => each.clientWidth")
        drag(page, "#regions g:first-child rect", 0.1 * width, 0)
        expect(page.get_by_role("button", name="Save")).to_be_visible()
        save_screenshot(page, f"regions-{size}")
        assert abs(box_of(site, page, "left")[0] - 15) <= 1
        assert not site.regions_file.exists()
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#toast")).to_contain_text("Regions saved")
    config = load_config(config_path, [f"web.regions_file={site.regions_file}"])
    assert config.regions[0].box[0] == pytest.approx(0.15, abs=0.01)
    assert config.regions[1].box == (0.55, 0.1, 0.4, 0.8)


def test_a_region_is_moved_and_resized_by_keys(tmp_path: Path, config_path: Path, visit: Visit) -> None:
    with WebHarness(tmp_path, config_path=config_path) as site:
        page = open_editing(site, visit, "desk")
        page.locator("#regions g").first.focus()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Shift+ArrowLeft")
        expect(page.get_by_role("button", name="Save")).to_be_visible()
        region = page.locator("#regions g", has_text="left")
        expect(region).to_have_attribute(
            "aria-label", re.compile(r"left 5 %, top 11 %, width 39 %, height 80 %")
        )


def test_another_viewer_sees_the_region_move(tmp_path: Path, config_path: Path, visit: Visit) -> None:
    with WebHarness(tmp_path, config_path=config_path) as site:
        page, other = open_editing(site, visit, "desk"), visit("phone").open(site.url)
        expect(other.locator("#regions g")).to_have_count(2)
        page.locator("#regions g").first.focus()
        page.keyboard.press("ArrowRight")
        expect(other.locator("#regions g", has_text="left")).to_have_attribute(
            "aria-label",
            "left: left 6 %, top 10 %, width 40 %, height 80 %. Arrow keys move, with shift they resize",
        )


def test_the_region_to_teach_is_chosen(tmp_path: Path, config_path: Path, visit: Visit) -> None:
    with WebHarness(tmp_path, config_path=config_path) as site:
        page = visit("phone").open(site.url)
        page.get_by_role("radio", name="right").click()
        page.fill("#new-label", "gear")
        page.click("#new-class button")
        expect(page.locator(".class .count")).to_have_text("1")
        with site.client() as client:
            assert client.get("/api/examples").json()["examples"][0]["region"] == "right"
