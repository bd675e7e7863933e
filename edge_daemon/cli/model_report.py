"""`edge-daemon models inspect`: a model's file, its speed here, its accuracy, cost and origin."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edge_daemon.config.schema import load_config
from edge_daemon.domain.errors import ModelError
from edge_daemon.models import registry
from edge_daemon.models.advice import advise, known_manifest
from edge_daemon.models.class_names import load_class_names
from edge_daemon.models.registry import Manifest
from edge_daemon.system.printable import printable
from edge_daemon.tflite.graph import Tensor
from edge_daemon.tflite.inspection import FeatureLayerInfo, Inspection, inspect


def run_inspect(args: argparse.Namespace) -> int:
    """Run the action."""
    config = load_config(args.config, [*args.set, *args.more_set])
    path = registry.find_model(args.file)
    found = inspect(path, config.model.threads, config.model.delegate)
    labels = _label_note(path, found)
    manifest = _manifest_of(path, found)
    advice = advise(path.stem, found.inference_ms) if manifest and found.inference_ms else None
    better = advice.better_than(path.stem) if advice else None
    if args.json:
        known = {"manifest": msgspec.to_builtins(manifest), "better_here": msgspec.to_builtins(better)}
        print(json.dumps({"file": str(path), **msgspec.to_builtins(found), "labels": labels, **known}))
    else:
        lines = [*_file_lines(path, found, labels), *(_origin_lines(manifest) if manifest else [])]
        lines += [("better here", f"{better}: edge-daemon models use {better.name}")] if better else []
        print("\n".join(f"{name:<13} {printable(value)}" for name, value in lines))
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
    return describe_labels(labels)


def describe_labels(labels: Sequence[str]) -> str:
    """Return the number of labels and the first three."""
    return f"{len(labels)}: {'; '.join([*labels[:3], *(['…'] if len(labels) > 3 else [])])}"


def _manifest_of(path: Path, found: Inspection) -> Manifest | None:
    """Return the manifest of a known model; None for another file of the same name."""
    manifest = known_manifest(path.stem)
    return manifest if manifest is not None and manifest.sha256 == found.sha256 else None


def _file_lines(path: Path, found: Inspection, labels: str | None) -> list[tuple[str, str]]:
    """Return an inspection as names and values."""
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
    return lines


def _origin_lines(manifest: Manifest) -> list[tuple[str, str]]:
    """Return accuracy, cost, licence and origin of a known model as names and values."""
    lines = [
        ("accuracy", f"{_accuracies(by_kind)} ({name}, 10 examples)")
        for name, by_kind in manifest.few_shot.items()
    ]
    if manifest.relative_cost:
        lines.append(("cost", f"{manifest.relative_cost:g} times mobilenet_v1_0.25_128_quant, on x86-64"))
    lines.append(("licence", manifest.licence))
    if (origin := manifest.provenance) is not None:
        lines += [("author", origin.author), ("released", origin.released or "the source gives no date")]
        lines += [("data", origin.data), ("purpose", origin.purpose)]
        lines += [("limit", text) for text in origin.limits]
        lines += [("source", origin.source)] if origin.source else []
    return lines


def _accuracies(by_kind: Mapping[str, Mapping[str, float]]) -> str:
    """Format the accuracy of each classifier with ten examples of each class."""
    found = {kind: by_shots["10"] for kind, by_shots in by_kind.items() if "10" in by_shots}
    return ", ".join(f"{kind} {value:.0f} %" for kind, value in found.items())


def _feature_layer(layer: FeatureLayerInfo | str) -> str:
    return f"none: {layer}" if isinstance(layer, str) else f"{layer.size} numbers: {layer.why}"


def _tensor(tensor: Tensor) -> str:
    scaled = f", real = (number - {tensor.zero_point}) x {tensor.scale:.6g}" if tensor.scale else ""
    return f"{tensor}{scaled}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: -item[1]))
