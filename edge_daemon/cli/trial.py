"""`edge-daemon try`: the page for a camera of this machine, with its own empty store."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shlex
import signal
import tempfile
from functools import partial
from pathlib import Path
from types import FrameType

from edge_daemon.app.build import build
from edge_daemon.app.preflight import Prepared, preflight
from edge_daemon.app.settings_editor import SettingsEditor
from edge_daemon.app.supervisor import Supervisor
from edge_daemon.cli.option_values import read_path
from edge_daemon.config.paths import package_data
from edge_daemon.config.schema import load_with_sources
from edge_daemon.daemon.daemon import Daemon
from edge_daemon.daemon.systemd import Notifier
from edge_daemon.demo.page import missing_page, page_address, page_is_installed, page_settings
from edge_daemon.demo.trial_source import TrialSource, choose_source
from edge_daemon.domain.errors import WebError
from edge_daemon.system.clock import SystemClock
from edge_daemon.system.own_command import program


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--pictures",
        metavar="FOLDER",
        type=read_path,
        help="show a folder's pictures in turn instead of a camera",
    )
    source.add_argument("--simulated", action="store_true", help="show a drawn tray instead of a camera")
    parser.add_argument(
        "--keep",
        metavar="FILE",
        type=read_path,
        help="keep what is taught in this store, and what is set on the page in FILE.settings.yaml "
        "(default: deleted at the end)",
    )


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C, a TERM signal or the end of the terminal; 0 then."""
    logging.getLogger("edge_daemon").setLevel(logging.DEBUG if args.debug else logging.WARNING)
    if not page_is_installed():
        raise WebError(missing_page())
    stop = _Stop()
    # The interrupt is that of a signal before there was a daemon to stop.
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="edge-daemon-try-") as folder,
        page_settings(Path(folder)) as page,
    ):
        _run_daemon(args, Path(folder), page, stop)
    if not args.json:
        print(f"\n{_ending(args.keep)}")
    return 0


class _Stop:
    """Stops the supervisor at a signal; before there is one, the signal raises KeyboardInterrupt.

    A signal that is ignored, as SIGHUP under `nohup`, stays so.
    """

    def __init__(self) -> None:
        self.supervisor: Supervisor | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.supervisor is None:
            raise KeyboardInterrupt
        self.supervisor.stop()


def _run_daemon(args: argparse.Namespace, folder: Path, page: list[str], stop: _Stop) -> None:
    """Run the daemon with a store in `folder` until it is stopped; `page` are settings."""
    store = args.keep.absolute() if args.keep else folder / "examples.sqlite"
    own = [f"store.path={json.dumps(str(store))}", *page]
    if args.keep:
        own.append(f"web.settings_file={json.dumps(str(_settings_file(store)))}")
    path = args.config or package_data("config") / "try.yaml"
    clock = SystemClock()
    given = any(text.startswith(("camera.", "camera=")) for text in args.set)
    chosen = TrialSource() if given else choose_source(args.pictures, clock, simulated=args.simulated)
    load = partial(load_with_sources, path, [*own, *chosen.settings, *args.set])

    def build_daemon(prepared: Prepared, *, needs_frame: bool) -> Daemon:
        source = chosen.build(prepared.config, clock)
        return build(prepared, needs_frame=needs_frame, source=source, settings=settings)

    supervisor = Supervisor(
        lambda: settings.load(), lambda config, old: preflight(config, running=old), build_daemon, Notifier()
    )
    settings = SettingsEditor(load, supervisor, temporary=not args.keep)
    supervisor.prepare(load())
    stop.supervisor = supervisor

    def announce() -> None:
        _announce(args, page_address(settings.config), chosen)

    if chosen.waits:
        supervisor.run(on_started=announce)
    else:
        supervisor.run(on_first_frame=announce)


def _announce(args: argparse.Namespace, address: str | None, chosen: TrialSource) -> None:
    """Print the page's address, after the first frame has its label or where a browser will give one."""
    if args.json:
        print(json.dumps({"page": address, "source": chosen.text, "faults": chosen.faults}), flush=True)
        return
    for fault in chosen.faults:
        print(f"not used: {fault}")
    print(
        f"The picture: {chosen.text}.\n"
        f"Open the page: {address}\n"
        "Add a label there, show a thing and tap the label; three to five times from several sides.\n"
        "Ctrl-C ends it.",
        flush=True,
    )


def _settings_file(store: Path) -> Path:
    """Return the file of the page's settings that belongs to a kept store."""
    return store.with_name(f"{store.name}.settings.yaml")


def _ending(keep: Path | None) -> str:
    if keep is None:
        return f"Ended; nothing was kept. To keep what you teach: {program()} try --keep my-examples.sqlite"
    setting = shlex.quote(f"store.path={keep}")
    settings = _settings_file(keep)
    also = f", what you set on the page in {settings}" if settings.exists() else ""
    return f"Ended; what you taught is in {keep}{also}. To list it: {program()} examples list --set {setting}"
