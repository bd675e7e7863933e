"""The labels since the start in Chromium: since when the present one holds, counts and last pictures."""

from __future__ import annotations

import re
import time
from typing import Literal

import pytest
from playwright.sync_api import Locator, Page, expect

from edge_daemon.domain.events import LabelChanged
from edge_daemon.imaging.regions import Box
from edge_daemon.system.latest_frame import LatestFrame
from edge_daemon.web import label_history
from tests.harness.browser import save_screenshot
from tests.harness.daemon_harness import wait_until
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit
from tests.web.test_login_view import violations


def tile(page: Page, label: str) -> Locator:
    return page.locator("#history li", has=page.get_by_role("heading", name=label, exact=True))


@pytest.fixture
def seen(site: WebHarness, visit: Visit) -> WebHarness:
    """A gear and a mug that were taught and seen."""
    viewer = visit("desk")
    viewer.open(site.url)
    for kind in ("gear", "mug"):
        site.show(kind)
        site.teach(kind)
        viewer.wait_for_label(kind)  # the label follows some frames later, which must still show the thing
    for kind in ("gear", "mug"):
        site.show(kind)
        viewer.wait_for_label(kind)
    return site


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark")])
def test_each_label_has_its_count_and_its_last_picture(
    seen: WebHarness, visit: Visit, size: str, scheme: Literal["light", "dark"]
) -> None:
    page = visit(size, scheme).open(seen.url)
    expect(tile(page, "mug")).to_contain_text("now")
    expect(tile(page, "gear")).to_contain_text(re.compile(r"\d+ times?\d+ (s|min) ago"))
    page.locator("#history").scroll_into_view_if_needed()
    page.wait_for_function(
        "() => [...document.querySelectorAll('#history img')].every(img => img.naturalWidth === 160)"
    )
    assert violations(page) == []
    save_screenshot(page, f"history-{size}-{scheme}")


def test_a_picture_shows_the_labels_own_frame(seen: WebHarness) -> None:
    with seen.client() as client:
        rows = {each["label"]: each for each in client.get("/api/history").json()["labels"]}
        pictures = {
            label: client.get(f"/api/history/{rows[label]['picture']}.jpg") for label in ("gear", "mug")
        }
        assert client.get("/api/history/999999.jpg").status_code == 404
        metrics = client.get("/metrics").text
    assert {each.headers["content-type"] for each in pictures.values()} == {"image/jpeg"}
    assert pictures["gear"].content != pictures["mug"].content
    assert f'edge_daemon_label_changes_total{{label="mug"}} {rows["mug"]["times"]}.0' in metrics


def test_a_tile_counts_while_it_is_watched(seen: WebHarness, visit: Visit) -> None:
    viewer = visit("phone")
    page = viewer.open(seen.url)
    expect(tile(page, "mug")).to_contain_text("now")
    before = int(tile(page, "gear").locator("span").first.inner_text().split()[0])
    seen.show("gear")
    viewer.wait_for_label("gear")
    expect(tile(page, "gear").locator("span").first).to_have_text(f"{before + 1} times")
    expect(tile(page, "gear")).to_contain_text("now")
    expect(tile(page, "mug")).to_contain_text("ago")


def test_a_viewer_that_comes_later_learns_since_when_the_label_holds(seen: WebHarness, visit: Visit) -> None:
    first = visit("desk").open(seen.url)
    expect(first.locator(".since")).to_have_text(re.compile(r"^for [2-9] s, since \d"))
    shown = first.locator(".since").inner_text().split("since ")[1]
    later = visit("phone").open(seen.url)
    expect(later.locator(".since")).to_have_text(re.compile(r"^for \d+ s, since \d"))
    assert abs(seconds(later.locator(".since").inner_text().split("since ")[1]) - seconds(shown)) <= 1


def seconds(time: str) -> int:
    """Return the seconds of a time of the day such as 8:28:38 AM."""
    hours, minutes, rest = re.match(r"(\d+):(\d+):(\d+)", time).groups()  # type: ignore[union-attr]
    return int(hours) * 3600 + int(minutes) * 60 + int(rest)


def test_a_lost_camera_ends_the_label(seen: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(seen.url)
    expect(page.locator(".since")).not_to_be_empty()
    seen.table.broken = True
    expect(page.locator("#state-text")).to_have_text("Camera lost")
    expect(page.locator(".since")).to_be_empty()
    expect(tile(page, "mug")).to_contain_text("ago")


def test_a_picture_is_of_the_change_however_late_it_is_cut(
    site: WebHarness, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = label_history._reduced

    def cut_late(frames: LatestFrame, event: LabelChanged, box: Box | None) -> object:
        time.sleep(0.6)
        return cut(frames, event, box)

    monkeypatch.setattr(label_history, "_reduced", cut_late)
    viewer = visit("desk")
    viewer.open(site.url)
    site.teach("cog")
    viewer.wait_for_label("cog")
    site.show("mug")

    def picture() -> str:
        with site.client() as client:
            rows = {each["label"]: each for each in client.get("/api/history").json()["labels"]}
        return str(rows["cog"]["picture"] or "")

    assert wait_until(picture, lambda: "the label has no picture")


def test_the_tiles_follow_labels_that_change_all_the_time(seen: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(seen.url)
    page.evaluate(
        """async () => {
            const { connection } = await import("/static/connection.js");
            const detail = { region: "frame", label: "mug", confidence: 1, at: "2026-01-01", held_s: 0 };
            setInterval(() => connection.dispatchEvent(new CustomEvent("label", { detail })), 300);
        }"""
    )
    for _ in range(3):
        with page.expect_request("**/api/history", timeout=8000):
            pass
