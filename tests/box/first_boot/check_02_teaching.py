"""Teaching by buttons: show an object, press its button; show another object, press its button."""

from __future__ import annotations

import io
import sqlite3
import time

import numpy as np
from PIL import Image

from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import STATE, Service, stored_examples
from tests.box.subscriber import Subscriber
from tests.box.wait_until import assert_stays, wait_until
from tests.box.wiring import BUTTON_BARS, BUTTON_RED, LED_BARS, LED_RED

PRESSES = 3

# The simulated sensor timestamps a frame after it has drawn it, which is slow here. An immediate press would
# label a frame that partly shows the previous scene.
HAND_DELAY_S = 3.0


def _teach(button: int, label: str, subscriber: Subscriber, lines: Lines) -> None:
    time.sleep(HAND_DELAY_S)
    before = len(subscriber.events("example_added"))
    for count in range(1, PRESSES + 1):
        lines.press(button)
        wait_until(lambda: len(subscriber.events("example_added")) >= before + count, f"example {count}")  # noqa: B023
    assert {event["label"] for event in subscriber.events("example_added")[before:]} == {label}


def check_presses_add_examples_and_the_label_is_published(
    service: Service, subscriber: Subscriber, lines: Lines, scene: Scene
) -> None:
    service.wait_until_seeing()
    scene.show(BARS)
    _teach(BUTTON_BARS, "bars", subscriber, lines)
    subscriber.wait_for_label("bars")
    scene.show(RED)
    _teach(BUTTON_RED, "red", subscriber, lines)
    subscriber.wait_for_label("red")


def check_labels_and_leds_follow_the_scene(subscriber: Subscriber, lines: Lines, scene: Scene) -> None:
    for pattern, label, lit, dark in ((BARS, "bars", LED_BARS, LED_RED), (RED, "red", LED_RED, LED_BARS)):
        scene.show(pattern)
        subscriber.wait_for_label(label)
        wait_until(lambda: lines.is_lit(lit) and not lines.is_lit(dark), f"the LED of {label} alone")  # noqa: B023
    assert_stays(lambda: subscriber.latest("label") == "red", "the label of an unchanged scene", for_s=10)


def check_acknowledged_examples_are_in_the_store(subscriber: Subscriber) -> None:
    acknowledged = {event["id"]: event["label"] for event in subscriber.events("example_added")}
    assert acknowledged == stored_examples()
    assert len(acknowledged) == 2 * PRESSES


def check_stored_thumbnail_has_the_right_colours() -> None:
    with sqlite3.connect(f"file:{STATE / 'examples.sqlite'}?mode=ro", uri=True) as store:
        (picture,) = store.execute("select thumbnail from examples where label = 'red' limit 1").fetchone()
    with Image.open(io.BytesIO(picture)) as image:
        red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0)
    assert red > 150
    assert max(green, blue) < 80, (red, green, blue)
