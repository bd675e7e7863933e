"""Pictures, folders and zips are chosen and dropped on the page in Chromium."""

from __future__ import annotations

import base64
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import FilePayload, Page, expect

from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import encode_jpeg, encode_png, read_image
from tests.harness.browser import class_button, save_screenshot
from tests.harness.web_harness import WebHarness, still
from tests.web.conftest import Visit
from tests.web.test_login_view import violations
from tests.web.test_teaching_view import open_class
from tests.web.test_uploads import bomb


def picture(number: int) -> bytes:
    """Return a PNG of colours that are like no other's."""
    colours = np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)
    return encode_png(colours.repeat(20, axis=0).repeat(20, axis=1))


def payload(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": content}


def drop(page: Page, selector: str, files: dict[str, bytes]) -> None:
    """Drop files on an element, as the desktop does."""
    packed = {name: base64.b64encode(content).decode() for name, content in files.items()}
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, packed] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
                transfer.items.add(new File([bytes], name));
            }
            return transfer;
        }""",
        packed,
    )
    for kind in ("dragover", "drop"):
        page.dispatch_event(selector, kind, {"dataTransfer": transfer})


@pytest.mark.parametrize(("size", "scheme"), [("phone", "light"), ("desk", "dark")])
def test_many_pictures_are_chosen_into_a_class_and_taken_back_at_once(
    site: WebHarness, visit: Visit, size: str, scheme: str
) -> None:
    site.teach("mug")
    page = visit(size, scheme).open(site.url)
    open_class(page, "mug")
    files = [payload(f"{number}.png", picture(number)) for number in range(12)]
    files += [
        payload("again.png", picture(3)),
        payload("notes.png", b"no picture"),
        payload("bomb.png", bomb(9000)),
    ]
    page.set_input_files("#label-pictures", files)
    text = page.locator("#upload-text")
    expect(text).to_have_text("12 pictures taught, 1 known already, 2 left out")
    page.locator("#upload-skipped summary").click()
    names = page.locator("#upload-names li")
    expect(names.filter(has_text="notes.png is not an image this program reads")).to_be_visible()
    expect(names.filter(has_text="bomb.png has more than 25 megapixels; scale it down")).to_be_visible()
    save_screenshot(page, f"upload-{size}-{scheme}")
    assert violations(page) == []
    expect(class_button(page, "mug").locator(".count")).to_have_text("13")
    page.click("#upload-undo")
    expect(class_button(page, "mug").locator(".count")).to_have_text("1")
    expect(page.locator("#upload")).to_be_hidden()


def test_a_new_class_is_made_of_pictures(site: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(site.url)
    page.set_input_files("#new-pictures", [payload("1.png", picture(1))])
    expect(page.locator("#toast")).to_contain_text("Type the name of the new class first")
    page.fill("#new-label", "cup")
    page.set_input_files("#new-pictures", [payload("1.png", picture(1)), payload("2.png", picture(2))])
    expect(page.locator("#upload-text")).to_have_text("2 pictures taught")
    expect(class_button(page, "cup").locator(".count")).to_have_text("2")
    expect(page.locator("#new-label")).to_have_value("")


def test_a_large_picture_is_made_smaller_by_the_browser(site: WebHarness, visit: Visit) -> None:
    large = still("mug").repeat(10, axis=0).repeat(10, axis=1)
    page = visit("phone").open(site.url)
    page.evaluate(
        "() => { const real = fetch; window.fetch = (path, options) => {"
        " if (String(path).startsWith('/api/picture')) window.sent = options.body.size;"
        " return real(path, options); }; }"
    )
    page.fill("#new-label", "mug")
    content = encode_png(large)
    page.set_input_files("#new-pictures", [payload("large.png", content)])
    expect(page.locator("#upload-text")).to_have_text("1 picture taught")
    assert page.evaluate("() => window.sent") < 200_000 < len(content)
    with ExampleStore(site.stage.store_path) as store:
        (example,) = store
        assert max(read_image(example.thumbnail).shape) == 224
    site.show("mug")
    visit("desk").open(site.url)
    expect(page.locator(".label").first).to_have_text("mug")


def test_pictures_are_dropped_on_a_class(site: WebHarness, visit: Visit) -> None:
    for label in ("gear", "mug"):
        site.show(label)
        site.teach(label)
    page = visit("desk").open(site.url)
    expect(class_button(page, "gear")).to_be_visible()
    drop(page, ".tile[data-label=mug] .class", {"a.png": picture(1), "b.png": picture(2)})
    expect(class_button(page, "mug").locator(".count")).to_have_text("3")
    drop(page, "#teach-title", {"c.png": picture(3)})
    expect(page.locator("#toast")).to_contain_text("Drop pictures on a class, or type the name of a new one")
    page.fill("#new-label", "cup")
    drop(page, "#teach-title", {"c.png": picture(3)})
    expect(class_button(page, "cup").locator(".count")).to_have_text("1")


def test_a_zip_of_label_folders_is_imported(site: WebHarness, visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "things.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"cup/{number}.png", picture(number))
            archive.writestr(f"cog/{number}.jpg", encode_jpeg(still("gear", number)))
        archive.writestr("loose.png", picture(9))
        archive.writestr("__MACOSX/cup/._0.png", b"hidden")
        archive.writestr("cup/read.me", b"no picture")
        archive.writestr("a+b/1.png", picture(10))
    page = visit("desk").open(f"{site.url}/#health")
    page.set_input_files("#import-file", path)
    expect(page.locator("#upload-text")).to_have_text("6 pictures taught, 2 left out")
    page.locator("#upload-skipped summary").click()
    names = page.locator("#upload-names")
    expect(names).to_contain_text("loose.png: is in no label's folder")
    expect(names).to_contain_text("'a+b'")
    expect(class_button(page, "cup").locator(".count")).to_have_text("3")
    expect(class_button(page, "cog").locator(".count")).to_have_text("3")


def test_a_folder_is_imported(site: WebHarness, visit: Visit, tmp_path: Path) -> None:
    for label in ("cup", "cog"):
        (tmp_path / "things" / label).mkdir(parents=True)
    (tmp_path / "things" / "cup" / "1.png").write_bytes(picture(1))
    (tmp_path / "things" / "cog" / "2.jpg").write_bytes(encode_jpeg(still("gear")))
    page = visit("desk").open(f"{site.url}/#health")
    page.set_input_files("#import-folder", tmp_path / "things")
    expect(page.locator("#upload-text")).to_have_text("2 pictures taught")
    expect(class_button(page, "cup").locator(".count")).to_have_text("1")


@pytest.mark.parametrize("fault", ["cut", "empty", "foreign", "lie"])
def test_a_zip_that_can_not_be_read_is_said(
    site: WebHarness, visit: Visit, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "bad.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cup/1.png" if fault != "empty" else "read.me", picture(1))
    content = path.read_bytes()
    if fault == "cut":
        path.write_bytes(content[: len(content) // 2])
    if fault == "foreign":
        path.write_bytes(b"not a zip at all" * 1000)
    if fault == "lie":  # the directory says 10 bytes: a bomb would unpack to gigabytes
        at = content.rindex(b"PK\x01\x02") + 24
        path.write_bytes(content[:at] + (10).to_bytes(4, "little") + content[at + 4 :])
    page = visit("phone").open(f"{site.url}/#health")
    page.set_input_files("#import-file", path)
    if fault == "lie":
        page.locator("#upload-skipped summary").click()
        expect(page.locator("#upload-names")).to_contain_text("unpacks to more than its directory says")
        return
    words = "no picture in a label's folder" if fault == "empty" else "bad.zip: it is no zip"
    expect(page.locator("#toast")).to_contain_text(words)


def test_an_archive_goes_out_and_in_again(site: WebHarness, visit: Visit, tmp_path: Path) -> None:
    site.teach("gear")
    page = visit("desk").open(f"{site.url}/#health")
    with page.expect_download() as started:
        page.get_by_role("link", name="Examples, as an archive").click()
    started.value.save_as(tmp_path / "examples.zip")
    with site.client() as client:
        client.post("/api/clear", json={"label": "gear"}).raise_for_status()
    page.set_input_files("#import-file", tmp_path / "examples.zip")
    expect(page.locator("#upload-text")).to_have_text("1 picture taught")
    expect(class_button(page, "gear").locator(".count")).to_have_text("1")


def test_five_thousand_pictures_are_queued_two_at_a_time_and_cancelled(
    site: WebHarness, visit: Visit
) -> None:
    site.teach("mug")
    viewer = visit("phone")
    page = viewer.open(site.url)
    expect(class_button(page, "mug")).to_be_visible()
    page.evaluate(
        """() => {
            const real = fetch;
            window.most = window.now = 0;
            window.fetch = async (path, options) => {
                const isPicture = String(path).startsWith('/api/picture');
                if (isPicture) window.most = Math.max(window.most, ++window.now);
                try { return await real(path, options); } finally { if (isPicture) window.now--; }
            };
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 96;
            const context = canvas.getContext('2d');
            const transfer = new DataTransfer();
            const pictures = [];
            for (let number = 0; number < 120; number++) {
                context.fillStyle = `rgb(${number % 256},${number >> 5},${number * 7 % 256})`;
                context.fillRect(number % 50, number % 43, 46, 46);
                const packed = atob(canvas.toDataURL('image/png').split(',')[1]);
                const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
                pictures.push(new Blob([bytes]));
            }
            for (let number = 0; number < 5000; number++) {
                transfer.items.add(new File([pictures[number % 120]], `${number}.png`));
            }
            const input = document.querySelector('#new-pictures');
            document.querySelector('#new-label').value = 'many';
            input.files = transfer.files;
            input.dispatchEvent(new Event('change'));
        }"""
    )
    text = page.locator("#upload-text")
    expect(text).to_have_text(re.compile(r"Pictures: \d+ of 5000"))
    page.wait_for_function(
        "() => Number(/(\\d+) of/.exec(document.querySelector('#upload-text').textContent)[1]) >= 30"
    )
    save_screenshot(page, "upload-many-phone")
    page.click("#upload-cancel")
    expect(text).to_contain_text("cancelled")
    assert page.evaluate("() => window.most") == 2
    taught = int(re.findall(r"\d+", text.inner_text())[0])
    assert 28 <= taught < 5000
    page.click("#upload-undo")
    expect(page.locator("#toast")).to_contain_text("of “many” removed")
    expect(class_button(page, "many")).to_have_count(0)


def test_an_upload_goes_on_after_the_device_was_out_of_reach(site: WebHarness, visit: Visit) -> None:
    page = visit("phone").open(site.url)
    failed: list[str] = []

    def fail_first(route: object, request: object) -> None:
        if len(failed) < 2:
            failed.append("once")
            route.abort("connectionfailed")  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/api/picture*", fail_first)
    page.fill("#new-label", "cup")
    page.set_input_files("#new-pictures", [payload(f"{number}.png", picture(number)) for number in range(3)])
    expect(page.locator("#upload-text")).to_have_text("3 pictures taught")
    assert len(failed) == 2


def test_a_heic_picture_is_taught_or_said_how_to_be_read(site: WebHarness, visit: Visit) -> None:
    page = visit("desk").open(site.url)
    page.fill("#new-label", "cup")
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    page.set_input_files("#new-pictures", [payload("IMG_1.heic", heic)])
    expect(page.locator("#upload-text")).to_contain_text("1 left out")
    page.locator("#upload-skipped summary").click()
    expect(page.locator("#upload-names")).to_contain_text("IMG_1.heic is")


def test_the_page_s_scripts_stay_below_120_kb() -> None:
    folder = Path(__file__).parents[2] / "edge_daemon" / "web" / "static"
    assert sum(path.stat().st_size for path in folder.glob("*.js")) < 120_000
