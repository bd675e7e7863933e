"""Entry point of the command line: imports the chosen command only, and prints an error as one line."""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from types import ModuleType
from typing import Any

from edge_daemon import __version__
from edge_daemon.cli.help_examples import EXAMPLES
from edge_daemon.cli.option_values import read_path
from edge_daemon.cli.progress import ERASE, can_redraw, erase_line
from edge_daemon.domain.errors import EdgeError
from edge_daemon.system.interrupt import STATUS, raise_at_interrupt, unwound_at_termination
from edge_daemon.system.printable import OneLineFormatter, printable


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, action: object, summary: str
) -> argparse.ArgumentParser:
    """Add the parser of an action; `args.action` is set to `action`.

    The common options are accepted after the action as well, and keep their earlier values if absent there.
    Overrides after the action are in `args.more_set`.
    """
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.set_defaults(action=action)
    _add_common(parser, argparse.SUPPRESS, more_set="more_set")
    _add_examples(parser)
    return parser


class _Parser(argparse.ArgumentParser):
    """A parser whose commands and actions report an unknown argument themselves, with their own usage."""

    def add_subparsers(self, **options: Any) -> Any:  # of argparse's own private type
        return super().add_subparsers(parser_class=_CommandParser, **options)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write a text; help that can't be written raises OSError, which argparse would ignore."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


class _CommandParser(_Parser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


COMMANDS = {
    "run": "run the daemon",
    "demo": "run a simulated device, teach it and test it",
    "try": "serve the page for a camera of this machine or of the browser, with a separate, empty store",
    "watch": "show the MQTT messages of a device live",
    "sort": "eject objects by their label, through GPIO outputs",
    "keys": "hold down the key that belongs to the current label, on a virtual keyboard",
    "classify": "classify pictures and videos",
    "examples": "add, import, export, list, change or remove examples",
    "scene": "show, learn or forget a running device's scene: its picture without an object",
    "evaluate": "measure the accuracy of classifiers on labelled pictures or on the store",
    "models": "list, recommend, use, pull, add and inspect models",
    "bench": "measure the time of each stage of a frame, and of the interpreter alone",
    "doctor": "check camera, GPIO, broker, model, store, clock and more, with a hint for each fault",
    "config": "check, show or change the configuration, reset the page's settings, or print the schema",
}

_OUTPUT_FAULTS = {
    errno.EBADF, errno.ECONNRESET, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOSPC, errno.EPIPE
}  # fmt: skip
"""Errors of a failed write to standard output; those of named files are EdgeErrors."""

_HAVE_SIGNALS = ("run", "sort", "keys", "watch")
"""Commands whose SIGTERM and SIGHUP are their own from the start. Services use them: the end by a signal is a
clean one for systemd, the exit status 143 is not.
"""

_MODULES = {"try": "trial"}
"""Modules whose command is a reserved word of Python."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 done, 1 a named failure, 2 usage."""
    # One thread for numpy's linear algebra: a product with one vector is slower with more (measured).
    # Set before the command is imported, because numpy reads it only once.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _prepare_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = False
    try:
        args = parse_words(words)
        debug = args.debug
        _start_logging(debug=debug)
        raise_at_interrupt()
        try:
            with nullcontext() if args.has_signals else unwound_at_termination():
                status = int(args.run(args))
        except BaseException:
            erase_line(sys.stderr)  # of a transfer that ended early
            raise
        sys.stdout.flush()
        return status
    except EdgeError as exc:
        if debug:
            raise
        print(f"edge-daemon: {printable(str(exc))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return STATUS
    except OSError as exc:
        if debug or (exc.filename is not None and not isinstance(exc, PermissionError)):
            raise
        if exc.filename is not None:
            return _report_closed(exc)
        return _stop_writing(exc) if exc.errno in _OUTPUT_FAULTS else _report_refused(exc)


def parse_words(words: Sequence[str]) -> argparse.Namespace:
    """Return the arguments. Raises SystemExit for wrong ones, --help and --version."""
    chosen = next((word for word in words if not word.startswith("-")), "")
    try:
        return _parser(chosen).parse_args(words)
    finally:
        sys.stdout.flush()  # its OSError replaces the exit of --help or --version


def _prepare_streams() -> None:
    """Make writing safe: the locale's encoding may lack characters of a label, a stream may be closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _report_closed(exc: OSError) -> int:
    """End after a refused file, such as one in another user's home."""
    from edge_daemon.system.file_owner import user_name

    text = f"{exc.filename}: {exc.strerror} for the user {user_name()}; give a place that this user may use"
    print(f"edge-daemon: {printable(text)}", file=sys.stderr)
    return 1


def _report_refused(exc: OSError) -> int:
    """End after a call that the system refused, for want of descriptors or memory for example."""
    print(f"edge-daemon: {exc.strerror or exc}; --debug shows where", file=sys.stderr)
    return 1


def _stop_writing(exc: OSError) -> int:
    """End after a failed write: the reader is gone, or the disk of standard output is full."""
    if not isinstance(exc, BrokenPipeError):
        print(f"edge-daemon: the output can't be written: {exc.strerror}", file=sys.stderr)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards the buffered rest
    return 1


def _parser(chosen: str) -> argparse.ArgumentParser:
    parser = _Parser(prog="edge-daemon", description="A camera that learns by button.")
    parser.add_argument("--version", action="version", version=f"edge-daemon {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        _add_common(command)
        _add_examples(command)
        if name == chosen:
            module = _import_command(name)
            module.add_arguments(command)
            command.set_defaults(run=module.run, has_signals=name in _HAVE_SIGNALS)
    return parser


def _import_command(name: str) -> ModuleType:
    """Import a command without garbage collection, which would cost 5 % of the start and find nothing.

    Later collections skip the imported modules.
    """
    gc.disable()
    try:
        return importlib.import_module(f"edge_daemon.cli.{_MODULES.get(name, name)}")
    finally:
        gc.freeze()
        gc.enable()


def _add_common(parser: argparse.ArgumentParser, absent: object = None, more_set: str = "set") -> None:
    """Add the common options. `absent` is the default of `--config`, `--json` and `--debug`."""
    common = parser.add_argument_group("common options")
    common.add_argument(
        "--config", type=read_path, default=absent, metavar="FILE", help="configuration file (YAML)"
    )
    common.add_argument(
        "--set",
        action="append",
        dest=more_set,
        default=[],
        metavar="KEY.PATH=VALUE",
        help="override one value, such as store.path=FILE; repeatable",
    )
    for option, use in (
        ("--json", "machine-readable output on stdout"),
        ("--debug", "log every step; tracebacks for errors"),
    ):
        common.add_argument(option, action="store_true", default=absent or False, help=use)


def _add_examples(parser: argparse.ArgumentParser) -> None:
    """Show the examples of the command or action at the end of its help."""
    if lines := EXAMPLES.get(parser.prog.removeprefix("edge-daemon ")):
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = f"examples:{lines}"


def _start_logging(*, debug: bool) -> None:
    # Under systemd the journal adds time and unit; on a terminal the line needs the time.
    form = "%(levelname)s %(name)s: %(message)s"
    if "JOURNAL_STREAM" not in os.environ:
        form = "%(asctime)s " + form
    if can_redraw(sys.stderr):
        form = ERASE + form  # a message in the course of long work replaces its bar
    level = logging.DEBUG if debug else logging.INFO
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLineFormatter(form, "%H:%M:%S"))
    logging.basicConfig(level=level, handlers=[handler])


if __name__ == "__main__":
    sys.exit(main())
