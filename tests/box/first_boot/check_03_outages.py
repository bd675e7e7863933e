"""Recovery from the loss of the camera, the broker, the GPIO chip and the process."""

from __future__ import annotations

import os
import signal

from tests.box.command import run
from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import Service, stored_examples
from tests.box.subscriber import Subscriber
from tests.box.wait_until import assert_stays, wait_until
from tests.box.wiring import BUTTON_BARS, BUTTON_RED, LED_BARS, LED_ERROR, LED_RED


def check_lost_camera_clears_the_label_until_it_returns(
    service: Service, subscriber: Subscriber, lines: Lines, scene: Scene
) -> None:
    """libcamera 0.4 aborts when its driver is unbound; the restarted process then waits for the camera."""
    lost = service.pid
    with scene.unplugged():
        wait_until(lambda: subscriber.latest("label") == "", "an empty label")
        process = wait_until(lambda: {service.pid} - {0, lost}, "a new process without a camera").pop()
        wait_until(lambda: "camera lost" in service.show("StatusText"), "the status text")
        wait_until(lambda: lines.is_lit(LED_ERROR), "the LED `error` blinks")
        assert not lines.is_lit(LED_RED)
        assert_stays(lambda: service.pid == process, "the process waits for its camera", for_s=60)
    scene.show(RED)
    subscriber.wait_for_label("red")
    assert service.pid == process


def check_unplugged_network_publishes_the_will_and_reconnects(
    service: Service, subscriber: Subscriber
) -> None:
    process = service.pid
    run("ip", "link", "set", "cable", "down")
    wait_until(lambda: subscriber.latest("availability") == "offline", "the last will")
    run("ip", "link", "set", "cable", "up")
    wait_until(lambda: subscriber.latest("availability") == "online", "online again")
    subscriber.wait_for_label("red")
    assert service.pid == process


def check_example_added_while_offline_is_published_later(
    service: Service, subscriber: Subscriber, lines: Lines
) -> None:
    run("ip", "link", "set", "cable", "down")
    wait_until(lambda: subscriber.latest("availability") == "offline", "the last will")
    before = stored_examples()
    lines.press(BUTTON_RED)
    wait_until(lambda: len(stored_examples()) == len(before) + 1, "one example more in the store")
    (fresh,) = set(stored_examples()) - set(before)
    run("ip", "link", "set", "cable", "up")
    wait_until(
        lambda: fresh in {event["id"] for event in subscriber.events("example_added")}, "the event, late"
    )


def check_service_restarts_after_kill_9(service: Service, subscriber: Subscriber) -> None:
    process = service.pid
    os.kill(process, signal.SIGKILL)
    wait_until(lambda: subscriber.latest("availability") == "offline", "the last will")
    service.wait_for_new_process(process)
    subscriber.wait_for_label("red")


def check_watchdog_ends_a_hanging_process(service: Service, subscriber: Subscriber) -> None:
    process = service.pid
    os.kill(process, signal.SIGSTOP)
    service.wait_for_new_process(process)
    assert "Watchdog timeout" in run("journalctl", "--boot", "--unit", "edge-daemon.service", "--no-pager")
    subscriber.wait_for_label("red")


def check_sigterm_in_a_burst_keeps_acknowledged_examples(
    service: Service, subscriber: Subscriber, lines: Lines, scene: Scene
) -> None:
    scene.show(BARS)
    subscriber.wait_for_label("bars")
    before = len(subscriber.events("example_added"))
    lines.hold(BUTTON_BARS)
    try:
        wait_until(lambda: len(subscriber.events("example_added")) >= before + 3, "three examples of a burst")
        service.control("stop")
    finally:
        lines.release(BUTTON_BARS)
    assert {event["id"] for event in subscriber.events("example_added")} <= set(stored_examples())
    assert service.show("Result") == "success"
    service.control("start")
    service.wait_until_seeing()
    subscriber.wait_for_label("bars")


def check_removed_gpio_chip_does_not_stop_classification_and_is_reopened(
    service: Service, subscriber: Subscriber, lines: Lines, scene: Scene
) -> None:
    process = service.pid
    with lines.chip_removed():
        wait_until(lambda: subscriber.events("panel_lost"), "the event")
        scene.show(RED)
        subscriber.wait_for_label("red")
    wait_until(lambda: subscriber.events("panel_restored"), "the event of its return")
    wait_until(lambda: lines.is_lit(LED_RED) and not lines.is_lit(LED_BARS), "the LED of red alone")
    before = len(stored_examples())
    lines.press(BUTTON_RED)
    wait_until(lambda: len(stored_examples()) == before + 1, "a press counts again")
    assert service.pid == process
