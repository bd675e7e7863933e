"""The page's address in the log: one that a browser can open."""

from __future__ import annotations

import logging
from pathlib import Path

import httpx
import pytest

from edge_daemon.board.network import own_address
from edge_daemon.config.schema import load_config
from edge_daemon.demo.page import page_address
from tests.harness.web_harness import WebHarness


@pytest.mark.parametrize(
    ("listen", "url"),
    [
        (8080, "http://127.0.0.1:8080/"),
        ("192.168.1.7:81", "http://192.168.1.7:81/"),
        ("[fd00::7]:8080", "http://[fd00::7]:8080/"),
        ("0.0.0.0:8080", f"http://{own_address()}:8080/"),
        ("[::]:8080", f"http://{own_address()}:8080/"),
    ],
)
def test_the_address_is_one_that_a_browser_can_open(listen: int | str, url: str) -> None:
    assert page_address(load_config(None, [f"web.listen={listen!r}"])) == url


def test_the_logged_address_serves_the_page(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), WebHarness(tmp_path):
        [line] = [each.getMessage() for each in caplog.records if "the page is at" in each.getMessage()]
        assert httpx.get(line.removeprefix("the page is at ")).status_code == 200
