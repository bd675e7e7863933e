"""As a user would: show a thing, press its button; show another, press another."""

from __future__ import annotations

import io
import sqlite3
import time

import numpy as np
from PIL import Image

from tests.box.lines import Lines
from tests.box.scene import BARS, RED, Scene
from tests.box.service import STATE, Service, kept_examples
from tests.box.subscriber import Ear
from tests.box.wait_until import eventually, steadily
from tests.box.wiring import BUTTON_BARS, BUTTON_RED, LED_BARS, LED_RED

PRESSES = 3

# A hand takes a moment from the thing to the button. The simulated sensor dates a frame once it is drawn,
# which takes it long here: a press at once would get one that shows in part what was there before.
HAND_S = 3.0


def _teach(button: int, label: str, ear: Ear, lines: Lines) -> None:
    time.sleep(HAND_S)
    before = len(ear.events("example_added"))
    for count in range(1, PRESSES + 1):
        lines.press(button)
        eventually(lambda: len(ear.events("example_added")) >= before + count, f"example {count}")  # noqa: B023
    assert {event["label"] for event in ear.events("example_added")[before:]} == {label}


def check_pressing_teaches_and_the_subscriber_sees_it(
    service: Service, ear: Ear, lines: Lines, scene: Scene
) -> None:
    service.await_seeing()
    scene.show(BARS)
    _teach(BUTTON_BARS, "bars", ear, lines)
    ear.await_label("bars")
    scene.show(RED)
    _teach(BUTTON_RED, "red", ear, lines)
    ear.await_label("red")


def check_labels_and_leds_follow_the_scene(ear: Ear, lines: Lines, scene: Scene) -> None:
    for pattern, label, lit, dark in ((BARS, "bars", LED_BARS, LED_RED), (RED, "red", LED_RED, LED_BARS)):
        scene.show(pattern)
        ear.await_label(label)
        eventually(lambda: lines.lit(lit) and not lines.lit(dark), f"the LED of {label} alone")  # noqa: B023
    steadily(lambda: ear.latest("label") == "red", "a steady scene keeps its label", for_s=10)


def check_acknowledged_examples_are_in_the_store(ear: Ear) -> None:
    acknowledged = {event["id"]: event["label"] for event in ear.events("example_added")}
    assert acknowledged == kept_examples()
    assert len(acknowledged) == 2 * PRESSES


def check_red_is_red_in_the_stored_picture() -> None:
    with sqlite3.connect(f"file:{STATE / 'examples.sqlite'}?mode=ro", uri=True) as store:
        (picture,) = store.execute("select thumbnail from examples where label = 'red' limit 1").fetchone()
    with Image.open(io.BytesIO(picture)) as image:
        red, green, blue = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0)
    assert red > 150
    assert max(green, blue) < 80, (red, green, blue)
