"""`edge-daemon run`: run the daemon until a signal stops it."""

from __future__ import annotations

import argparse
import logging
import signal
from functools import partial

from edge_daemon import __version__
from edge_daemon.app.build import build
from edge_daemon.app.preflight import Prepared, Running, preflight
from edge_daemon.app.settings_editor import SettingsEditor
from edge_daemon.app.supervisor import Supervisor
from edge_daemon.cli.config import check, note
from edge_daemon.config.page_settings import keep_aside
from edge_daemon.config.schema import Config, load_with_sources
from edge_daemon.daemon.boot_marks import BootMarks
from edge_daemon.daemon.daemon import Daemon
from edge_daemon.daemon.malloc import limit_malloc_arenas
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.domain.errors import ConfigError, EdgeError
from edge_daemon.domain.labels import check_label
from edge_daemon.system.interrupt import unwound_at_termination
from edge_daemon.system.log_limit import LogLimit

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="build the daemon with a copy of the examples, without opening a device, and exit",
    )
    parser.add_argument("--once", action="store_true", help="exit after the last frame of a replay")
    parser.add_argument(
        "--keyboard",
        nargs="?",
        const="",
        metavar="LABEL,...",
        help="use the terminal as a panel: 1 to 9 teach (default: the buttons' labels), u undo, c clear, "
        "s scene, q quit",
    )


def run(args: argparse.Namespace) -> int:
    """Run the daemon; with --check, only check that it can start.

    A HUP signal reloads the configuration; an invalid one is not used.
    """
    limit_malloc_arenas()
    if args.check:
        return _check(args)
    for handler in logging.getLogger().handlers:
        handler.addFilter(LogLimit())
    notifier = Notifier()
    marks = BootMarks()
    marks.note("loaded")

    def prepare(config: Config, running: Running | None) -> Prepared:
        _keyboard_labels(args.keyboard, config)
        return preflight(config, running=running)

    def build_daemon(prepared: Prepared, *, needs_frame: bool) -> Daemon:
        keys = _keyboard_labels(args.keyboard, prepared.config)
        return build(
            prepared,
            once=args.once,
            needs_frame=needs_frame,
            keyboard=keys,
            notifier=notifier,
            marks=marks,
            settings=settings,
        )

    load = partial(load_with_sources, args.config, args.set)
    supervisor = Supervisor(lambda: settings.load(), prepare, build_daemon, notifier)
    settings = SettingsEditor(load, supervisor)
    # First, because an unhandled HUP would end the process. TERM may end it until there is a daemon to stop.
    signal.signal(signal.SIGHUP, lambda *_: supervisor.reload())
    loaded = load()
    supervisor.prepare(loaded)
    if loaded.page.damaged is not None:
        keep_aside(loaded.page.damaged)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    log.info("ended: %s", supervisor.run().value)
    return 0


def _check(args: argparse.Namespace) -> int:
    from edge_daemon.app.dry_start import dry_start

    effective = load_with_sources(args.config, args.set)
    check(effective)
    try:
        with unwound_at_termination():  # the copy of the examples goes as well
            dry_start(effective.config)
    except EdgeError as exc:
        if not isinstance(exc.__cause__, PermissionError):
            raise
        note(f"{exc}: not tried, because it belongs to another user")
    print(f"edge-daemon {__version__} starts with {effective.path or 'the defaults'}")
    return 0


def _keyboard_labels(given: str | None, config: Config) -> list[str]:
    """Return the labels of the number keys; empty without --keyboard."""
    if given is None:
        return []
    words = given.split(",") if given else [button.label for button in config.buttons if button.label]
    labels = list(dict.fromkeys(check_label(word) for word in words))
    if not labels:
        raise ConfigError("no button has a label; name them: --keyboard cat,dog")
    return labels[:9]
