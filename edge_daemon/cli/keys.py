"""`edge-daemon keys`: the label of a device holds a key down."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from edge_daemon.actuators.key_hold import KeyHold, LabelReader, VirtualKeyboard
from edge_daemon.cli.actuator import print_json, read_label, run_actuator
from edge_daemon.cli.followed_device import check_region, followed_topics
from edge_daemon.cli.option_values import read_seconds
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ConfigError

log = logging.getLogger(__name__)

_FORM = "LABEL=KEY"
_EPILOG = f"""\
Each --key is {_FORM}: KEY is down on a virtual keyboard while the device's label is
LABEL. KEY is a name of Linux's input events, such as KEY_LEFT, KEY_SPACE or BTN_LEFT.

example: play an arcade game by showing things to the camera:
  sudo modprobe uinput
  sudo edge-daemon keys --config /etc/edge_daemon/config.yaml \\
      --key left=KEY_LEFT --key right=KEY_RIGHT

A key is released when the label changes, when the broker or the device is lost, when
no result arrives for --dead-man seconds, and at the end. `mqtt.result_per_s` of the
device must be 0 or well above 1 / --dead-man. The command needs the Python module
evdev: `sudo apt install python3-evdev`. With --json each line is one key:
  {{"at": "2026-01-31T12:00:00.000Z", "key": "KEY_LEFT", "state": "down"}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "--key",
        type=read_binding,
        action="append",
        required=True,
        metavar=_FORM,
        help="repeatable; see below",
    )
    parser.add_argument("--region", metavar="NAME", help="region whose label counts (default: the first)")
    parser.add_argument(
        "--dead-man",
        type=read_seconds,
        default=1.5,
        metavar="S",
        help="release after S s without a result (default: 1.5)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command until a signal."""
    config = load_config(args.config, args.set)
    keys = _unique(args.key)
    topics = followed_topics(config)
    region = check_region(config, args.region)
    rate = config.mqtt.result_per_s
    if rate and args.dead_man <= 1 / rate:
        text = "keys will flicker: results come every %g s, and --dead-man is %g s; raise mqtt.result_per_s"
        log.warning(text, 1 / rate, args.dead_man)

    def report(key: str, down: bool) -> None:
        if args.json:
            print_json(key=key, state="down" if down else "up")

    with VirtualKeyboard(keys.values()) as keyboard:
        reader = LabelReader(topics, KeyHold(keys, args.dead_man), region)
        run_actuator(config, topics, f"{topics.base}/#", reader, keyboard.switch, report)
    return 0


def read_binding(text: str) -> tuple[str, str]:
    """Read LABEL=KEY. A label may hold `=`."""
    label, equals, key = text.rpartition("=")
    if not (equals and key):
        raise argparse.ArgumentTypeError(f"'{text}' is not {_FORM}, such as left=KEY_LEFT")
    return read_label(label), key


def _unique(bindings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the bindings by label. Raises ConfigError for a label that is given twice."""
    keys: dict[str, str] = {}
    for label, key in bindings:
        if label in keys:
            raise ConfigError(f"--key: label '{label}' is given twice; give it once")
        keys[label] = key
    return keys
