"""`edge-daemon sort`: push each object that a device has classified into its bin."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass

from edge_daemon.actuators.ejector import EjectPulse, EjectSchedule, GpioOutputs, ObjectReader, OutputPin
from edge_daemon.cli.actuator import print_json, read_label, run_actuator
from edge_daemon.cli.followed_device import check_region, followed_topics
from edge_daemon.config.panel import pins_in_use
from edge_daemon.config.schema import Config, load_config
from edge_daemon.domain.errors import ConfigError
from edge_daemon.domain.types import UNKNOWN
from edge_daemon.system.clock import SystemClock

_FORM = "LABEL:PIN:TRAVEL_S:HOLD_S[:servo]"
_MAX_PIN = 27
_EPILOG = f"""\
Each --eject is {_FORM}:
  LABEL     label of the objects to eject; `{UNKNOWN}` is allowed
  PIN       BCM number of the pin that drives a relay, valve or magnet;
            no pin of a button or LED
  TRAVEL_S  seconds from the middle of the camera's view to the ejector
  HOLD_S    seconds for which the output is on
  servo     a servo is wired to the pin; it goes to its far end and back

example: a valve ejects bolts 0.80 s after their capture, a servo ejects nuts after 1.10 s:
  edge-daemon sort --config /etc/edge_daemon/config.yaml \\
      --eject bolt:12:0.80:0.15 --eject nut:13:1.10:0.15:servo

The device sends the `object` events for it when its `trigger` is motion, gpio or mqtt.
All outputs are off while the broker or the device is lost, and at the end.
With --json each line is one switched output:
  {{"at": "2026-01-31T12:00:00.000Z", "label": "bolt", "pin": 12, "state": "on"}}
"""


@dataclass(frozen=True, slots=True)
class Ejector:
    """One --eject."""

    label: str
    output: OutputPin
    pulse: EjectPulse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--eject",
        type=read_ejector,
        action="append",
        required=True,
        metavar="LABEL:PIN:TRAVEL_S:HOLD_S",
        help="repeatable; see below",
    )
    parser.add_argument("--region", metavar="NAME", help="only objects of this region (default: all regions)")


def run(args: argparse.Namespace) -> int:
    """Run the command until a signal."""
    config = load_config(args.config, args.set)
    ejectors: list[Ejector] = args.eject
    _check_ejectors(ejectors, config)
    topics = followed_topics(config)
    region = check_region(config, args.region)
    schedule = EjectSchedule({ejector.label: ejector.pulse for ejector in ejectors})
    pins = {ejector.label: ejector.output for ejector in ejectors}

    def report(label: str, on: bool) -> None:
        if args.json:
            print_json(label=label, pin=pins[label].pin, state="on" if on else "off")

    with GpioOutputs(pins) as outputs:
        reader = ObjectReader(topics, schedule, SystemClock(), region)
        # One level: neither the results of each region nor the parts of an export, which could delay a pulse.
        run_actuator(config, topics, f"{topics.base}/+", reader, outputs.switch, report)
    return 0


def read_ejector(text: str) -> Ejector:
    """Read LABEL:PIN:TRAVEL_S:HOLD_S[:servo]. A label may hold colons."""
    rest, _, kind = text.rpartition(":")
    if kind != "servo":
        rest, kind = text, "output"
    try:
        label, pin, travel_s, hold_s = rest.rsplit(":", 3)
        output = OutputPin(int(pin), "servo" if kind == "servo" else "output")
        pulse = EjectPulse(float(travel_s), float(hold_s))
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"'{text}' is not {_FORM}, such as bolt:12:0.80:0.15") from exc
    if not 0 <= output.pin <= _MAX_PIN:
        raise argparse.ArgumentTypeError(f"'{text}': PIN {pin} is no BCM number from 0 to {_MAX_PIN}")
    if not (0 <= pulse.travel_s < math.inf and 0 < pulse.hold_s < math.inf):
        raise argparse.ArgumentTypeError(f"'{text}': TRAVEL_S must be 0 or more, and HOLD_S more than 0")
    return Ejector(read_label(label), output, pulse)


def _check_ejectors(ejectors: Sequence[Ejector], config: Config) -> None:
    """Raise ConfigError for a label or a pin that is given twice, and for a pin of the device's panel."""
    used = pins_in_use(config.buttons, config.panel.leds)
    labels: set[str] = set()
    for ejector in ejectors:
        pin = ejector.output.pin
        if ejector.label in labels:
            raise ConfigError(f"--eject: label '{ejector.label}' is given twice; give it once")
        if pin in used:
            raise ConfigError(
                f"--eject {ejector.label}: BCM {pin} is already used by {used[pin]}; pick another pin"
            )
        labels.add(ejector.label)
        used[pin] = f"the ejector of '{ejector.label}'"
