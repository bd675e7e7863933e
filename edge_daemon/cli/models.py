"""`edge-daemon models`: the list of models; the other actions have files of their own."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from edge_daemon.app.model_change import on_used_store
from edge_daemon.app.model_factory import configured_model
from edge_daemon.cli.main import add_action
from edge_daemon.cli.model_adding import add_model, declare_add_arguments
from edge_daemon.cli.model_choice import (
    add_recommend_arguments,
    add_use_arguments,
    run_recommend,
    run_use,
)
from edge_daemon.cli.model_pull import add_pull_arguments, megabytes, run_pull
from edge_daemon.cli.model_report import run_inspect
from edge_daemon.cli.option_values import read_model
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ModelError
from edge_daemon.models import registry
from edge_daemon.models.advice import SHORT_S, advise, measure_shipped_ms
from edge_daemon.models.recommendation import Choice
from edge_daemon.models.registry import DEFAULT_MODEL, Manifest, shipped_manifests
from edge_daemon.system.printable import printable

_Action: TypeAlias = Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add_action(actions, "list", _list, "list the installed models and those that can be pulled")
    add_pull_arguments(
        add_action(
            actions, "pull", run_pull, "download a model; resume a broken transfer, check size and hash"
        )
    )
    add_recommend_arguments(
        add_action(actions, "recommend", run_recommend, "name the best model for this board, and why")
    )
    use_text = "use a model: pull it if needed, embed the examples again, and change the configuration"
    add_use_arguments(add_action(actions, "use", run_use, use_text))
    inspect_parser = add_action(
        actions, "inspect", run_inspect, "report a model's file, speed on this machine, accuracy and origin"
    )
    inspect_parser.add_argument(
        "file", type=read_model, metavar="FILE", help="a .tflite file, or a name of `models list`"
    )
    add_text = "add a model to the model folder: a file, an export, or a web address"
    declare_add_arguments(add_action(actions, "add", add_model, add_text))


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    action: _Action = args.action
    return action(args)


@dataclass(frozen=True, slots=True)
class _Row:
    """A model of the list; accuracy in per cent by classifier, with 10 examples per class."""

    name: str
    used: bool
    path: str | None
    bytes: int
    relative_cost: float | None
    accuracy: dict[str, float | None]
    licence: str | None
    recommended_for: str | None
    recommended_here: bool


def _list(args: argparse.Namespace) -> int:
    used = configured_model(on_used_store(load_config(args.config, [*args.set, *args.more_set])))
    installed = registry.installed_models()
    known = {manifest.name: manifest for manifest in shipped_manifests()}
    better = _better_than(used)
    rows = [
        _row(name, known.get(name), installed.get(name), used, better)
        for name in sorted({*known, *installed})
    ]
    if args.json:
        for row in rows:
            print(json.dumps(asdict(row)))
        return 0
    print(f"  {'model':<48} {'here':<4} {'size':>8} {'cost':>5} {'KNN':>4} {'linear':>6}")
    for row in rows:
        print(_line(row))
    print(_LEGEND)
    return 0


_LEGEND = """
* in use. cost: time of one inference, relative to mobilenet_v1_0.25_128_quant. KNN, linear: accuracy in %
with 10 examples per class, mean of two test sets. `edge-daemon models use NAME` pulls one not here and uses
it; `models recommend` names the best for this board; `models inspect NAME` shows the origin of one here."""


def _better_than(used: str) -> Choice | None:
    """Return the recommended model; None if the one in use is as good, or without an interpreter."""
    try:
        return advise(DEFAULT_MODEL, measure_shipped_ms(SHORT_S)).better_than(used)
    except ModelError:
        return None


def _row(name: str, manifest: Manifest | None, path: Path | None, used: str, better: Choice | None) -> _Row:
    return _Row(
        name=name,
        used=used == name or (path is not None and path == Path(used)),
        path=str(path) if path else None,
        bytes=path.stat().st_size if path else manifest.bytes if manifest else 0,
        relative_cost=manifest.relative_cost if manifest else None,
        accuracy={key: manifest.accuracy(key) if manifest else None for key in ("knn", "linear")},
        licence=manifest.licence if manifest else None,
        recommended_for=manifest.recommended_for if manifest else None,
        recommended_here=better is not None and better.name == name,
    )


def _line(row: _Row) -> str:
    note = "recommended for this board" if row.recommended_here else row.recommended_for
    cost, knn, linear = row.relative_cost, row.accuracy["knn"], row.accuracy["linear"]
    cells = (
        f"{'*' if row.used else ' '} {row.name:<48}",
        f"{'yes' if row.path else 'no':<4} {megabytes(row.bytes):>8}",
        f"{cost:>5.2g}" if cost else f"{'-':>5}",
        f"{knn:>4.0f}" if knn else f"{'-':>4}",
        f"{linear:>6.0f}" if linear else f"{'-':>6}",
        f" <- {note}" if note else "",
    )
    return printable(" ".join(cells).rstrip())
