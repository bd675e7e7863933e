"""Things go away and come back: camera, broker, lines, the process itself. The service sees it through."""

from __future__ import annotations

import os
import signal

from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import Service, kept_examples
from tests.box.subscriber import Ear
from tests.box.wait_until import eventually, steadily, told
from tests.box.wiring import BUTTON_BARS, BUTTON_RED, LED_BARS, LED_ERROR, LED_RED


def check_a_lost_camera_clears_the_label_until_it_is_back(
    service: Service, ear: Ear, lines: Lines, scene: Scene
) -> None:
    """libcamera 0.4 aborts when its driver is taken away; whoever is there then waits for the camera."""
    lost = service.pid
    with scene.unplugged():
        eventually(lambda: ear.latest("label") == "", "an empty label")
        process = eventually(lambda: {service.pid} - {0, lost}, "a process that comes without a camera").pop()
        eventually(lambda: "camera lost" in service.show("StatusText"), "the status tells of it")
        eventually(lambda: lines.lit(LED_ERROR), "the LED `error` blinks")
        assert not lines.lit(LED_RED)
        steadily(lambda: service.pid == process, "the process waits for its camera", for_s=60)
    scene.show(RED)
    ear.await_label("red")
    assert service.pid == process


def check_a_pulled_cable_is_told_by_the_broker_and_mended(service: Service, ear: Ear) -> None:
    process = service.pid
    told("ip", "link", "set", "cable", "down")
    eventually(lambda: ear.latest("availability") == "offline", "the last will")
    told("ip", "link", "set", "cable", "up")
    eventually(lambda: ear.latest("availability") == "online", "online again")
    ear.await_label("red")
    assert service.pid == process


def check_what_is_taught_while_the_broker_is_away_is_told_later(
    service: Service, ear: Ear, lines: Lines
) -> None:
    told("ip", "link", "set", "cable", "down")
    eventually(lambda: ear.latest("availability") == "offline", "the last will")
    before = kept_examples()
    lines.press(BUTTON_RED)
    eventually(lambda: len(kept_examples()) == len(before) + 1, "one example more in the store")
    (fresh,) = set(kept_examples()) - set(before)
    told("ip", "link", "set", "cable", "up")
    eventually(lambda: fresh in {event["id"] for event in ear.events("example_added")}, "the event, late")


def check_kill_9_is_survived(service: Service, ear: Ear) -> None:
    process = service.pid
    os.kill(process, signal.SIGKILL)
    eventually(lambda: ear.latest("availability") == "offline", "the last will")
    service.await_new_process(process)
    ear.await_label("red")


def check_a_hang_is_ended_by_the_watchdog(service: Service, ear: Ear) -> None:
    process = service.pid
    os.kill(process, signal.SIGSTOP)
    service.await_new_process(process)
    assert "Watchdog timeout" in told("journalctl", "--boot", "--unit", "edge-daemon.service", "--no-pager")
    ear.await_label("red")


def check_sigterm_in_a_burst_keeps_what_was_acknowledged(
    service: Service, ear: Ear, lines: Lines, scene: Scene
) -> None:
    scene.show(BARS)
    ear.await_label("bars")
    before = len(ear.events("example_added"))
    lines.hold(BUTTON_BARS)
    try:
        eventually(lambda: len(ear.events("example_added")) >= before + 3, "three examples of a burst")
        service.control("stop")
    finally:
        lines.release(BUTTON_BARS)
    assert {event["id"] for event in ear.events("example_added")} <= set(kept_examples())
    assert service.show("Result") == "success"
    service.control("start")
    service.await_seeing()
    ear.await_label("bars")


def check_without_its_gpio_chip_it_goes_on_seeing_and_takes_it_back(
    service: Service, ear: Ear, lines: Lines, scene: Scene
) -> None:
    process = service.pid
    with lines.chip_removed():
        eventually(lambda: ear.events("panel_lost"), "the event tells of it")
        scene.show(RED)
        ear.await_label("red")
    eventually(lambda: ear.events("panel_restored"), "and of its return")
    eventually(lambda: lines.lit(LED_RED) and not lines.lit(LED_BARS), "the LED of red alone")
    before = len(kept_examples())
    lines.press(BUTTON_RED)
    eventually(lambda: len(kept_examples()) == before + 1, "a press counts again")
    assert service.pid == process
