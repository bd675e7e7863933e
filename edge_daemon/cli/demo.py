"""`edge-daemon demo`: the whole device with no hardware, taught before your eyes and scored at the end."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_daemon.app.build import build
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.paths import package_data
from edge_daemon.config.schema import Config, load_config
from edge_daemon.demo.script import DemoScript, ScriptedPresses, make_script
from edge_daemon.demo.subscriber import DemoSubscriber, LabelScore
from edge_daemon.domain.errors import ConfigError
from edge_daemon.mqtt.embedded_broker import EmbeddedBroker
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.system.clock import SystemClock

PASS_SHARE = 0.95
LAST_WORDS_S = 1.0
"""How long after the daemon's end the subscriber waits for messages under way."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--model", metavar="M", help="model name or .tflite file")


def run(args: argparse.Namespace) -> int:
    """Run the command: 0 when at least 95 of 100 labels were right."""
    logging.getLogger("edge_daemon").setLevel(logging.DEBUG if args.debug else logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="edge-daemon-demo-") as folder, _broker(args) as broker:
        config = _config(args, Path(folder), broker)
        score = _perform(config, as_json=args.json)
    total = score.total
    passed = total.frames > 0 and total.share >= PASS_SHARE
    if args.json:
        print(json.dumps({"labels": total.frames, "right": total.right, "passed": passed}))
    else:
        print(f"\n{score.table()}\n")
        print(f"{'passed' if passed else 'FAILED'}: {total.share:.1%} of {total.frames} labels were right")
    return 0 if passed else 1


@contextmanager
def _broker(args: argparse.Namespace) -> Iterator[list[str]]:
    """Yield the overrides that lead to a broker: the given one, or one of our own."""
    if any(text.startswith("mqtt.host=") for text in args.set):
        yield []
        return
    with EmbeddedBroker() as broker:
        yield [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", f"mqtt.version={broker.version}"]


def _config(args: argparse.Namespace, folder: Path, broker: list[str]) -> Config:
    path = args.config or package_data("config") / "demo.yaml"
    store = [f"store.path={json.dumps(str(folder / 'examples.sqlite'))}"]
    model = [f"model.name={json.dumps(args.model)}"] if args.model else []
    config = load_config(path, [*store, *broker, *model, *args.set])
    if not isinstance(config.camera, SyntheticOptions):
        raise ConfigError(f"{path}: the demo needs camera.type: synthetic; use `edge-daemon run` for others")
    return config


def _introduction(show: DemoScript, config: Config) -> str:
    seconds = show.frames / config.camera.fps if isinstance(config.camera, SyntheticOptions) else 0
    things = len({label for _, label in show.presses})
    return (
        f"A drawn tray, {things} buttons on mock pins, a broker at {config.mqtt.host}:{config.mqtt.port}.\n"
        f"{len(show.presses)} presses teach {things} things; these are then shown again in other poses and\n"
        f"light, among things never taught. Every line below is what a separate subscriber received;\n"
        f"it takes {seconds:.0f} seconds.\n"
    )


def _perform(config: Config, *, as_json: bool) -> LabelScore:
    """Run the real daemon on the scripted scene while a subscriber of its own watches."""
    assert isinstance(config.camera, SyntheticOptions)
    labels = [button.label for button in config.buttons if button.label]
    show: DemoScript = make_script(labels)
    if not as_json:
        print(_introduction(show, config))
    source = SyntheticSource(config.camera, SystemClock(), show.showings, lossless=True)
    presser = SimulatedButtons()
    pins = {button.label: button.pin for button in config.buttons if button.label}
    score = LabelScore(show.truth)
    daemon = build(
        config,
        once=True,
        source=ScriptedPresses(source, show.presses, pins, presser),
        pin_factory=presser.factory,
    )
    with DemoSubscriber(config, score, sys.stdout, as_json=as_json) as audience:
        daemon.run()
        audience.hear_out(LAST_WORDS_S)
    return score
