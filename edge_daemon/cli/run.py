"""`edge-daemon run`: the daemon, until a signal stops it."""

from __future__ import annotations

import argparse
import logging
import signal

from edge_daemon.app import build
from edge_daemon.config import Config, load_effective
from edge_daemon.errors import ConfigError
from edge_daemon.labels import check_label
from edge_daemon.runtime.allocator import share_one_heap
from edge_daemon.runtime.daemon import Daemon, Outcome

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--once", action="store_true", help="stop at the end of a finite source")
    parser.add_argument(
        "--keyboard",
        nargs="?",
        const="",
        metavar="LABEL,...",
        help="the terminal as a panel: 1 to 9 teach (default: the buttons' labels), u undo, c clear, q quit",
    )


def run(args: argparse.Namespace) -> int:
    """Run the command. A HUP signal reads the configuration again; a wrong one is named and not used."""
    share_one_heap()
    config = load_effective(args.config, args.set)
    while True:
        daemon = build(config, once=args.once, keyboard=_keyboard_labels(args.keyboard, config))
        reloaded = _run_until_reload(daemon, args, config)
        if reloaded is None:
            return 0
        config = reloaded


def _keyboard_labels(given: str | None, config: Config) -> list[str]:
    """Return the labels of the number keys; none without --keyboard."""
    if given is None:
        return []
    words = given.split(",") if given else [button.label for button in config.buttons if button.label]
    labels = list(dict.fromkeys(check_label(word) for word in words))
    if not labels:
        raise ConfigError("no button has a label; name them: --keyboard cat,dog")
    return labels[:9]


def _run_until_reload(daemon: Daemon, args: argparse.Namespace, config: Config) -> Config | None:
    """Run; return the new configuration to go on with, or None at the end."""
    fresh: list[Config] = []

    def reload() -> None:
        try:
            read = load_effective(args.config, args.set)
        except ConfigError as exc:
            log.error("configuration not reloaded, the old one stays: %s", exc)
            return
        if read == config and config.model.tap != "auto":
            log.info("configuration reloaded: nothing changed")
            return
        fresh.append(read)
        daemon.reload()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: daemon.stop())
    signal.signal(signal.SIGHUP, lambda *_: reload())
    outcome = daemon.run()
    if outcome is Outcome.RELOAD:
        log.info("configuration reloaded")
        return fresh[-1]
    log.info("ended: %s", outcome.value)
    return None
