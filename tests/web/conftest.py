"""A daemon per module, and windows that are closed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser

from tests.harness.browser import BrowserWindow
from tests.harness.web_harness import WebHarness

Visit = Callable[..., BrowserWindow]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebHarness]:
    with WebHarness(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture
def site(daemon: WebHarness) -> WebHarness:
    """The module's daemon, without examples and with a gear in view."""
    daemon.table.broken = False
    daemon.table.flowing.set()
    daemon.show("gear")
    daemon.clear()
    return daemon


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    windows: list[BrowserWindow] = []

    def open_window(size: str, scheme: Literal["light", "dark"] = "light") -> BrowserWindow:
        windows.append(BrowserWindow(browser, size, scheme))
        return windows[-1]

    yield open_window
    for window in windows:
        window.close()
