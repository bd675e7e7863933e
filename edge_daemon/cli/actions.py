"""Actions of a command, such as `examples add`: a parser each, with the common options behind it as well."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, action: object, summary: str
) -> argparse.ArgumentParser:
    """Add an action's parser; `args.action` is what it runs.

    The common options may stand behind the action too; absent there, they keep what stood before it.
    Overrides behind it come in `args.more_set`.
    """
    parser = actions.add_parser(name, help=summary, description=summary)
    parser.set_defaults(action=action)
    parser.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--set", action="append", dest="more_set", default=[], help=argparse.SUPPRESS)
    for option in ("--json", "--debug"):
        parser.add_argument(option, action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    return parser
