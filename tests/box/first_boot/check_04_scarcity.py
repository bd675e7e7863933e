"""Full and read-only disks, a wrong clock, too little memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from tests.box.command import run
from tests.box.lines import Lines
from tests.box.scene import RED, Scene
from tests.box.service import STATE, UNIT, Service, stored_examples
from tests.box.subscriber import Subscriber, publish_request
from tests.box.wait_until import assert_stays, wait_until
from tests.box.wiring import BUTTON_RED, LED_ERROR

FILLER = Path("/var/tmp/filler")


@contextmanager
def _full_disk() -> Iterator[None]:
    """Fill the disk for the service; root's reserve stays free.

    The store's journal is emptied first: some presses would fit into one that was folded into the file.
    """
    with closing(sqlite3.connect(STATE / "examples.sqlite")) as store:
        wait_until(
            lambda: store.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0),
            "the journal is empty",
        )
    room = os.statvfs(STATE)
    run("fallocate", "--length", str(room.f_bavail * room.f_frsize), str(FILLER))
    try:
        yield
    finally:
        FILLER.unlink()


@contextmanager
def _read_only_disk() -> Iterator[None]:
    """Remount the disk read-only, as the kernel does with a failing card."""
    Path("/proc/sysrq-trigger").write_text("u")
    wait_until(lambda: " ro," in _root_mount(), "the root file system is read-only")
    try:
        yield
    finally:
        run("mount", "-o", "remount,rw", "/")


def _root_mount() -> str:
    return next(line for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == "/")


@pytest.mark.parametrize("fault", [_full_disk, _read_only_disk])
def check_unwritable_store_refuses_presses_and_classification_continues(
    fault: Callable[[], AbstractContextManager[None]],
    service: Service,
    subscriber: Subscriber,
    lines: Lines,
    scene: Scene,
) -> None:
    scene.show(RED)
    subscriber.wait_for_label("red")
    process, before = service.pid, stored_examples()
    with fault():
        lines.press(BUTTON_RED)
        wait_until(lambda: lines.is_lit(LED_ERROR), "the LED `error`")
        publish_request("add", label="red", transaction=fault.__name__)
        wait_until(lambda: '"error"' in _response(subscriber, fault.__name__), "a request is refused")
        assert_stays(lambda: subscriber.latest("label") == "red", "the label stays", for_s=10)
    assert stored_examples() == before
    lines.press(BUTTON_RED)
    wait_until(lambda: len(stored_examples()) == len(before) + 1, "the next press is kept")
    assert service.pid == process


def _response(subscriber: Subscriber, transaction: str) -> str:
    responses = [
        text for topic, text in subscriber.received if topic.endswith("/response/add") and transaction in text
    ]
    return responses[-1] if responses else ""


def check_clock_jumps_of_years_have_no_effect(service: Service, subscriber: Subscriber, lines: Lines) -> None:
    process, restarts = service.pid, service.restarts
    now = int(run("date", "+%s"))
    try:
        for years in (-10, 10):
            run("date", "--set", f"@{now + years * 365 * 86400}")
            before = len(stored_examples())
            lines.press(BUTTON_RED)
            wait_until(lambda: len(stored_examples()) == before + 1, "a press is kept")  # noqa: B023
            assert_stays(lambda: subscriber.latest("label") == "red", "the label stays", for_s=40)
    finally:
        run("date", "--set", f"@{now}")
    assert (service.pid, service.restarts) == (process, restarts)


def check_out_of_memory_kill_is_followed_by_a_restart(service: Service, subscriber: Subscriber) -> None:
    process = service.pid
    run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=30M", "MemorySwapMax=0")
    try:
        wait_until(lambda: service.pid != process, "the kernel ends the process")
        log = run("journalctl", "--boot", "--unit", UNIT, "--no-pager")
        assert "killed by the OOM killer" in log
    finally:
        run("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=300M", "MemorySwapMax=infinity")
    service.wait_for_new_process(process)
    subscriber.wait_for_label("red")
