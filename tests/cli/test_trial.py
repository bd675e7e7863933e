"""`edge-daemon try` end to end: the page answers, teaches its own empty store, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from edge_daemon.example_store.store import ExampleStore
from tests.harness.browser import BrowserWindow, class_button
from tests.harness.web_harness import OWN_HEADERS

TIMEOUT_S = 120


@contextmanager
def started(home: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """Start `edge-daemon try` in `home`, which also has its state; it is killed at the end."""
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "TMPDIR": str(home),
    }
    command = [sys.executable, "-m", "edge_daemon", "try", *words]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=home
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def page_of(process: subprocess.Popen[str]) -> dict[str, object]:
    """Wait for the line with the page's address."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    found: dict[str, object] = json.loads(line)
    return found


def fetch(address: object) -> str:
    with urllib.request.urlopen(str(address), timeout=TIMEOUT_S) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_page_answers_and_a_signal_ends_it_without_a_trace(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started(tmp_path, "--simulated", "--json") as process:
        assert "<html" in fetch(page_of(process)["page"])
        process.send_signal(number)
        out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (0, "", "")
    assert not list(tmp_path.rglob("*.sqlite"))
    assert not list(tmp_path.glob("edge-daemon-try-*"))


def test_the_end_of_the_terminal_is_ignored_under_nohup(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with started(tmp_path, "--simulated", "--json") as process:
            address = page_of(process)["page"]
            process.send_signal(signal.SIGHUP)
            time.sleep(1)
            assert "<html" in fetch(address)
            process.terminate()
            assert process.wait(TIMEOUT_S) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_users_own_store_and_regions_are_not_touched(tmp_path: Path) -> None:
    state = tmp_path / "state/edge_daemon"
    state.mkdir(parents=True)
    for name in ("examples.sqlite", "regions.yaml"):
        (state / name).write_text("the user's, and no such file")
    with started(tmp_path, "--simulated", "--json") as process:
        assert "<html" in fetch(page_of(process)["page"])
    assert {path.read_text() for path in state.iterdir()} == {"the user's, and no such file"}


def test_keep_leaves_the_store_and_names_the_command_that_lists_it(tmp_path: Path) -> None:
    with started(tmp_path, "--simulated", "--keep", "my own.sqlite") as process:
        assert process.stdout is not None
        while "Ctrl-C" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=TIMEOUT_S)
    with ExampleStore(tmp_path / "my own.sqlite") as store:
        assert not store.spaces()
    command = out.partition("To list it: ")[2].strip()
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_keep_leaves_what_is_set_on_the_page_for_the_next_trial(tmp_path: Path) -> None:
    words = ("--simulated", "--json", "--keep", "mine.sqlite")
    tray = {"name": "tray", "box": [0.1, 0.2, 0.3, 0.4]}
    with started(tmp_path, *words) as process, httpx.Client(headers=OWN_HEADERS, timeout=TIMEOUT_S) as client:
        settings = f"{page_of(process)['page']}api/settings"
        shown = client.get(settings).json()
        assert shown["file"] == str(tmp_path / "mine.sqlite.settings.yaml")
        change = {"settings": {"regions": [tray]}, "revision": shown["revision"]}
        assert client.post(settings, json=change).status_code == 200
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    with started(tmp_path, *words) as process:
        [region] = json.loads(fetch(f"{page_of(process)['page']}api/settings"))["values"]["regions"]
    assert tray.items() <= region.items()


def test_a_thing_taught_on_the_page_is_named(tmp_path: Path, browser: Browser) -> None:
    """The picture stays the same, so that one example is enough."""
    Image.effect_noise((64, 48), 60).save(tmp_path / "noise.png")
    with started(tmp_path, "--pictures", ".", "--json") as process:
        address = page_of(process)["page"]
        window = BrowserWindow(browser, "desk")
        page = window.open(str(address))
        page.fill("#new-label", "noise")
        page.click("#new-class button")
        expect(class_button(page, "noise").locator(".count")).to_have_text("1")
        window.wait_for_label("noise")
        window.close()


def test_without_a_camera_the_browsers_is_taught(tmp_path: Path, browser: Browser) -> None:
    with started(tmp_path, "--json") as process:
        found = page_of(process)
        if "browser" not in str(found["source"]):
            pytest.skip("this machine has a camera")
        window = BrowserWindow(browser, "desk")
        page = window.open(str(found["page"]))
        page.get_by_role("button", name="Use this browser’s camera").click()
        expect(page.locator("#state-text")).to_have_text("Running")
        page.fill("#new-label", "green")
        page.click("#new-class button")
        expect(class_button(page, "green").locator(".count")).to_have_text("1")
        window.wait_for_label("green")
        window.close()


def test_pictures_of_a_folder_are_shown(tmp_path: Path) -> None:
    (tmp_path / "pictures/cat").mkdir(parents=True)
    Image.new("RGB", (64, 48), (9, 90, 200)).save(tmp_path / "pictures/cat/1.png")
    with started(tmp_path, "--pictures", "pictures", "--json") as process:
        found = page_of(process)
        assert "<html" in fetch(found["page"])
    assert found["source"] == "the pictures of pictures in turn"


def test_two_that_start_together_have_a_page_each(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (
        started(tmp_path, "--simulated", "--json") as first,
        started(tmp_path / "other", "--simulated", "--json") as second,
    ):
        pages = [page_of(process)["page"] for process in (first, second)]
        assert pages[0] != pages[1]
        assert all("<html" in fetch(page) for page in pages)
