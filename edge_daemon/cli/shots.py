"""`edge-daemon evaluate --shots`: the numbers of examples of each label that are taught."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np

from edge_daemon.cli.config import note
from edge_daemon.domain.counted import counted
from edge_daemon.domain.errors import ConfigError
from edge_daemon.evaluation.few_shot import Dataset

DEFAULT_SHOTS = (1, 5, 10, 20)


def read_shots(text: str) -> list[int]:
    """Parse `--shots`. Raises ArgumentTypeError."""
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"expected numbers such as 1,5,10, got '{text}'") from exc
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("at least one example must be taught")
    return numbers


def choose_shots(args: argparse.Namespace, data: Dataset) -> list[int]:
    """Return the numbers of shots that can be measured; log the others.

    A test picture of each class must be left. If there are too few pictures for each default number, the
    largest possible one is measured. Raises ConfigError if there is none.
    """
    counts = np.bincount(data.class_ids)
    fewest = int(counts.min())
    has = f"'{data.labels[int(counts.argmin())]}' has {counted(fewest, 'picture')}"
    asked = _asked_shots(args)
    kept = [each for each in asked if each < fewest]
    if not kept and args.shots is None and fewest > _least_shots(args):
        kept = [fewest - 1]
    if not kept:
        least = min(asked) if args.shots else _least_shots(args)
        needed = counted(least, "shot")
        raise ConfigError(f"{has}; at least {least + 1} of each label are needed for {needed}")
    if left_out := [str(each) for each in asked if each >= fewest]:
        instead = "" if kept[-1] in asked else f"; {counted(kept[-1], 'shot')} instead"
        note(f"{', '.join(left_out)} shot{'s' * (left_out != ['1'])} left out: {has}{instead}")
    return kept


def _asked_shots(args: argparse.Namespace) -> list[int]:
    """Return the numbers of shots of `--shots`, else the default ones, without too low ones."""
    asked: Sequence[int] = args.shots or DEFAULT_SHOTS
    kept = [each for each in asked if each >= _least_shots(args)]
    if args.shots and len(kept) < len(asked):
        option = "--leave-one-out" if args.leave_one_out else "--tune"
        if not kept:
            raise ConfigError(f"{option} needs at least 2 shots, see --shots")
        note(f"1 shot left out: {option} needs at least 2")
    return kept


def _least_shots(args: argparse.Namespace) -> int:
    """Return 2 for measurements that leave out each taught picture: another one of its class must be left."""
    return 2 if args.leave_one_out or args.tune else 1
