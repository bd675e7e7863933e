"""No room, no memory, no right to write, the wrong time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.box.lines import Lines
from tests.box.scene import RED, Scene
from tests.box.service import STATE, UNIT, Service, kept_examples
from tests.box.subscriber import Ear, say
from tests.box.wait_until import eventually, steadily, told
from tests.box.wiring import BUTTON_RED, LED_ERROR

FILLER = Path("/var/tmp/filler")


@contextmanager
def _full_disk() -> Iterator[None]:
    """Leave the service no byte; root's own reserve stays."""
    room = os.statvfs(STATE)
    told("fallocate", "--length", str(room.f_bavail * room.f_frsize), str(FILLER))
    try:
        yield
    finally:
        FILLER.unlink()


@contextmanager
def _read_only_disk() -> Iterator[None]:
    """What the kernel does with a failing card: from now on nothing is written."""
    Path("/proc/sysrq-trigger").write_text("u")
    eventually(lambda: " ro," in _root_mount(), "the root file system is read-only")
    try:
        yield
    finally:
        told("mount", "-o", "remount,rw", "/")


def _root_mount() -> str:
    return next(line for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == "/")


@pytest.mark.parametrize("trouble", [_full_disk, _read_only_disk])
def check_a_store_that_cannot_be_written_refuses_presses_and_goes_on(
    trouble: Callable[[], AbstractContextManager[None]],
    service: Service,
    ear: Ear,
    lines: Lines,
    scene: Scene,
) -> None:
    scene.show(RED)
    ear.await_label("red")
    process, before = service.pid, kept_examples()
    with trouble():
        lines.press(BUTTON_RED)
        eventually(lambda: lines.lit(LED_ERROR), "the LED `error`")
        say("add", label="red", transaction=trouble.__name__)
        eventually(lambda: '"error"' in _answer(ear, trouble.__name__), "a request is refused")
        steadily(lambda: ear.latest("label") == "red", "the label stays", for_s=10)
    assert kept_examples() == before
    lines.press(BUTTON_RED)
    eventually(lambda: len(kept_examples()) == len(before) + 1, "the next press is kept")
    assert service.pid == process


def _answer(ear: Ear, transaction: str) -> str:
    answers = [text for topic, text in ear.heard if topic.endswith("/response/add") and transaction in text]
    return answers[-1] if answers else ""


def check_a_clock_that_jumps_by_years_changes_nothing(service: Service, ear: Ear, lines: Lines) -> None:
    process, restarts = service.pid, service.restarts
    now = int(told("date", "+%s"))
    try:
        for years in (-10, 10):
            told("date", "--set", f"@{now + years * 365 * 86400}")
            before = len(kept_examples())
            lines.press(BUTTON_RED)
            eventually(lambda: len(kept_examples()) == before + 1, "a press is kept")  # noqa: B023
            steadily(lambda: ear.latest("label") == "red", "the label stays", for_s=40)
    finally:
        told("date", "--set", f"@{now}")
    assert (service.pid, service.restarts) == (process, restarts)


def check_too_little_memory_ends_it_and_more_brings_it_back(service: Service, ear: Ear) -> None:
    process = service.pid
    told("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=30M", "MemorySwapMax=0")
    try:
        eventually(lambda: service.pid != process, "the kernel ends the process")
        log = told("journalctl", "--boot", "--unit", UNIT, "--no-pager")
        assert "oom-kill" in log
    finally:
        told("systemctl", "set-property", "--runtime", UNIT, "MemoryMax=300M", "MemorySwapMax=infinity")
    service.await_new_process(process)
    ear.await_label("red")
