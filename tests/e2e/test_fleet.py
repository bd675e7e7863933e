"""A fleet of whole daemons: real models, stores, brokers, and networks that are cut and restored."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from edge_daemon.app.model_factory import build_classifier, build_embedder, load_cohort
from edge_daemon.cli.main import main
from edge_daemon.config.schema import load_config
from edge_daemon.domain.commands import Command, Merge, Origin, Redo, Rename, Undo
from edge_daemon.domain.types import Example
from edge_daemon.example_store.store import ExampleStore
from edge_daemon.imaging.image_io import read_image
from tests.harness.daemon_harness import Ear, Stage, Turntable, wait_until
from tests.harness.mosquitto import Mosquitto
from tests.harness.shared_files import shared_path
from tests.harness.thresholds import FLEET_ACCURACY_DIFFERENCE, FLEET_AGREEMENT
from tests.harness.unreliable_proxy import Proxy

NAMES = ("north", "east", "south")
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (40, 60, 200), "white": (220, 220, 220)}
PINS = {"red": 17, "green": 27, "blue": 22, "white": 23}
LEDS = {"red": 5, "green": 6, "blue": 13, "white": 19}
UNDO = 24
BUTTONS = [
    *(
        f"buttons.{index}={{pin: {PINS[label]}, label: {label}, led: {LEDS[label]}}}"
        for index, label in enumerate(PINS)
    ),
    f"buttons.{len(PINS)}={{pin: {UNDO}, action: undo}}",
]
BY_TEST = Origin("web", "test")
SHIPPED = "model.name=edge_embedder_v1"


class Fleet:
    """Daemons that each reach the broker through their own network."""

    def __init__(self, broker: Mosquitto, folder: Path, parts: ExitStack) -> None:
        self._broker = broker
        self._folder = folder
        self._parts = parts
        self.key = folder / "fleet-key"
        self.key.write_text("00112233445566778899aabbccddeeff\n")
        self.cameras: dict[str, Turntable] = {}
        self.networks: dict[str, Proxy] = {}
        self.stages: dict[str, Stage] = {}

    def start(self, name: str, *overrides: str) -> None:
        """Start a device."""
        camera = self.cameras[name] = Turntable(plain((90, 90, 90)), fps=8)
        network = self.networks[name] = self._parts.enter_context(Proxy(self._broker.port))
        settings = [
            "mqtt.host=127.0.0.1",
            f"mqtt.port={network.port}",
            "mqtt.max_reconnect_s=1",
            f"device.id={name}",
            "fleet.group=sorters",
            f"fleet.key_file={self.key}",
            *BUTTONS,
            "panel.long_press_s=0.2",
            *overrides,
        ]
        self.stages[name] = self._parts.enter_context(Stage(camera, settings, self.folder(name)))

    def stop(self, name: str) -> None:
        """Stop a device cleanly."""
        self.stages[name].__exit__(None, None, None)

    def folder(self, name: str) -> Path:
        """Return the folder of a device."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def teach(self, name: str, label: str) -> None:
        """Show a colour and press its button."""
        before = self.counts(name).get(label, 0)
        self.cameras[name].picture = plain(COLOURS[label])
        self.stages[name].click(PINS[label])
        wait_until(
            lambda: "yes" if self.counts(name).get(label, 0) > before else "",
            lambda: f"{name} did not learn {label}",
        )

    def execute(self, name: str, command: Command) -> None:
        """Give a device's pipeline a command, as the page does."""
        assert self.stages[name].daemon.adjust([command], "")

    def undo(self, name: str) -> None:
        """Hold the undo button long enough for an undo."""
        self.stages[name].presser.press(UNDO)
        time.sleep(0.5)
        self.stages[name].presser.release(UNDO)

    def cut_off(self, name: str) -> None:
        """Cut the connection between a device and the broker."""
        self.networks[name].swallow(True)
        self.networks[name].cut()

    def restore(self, name: str) -> None:
        """Restore the connection."""
        self.networks[name].swallow(False)
        self.networks[name].cut()

    def counts(self, name: str) -> dict[str, int]:
        """Return the counts per label of a device."""
        with ExampleStore(self.folder(name) / "examples.sqlite") as store:
            labels = [each.label for each in store.examples(thumbnails=False, peers=True)]
        return {label: labels.count(label) for label in sorted(set(labels))}

    def wait_for(self, name: str, counts: dict[str, int]) -> None:
        """Wait until a device has exactly these counts."""
        wait_until(
            lambda: "yes" if self.counts(name) == counts else "",
            lambda: f"on {name} counts are {self.counts(name)} instead of {counts}",
        )


def plain(colour: tuple[int, int, int]) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    """Return an image of one colour."""
    return np.full((120, 160, 3), colour, np.uint8)


@pytest.fixture
def fleet(broker: Mosquitto, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as parts:
        yield Fleet(broker, tmp_path, parts)


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as running:
        yield running


def test_three_devices_converge_through_cuts_and_a_broker_that_loses_its_messages(
    fleet: Fleet, broker: Mosquitto
) -> None:
    for name in NAMES:
        fleet.start(name)
    fleet.teach("north", "red")
    for name in NAMES:
        fleet.wait_for(name, {"red": 1})
    fleet.cut_off("south")
    fleet.teach("south", "blue")
    fleet.teach("north", "green")
    fleet.wait_for("east", {"green": 1, "red": 1})
    broker.kill()
    fleet.undo("north")
    fleet.wait_for("north", {"red": 1})
    fleet.teach("north", "white")
    broker.start()
    fleet.wait_for("east", {"red": 1, "white": 1})
    assert fleet.counts("south") == {"blue": 1, "red": 1}
    fleet.restore("south")
    for name in NAMES:
        fleet.wait_for(name, {"blue": 1, "red": 1, "white": 1})
    with Ear(broker.port, "edge_daemon/south/examples") as ear:
        published = json.loads(ear.wait_for('"accepted":2').split(" ", 2)[2])
    assert published["fleet"]["group"] == "sorters"
    assert published["fleet"]["peers"] == {"north": {"accepted": 2, "quarantined": 0}}
    assert published["fleet"]["shared"] == 1


def test_a_label_renamed_on_two_devices_at_once_is_the_same_everywhere(fleet: Fleet) -> None:
    names = NAMES[:2]
    for name in names:
        fleet.start(name)
        fleet.teach(name, "red")
    for name in names:
        fleet.wait_for(name, {"red": 2})
        fleet.cut_off(name)
    fleet.execute("north", Rename("red", "ruby", BY_TEST))
    fleet.execute("east", Rename("red", "crimson", BY_TEST))
    fleet.wait_for("north", {"ruby": 2})
    fleet.wait_for("east", {"crimson": 2})
    for name in names:
        fleet.restore(name)
    for command, counts in (
        (None, {"crimson": 1, "ruby": 1}),
        (Undo(BY_TEST), {"crimson": 1, "red": 1}),
        (Redo(BY_TEST), {"crimson": 1, "ruby": 1}),
        (Merge(("ruby", "crimson"), "crimson", BY_TEST), {"crimson": 2}),
    ):
        if command is not None:
            fleet.execute("north", command)
        for name in names:
            fleet.wait_for(name, counts)


def test_a_device_with_another_key_shares_nothing_and_is_logged_once(
    fleet: Fleet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "another").write_text("ff" * 16)
    fleet.start("north")
    fleet.start("foreign", f"fleet.key_file={tmp_path / 'another'}")
    fleet.start("east")
    fleet.teach("foreign", "blue")
    fleet.teach("foreign", "white")
    fleet.teach("north", "red")
    fleet.wait_for("east", {"red": 1})
    wait_until(
        lambda: "yes" if caplog.text.count("signs with another key") == len(fleet.stages) else "",
        lambda: caplog.text,
    )
    assert fleet.counts("north") == {"red": 1}
    assert fleet.counts("foreign") == {"blue": 1, "white": 1}


def test_examples_of_peers_survive_a_restart_without_a_broker(fleet: Fleet, broker: Mosquitto) -> None:
    fleet.start("north")
    fleet.start("east")
    fleet.teach("north", "red")
    fleet.wait_for("east", {"red": 1})
    fleet.stop("east")
    broker.kill()
    fleet.start("east")
    fleet.cameras["east"].picture = plain(COLOURS["red"])
    wait_until(
        lambda: "yes" if fleet.stages["east"].presser.is_lit(LEDS["red"]) else "",
        lambda: "east does not know red without a broker",
    )
    with ExampleStore(fleet.folder("east") / "examples.sqlite") as store:
        [example] = store.examples(peers=True)
        assert (example.label, example.origin, example.thumbnail) == ("red", "north", b"")
        assert store.counts == {}


def test_a_new_device_reaches_the_accuracy_of_its_offline_peers_without_a_press(fleet: Fleet) -> None:
    kinds = sorted(path.name for path in shared_path("data/trashnet6").iterdir() if path.is_dir())
    for number, name in enumerate(NAMES):
        teach_photos(fleet.folder(name), kinds, range(number * 8, number * 8 + 8))
    for name in NAMES:
        fleet.start(name, SHIPPED)
    for name in NAMES:
        wait_until(
            lambda name=name: "yes" if known(fleet, name) == 3 * 8 * len(kinds) else "",  # type: ignore[misc]
            lambda name=name: f"{name} knows {known(fleet, name)} examples",  # type: ignore[misc]
        )
    wait_until_checked(fleet)
    for name in NAMES:
        fleet.stop(name)
    fleet.start("newcomer", SHIPPED)
    fleet.wait_for("newcomer", dict.fromkeys(kinds, 24))
    fleet.stop("newcomer")
    stores = {name: fleet.folder(name) / "examples.sqlite" for name in fleet.stages}
    own = {name: taught(stores[name], peers=False) for name in NAMES}
    example_sets = {
        **{f"{name} alone": own[name] for name in NAMES},
        **{name: taught(path, peers=True) for name, path in stores.items()},
        "one device taught everything": [example for name in NAMES for example in own[name]],
    }
    truth, answers = answer(fleet.folder("newcomer"), kinds, range(24, 64), example_sets)
    right = {way: share_alike(given, truth) for way, given in answers.items()}
    print({way: round(share, 3) for way, share in right.items()})
    assert share_alike(answers["newcomer"], answers["one device taught everything"]) >= FLEET_AGREEMENT.limit
    assert right["newcomer"] - np.mean([right[name] for name in NAMES]) >= FLEET_ACCURACY_DIFFERENCE.limit
    assert right["newcomer"] > max(right[f"{name} alone"] for name in NAMES)


def wait_until_checked(fleet: Fleet) -> None:
    """Wait until no device has accepted another example for a second."""
    before: list[dict[str, int]] = []
    while (now := [fleet.counts(name) for name in fleet.stages]) != before:
        before = now
        time.sleep(1)


def settings_of(folder: Path) -> list[str]:
    return [SHIPPED, f"store.path={folder / 'examples.sqlite'}", "classifier.unknown=off"]


def teach_photos(folder: Path, kinds: Sequence[str], which: range) -> None:
    """Import photos from the shell."""
    for kind in kinds:
        (folder / "photos" / kind).mkdir(parents=True)
        for photo in photos(kind, which):
            shutil.copy(photo, folder / "photos" / kind)
    options = [word for setting in settings_of(folder) for word in ("--set", setting)]
    assert main(["examples", "import", str(folder / "photos"), *options]) == 0


def photos(kind: str, which: range) -> list[Path]:
    every = sorted(shared_path(f"data/trashnet6/{kind}").iterdir())
    return [every[number] for number in which]


def known(fleet: Fleet, name: str) -> int:
    """Return the number of examples of a device: its own and its peers', accepted or quarantined."""
    with ExampleStore(fleet.folder(name) / "examples.sqlite") as store:
        return int(store.query("SELECT count(*) FROM examples")[0][0])


def share_alike(some: Sequence[str], others: Sequence[str]) -> float:
    return float(np.mean([one == other for one, other in zip(some, others, strict=True)]))


def taught(path: Path, *, peers: bool) -> list[Example]:
    with ExampleStore(path) as store:
        return list(store.examples(thumbnails=False, peers=peers))


def answer(
    folder: Path, kinds: Sequence[str], which: range, example_sets: Mapping[str, Sequence[Example]]
) -> tuple[list[str], dict[str, list[str]]]:
    """Return the true labels of some photos, and the labels given by each set of examples."""
    config = load_config(None, settings_of(folder))
    embedder = build_embedder(config)
    classifiers = {way: build_classifier(config, load_cohort(config)) for way in example_sets}
    for way, examples in example_sets.items():
        for number, example in enumerate(examples):
            classifiers[way].add(example.embedding, example.label, number)
    truth: list[str] = []
    answers: dict[str, list[str]] = {way: [] for way in example_sets}
    for kind in kinds:
        for photo in photos(kind, which):
            embedding = embedder.embed(read_image(photo.read_bytes()))
            truth.append(kind)
            for way, classifier in classifiers.items():
                answers[way].append(classifier.predict(embedding).label)
    return truth, answers
