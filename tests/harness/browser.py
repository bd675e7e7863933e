"""Real Chromium in the sizes of phones, a tablet and desktops. An error in its console fails a test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

SIZES = {
    "narrow": (320, 640),
    "phone": (390, 844),
    "tablet": (768, 1024),
    "desk": (1280, 800),
    "wide": (1920, 1080),
}
TIMEOUT_MS = 20_000
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream",  # a camera with a moving test picture
    "--use-fake-ui-for-media-stream",
]
_NOT_ERRORS = ("net::ERR_CONNECTION", "WebSocket connection to", "Failed to load resource")
"""Errors that Chromium itself logs when the device is gone or refuses; tests check the page's reaction."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the installed Chromium headless; every start has a fresh profile."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "chromium is not installed: apt-get install chromium, or set $CHROMIUM"
    expect.set_options(timeout=30_000)  # a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


class BrowserWindow:
    """One window with a separate profile."""

    def __init__(self, browser: Browser, size: str, scheme: Literal["light", "dark"] = "light") -> None:
        width, height = SIZES[size]
        self._context = browser.new_context(
            viewport={"width": width, "height": height},
            has_touch=size in ("narrow", "phone", "tablet"),
            color_scheme=scheme,
        )
        self._context.set_default_timeout(TIMEOUT_MS)
        self.page = self._context.new_page()
        self.errors: list[str] = []
        self.page.on("console", lambda message: self._add_error(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _add_error(self, kind: str, text: str) -> None:
        if kind == "error" and not any(part in text for part in _NOT_ERRORS):
            self.errors.append(text)

    def open(self, url: str) -> Page:
        """Open the page, and wait until its scripts listen: they show a view then."""
        self.page.goto(url)
        self.page.locator("main:visible").wait_for()
        return self.page

    def label(self) -> str:
        """Return the large label of the first region."""
        return self.page.locator(".label").first.inner_text()

    def wait_for_label(self, text: str) -> None:
        """Wait until the large label is this one."""
        self.page.wait_for_function(
            "text => document.querySelector('.label')?.textContent === text", arg=text
        )

    def close(self) -> None:
        """Close the window; an error in its console fails the test."""
        self._context.close()
        assert not self.errors


def class_button(page: Page, label: str) -> Locator:
    """Return the button of a class."""
    return page.locator(".class", has=page.get_by_text(label, exact=True))


def save_screenshot(page: Page, name: str) -> None:
    """Save a screenshot to the folder `$EDGE_DAEMON_SCREENSHOTS`, if it is set."""
    folder = os.environ.get("EDGE_DAEMON_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")
