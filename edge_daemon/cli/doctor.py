"""`edge-daemon doctor`: check everything that the device needs, with a hint for each fault."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial

from edge_daemon.cli.checks.all import CHECKS, run_checks
from edge_daemon.cli.checks.camera import PICTURE_MARK
from edge_daemon.cli.checks.check import Check
from edge_daemon.cli.doctor_report import REPORT_MARK, write_report
from edge_daemon.cli.option_values import read_path, read_seconds
from edge_daemon.config.schema import load_with_sources
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.atomic_file import check_rewritten_file
from edge_daemon.system.printable import printable

MARKS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}
COLOURS = {"ok": "32", "warning": "33", "failed": "31"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--skip",
        type=_check_name,
        action="append",
        default=[],
        metavar="CHECK",
        help="skip a check, such as camera; repeatable",
    )
    parser.add_argument(
        "--report",
        type=read_path,
        metavar="FILE",
        help="write all findings, without secrets, for a bug report",
    )
    parser.add_argument(
        "--picture", type=read_path, metavar="FILE", help="write a picture of the camera, as a JPEG"
    )
    parser.add_argument(
        "--buttons",
        type=partial(read_seconds, longest=600),
        default=0.0,
        metavar="SECONDS",
        help="watch the buttons for this time and name those that are pressed",
    )


def _check_name(text: str) -> str:
    if text not in CHECKS:
        raise argparse.ArgumentTypeError(f"no check '{text}'; there are {', '.join(CHECKS)}")
    return text


def run(args: argparse.Namespace) -> int:
    """Run the checks; return 1 if one failed."""
    for path, mark in ((args.picture, PICTURE_MARK), (args.report, REPORT_MARK)):
        if path is not None:
            check_rewritten_file(path, mark)
    checks = []
    for check in _checks(args):
        checks.append(check)
        print(_as_json(check) if args.json else _as_line(check), flush=True)
    if args.report is not None:
        _report(args, checks)
    return 1 if any(check.state == "failed" for check in checks) else 0


def _report(args: argparse.Namespace, checks: list[Check]) -> None:
    try:
        config = load_with_sources(args.config, args.set).config
    except ConfigError:
        config = None
    write_report(args.report, checks, config)
    print(f"wrote {args.report}: it holds no known secret; read it before you send it", file=sys.stderr)


def _checks(args: argparse.Namespace) -> Iterator[Check]:
    try:
        loaded = load_with_sources(args.config, args.set)
    except ConfigError as exc:
        yield Check("config", "failed", str(exc), "nothing else can be checked until this is corrected")
        return
    yield Check("config", "ok", str(loaded.path or "none: all values are the defaults"))
    yield from run_checks(loaded.config, args.skip, args.picture, args.buttons)


def _as_json(check: Check) -> str:
    return json.dumps({"check": check.name, "state": check.state, "detail": check.detail, "hint": check.hint})


def _as_line(check: Check) -> str:
    mark = MARKS[check.state]
    if sys.stdout.isatty():
        mark = f"\033[{COLOURS[check.state]}m{mark}\033[0m"
    hint = f"\n      -> {printable(check.hint)}" if check.hint else ""
    return f"{mark}  {check.name:<8}{printable(check.detail)}{hint}"
