"""A browser for all tests, a daemon for each module, and windows that close themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tests.harness.browser import Visitor, chromium
from tests.harness.web_harness import Site

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    # While it runs, this thread can run no event loop of its own; what needs one takes another thread.
    expect.set_options(timeout=30_000)  # a busy machine
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture
def site(daemon: Site) -> Site:
    """The module's daemon, with nothing taught and a gear on the table."""
    daemon.table.broken = False
    daemon.table.flowing.set()
    daemon.show("gear")
    daemon.forget()
    return daemon


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    visitors: list[Visitor] = []

    def arrive(size: str, scheme: Literal["light", "dark"] = "light") -> Visitor:
        visitors.append(Visitor(browser, size, scheme))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.leave()
