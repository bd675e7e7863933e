"""Checks of the options of `edge-daemon evaluate`: none is ignored without a word."""

from __future__ import annotations

import argparse

from edge_daemon.cli.evaluation_report import REPORT_MARK
from edge_daemon.cli.session_evaluation import CLASSIFIERS
from edge_daemon.domain.errors import ConfigError
from edge_daemon.system.atomic_file import check_rewritten_file

_EXCLUDED = {
    "sessions": ("features", "unknown", "leave_one_out", "tune"),
    "features": ("unknown", "leave_one_out", "tune", "report", "shots", "classifiers"),
    "classifiers": ("unknown", "leave_one_out", "tune"),
}
"""Options that each option can't be combined with, as it does not use them."""


def check_options(args: argparse.Namespace) -> None:
    """Raise ConfigError for options that can't be used together, OutputError for the report's file."""
    for option, others in _EXCLUDED.items():
        for other in others:
            if getattr(args, option) and getattr(args, other):
                raise ConfigError(f"{_name(other)} can't be combined with {_name(option)}")
    if args.teach and not args.sessions:
        raise ConfigError("--teach needs --sessions")
    if args.far and not (args.sessions or args.unknown):
        raise ConfigError("--far needs --unknown or --sessions")
    if args.report and not args.directory:
        raise ConfigError("--report shows pictures; name the folder they are in")
    if args.report:
        check_rewritten_file(args.report, REPORT_MARK)
    if args.sessions:
        _check_sessions(args)


def _name(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def _check_sessions(args: argparse.Namespace) -> None:
    if not args.directory:
        raise ConfigError("--sessions needs a folder: DIR/SESSION/LABEL/PICTURE.jpg")
    for classifier in args.classifiers or ():
        if classifier not in CLASSIFIERS:
            raise ConfigError(f"--sessions measures {', '.join(CLASSIFIERS)}; got '{classifier}'")
