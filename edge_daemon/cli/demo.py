"""`edge-daemon demo`: the whole device without hardware, trained by scripted presses and scored."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from edge_daemon.app.build import build
from edge_daemon.camera.simulator.source import SyntheticSource
from edge_daemon.cli.option_values import read_model
from edge_daemon.config.camera import SyntheticOptions
from edge_daemon.config.paths import package_data
from edge_daemon.config.schema import Config, load_config
from edge_daemon.demo.next_steps import next_steps
from edge_daemon.demo.page import missing_page, page_address, page_is_installed, page_settings
from edge_daemon.demo.script import DemoScript, ScriptedPresses, make_script
from edge_daemon.demo.subscriber import DemoSubscriber, LabelScore
from edge_daemon.domain.counted import percent
from edge_daemon.domain.errors import ConfigError
from edge_daemon.mqtt.embedded_broker import EmbeddedBroker
from edge_daemon.panel.simulated_buttons import SimulatedButtons
from edge_daemon.system.clock import SystemClock

MIN_ACCURACY = 0.95
OFFLINE_TIMEOUT_S = 1.0
"""Time after the daemon's end in which the subscriber waits for its last messages."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--model", type=read_model, metavar="M", help="model name or .tflite file")


def run(args: argparse.Namespace) -> int:
    """Run the command; 0 if at least 95 % of the labels are correct."""
    logging.getLogger("edge_daemon").setLevel(logging.DEBUG if args.debug else logging.WARNING)
    with (
        tempfile.TemporaryDirectory(prefix="edge-daemon-demo-") as folder,
        _broker(args) as broker,
        _page(Path(folder)) as page,
    ):
        config = _config(args, Path(folder), [*broker, *page])
        score = _run_script(config, as_json=args.json)
    total = score.total
    passed = total.frames > 0 and total.accuracy >= MIN_ACCURACY
    if args.json:
        print(json.dumps({"labels": total.frames, "right": total.correct, "passed": passed}))
    else:
        print(f"\n{score.table()}\n")
        verdict = "passed" if passed else "FAILED"
        print(f"{verdict}: {percent(total.accuracy, 1)} of {total.frames} labels are correct\n")
        print(next_steps())
    return 0 if passed else 1


@contextmanager
def _broker(args: argparse.Namespace) -> Iterator[list[str]]:
    """Provide a broker, the given one or an embedded one; yield the settings for it."""
    if any(text.startswith("mqtt.host=") for text in args.set):
        yield []
        return
    with EmbeddedBroker() as broker:
        yield [f"mqtt.host={broker.host}", f"mqtt.port={broker.port}", f"mqtt.version={broker.version}"]


def _page(folder: Path) -> AbstractContextManager[list[str]]:
    """Provide the page's settings; none without its packages."""
    return page_settings(folder) if page_is_installed() else nullcontext([])


def _config(args: argparse.Namespace, folder: Path, settings: list[str]) -> Config:
    path = args.config or package_data("config") / "demo.yaml"
    store = [f"store.path={json.dumps(str(folder / 'examples.sqlite'))}"]
    model = [f"model.name={json.dumps(args.model)}"] if args.model else []
    config = load_config(path, [*store, *settings, *model, *args.set])
    if not isinstance(config.camera, SyntheticOptions):
        raise ConfigError(f"{path}: the demo needs camera.type: synthetic; use `edge-daemon run` for others")
    if config.mqtt.host is None:
        raise ConfigError("mqtt.host: the demo needs a broker; leave the setting out for the demo's own one")
    return config


def _introduction(script: DemoScript, config: Config) -> str:
    seconds = script.frames / config.camera.fps if isinstance(config.camera, SyntheticOptions) else 0
    labels = len({label for _, label in script.presses})
    address = page_address(config)
    page = f"Watch it in a browser: {address}" if address else f"Without a page: {missing_page()}."
    return (
        f"A drawn tray, {labels} buttons on mock pins, a broker at {config.mqtt.host}:{config.mqtt.port}.\n"
        f"{len(script.presses)} presses teach {labels} objects. The test then shows them in other poses and\n"
        f"light, among unknown objects. Every line below was received by a separate subscriber.\n"
        f"The demo takes {seconds:.0f} seconds.\n"
        f"{page}\n"
    )


def _run_script(config: Config, *, as_json: bool) -> LabelScore:
    """Run the real daemon on the scripted scene and score the results that a subscriber receives."""
    assert isinstance(config.camera, SyntheticOptions)
    labels = [button.label for button in config.buttons if button.label]
    script: DemoScript = make_script(labels)
    source = SyntheticSource(config.camera, SystemClock(), script.segments, lossless=True)
    buttons = SimulatedButtons()
    pins = {button.label: button.pin for button in config.buttons if button.label}
    score = LabelScore(script.truth)
    daemon = build(
        config,
        once=True,
        source=ScriptedPresses(source, script.presses, pins, buttons),
        pin_factory=buttons.factory,
    )
    with DemoSubscriber(config, score, sys.stdout, as_json=as_json) as subscriber:
        if not as_json:
            print(_introduction(script, config))
        daemon.run()
        subscriber.wait_until_offline(OFFLINE_TIMEOUT_S)
    return score
