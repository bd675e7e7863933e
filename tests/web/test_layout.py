"""Many classes, long names and two regions: at four widths, in light and dark, by keyboard, with axe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from edge_daemon.camera.simulator.objects import KINDS
from tests.harness.browser import SIZES as WINDOWS
from tests.harness.browser import class_button, save_screenshot
from tests.harness.page_layout import layout_faults
from tests.harness.web_harness import WebHarness
from tests.web.conftest import Visit

LONG = (
    "the small hexagonal nut of the rear wheel",
    "Donaudampfschifffahrtskapitänsmützenhalter",
    "👩‍👩‍👧‍👦 परिवार क्षत्रिय नमस्ते दुनिया",
    "مفتاح الباب الأمامي للمبنى القديم",
)
MANY = (*LONG, *(f"part {number:02d}" for number in range(26)))
TWO_REGIONS = "[{name: left_tray, box: [0, 0, 0.5, 1]}, {name: right_tray, box: [0.5, 0, 0.5, 1]}]"
SIZES = ("phone", "tablet", "desk", "wide")
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

every_look = pytest.mark.parametrize(
    ("size", "scheme"), [(size, scheme) for size in SIZES for scheme in SCHEMES]
)


def teach_all(site: WebHarness, labels: tuple[str, ...]) -> None:
    for number, label in enumerate(labels):
        site.show(KINDS[number % len(KINDS)], number // len(KINDS))
        site.teach(label)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    with WebHarness(tmp_path_factory.mktemp("crowded")) as running:
        teach_all(running, MANY)
        yield running


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    with WebHarness(tmp_path_factory.mktemp("divided"), [f"regions={TWO_REGIONS}"]) as running:
        teach_all(running, LONG)
        yield running


def violations(page: Page) -> list[str]:
    """Return every violation that axe-core finds, of any impact."""
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]


def is_in_view(page: Page, selector: str) -> bool:
    """Return whether any element of the selector is wholly within the window and not below another one."""
    return bool(
        page.evaluate(
            """selector => [...document.querySelectorAll(selector)].some(each => {
              const {left, top, right, bottom} = each.getBoundingClientRect();
              if (right - left < 20 || left < 0 || top < 0) return false;
              if (right > innerWidth || bottom > innerHeight) return false;
              const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
              return each.contains(hit) || hit.contains(each);
            })""",
            selector,
        )
    )


@every_look
def test_thirty_classes_fit_and_picture_and_label_stay_in_view(
    crowded: WebHarness, visit: Visit, size: str, scheme: Literal["light", "dark"]
) -> None:
    page = visit(size, scheme).open(crowded.url)
    expect(page.locator(".tile")).to_have_count(len(MANY))
    expect(page.locator("#state-text")).to_have_text("Running")
    crowded.show("pencil", 5)
    expect(page.locator("#uncertain .full").first).to_be_visible()
    expect(page.locator("#history li").first).to_be_visible()
    assert layout_faults(page) == []
    assert violations(page) == []
    save_screenshot(page, f"many-{size}-{scheme}")
    last = page.locator(".tile").last
    last.evaluate("tile => tile.scrollIntoView({block: 'nearest'})")
    page.wait_for_function("() => !document.querySelector('#frame').matches('.still')")
    expect(last).to_be_in_viewport()
    if size in ("phone", "tablet"):
        last.evaluate("tile => tile.scrollIntoView({block: 'center'})")
        expect(page.locator("#now")).to_be_visible()
    assert is_in_view(page, "#picture")
    assert is_in_view(page, ".label, #now p")
    assert layout_faults(page) == []
    save_screenshot(page, f"many-scrolled-{size}-{scheme}")


@pytest.mark.parametrize("size", SIZES)
def test_the_other_views_fit_with_thirty_classes(crowded: WebHarness, visit: Visit, size: str) -> None:
    page = visit(size, "dark").open(crowded.url)
    for view in ("review", "settings", "health"):
        page.goto(f"{crowded.url}/#{view}")
        expect(page.locator(f"#view-{view} :is(.thumb, fieldset, .checks li)").first).to_be_visible()
        assert layout_faults(page) == []
        assert violations(page) == []
        save_screenshot(page, f"{view}-many-{size}")


@pytest.mark.parametrize("place", ["crowded", "divided"])
def test_every_view_fits_a_narrow_phone(request: pytest.FixtureRequest, visit: Visit, place: str) -> None:
    site: WebHarness = request.getfixturevalue(place)
    page = visit("narrow").open(site.url)
    site.show("pencil", 6)
    expect(page.locator("#uncertain .full").first).to_be_visible()
    for view in ("live", "review", "settings", "health"):
        page.goto(f"{site.url}/#{view}")
        expect(page.locator(f"#view-{view} :is(.tile, .thumb, fieldset, .checks li)").first).to_be_visible()
        assert layout_faults(page) == [], view
        save_screenshot(page, f"{view}-{place}-narrow")


@pytest.mark.parametrize(("size", "scheme"), list(zip(SIZES, SCHEMES * 2, strict=True)))
def test_two_regions_fit(
    divided: WebHarness, visit: Visit, size: str, scheme: Literal["light", "dark"]
) -> None:
    page = visit(size, scheme).open(divided.url)
    expect(page.locator("#scene li")).to_have_count(2)
    expect(page.locator(".result")).to_have_count(2)
    expect(page.locator(".tile")).to_have_count(len(LONG))
    assert layout_faults(page) == []
    assert violations(page) == []
    save_screenshot(page, f"regions-{size}-{scheme}")


@pytest.mark.parametrize("regions", ["[]", TWO_REGIONS], ids=["frame", "two"])
def test_a_label_of_22_letters_is_shown_whole(tmp_path: Path, visit: Visit, regions: str) -> None:
    taught = "gear"
    with WebHarness(tmp_path, [f"regions={regions}", "classifier.unknown=off"]) as site:
        page = visit("phone").open(site.url)
        shown = page.locator(".label").first
        expect(shown).to_have_text("Nothing taught yet")
        assert cut_in(page, shown) == []
        site.teach(taught)
        for name in ("lemons", "strawberry", "screwdriver", "hexagonal bolt M8 x 30"):
            with site.client() as client:
                client.post("/api/rename", json={"label": taught, "to": name}).raise_for_status()
            taught = name
            expect(shown).to_have_text(name)
            assert cut_in(page, shown) == [], name


def cut_in(page: Page, text: Locator) -> list[str]:
    """Return the windows in which an element is too small for its text, or the page is too wide."""
    faults = []
    for size, (width, height) in WINDOWS.items():
        page.set_viewport_size({"width": width, "height": height})
        is_cut = text.evaluate(
            "e => e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 3"
        )
        faults += [size] if is_cut or layout_faults(page) else []
    return faults


def test_a_class_is_found_and_taught_by_keyboard_alone(crowded: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(crowded.url)
    expect(page.locator(".tile")).to_have_count(len(MANY))
    while page.evaluate("() => document.activeElement.id") != "find":
        page.keyboard.press("Tab")
    page.keyboard.type("KAPITAN")
    expect(page.locator(".tile:visible")).to_have_count(1)
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.matches('.class')"):
            break
    before = class_button(page, LONG[1]).locator(".count").inner_text()
    page.keyboard.press("Enter")
    expect(class_button(page, LONG[1]).locator(".count")).to_have_text(str(int(before) + 1))
    page.fill("#find", "no such thing")
    expect(page.locator(".tile:visible")).to_have_count(0)
    expect(page.locator("#none-found")).to_be_visible()
    page.fill("#find", "")
    expect(page.locator(".tile:visible")).to_have_count(len(MANY))
