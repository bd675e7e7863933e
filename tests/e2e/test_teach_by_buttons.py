"""Teaching by buttons end to end: real photos, model, button code, broker and a second process."""

from __future__ import annotations

from pathlib import Path

from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from tests.harness.daemon_harness import Ear, Stage, Turntable, wait_until
from tests.harness.mosquitto import Mosquitto
from tests.harness.shared_files import shared_path

PINS = {"cat": 17, "dog": 27, "hotdog": 22}
LEDS = {"cat": 5, "dog": 6, "hotdog": 13}
BUTTONS = [
    f"buttons.{index}={{pin: {PINS[label]}, label: {label}, led: {LEDS[label]}}}"
    for index, label in enumerate(PINS)
]


def wait_for_led(stage: Stage, label: str) -> None:
    """Wait until only this label's LED is lit; the coach may blink another one in between."""

    def lit() -> list[str]:
        return [name for name in PINS if stage.presser.is_lit(LEDS[name])]

    wait_until(lambda: "yes" if lit() == [label] else "", lambda: f"lit are {lit()}, not {label} alone")


def test_labels_taught_by_presses_reach_a_subscriber(tmp_path: Path) -> None:
    train = shared_path("images/imprinting/train")
    photos = [(path.parent.name, read_image(path)) for path in sorted(train.rglob("*.jpg"))]
    source = Turntable(photos[0][1])
    with Mosquitto() as broker:
        overrides = [
            f"mqtt.host={broker.host}",
            f"mqtt.port={broker.port}",
            "classifier.unknown=off",
            *BUTTONS,
        ]
        with Ear(broker.port, "edge_daemon/stage/#") as ear, Stage(source, overrides, tmp_path) as stage:
            ear.wait_for("availability online")
            for label, photo in photos:
                source.picture = photo
                since = len(ear.lines)
                ear.wait_for("result", since)
                stage.click(PINS[label])
                ear.wait_for("example_added", since)
            for label in PINS:
                source.picture = read_image(shared_path(f"images/imprinting/test/{label}/0.jpg"))
                ear.wait_for_state("edge_daemon/stage/label", label)
                wait_for_led(stage, label)
            stage.daemon.stop()
            ear.wait_for_state("edge_daemon/stage/availability", "offline")
        with ExampleStore(stage.store_path) as store:
            assert store.counts == {"cat": 1, "dog": 1, "hotdog": 2}
